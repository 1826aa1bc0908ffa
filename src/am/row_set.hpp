// A set of the table's rows that an index scan shall keep to (src/planner/README.md): which heap
// TIDs pass, as other indexes' bitmaps tell it.
#pragma once

#include <cstdint>

#include "pg/pg.hpp"

namespace ann::am {

// A bitmap of line pointers for each block that has rows, found by a bitmap of blocks: 24 bytes for
// 64 blocks of the table, and 8 bytes for 64 line pointers of a block with rows, at most 40: the
// server's bitmap takes more than that for it. A lossy block is a bit and no more. Trivially
// destructible, in memory of a context.
class RowSet {
 public:
  // Memory: of `context`.
  static RowSet* Make(MemoryContext context, TIDBitmap* bitmap);

  bool Contains(const ItemPointerData& tid) const {
    const BlockNumber block = ItemPointerGetBlockNumberNoCheck(&tid);
    if (block / 64 >= runs_) return false;
    const Run& run = run_[block / 64];
    const uint64_t bit = uint64_t{1} << (block % 64);
    if ((run.blocks & bit) == 0) return false;
    if ((run.lossy & bit) != 0) return true;
    const uint32_t line = ItemPointerGetOffsetNumberNoCheck(&tid);
    if (line / 64 >= words_) return false;
    const uint64_t exact = run.blocks & ~run.lossy;
    const uint32_t at = run.first + static_cast<uint32_t>(__builtin_popcountll(exact & (bit - 1)));
    return (lines_[size_t{at} * words_ + line / 64] >> (line % 64) & 1) != 0;
  }

  // Shows the rows of blocks that are not lossy to `visit(tid)`, in the order of the table.
  template <class Visit>
  void ForEach(Visit&& visit) const {
    for (uint32_t r = 0; r < runs_; ++r) {
      const Run& run = run_[r];
      const uint64_t* words = lines_ + size_t{run.first} * words_;
      for (uint64_t left = run.blocks & ~run.lossy; left != 0; left &= left - 1, words += words_) {
        const BlockNumber block = r * 64 + static_cast<uint32_t>(__builtin_ctzll(left));
        for (uint32_t w = 0; w < words_; ++w) {
          for (uint64_t lines = words[w]; lines != 0; lines &= lines - 1) {
            ItemPointerData tid;
            ItemPointerSet(&tid, block, static_cast<OffsetNumber>(w * 64 + __builtin_ctzll(lines)));
            visit(tid);
          }
        }
      }
    }
  }

  // Rows may be in it that do not pass: of a lossy block all are, and an index may be lossy itself.
  bool needs_recheck() const { return needs_recheck_; }
  uint64_t rows() const { return rows_; }  // of blocks that are not lossy
  uint64_t lossy_blocks() const { return lossy_blocks_; }

 private:
  struct Run {
    uint64_t blocks;  // which of these 64 have rows
    uint64_t lossy;   // which of those have all rows
    uint32_t first;   // of all blocks with rows that are not lossy the first one's number
    uint32_t unused;
  };

  Run* run_ = nullptr;
  uint64_t* lines_ = nullptr;
  uint32_t runs_ = 0;
  uint32_t words_ = 0;  // a block
  uint64_t rows_ = 0;
  uint64_t lossy_blocks_ = 0;
  bool needs_recheck_ = false;
};

// What `scan->opaque` of each access method begins with.
struct ScanHead {
  const RowSet* rows = nullptr;  // null: all rows
  int64 limit = 0;               // rows that are wanted; 0: not known
};

// Tells a scan to keep to these rows, until told otherwise; to be called before the first row is
// asked for after its beginning or a rescan. All rows of the set are returned, others need not be
// kept out.
inline void OfferRows(IndexScanDesc scan, const RowSet* rows) {
  static_cast<ScanHead*>(scan->opaque)->rows = rows;
}
// Rows whose distances may be kept in `bytes` at a time.
double MostListed(double bytes);
// Whether the scan may take the rows of the set from the table instead of looking for them in the
// index, within `limit` bytes: all of them are in the index that have a distance.
bool MayList(IndexScanDesc scan, const RowSet& rows, size_t limit);

inline const RowSet* OfferedRows(IndexScanDesc scan) {
  return static_cast<const ScanHead*>(scan->opaque)->rows;
}

}  // namespace ann::am
