// Exact keys from the table's rows, for index scans.
#pragma once

#include <cstdint>
#include <utility>

#include "quant/codec.hpp"

#include "pg/pg.hpp"

namespace ann::am {

// Asks for the page of a row that is going to be read, if it is not in shared buffers.
inline void PrefetchRow(Relation table, const ItemPointerData& tid) {
  PrefetchBuffer(table, MAIN_FORKNUM, ItemPointerGetBlockNumberNoCheck(&tid));
}

// Lives as long as the scan. Trivially destructible; Close gives back what it holds.
class RowFetcher {
 public:
  // `context` outlives rescans.
  explicit RowFetcher(MemoryContext context)
      : context_(context),
        row_context_(AllocSetContextCreate(context, "ann scan row", ALLOCSET_SMALL_SIZES)) {}

  // The exact key for `x`, from the first of these rows that the snapshot sees. False: it sees
  // none. No page lock may be held.
  bool Fetch(IndexScanDesc scan, quant::Metric metric, quant::VectorRef x, uint32_t dims,
             const ItemPointerData* tids, uint32_t count, float* key);
  // Rows looked at since the last call.
  int64 TakeCount() { return std::exchange(fetched_, 0); }
  void Close();

 private:
  void Open(IndexScanDesc scan);
  quant::VectorRef SlotVector(Relation index, uint32_t dims);

  MemoryContext context_;
  MemoryContext row_context_;  // reset for each table row
  IndexFetchTableData* fetch_ = nullptr;
  TupleTableSlot* slot_ = nullptr;
  IndexInfo* info_ = nullptr;
  EState* executor_ = nullptr;
  int64 fetched_ = 0;
};

}  // namespace ann::am
