#include "ivf/ivf_prefetch.hpp"

#include <algorithm>

namespace ann::ivf {

namespace {

// Pages of the next list that are asked for ahead, and of the table's rows.
constexpr uint32_t kPrefetchPages = 64;
// Of one row in so many that passes, or fewer, the records are not asked for ahead.
constexpr uint32_t kSparse = 8;

// What a filter reads of a code page that is in memory goes to the caches: a list of which no row
// passes costs little but waiting for these lines.
void FetchAttributes(ScanState& s, BlockNumber block, uint32_t rows) {
  constexpr uint32_t kLine = 64;
  const char* page = s.reader.Guess(block);
  if (page == nullptr) return;
  const format::IvfLayout& layout = s.view->layout;
  const uint32_t block_rows = s.view->meta.block_rows;
  __builtin_prefetch(page);
  __builtin_prefetch(page + format::kPageSize - kLine);
  for (uint32_t b = 0; b < s.view->meta.blocks_per_page && b * block_rows < rows; ++b) {
    __builtin_prefetch(page + layout.BlockAt(b));
    for (uint32_t at = layout.AttributesAt(b); at < layout.CodesAt(b); at += kLine) {
      __builtin_prefetch(page + at);
    }
  }
}

}  // namespace

void PrefetchList(ScanState& s, const format::ListEntry& entry) {
  // Nobody has looked at what it says yet.
  if (entry.head == 0 || entry.head >= s.blocks) return;
  const uint32_t pages = std::min({std::max(entry.run, 1u), kPrefetchPages, s.blocks - entry.head});
  const bool sparse = s.list_passed < s.list_rows / kSparse;
  const uint32_t step = sparse ? 1u + s.view->meta.record_pages : 1;
  uint32_t rows = entry.live + entry.dead;
  for (uint32_t i = 0; i < pages; i += step) {
    const BlockNumber block = entry.head + i;
    if (sparse && s.filter != nullptr) {
      FetchAttributes(s, block, rows);
      rows -= std::min(rows, s.view->layout.segment_rows());
    }
    if (s.reader.Knows(block)) continue;
    const PrefetchBufferResult found = PrefetchBuffer(s.view->rel, MAIN_FORKNUM, block);
    if (BufferIsValid(found.recent_buffer)) s.reader.Remember(block, found.recent_buffer);
  }
}

void PrefetchRows(ScanState& s, float farthest) {
  uint32_t left = kPrefetchPages;
  s.emission.ForEach([&s, &left, farthest](const am::Item& item) {
    const Candidate& c = s.candidates[item.id];
    if (left == 0 || c.key > farthest) return;
    --left;
    am::PrefetchRow(s.scan->heapRelation, c.tid);
  });
}

}  // namespace ann::ivf
