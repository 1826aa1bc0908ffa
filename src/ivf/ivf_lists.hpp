// What a scan has read of lists, and reading more (README, "Scan").
#pragma once

#include <cmath>

#include "am/emission.hpp"
#include "ivf/ivf.hpp"
#include "ivf/ivf_calibrate.hpp"
#include "ivf/ivf_index.hpp"
#include "ivf/ivf_rank.hpp"

#include "pg/alloc.hpp"
#include "pg/unpinned.hpp"

namespace ann::ivf {

// A row of a list. There are thousands a query, so they are small.
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

// A candidate that is not in the heap.
struct Rest {
  float lower;
  uint32_t id;
};

// A list that has been read.
struct ReadList {
  uint32_t list;
  uint32_t generation;
  quant::ListContext context;
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
        top(Alloc(cxt)),
        settled_tids(Alloc(cxt)),
        emission(cxt) {}

  MemoryContext context;
  IndexView* view = nullptr;
  Relation table = nullptr;
  Settings settings{};
  pg::UnpinnedReader reader;
  BlockNumber blocks = 0;  // of the index and of the table; they may have grown since
  BlockNumber table_blocks = 0;
  const float* x = nullptr;  // null: a query without distances (NULL, or zero under cosine)
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
  VecOf<Rest, Alloc> rest;
  float rest_least = INFINITY;
  size_t rest_chunk = 0;
  VecOf<float, Alloc> top;  // the `target` least keys, largest first
  uint32_t target = kFirstTarget;
  uint32_t settled = 0;
  bool first_round = true;
  bool again = false;                   // lists changed under way: rows may be met twice
  VecOf<uint64_t, Alloc> settled_tids;  // sorted when `again`
  size_t sorted_tids = 0;
  bool held_sorted = false;
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
