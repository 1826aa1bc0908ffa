#include "am/row_set.hpp"

#include <algorithm>

#include "am/emission.hpp"

#include "pg/alloc.hpp"

namespace ann::am {

RowSet* RowSet::Make(MemoryContext context, TIDBitmap* bitmap) {
  RowSet* set = pg::AllocZero<RowSet>(context, 1);
  uint64_t exact_blocks = 0;
  uint32_t highest_line = 0;
  BlockNumber blocks = 0;
  pg::ForEachPage(bitmap, [&](const pg::BitmapPage& page) {
    CHECK_FOR_INTERRUPTS();
    blocks = page.block + 1;
    set->needs_recheck_ |= page.recheck || page.lossy;
    ++(page.lossy ? set->lossy_blocks_ : exact_blocks);
    for (int i = 0; i < page.lines; ++i)
      highest_line = std::max<uint32_t>(highest_line, page.line[i]);
    set->rows_ += static_cast<uint64_t>(page.lines);
  });
  if (blocks == 0) return set;
  set->runs_ = (blocks - 1) / 64 + 1;
  set->words_ = highest_line / 64 + 1;
  set->run_ = pg::AllocZero<Run>(context, set->runs_);
  set->lines_ = pg::AllocZero<uint64_t>(context, mul_size(exact_blocks, set->words_));
  // Pages come in the order of their blocks.
  uint32_t at = 0;
  pg::ForEachPage(bitmap, [&](const pg::BitmapPage& page) {
    CHECK_FOR_INTERRUPTS();
    Run& run = set->run_[page.block / 64];
    const uint64_t bit = uint64_t{1} << (page.block % 64);
    if (run.blocks == 0) run.first = at;
    run.blocks |= bit;
    if (page.lossy) {
      run.lossy |= bit;
      return;
    }
    uint64_t* words = set->lines_ + size_t{at++} * set->words_;
    for (int i = 0; i < page.lines; ++i)
      words[page.line[i] / 64] |= uint64_t{1} << (page.line[i] % 64);
  });
  return set;
}

double MostListed(double bytes) { return bytes / (sizeof(Item) + sizeof(ItemPointerData)); }

bool MayList(IndexScanDesc scan, const RowSet& rows, size_t limit) {
  // Of a partial index the set may hold rows that are not in it.
  return rows.lossy_blocks() == 0 &&
         static_cast<double>(rows.rows()) <= MostListed(static_cast<double>(limit)) &&
         RelationGetIndexPredicate(scan->indexRelation) == NIL;
}

}  // namespace ann::am
