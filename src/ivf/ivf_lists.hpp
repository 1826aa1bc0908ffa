// What a scan has read of lists, and reading more (README, "Scan").
#pragma once

#include <cmath>

#include "am/index_scan.hpp"
#include "filter/filter.hpp"
#include "ivf/ivf.hpp"
#include "ivf/ivf_calibrate.hpp"
#include "ivf/ivf_index.hpp"
#include "ivf/ivf_rank.hpp"

#include "pg/alloc.hpp"
#include "pg/unpinned.hpp"

namespace ann::ivf {

// A row of a list that is looked at more closely.
struct Candidate {
  float key;
  uint32_t segment;  // index into ScanState::segments
  ItemPointerData tid;
  uint16_t row;  // of the segment
};
static_assert(sizeof(Candidate) == 16);

// A code page that has been read.
struct Segment {
  uint32_t read;  // index into ScanState::read
  BlockNumber block;
};

// The rows of a block that wait with their bounds until they may come next. Few of the thousands
// that a query reads ever do, so what is known of them is copied as it stands.
struct RestBlock {
  uint32_t segment;  // index into ScanState::segments
  uint32_t first;    // its first row
  uint32_t rows;     // a bit a row that waits
  float least;       // bound of these
  float lower[quant::kBlockRows];
  format::Tid tids[quant::kBlockRows];
};

// A list that has been read.
struct ReadList {
  uint32_t list;
  uint32_t generation;
  bool prepared;
  quant::ListContext context;  // if prepared
};

struct ScanState {
  using Alloc = pg::PgAllocator<std::byte>;

  explicit ScanState(MemoryContext cxt)
      : context(cxt),
        order(cxt),
        read(Alloc(cxt)),
        segments(Alloc(cxt)),
        candidates(Alloc(cxt)),
        record_pages(Alloc(cxt)),
        fresh(Alloc(cxt)),
        close(Alloc(cxt)),
        rest(Alloc(cxt)),
        bounds(Alloc(cxt)),
        top(Alloc(cxt)),
        top_before(Alloc(cxt)),
        settled_tids(Alloc(cxt)),
        emission(cxt) {}

  void ReportHits() { reader.ReportHits(); }
  am::ScanWork Work() const {
    return {0,
            order.taken(),
            listed ? candidates.size() : scanned,
            rounds,
            reader.peeked(),
            filter != nullptr || rows != nullptr,
            listed ? am::kWayRows : am::kWayLists};
  }

  MemoryContext context;
  IndexView* view = nullptr;
  IndexScanDesc scan = nullptr;
  am::RowFetcher* fetcher = nullptr;
  const am::RowSet* rows = nullptr;  // null: all
  Settings settings{};
  pg::UnpinnedReader reader;
  BlockNumber blocks = 0;  // of the index; it may have grown since
  am::TableEnd table_end;
  const filter::Filter* filter = nullptr;  // null: all rows pass
  am::ScanTarget aim;
  const float* x = nullptr;  // aim.x as floats
  float* work = nullptr;
  quant::WorkQuery work_query{};
  quant::ListQuery query{};
  uint8_t* record = nullptr;  // one
  uint8_t* block = nullptr;   // of rows that lie one after the other

  ProbeOrder order;
  VecOf<ReadList, Alloc> read;
  VecOf<Segment, Alloc> segments;
  VecOf<Candidate, Alloc> candidates;
  VecOf<BlockNumber, Alloc> record_pages;  // pages of records of the code page being read
  VecOf<am::Item, Alloc> fresh;            // of the list being read, on their way to emission
  VecOf<uint32_t, Alloc> close;  // of the page being read: what its records are looked at for
  VecOf<RestBlock, Alloc> rest;
  float rest_least = INFINITY;
  size_t rest_chunk = 0;
  VecOf<float, Alloc> bounds;      // scratch
  VecOf<float, Alloc> top;         // the `target` least keys, largest first
  VecOf<float, Alloc> top_before;  // the list being read
  uint32_t list_rows = 0;          // of the list being read: rows alive
  uint32_t list_passed = 0;        // and those that pass the filter
  uint32_t target = kFirstTarget;
  uint64_t scanned = 0;  // rows whose codes were looked at
  uint32_t rounds = 0;   // of reading lists
  uint32_t settled = 0;
  uint32_t settled_before = 0;  // the last round
  bool first_round = true;
  bool again = false;                   // rows that were settled may be met again
  VecOf<uint64_t, Alloc> settled_tids;  // sorted up to `sorted_tids`
  size_t sorted_tids = 0;
  // Memory was short: no row that was dropped is nearer than this.
  bool has_dropped = false;
  float dropped = INFINITY;
  bool exact = false;  // lists are being read again, with the keys of rows
  bool held_sorted = false;
  bool listed = false;  // the rows of the set are candidates, and no list is read
  // Of the list that comes next, read when its pages were asked for.
  uint32_t ahead = ~uint32_t{0};
  format::ListEntry ahead_entry{};
  am::Emission emission;
};

// Prepares the query for the lists of the view's frame.
void PrepareQuery(ScanState& s);

// Whether there are lists that may be read.
bool MayProbe(const ScanState& s);
// Reads as many lists as belong together, and hands their rows over to emission or to `rest`. No
// page lock may be held. Locks: README, "Locks", one at a time.
void NextRound(ScanState& s);
// Moves the nearest of `rest` into the heap, as far as they may come next.
void FeedRest(ScanState& s);
// Whether what comes next may have been dropped.
bool MayBeDropped(const ScanState& s);
// Reads the lists again that have been read, for the rows not settled that are nearest.
void ReadAgain(ScanState& s);
inline size_t MemoryLimit() { return static_cast<size_t>(work_mem) * 1024; }
// Notes a key that may be among the `target` least. True: it is, as far as is known.
bool NoteKey(ScanState& s, float key);
// Notes those of all candidates anew.
void NoteAllKeys(ScanState& s);
// Copies a candidate's record to s.record. False: the list has other pages by now.
bool ReadRecord(ScanState& s, const Candidate& c);

// A TID as the settled ones are remembered.
inline uint64_t Packed(const ItemPointerData& tid) {
  return uint64_t{ItemPointerGetBlockNumberNoCheck(&tid)} << 16 |
         ItemPointerGetOffsetNumberNoCheck(&tid);
}

}  // namespace ann::ivf
