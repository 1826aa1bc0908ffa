#include "am/row_fetch.hpp"

#include "am/vector_column.hpp"
#include "core/beam.hpp"

namespace ann::am {

void RowFetcher::Open(IndexScanDesc scan) {
  if (fetch_ != nullptr) return;
  MemoryContext old = MemoryContextSwitchTo(context_);
  fetch_ = table_index_fetch_begin(scan->heapRelation);
  slot_ = table_slot_create(scan->heapRelation, nullptr);
  info_ = BuildIndexInfo(scan->indexRelation);
  if (info_->ii_IndexAttrNumbers[0] == 0) executor_ = CreateExecutorState();
  MemoryContextSwitchTo(old);
}

// The indexed vector of the row in the slot, in the row context.
quant::VectorRef RowFetcher::SlotVector(Relation index, uint32_t dims) {
  Datum value;
  bool isnull;
  const AttrNumber attribute = info_->ii_IndexAttrNumbers[0];
  if (attribute != 0) {
    value = slot_getattr(slot_, attribute, &isnull);
  } else {
    Datum values[INDEX_MAX_KEYS];
    bool nulls[INDEX_MAX_KEYS];
    GetPerTupleExprContext(executor_)->ecxt_scantuple = slot_;
    FormIndexDatum(info_, slot_, executor_, values, nulls);
    value = values[0], isnull = nulls[0];
  }
  return isnull ? nullptr : IndexedVector(index, value, dims);
}

bool RowFetcher::Fetch(IndexScanDesc scan, quant::Metric metric, quant::VectorRef x, uint32_t dims,
                       const ItemPointerData* tids, uint32_t count, float* key) {
  Open(scan);
  bool found = false;
  for (uint32_t i = 0; i < count && !found; ++i) {
    CHECK_FOR_INTERRUPTS();
    ItemPointerData tid = tids[i];
    bool call_again = false;
    ++fetched_;
    if (!table_index_fetch_tuple(fetch_, &tid, scan->xs_snapshot, slot_, &call_again, nullptr)) {
      continue;
    }
    MemoryContext old = MemoryContextSwitchTo(row_context_);
    const quant::VectorRef row = SlotVector(scan->indexRelation, dims);
    if (row != nullptr) {
      *key = OrderableKey(ExactKey(metric, x, row, dims));
      found = true;
    }
    MemoryContextSwitchTo(old);
    MemoryContextReset(row_context_);
    if (executor_ != nullptr) ResetPerTupleExprContext(executor_);
  }
  ExecClearTuple(slot_);
  return found;
}

void RowFetcher::Close() {
  if (fetch_ != nullptr) {
    table_index_fetch_end(fetch_);
    ExecDropSingleTupleTableSlot(slot_);
  }
  if (executor_ != nullptr) FreeExecutorState(executor_);
  MemoryContextDelete(row_context_);
}

}  // namespace ann::am
