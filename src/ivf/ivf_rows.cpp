#include "ivf/ivf_rows.hpp"

#include <cstring>

#include "ivf/ivf_train.hpp"

#include "pg/test_hooks.hpp"

namespace ann::ivf {

RowReader::RowReader(Relation heap, Relation index, MemoryContext context)
    : row_context_(AllocSetContextCreate(context, "ann ivf row", ALLOCSET_SMALL_SIZES)),
      fetch_(table_index_fetch_begin(heap)),
      slot_(table_slot_create(heap, nullptr)),
      info_(BuildIndexInfo(index)),
      executor_(CreateExecutorState()),
      index_(index),
      encoder_(index, context),
      attributes_(pg::AllocZero<char>(context, encoder_.layout().row_bytes() + 1)) {
  GetPerTupleExprContext(executor_)->ecxt_scantuple = slot_;
}

bool RowReader::Fetch(const format::Tid& stored, Snapshot snapshot) {
  MemoryContextReset(row_context_);
  ResetPerTupleExprContext(executor_);
  ItemPointerData tid;
  std::memcpy(&tid, &stored, sizeof tid);
  const BlockNumber block = ItemPointerGetBlockNumberNoCheck(&tid);
  if (block >= blocks_) blocks_ = RelationGetNumberOfBlocks(fetch_->rel);
  if (!ItemPointerIsValid(&tid) || block >= blocks_) {
    pg::ReportCorrupted(index_, kMetaBlock, "a list names no row of the table");
  }
  bool call_again = false;
  return table_index_fetch_tuple(fetch_, &tid, snapshot, slot_, &call_again, nullptr);
}

// Of the row in the slot.
const float* RowReader::Vector(const IndexView& view) {
  MemoryContext old = MemoryContextSwitchTo(row_context_);
  Datum values[INDEX_MAX_KEYS];
  bool nulls[INDEX_MAX_KEYS];
  FormIndexDatum(info_, slot_, executor_, values, nulls);
  const float* x = RowVector(view, values, nulls);
  if (x != nullptr && encoder_.layout().count() > 0) {
    encoder_.layout().Put(attributes_, 1, 0, encoder_.Encode(values, nulls));
  }
  MemoryContextSwitchTo(old);
  return x;
}

const float* RowReader::Read(const IndexView& view, const format::Tid& stored, Snapshot snapshot) {
  return Fetch(stored, snapshot) ? Vector(view) : nullptr;
}

const float* RowReader::ReadUncommitted(const IndexView& view, const format::Tid& stored) {
  SnapshotData dirty;
  InitDirtySnapshot(dirty);
  if (!Fetch(stored, &dirty)) return nullptr;
  pg::StopPoint("rows.uncommitted");
  return IsInline() ? Vector(view) : nullptr;
}

// Functions of an expression may read any column.
bool RowReader::IsInline() {
  const TupleDesc desc = slot_->tts_tupleDescriptor;
  slot_getallattrs(slot_);
  for (int i = 0; i < desc->natts; ++i) {
    if (TupleDescAttr(desc, i)->attlen == -1 && !slot_->tts_isnull[i] &&
        VARATT_IS_EXTERNAL(DatumGetPointer(slot_->tts_values[i]))) {
      return false;
    }
  }
  return true;
}

void RowReader::Close() {
  table_index_fetch_end(fetch_);
  ExecDropSingleTupleTableSlot(slot_);
  FreeExecutorState(executor_);
  MemoryContextDelete(row_context_);
}

}  // namespace ann::ivf
