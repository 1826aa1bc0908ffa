#include "ivf/ivf_rows.hpp"

#include <cstring>

#include "ivf/ivf_train.hpp"

namespace ann::ivf {

RowReader::RowReader(Relation heap, Relation index, MemoryContext context)
    : row_context_(AllocSetContextCreate(context, "ann ivf row", ALLOCSET_SMALL_SIZES)),
      fetch_(table_index_fetch_begin(heap)),
      slot_(table_slot_create(heap, nullptr)),
      info_(BuildIndexInfo(index)),
      executor_(CreateExecutorState()) {
  GetPerTupleExprContext(executor_)->ecxt_scantuple = slot_;
}

const float* RowReader::Read(const IndexView& view, const format::Tid& stored, Snapshot snapshot) {
  MemoryContextReset(row_context_);
  ResetPerTupleExprContext(executor_);
  ItemPointerData tid;
  std::memcpy(&tid, &stored, sizeof tid);
  bool call_again = false;
  if (!table_index_fetch_tuple(fetch_, &tid, snapshot, slot_, &call_again, nullptr)) return nullptr;
  MemoryContext old = MemoryContextSwitchTo(row_context_);
  Datum values[INDEX_MAX_KEYS];
  bool nulls[INDEX_MAX_KEYS];
  FormIndexDatum(info_, slot_, executor_, values, nulls);
  const float* x = RowVector(view, values, nulls);
  MemoryContextSwitchTo(old);
  return x;
}

void RowReader::Close() {
  table_index_fetch_end(fetch_);
  ExecDropSingleTupleTableSlot(slot_);
  FreeExecutorState(executor_);
  MemoryContextDelete(row_context_);
}

}  // namespace ann::ivf
