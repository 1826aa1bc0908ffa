// What ann_index_stats says of an ivf index.
#include "ivf/ivf_inspect.hpp"

#include <algorithm>
#include <cmath>

#include "am/inspect.hpp"
#include "ivf/ivf.hpp"
#include "ivf/ivf_index.hpp"

#include "pg/alloc.hpp"

namespace ann::ivf {

using format::ListEntry;
using format::PageKind;

namespace {

struct Counts {
  uint32_t empty;
  int64 largest;
  int64 live, dead;
  double squares;  // of the lists' lengths
  int64 code_pages, record_pages;
};

const char* QuantizerName(uint8_t quantizer) {
  switch (static_cast<quant::Quantizer>(quantizer)) {
    case quant::Quantizer::kRabitq:
      return "rabitq";
    case quant::Quantizer::kSq8:
      return "sq8";
    case quant::Quantizer::kPq:
      return "pq";
    default:
      return "flat";
  }
}

// Locks: code pages (L3), one at a time. False: the list has got other pages meanwhile, or the
// index has other lists.
bool CountList(const IndexView& view, uint32_t list, const ListEntry& entry, int64* live,
               Counts* counts) {
  ChainGuard guard(view.rel);
  for (BlockNumber block = entry.head; block != 0;) {
    CHECK_FOR_INTERRUPTS();
    guard.Pass(block);
    const pg::PageRef page = ReadInFile(view.rel, block, BUFFER_LOCK_SHARE);
    if (!IsSegmentOf(page.page, list, entry.generation)) {
      pg::Release(page);
      return false;
    }
    CheckSegment(view, page);
    const uint32_t rows = SegmentOn(page.page)->rows;
    ++counts->code_pages;
    for (uint32_t b = 0; b * view.meta.block_rows < rows; ++b) {
      const int n = __builtin_popcount(BlockOn(view, page.page, b)->live);
      *live += n;
      counts->dead += RowsOfBlock(view, rows, b) - n;
    }
    for (uint32_t i = 0; i < view.meta.record_pages; ++i) {
      counts->record_pages += RecordTableOn(view, page.page)[i] != 0;
    }
    block = SegmentOn(page.page)->next;
    pg::Release(page);
  }
  return true;
}

// Counts a list. False: the index has other lists by now.
bool CountEntry(const IndexView& view, uint32_t list, Counts* counts) {
  uint32_t seen_generation = 0;
  for (bool repeated = false;; repeated = true) {
    ListEntry entry;
    if (!ReadEntry(view.rel, view.frame->shape, list, &entry)) return false;
    // It has not moved: pages of former lists become free before their directory does.
    if (repeated && entry.generation == seen_generation) return false;
    seen_generation = entry.generation;
    Counts with = *counts;
    int64 live = 0;
    if (!CountList(view, list, entry, &live, &with)) continue;
    *counts = with;
    counts->live += live;
    counts->empty += live == 0;
    counts->largest = std::max(counts->largest, live);
    counts->squares += static_cast<double>(live) * live;
    return true;
  }
}

Counts CountLists(IndexView* view) {
  Counts counts{};
  for (uint32_t list = 0; list < view->frame->shape.lists;) {
    if (CountEntry(*view, list, &counts)) {
      ++list;
    } else {
      RefreshOther(view);
      counts = {}, list = 0;
    }
  }
  return counts;
}

}  // namespace

Datum Stats(Relation index, TupleDesc desc) {
  IndexView& view = *OpenIndex(index, CurrentMemoryContext, Frames::kInUse);
  const Counts counts = CountLists(&view);
  const format::IvfMeta& meta = view.meta;
  const format::IvfFrame& shape = view.frame->shape;
  const double live = static_cast<double>(counts.live);
  am::RowWriter row(desc);
  row.Int(meta.version).Int(static_cast<int32>(meta.dims)).Text(am::MetricName(meta.metric));
  row.Null().Null().Null().Null();
  row.Int(meta.second_bits).Null().Null();
  row.Big(counts.live).Big(counts.dead).Null().Null().Null().Null().Null();
  row.Null().Null().Null().Null().Null();
  row.Big(int64{RelationGetNumberOfBlocks(index)} * BLCKSZ);
  row.Big(shape.epoch).Big(static_cast<int64>(meta.trained_rows)).Bool(meta.training != 0);
  row.Text(QuantizerName(meta.quantizer)).Int(static_cast<int32>(shape.lists));
  row.Int(static_cast<int32>(counts.empty)).Big(counts.largest);
  // 1 when all lists are equally long; how many times more rows a search meets than then.
  row.Float(live > 0 ? counts.squares * shape.lists / (live * live) : 1);
  // How many times as long the index is as when its lists were made.
  row.Float(meta.trained_rows > 0 ? live / static_cast<double>(meta.trained_rows) : 0);
  row.Big(counts.code_pages).Big(counts.record_pages);
  row.Big(int64{shape.frame_pages} + shape.directory_pages);
  return row.Finish();
}

}  // namespace ann::ivf
