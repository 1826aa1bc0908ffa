// Reading lists: README section "Scan".
//
// Lists are read in the order of their centroids' distances. All rows of a list become candidates
// with bounds from their codes; those that may be among the nearest so far are looked at more
// closely at once, while their pages are at hand.
#include "ivf/ivf_lists.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "ivf/ivf_prefetch.hpp"
#include "simd/simd.hpp"

#include "pg/guc.hpp"

namespace ann::ivf {

using am::Item;
using am::Stage;
using format::PageKind;
using quant::Metric;
using quant::Quantizer;

namespace {}  // namespace

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
  if (s.listed || s.order.AtEnd() || (s.filter != nullptr && s.filter->never())) return false;
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

// Rows that cannot be nearer are not looked at more closely.
float Threshold(const ScanState& s) {
  if (s.exact) return s.dropped;
  return s.top.size() < s.target ? INFINITY : s.top.front();
}

}  // namespace

// Notes a key that may be among the least. True: it is, as far as is known.
bool NoteKey(ScanState& s, float key) {
  // Of rows that are read again it was noted before.
  if (s.exact) return false;
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

void SortSettled(ScanState& s) {
  if (s.sorted_tids == s.settled_tids.size()) return;
  std::sort(s.settled_tids.begin(), s.settled_tids.end());
  s.sorted_tids = s.settled_tids.size();
}

ItemPointerData Unchecked(const format::Tid& stored) {
  ItemPointerData tid;
  std::memcpy(&tid, &stored, sizeof tid);
  return tid;
}

// Those of a block's rows `live` that pass the filter and are of the set that the scan keeps to.
uint32_t RowsThatPass(const ScanState& s, const pg::PageRef& page, uint32_t block, uint32_t live) {
  const IndexView& view = *s.view;
  uint32_t passed = live;
  if (s.filter != nullptr && live != 0) {
    passed &= s.filter->Mask32(AttributesOn(view, page.page, block),
                               format::AttributeCapacity(view.meta.block_rows), 0);
  }
  const format::Tid* tids = TidsOn(view, page.page, block);
  for (uint32_t left = s.rows != nullptr ? passed : 0; left != 0; left &= left - 1) {
    const uint32_t i = static_cast<uint32_t>(std::countr_zero(left));
    if (!s.rows->Contains(Unchecked(tids[i]))) passed &= ~(uint32_t{1} << i);
  }
  return passed;
}

// The rows of a block that are scanned: those that are alive and pass, and have not been settled
// before.
uint32_t RowsToScan(ScanState& s, const pg::PageRef& page, uint32_t block, uint32_t rows) {
  const IndexView& view = *s.view;
  const uint32_t written = rows == 32 ? ~uint32_t{0} : (uint32_t{1} << rows) - 1;
  const uint32_t live = BlockOn(view, page.page, block)->live & written;
  uint32_t scanned = RowsThatPass(s, page, block, live);
  s.list_rows += static_cast<uint32_t>(std::popcount(live));
  s.list_passed += static_cast<uint32_t>(std::popcount(scanned));
  s.scanned += static_cast<uint32_t>(std::popcount(scanned));
  const format::Tid* tids = TidsOn(view, page.page, block);
  for (uint32_t left = s.again ? scanned : 0; left != 0; left &= left - 1) {
    const uint32_t i = static_cast<uint32_t>(std::countr_zero(left));
    if (std::binary_search(s.settled_tids.begin(), s.settled_tids.end(),
                           Packed(Unchecked(tids[i])))) {
      scanned &= ~(uint32_t{1} << i);
    }
  }
  return scanned;
}

// Puts rows of a block aside.
void AddRest(ScanState& s, uint32_t segment, uint32_t first, uint32_t rows, const float* lower,
             const format::Tid* tids) {
  if (s.exact) {
    s.has_dropped = true;
    return;
  }
  for (uint32_t left = s.has_dropped ? rows : 0; left != 0; left &= left - 1) {
    const uint32_t i = static_cast<uint32_t>(__builtin_ctz(left));
    if (lower[i] > s.dropped) rows &= ~(uint32_t{1} << i);
  }
  if (rows == 0) return;
  s.rest.resize(s.rest.size() + 1, boost::container::default_init);
  RestBlock& rest = s.rest.back();
  rest.segment = segment;
  rest.first = first;
  rest.rows = rows;
  // Nothing is known of a row whose bound is no number. Four at a time, as the compiler sees it.
  float least[4] = {INFINITY, INFINITY, INFINITY, INFINITY};
  for (uint32_t i = 0; i < quant::kBlockRows; ++i) {
    rest.lower[i] = lower[i] == lower[i] ? lower[i] : -INFINITY;
  }
  for (uint32_t left = ~rows; left != 0; left &= left - 1) {
    rest.lower[__builtin_ctz(left)] = INFINITY;
  }
  for (uint32_t i = 0; i < quant::kBlockRows; ++i) {
    least[i % 4] = rest.lower[i] < least[i % 4] ? rest.lower[i] : least[i % 4];
  }
  rest.least = std::min(std::min(least[0], least[1]), std::min(least[2], least[3]));
  s.rest_least = std::min(s.rest_least, rest.least);
  std::memcpy(rest.tids, tids, sizeof(format::Tid) * s.view->meta.block_rows);
}

uint32_t AddCandidate(ScanState& s, float key, uint32_t segment, const format::Tid& tid,
                      uint32_t row) {
  const uint32_t id = static_cast<uint32_t>(s.candidates.size());
  s.candidates.push_back({key, segment, s.table_end.RowAt(s.scan, s.segments[segment].block, tid),
                          static_cast<uint16_t>(row)});
  return id;
}

// Of the list being read. Many have no row that passes.
const quant::ListContext& ContextOf(ScanState& s) {
  ReadList& read = s.read.back();
  if (s.x != nullptr && !read.prepared) {
    const Frame& frame = *s.view->frame;
    read.context = frame.codec.PrepareList(s.query, frame.Centroid(read.list));
    read.prepared = true;
  }
  return read.context;
}

// The rows of a code page, which is locked (L3).
void ReadSegment(ScanState& s, const pg::PageRef& page) {
  const IndexView& view = *s.view;
  const format::SegmentHeader* segment = SegmentOn(page.page);
  CheckSegment(view, page);
  const quant::ListCodec& codec = view.frame->codec;
  const uint32_t read = static_cast<uint32_t>(s.read.size() - 1);
  const uint32_t at = static_cast<uint32_t>(s.segments.size());
  s.segments.push_back({read, page.block});
  const bool staged = codec.second_bytes() > 0;
  const bool apart = view.meta.code_place == format::CodePlace::kRecord;
  const bool probable =
      codec.params().quantizer == Quantizer::kRabitq || codec.params().quantizer == Quantizer::kPq;
  quant::BlockScores scores;
  for (uint32_t block = 0; block * view.meta.block_rows < segment->rows; ++block) {
    const uint32_t rows = RowsOfBlock(view, segment->rows, block);
    const uint32_t scanned = RowsToScan(s, page, block, rows);
    if (scanned == 0) continue;
    const quant::ListContext& context = ContextOf(s);
    const uint8_t* codes = CodesOn(view, page.page, block);
    if (s.x != nullptr && view.meta.code_place == format::CodePlace::kRows) {
      codes = Assemble(s, codes, rows);
    }
    uint32_t close = scanned;
    const uint32_t first = block * view.meta.block_rows;
    const format::Tid* tids = TidsOn(view, page.page, block);
    if (s.x != nullptr && !apart) {
      close = codec.ScanBlock(s.query, context, codes, IsSealed(view, codec, rows), scanned,
                              Threshold(s), &scores);
      if (close != scanned) AddRest(s, at, first, scanned & ~close, scores.lower, tids);
    }
    for (uint32_t left = close; left != 0; left &= left - 1) {
      const uint32_t i = static_cast<uint32_t>(__builtin_ctz(left));
      const float key = s.x == nullptr || apart ? 0 : OrderableKey(scores.key[i]);
      const uint32_t id = AddCandidate(s, key, at, tids[i], first + i);
      if (s.x == nullptr) {
        s.fresh.push_back({0, 0, id, 0, 0, Stage::kRefined});
      } else if (apart || staged) {
        s.close.push_back(id);
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

// --- memory
// -------------------------------------------------------------------------------

size_t MemoryUsed(const ScanState& s) {
  return s.rest.size() * sizeof(RestBlock) + s.candidates.size() * sizeof(Candidate) +
         (s.emission.size() + s.fresh.size()) * sizeof(Item);
}

// Hands what was read over to emission. Where lists are read again, only rows that the snapshot
// sees, with their keys.
void Publish(ScanState& s) {
  for (const Item& item : s.fresh) {
    if (!s.exact || s.x == nullptr) {
      s.emission.Push(item);
      continue;
    }
    float key;
    const ItemPointerData tid = s.candidates[item.id].tid;
    if (item.lower > s.dropped) {
      s.has_dropped = true;
    } else if (s.fetcher->Fetch(s.scan, s.view->metric(), s.aim.x, s.view->meta.dims, &tid, 1,
                                &key)) {
      if (key > s.dropped) {
        s.has_dropped = true;
      } else {
        s.emission.PushExact(item.id, tid, key);
      }
    }
  }
  s.fresh.clear();
}

// Calls visit(rest, i) for row i of each block that waits.
template <class Visit>
void ForEachRest(ScanState& s, Visit visit) {
  for (RestBlock& rest : s.rest) {
    for (uint32_t left = rest.rows; left != 0; left &= left - 1) {
      visit(rest, static_cast<uint32_t>(__builtin_ctz(left)));
    }
  }
}

// The number that `n` of the bounds in s.bounds are not above, n >= 1.
float Cut(ScanState& s, size_t n) {
  if (n >= s.bounds.size()) return INFINITY;
  std::nth_element(s.bounds.begin(), s.bounds.begin() + (n - 1), s.bounds.end());
  return s.bounds[n - 1];
}

// Moves rows whose bound is at most `cut` into the heap.
void MoveRest(ScanState& s, float cut) {
  s.rest_least = INFINITY;
  size_t kept = 0;
  for (RestBlock& rest : s.rest) {
    if (rest.least <= cut) {
      rest.least = INFINITY;
      for (uint32_t left = rest.rows; left != 0; left &= left - 1) {
        const uint32_t i = static_cast<uint32_t>(__builtin_ctz(left));
        if (rest.lower[i] > cut) {
          rest.least = std::min(rest.least, rest.lower[i]);
          continue;
        }
        rest.rows &= ~(uint32_t{1} << i);
        const uint32_t id =
            AddCandidate(s, rest.lower[i], rest.segment, rest.tids[i], rest.first + i);
        s.emission.Push({rest.lower[i], INFINITY, id, 0, 0, Stage::kCoarse});
      }
    }
    if (rest.rows == 0) continue;
    s.rest_least = std::min(s.rest_least, rest.least);
    s.rest[kept++] = rest;
  }
  s.rest.resize(kept, boost::container::default_init);
}

// When memory is short: keeps the nearest rows, so many that half of it is free.
void BoundMemory(ScanState& s) {
  if (MemoryUsed(s) <= MemoryLimit()) return;
  Publish(s);
  s.bounds.clear();
  ForEachRest(s, [&s](const RestBlock& rest, uint32_t i) { s.bounds.push_back(rest.lower[i]); });
  s.emission.ForEach([&s](const Item& item) { s.bounds.push_back(item.lower); });
  const size_t room = MemoryLimit() / 2 / (sizeof(Candidate) + sizeof(Item));
  const bool cut = room < s.bounds.size();
  if (cut) {
    s.has_dropped = true;
    s.dropped = std::min(s.dropped, Cut(s, room));
  }
  MoveRest(s, s.dropped);
  s.rest.clear();
  s.rest_least = INFINITY;
  // Of those at the cut, as many as there is room for: all rows may be equal.
  size_t below = 0;
  s.emission.ForEach([&s, &below](const Item& item) { below += item.lower < s.dropped; });
  size_t at_cut = cut ? room - std::min(room, below) : SIZE_MAX;
  VecOf<Candidate, ScanState::Alloc> kept{s.candidates.get_allocator()};
  s.emission.Filter([&s, &kept, &at_cut](Item& item) {
    if (item.lower > s.dropped) return false;
    if (item.lower == s.dropped) {
      if (at_cut == 0) return false;
      --at_cut;
    }
    kept.push_back(s.candidates[item.id]);
    item.id = static_cast<uint32_t>(kept.size() - 1);
    return true;
  });
  s.candidates.swap(kept);
}

// All rows of a list, from its pages. False: it has got other pages meanwhile.
bool ReadChain(ScanState& s, const format::ListEntry& entry) {
  const ReadList& list = s.read.back();
  BlockNumber block = entry.head;
  s.list_rows = s.list_passed = 0;
  ChainGuard guard(s.view->rel, s.blocks);
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
    if (s.exact) Publish(s);
    BoundMemory(s);
  }
  return true;
}

// False: the index has other lists by now, or this one has got rows of others since the scan began
// or began again, or lost its own to them. Locks: the directory page (L2), alone.
bool ReadEntryPinned(ScanState& s, uint32_t list, format::ListEntry* entry) {
  const EntryPlace at = EntryAt(s.view->frame->shape, list);
  const pg::PageRef page = LockShared(s, at.block);
  const bool right = IsPartOf(page.page, PageKind::kDirectory, s.view->frame->shape);
  if (right) *entry = *EntryOn(page.page, at.index);
  pg::Release(page);
  return right && entry->state == format::ListState::kInUse &&
         entry->revision <= s.view->revision();
}

// Asks for the pages of the list that comes next.
void Prefetch(ScanState& s) {
  uint32_t list;
  s.ahead = ~uint32_t{0};
  if (!s.order.Peek(&list) || !ReadEntryPinned(s, list, &s.ahead_entry)) return;
  s.ahead = list;
  PrefetchList(s, s.ahead_entry);
}

// Drops all that was found, and not settled.
void Clear(ScanState& s) {
  s.again = true;
  s.read.clear();
  s.segments.clear();
  s.candidates.clear();
  s.ahead = ~uint32_t{0};
  s.rest.clear();
  s.rest_least = INFINITY;
  s.has_dropped = false;
  s.dropped = INFINITY;
  s.emission.Clear();
  SortSettled(s);
}

// Lists are others now, and are all read again.
void StartAgain(ScanState& s) {
  RefreshOther(s.view);
  Clear(s);
  s.exact = false;
  s.first_round = true;
  s.top.clear();
  PrepareQuery(s);
}

// Takes back what was read of the list being read.
void Forget(ScanState& s) {
  const uint32_t read = static_cast<uint32_t>(s.read.size() - 1);
  const auto of_list = [&s, read](uint32_t segment) { return s.segments[segment].read == read; };
  s.fresh.clear();
  s.rest.erase(std::remove_if(s.rest.begin(), s.rest.end(),
                              [&of_list](const RestBlock& rest) { return of_list(rest.segment); }),
               s.rest.end());
  s.emission.Filter(
      [&s, &of_list](const Item& item) { return !of_list(s.candidates[item.id].segment); });
  s.top.assign(s.top_before.begin(), s.top_before.end());
}

// Reads the next list and publishes it. False: lists have changed, all starts again.
bool ReadNext(ScanState& s, bool* improved) {
  uint32_t list = 0;
  s.order.Peek(&list);
  if (s.again) SortSettled(s);
  s.read.push_back({list, 0, false, {}});
  const float least = Threshold(s);
  s.top_before.assign(s.top.begin(), s.top.end());
  uint32_t seen_generation = 0;
  for (bool repeated = false;; repeated = true) {
    format::ListEntry entry;
    if (!repeated && s.ahead == list) {
      entry = s.ahead_entry;
    } else if (!ReadEntryPinned(s, list, &entry)) {
      return false;
    }
    // The directory has not changed: the lists as a whole have, or else there is damage.
    if (repeated && entry.generation == seen_generation) return false;
    seen_generation = s.read.back().generation = entry.generation;
    if (ReadChain(s, entry)) break;
    Forget(s);
  }
  s.order.Advance();
  Prefetch(s);
  Publish(s);
  *improved = Threshold(s) < least;
  return true;
}

}  // namespace

void FeedRest(ScanState& s) {
  while (!s.rest.empty() && (s.emission.empty() || s.emission.nearest().lower >= s.rest_least)) {
    CHECK_FOR_INTERRUPTS();
    s.rest_chunk = std::max<size_t>(64, s.rest_chunk * 2);
    s.bounds.clear();
    ForEachRest(s, [&s](const RestBlock& rest, uint32_t i) { s.bounds.push_back(rest.lower[i]); });
    MoveRest(s, Cut(s, s.rest_chunk));
  }
}

bool MayBeDropped(const ScanState& s) {
  if (!s.has_dropped) return false;
  if (s.emission.empty()) return s.rest.empty();
  return std::min(s.emission.nearest().lower, s.rest_least) > s.dropped;
}

// Emits at least the nearest row: its key is known, and of those dropped none is smaller.
void ReadAgain(ScanState& s) {
  pg::StopPoint("scan.again");
  const uint32_t lists = s.order.taken();
  Clear(s);
  s.order.Rewind();
  s.exact = true;
  ++s.rounds;
  bool improved;
  while (s.order.taken() < lists) {
    CHECK_FOR_INTERRUPTS();
    if (!ReadNext(s, &improved)) return StartAgain(s);
  }
  s.exact = false;
}

namespace {

// Whether rows may be passed over.
bool IsSelective(const ScanState& s) { return s.filter != nullptr || s.rows != nullptr; }

// Whether nothing nearer is to be expected of further lists, after `idle` ones in a row, as far as
// they count, that brought nothing.
bool IsEnough(ScanState& s, float idle) {
  uint32_t list;
  if (idle == 0 || s.order.taken() < kFewestLists || !s.order.Peek(&list)) return false;
  const bool is_product = s.view->metric() == Metric::kInnerProduct;
  const float weight = IdleWeight(is_product, s.order.next_key(), s.top.front());
  float patience = static_cast<float>(s.view->frame->shape.patience);
  if (IsSelective(s)) {
    patience =
        std::max(kPatienceTimes * patience, kPatiencePerList * static_cast<float>(s.order.taken()));
  }
  return idle * weight >= patience;
}

}  // namespace

// Reads as many lists as belong together.
void NextRound(ScanState& s) {
  const bool fixed = s.settings.probes > 0 && s.x != nullptr;
  float idle = 0;
  s.settled_before = s.settled;
  ++s.rounds;
  for (uint32_t lists = 0; MayProbe(s); ++lists) {
    if (s.x == nullptr && lists > 0) break;
    if (fixed && lists >= static_cast<uint32_t>(s.settings.probes)) break;
    if (s.x != nullptr && !fixed && IsEnough(s, idle)) break;
    CHECK_FOR_INTERRUPTS();
    bool improved = false;
    if (!ReadNext(s, &improved)) {
      StartAgain(s);
      lists = 0, idle = 0;
      continue;
    }
    const bool counts = !improved && s.top.size() >= s.target;
    const float share = IsSelective(s) ? IdleShare(s.list_passed, s.list_rows) : 1;
    idle = counts ? idle + share : 0;
  }
  s.first_round = false;
  if (s.x != nullptr) PrefetchRows(s, Threshold(s));
}

}  // namespace ann::ivf
