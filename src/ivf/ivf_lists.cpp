// Reading lists: README section "Scan".
//
// Lists are read in the order of their centroids' distances. All rows of a list become candidates
// with bounds from their codes; those that may be among the nearest so far are looked at more
// closely at once, while their pages are at hand.
#include "ivf/ivf_lists.hpp"

#include <algorithm>
#include <cstring>

#include "simd/simd.hpp"

#include "pg/guc.hpp"

namespace ann::ivf {

using am::Item;
using am::Stage;
using format::PageKind;
using quant::Metric;
using quant::Quantizer;

namespace {

// Lists that an adaptive search reads in any case.
constexpr uint32_t kFewestLists = 8;
// Pages of the next list that are asked for ahead.
constexpr uint32_t kPrefetchPages = 64;

}  // namespace

void PrepareQuery(ScanState& s) {
  const format::IvfMeta& meta = s.view->meta;
  const quant::ListCodec& codec = s.view->frame->codec;
  if (s.x == nullptr) {
    s.order.Start(*s.view->frame, nullptr);
    return;
  }
  s.work = pg::AllocZero<float>(s.context, meta.dims);
  s.work_query = s.view->frame->space.PrepareQuery(s.x, s.work);
  s.query = codec.PrepareQuery(
      s.work_query, s.settings.epsilon,
      AllocAligned(s.context, quant::ListCodec::QueryBytes(codec.params(), meta.dims)));
  s.block = static_cast<uint8_t*>(AllocAligned(s.context, codec.block_bytes()));
  s.record = static_cast<uint8_t*>(
      AllocAligned(s.context, size_t{meta.pages_per_record} * format::kPageSize + 64));
  s.order.Start(*s.view->frame, &s.query);
}

bool MayProbe(const ScanState& s) {
  if (s.order.AtEnd()) return false;
  if (s.x == nullptr) return true;
  const int most = s.settings.max_probes;
  if (most > 0 && s.order.taken() >= static_cast<uint32_t>(most)) return false;
  return s.first_round || s.settings.iterative_scan != am::IterativeScan::kOff;
}

namespace {

// --- reading a list
// -------------------------------------------------------------------------------

// Locks: any page of a list (L3, L4), alone, shared.
pg::PageRef LockShared(ScanState& s, BlockNumber block) {
  if (block >= s.blocks) s.blocks = RelationGetNumberOfBlocks(s.view->rel);
  if (block == kMetaBlock || block >= s.blocks) {
    pg::ReportCorrupted(s.view->rel, block, "a list leads out of the file");
  }
  const Buffer buffer = s.reader.Pin(block);
  LockBuffer(buffer, BUFFER_LOCK_SHARE);
  const pg::PageRef page{buffer, BufferGetPage(buffer), block};
  if (!pg::IsBlank(page.page)) pg::CheckPage(s.view->rel, page);
  return page;
}

ItemPointerData RowTid(ScanState& s, BlockNumber block, const format::Tid& stored) {
  ItemPointerData tid;
  memcpy(&tid, &stored, sizeof tid);
  const BlockNumber row_block = ItemPointerGetBlockNumberNoCheck(&tid);
  if (row_block >= s.table_blocks) s.table_blocks = RelationGetNumberOfBlocks(s.table);
  if (!ItemPointerIsValid(&tid) || row_block >= s.table_blocks) {
    pg::ReportCorrupted(s.view->rel, block, "a list names no row of the table");
  }
  return tid;
}

float Threshold(const ScanState& s) { return s.top.size() < s.target ? INFINITY : s.top.front(); }

}  // namespace

// Notes a key that may be among the least. True: it is, as far as is known.
bool NoteKey(ScanState& s, float key) {
  if (s.top.size() >= s.target) {
    if (!(key < s.top.front())) return false;
    std::pop_heap(s.top.begin(), s.top.end());
    s.top.back() = key;
  } else {
    s.top.push_back(key);
  }
  std::push_heap(s.top.begin(), s.top.end());
  return true;
}

void NoteAllKeys(ScanState& s) {
  s.top.clear();
  for (const Candidate& c : s.candidates) NoteKey(s, c.key);
}

namespace {

// A candidate whose key is known as well as the list's pages tell it.
void NoteRefined(ScanState& s, uint32_t id, quant::Estimate estimate) {
  const Item item = am::Bounded(id, estimate, am::kEpsilon, Stage::kRefined);
  s.candidates[id].key = OrderableKey(estimate.key);
  NoteKey(s, s.candidates[id].key);
  s.fresh.push_back(item);
}

// Copies a record's piece from a page of the list. False: the page is another's now.
bool CopyRecord(ScanState& s, const ReadList& list, const Candidate& c, BlockNumber block,
                uint32_t piece) {
  const format::IvfLayout& layout = s.view->layout;
  const pg::PageRef page = LockShared(s, block);
  const bool right = IsRecordsOf(page.page, list.list, list.generation, s.segments[c.segment].block,
                                 layout.RecordPage(c.row) + piece);
  if (right) {
    std::memcpy(s.record + piece * format::kRecordArea, page.page + layout.RecordAt(c.row),
                layout.PieceBytes(piece));
  }
  pg::Release(page);
  return right;
}

}  // namespace

// Copies a candidate's record; where it lies is looked up again. False: the list has other pages by
// now.
bool ReadRecord(ScanState& s, const Candidate& c) {
  const Segment& segment = s.segments[c.segment];
  const ReadList& list = s.read[segment.read];
  const uint32_t pieces = s.view->meta.pages_per_record;
  BlockNumber blocks[8];
  const pg::PageRef page = LockShared(s, segment.block);
  const bool right = IsSegmentOf(page.page, list.list, list.generation);
  if (right) {
    std::memcpy(blocks, RecordTableOn(*s.view, page.page) + s.view->layout.RecordPage(c.row),
                pieces * sizeof(BlockNumber));
  }
  pg::Release(page);
  for (uint32_t i = 0; right && i < pieces; ++i) {
    if (!CopyRecord(s, list, c, blocks[i], i)) return false;
  }
  return right;
}

namespace {

// A candidate whose code is a record, or whose record lies on several pages. False: the list has
// other pages by now.
bool RefineApart(ScanState& s, uint32_t id) {
  const quant::ListCodec& codec = s.view->frame->codec;
  const Candidate& c = s.candidates[id];
  const quant::ListContext& context = s.read[s.segments[c.segment].read].context;
  CHECK_FOR_INTERRUPTS();
  if (!ReadRecord(s, c)) return false;
  quant::Estimate estimate;
  if (s.view->meta.code_place == format::CodePlace::kRecord) {
    quant::BlockScores scores;
    codec.ScanBlock(s.query, context, s.record, false, 1, INFINITY, &scores);
    estimate = codec.WithError(s.query, context, s.record, 0, scores.key[0]);
  } else {
    estimate = codec.Refine(s.query, context, s.record);
  }
  NoteRefined(s, id, estimate);
  return true;
}

// The candidates in `close`, all of the code page that has just been read, by their records. Those
// of one page are read under one lock (L4). False: the list has other pages by now.
bool RefineClose(ScanState& s) {
  const format::IvfMeta& meta = s.view->meta;
  const bool apart = meta.code_place == format::CodePlace::kRecord || meta.pages_per_record > 1;
  const quant::ListCodec& codec = s.view->frame->codec;
  const format::IvfLayout& layout = s.view->layout;
  for (size_t i = 0; i < s.close.size();) {
    if (apart) {
      if (!RefineApart(s, s.close[i++])) return false;
      continue;
    }
    const Candidate& first = s.candidates[s.close[i]];
    const Segment& segment = s.segments[first.segment];
    const ReadList& list = s.read[segment.read];
    const uint32_t ordinal = layout.RecordPage(first.row);
    const pg::PageRef page = LockShared(s, s.record_pages[ordinal]);
    const bool right = IsRecordsOf(page.page, list.list, list.generation, segment.block, ordinal);
    for (; right && i < s.close.size(); ++i) {
      const Candidate& c = s.candidates[s.close[i]];
      if (layout.RecordPage(c.row) != ordinal) break;
      const char* record = page.page + layout.RecordAt(c.row);
      NoteRefined(s, s.close[i],
                  codec.Refine(s.query, list.context, reinterpret_cast<const uint8_t*>(record)));
    }
    pg::Release(page);
    if (!right) return false;
  }
  return true;
}

// Rows that lie one after the other as a block.
const uint8_t* Assemble(ScanState& s, const uint8_t* rows, uint32_t n) {
  const quant::ListCodec& codec = s.view->frame->codec;
  for (uint32_t i = 0; i < n; ++i) {
    codec.SetRow(s.block, i, rows + size_t{i} * codec.row_bytes());
  }
  return s.block;
}

// The rows of a code page, which is locked (L3).
void ReadSegment(ScanState& s, const pg::PageRef& page) {
  const IndexView& view = *s.view;
  const format::SegmentHeader* segment = SegmentOn(page.page);
  CheckSegment(view, page);
  const quant::ListCodec& codec = view.frame->codec;
  const uint32_t read = static_cast<uint32_t>(s.read.size() - 1);
  const quant::ListContext& context = s.read[read].context;
  const uint32_t at = static_cast<uint32_t>(s.segments.size());
  s.segments.push_back({read, page.block});
  const bool staged = codec.second_bytes() > 0;
  const bool apart = view.meta.code_place == format::CodePlace::kRecord;
  const bool probable =
      codec.params().quantizer == Quantizer::kRabitq || codec.params().quantizer == Quantizer::kPq;
  quant::BlockScores scores;
  for (uint32_t block = 0; block * view.meta.block_rows < segment->rows; ++block) {
    const uint32_t rows = RowsOfBlock(view, segment->rows, block);
    const uint32_t written = rows == 32 ? ~uint32_t{0} : (uint32_t{1} << rows) - 1;
    const uint32_t live = BlockOn(view, page.page, block)->live & written;
    if (live == 0) continue;
    const uint8_t* codes = CodesOn(view, page.page, block);
    if (s.x != nullptr && view.meta.code_place == format::CodePlace::kRows) {
      codes = Assemble(s, codes, rows);
    }
    uint32_t close = live;
    if (s.x != nullptr && !apart) {
      close = codec.ScanBlock(s.query, context, codes, IsSealed(view, codec, rows), live,
                              Threshold(s), &scores);
    }
    const format::Tid* tids = TidsOn(view, page.page, block);
    for (uint32_t left = live; left != 0; left &= left - 1) {
      const uint32_t i = static_cast<uint32_t>(__builtin_ctz(left));
      const uint32_t row = block * view.meta.block_rows + i;
      const uint32_t id = static_cast<uint32_t>(s.candidates.size());
      const float key = s.x == nullptr || apart ? 0 : OrderableKey(scores.key[i]);
      s.candidates.push_back({key, at, RowTid(s, page.block, tids[i]), static_cast<uint16_t>(row)});
      const bool is_close = (close >> i & 1) != 0;
      if (s.x == nullptr) {
        s.fresh.push_back({0, 0, id, 0, 0, Stage::kRefined});
      } else if (apart || (staged && is_close)) {
        s.close.push_back(id);
      } else if (!is_close) {
        s.rest.push_back({scores.lower[i], id});
      } else if (probable) {
        NoteKey(s, key);
        const float lower = std::isnan(scores.lower[i]) ? -INFINITY : scores.lower[i];
        s.fresh.push_back({lower, INFINITY, id, 0, 0, Stage::kCoarse});
      } else {
        NoteRefined(s, id, codec.WithError(s.query, context, codes, i, key));
      }
    }
  }
  if (!s.close.empty()) {
    const BlockNumber* table = RecordTableOn(view, page.page);
    s.record_pages.assign(table, table + view.meta.record_pages);
  }
}

// All rows of a list, from its pages. False: it has got other pages meanwhile.
bool ReadChain(ScanState& s, const format::ListEntry& entry) {
  const ReadList& list = s.read.back();
  BlockNumber block = entry.head;
  ChainGuard guard(s.view->rel);
  while (block != 0) {
    CHECK_FOR_INTERRUPTS();
    guard.Pass(block);
    const pg::PageRef page = LockShared(s, block);
    if (!IsSegmentOf(page.page, list.list, list.generation)) {
      pg::Release(page);
      return false;
    }

    s.close.clear();
    ReadSegment(s, page);
    block = SegmentOn(page.page)->next;
    pg::Release(page);
    pg::StopPoint("scan.segment");
    if (!RefineClose(s)) return false;
  }
  return true;
}

// False: the index has other lists by now. Locks: the directory page (L2), alone.
bool ReadEntryPinned(ScanState& s, uint32_t list, format::ListEntry* entry) {
  const EntryPlace at = EntryAt(s.view->frame->shape, list);
  const pg::PageRef page = LockShared(s, at.block);
  const bool right = IsPartOf(page.page, PageKind::kDirectory, s.view->frame->shape);
  if (right) *entry = *EntryOn(page.page, at.index);
  pg::Release(page);
  return right;
}

// Asks for the pages of the list that comes next.
void Prefetch(ScanState& s) {
  uint32_t list;
  s.ahead = ~uint32_t{0};
  if (!s.order.Peek(&list) || !ReadEntryPinned(s, list, &s.ahead_entry)) return;
  s.ahead = list;
  const format::ListEntry& entry = s.ahead_entry;
  if (entry.head == 0) return;
  const uint32_t pages = std::min(std::max(entry.run, 1u), kPrefetchPages);
  for (uint32_t i = 0; i < pages; ++i) {
    const BlockNumber block = entry.head + i;
    if (s.reader.Knows(block)) continue;
    const PrefetchBufferResult found = PrefetchBuffer(s.view->rel, MAIN_FORKNUM, block);
    if (BufferIsValid(found.recent_buffer)) s.reader.Remember(block, found.recent_buffer);
  }
}

bool WasSettled(ScanState& s, const ItemPointerData& tid) {
  if (s.sorted_tids != s.settled_tids.size()) {
    std::sort(s.settled_tids.begin(), s.settled_tids.end());
    s.sorted_tids = s.settled_tids.size();
  }
  return std::binary_search(s.settled_tids.begin(), s.settled_tids.end(), Packed(tid));
}

// Hands a list's candidates over to emission: `fresh`, and those in `rest` from `before` on.
void Publish(ScanState& s, size_t before) {
  const float threshold = Threshold(s);
  if (s.again) {
    const auto met = [&s](uint32_t id) { return WasSettled(s, s.candidates[id].tid); };
    s.rest.erase(std::remove_if(s.rest.begin() + before, s.rest.end(),
                                [&met](const Rest& r) { return met(r.id); }),
                 s.rest.end());
    s.fresh.erase(std::remove_if(s.fresh.begin(), s.fresh.end(),
                                 [&met](const Item& item) { return met(item.id); }),
                  s.fresh.end());
  }
  for (const Item& item : s.fresh) {
    if (item.lower > threshold) {
      s.rest.push_back({item.lower, item.id});
    } else {
      s.emission.Push(item);
    }
  }
  for (size_t i = before; i < s.rest.size(); ++i) {
    // Nothing is known of a row whose bound is no number.
    if (std::isnan(s.rest[i].lower)) s.rest[i].lower = -INFINITY;
    s.rest_least = std::min(s.rest_least, s.rest[i].lower);
  }
}

// All that was found, and not settled, is dropped: lists are others now, and are all read again.
void StartAgain(ScanState& s) {
  RefreshOther(s.view);
  s.again = true;
  s.read.clear();
  s.segments.clear();
  s.candidates.clear();
  s.ahead = ~uint32_t{0};
  s.rest.clear();
  s.rest_least = INFINITY;
  s.top.clear();
  s.emission.Clear();
  PrepareQuery(s);
}

// Reads the next list and publishes it. False: lists have changed, all starts again.
bool ReadNext(ScanState& s, bool* improved) {
  const Frame& frame = *s.view->frame;
  uint32_t list = 0;
  s.order.Peek(&list);
  const size_t before = s.candidates.size(), segments = s.segments.size(), rest = s.rest.size();
  s.read.push_back({list, 0, {}});
  if (s.x != nullptr) {
    s.read.back().context = frame.codec.PrepareList(s.query, frame.Centroid(list));
  }
  const float least = Threshold(s);
  uint32_t seen_generation = 0;
  for (bool repeated = false;; repeated = true) {
    format::ListEntry entry;
    if (!repeated && s.ahead == list) {
      entry = s.ahead_entry;
    } else if (!ReadEntryPinned(s, list, &entry)) {
      return false;
    }
    // The list has not moved, so it is one of former lists, whose pages become free before their
    // directory does.
    if (repeated && entry.generation == seen_generation) return false;
    seen_generation = s.read.back().generation = entry.generation;
    s.candidates.resize(before);
    s.segments.resize(segments);
    s.rest.resize(rest);
    s.fresh.clear();
    if (repeated) NoteAllKeys(s);
    if (ReadChain(s, entry)) break;
  }
  s.order.Advance();
  Prefetch(s);
  Publish(s, rest);
  *improved = Threshold(s) < least;
  return true;
}

}  // namespace

// Reads as many lists as belong together.
void NextRound(ScanState& s) {
  const bool fixed = s.settings.probes > 0 && s.x != nullptr;
  uint32_t idle = 0;
  for (uint32_t lists = 0; MayProbe(s); ++lists) {
    if (s.x == nullptr && lists > 0) break;
    if (fixed && lists >= static_cast<uint32_t>(s.settings.probes)) break;
    if (s.x != nullptr && !fixed && lists > 0 && s.order.taken() >= kFewestLists &&
        idle >= s.view->frame->shape.patience) {
      break;
    }
    CHECK_FOR_INTERRUPTS();
    bool improved = false;
    if (!ReadNext(s, &improved)) {
      StartAgain(s);
      lists = 0, idle = 0;
      continue;
    }
    idle = improved || s.top.size() < s.target ? 0 : idle + 1;
  }
  s.first_round = false;
}

}  // namespace ann::ivf
