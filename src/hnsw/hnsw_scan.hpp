// A scan's state, and what its parts share (README, "Scan"): rounds of walking and emission in
// hnsw_scan.cpp, sweeps in hnsw_sweep.cpp, rows of nodes and sets of rows in hnsw_scan_rows.cpp.
#pragma once

#include "am/index_scan.hpp"
#include "core/beam.hpp"
#include "core/visited.hpp"
#include "graph/filtered.hpp"
#include "hnsw/hnsw.hpp"
#include "hnsw/hnsw_columns.hpp"
#include "hnsw/hnsw_index.hpp"
#include "hnsw/hnsw_postings.hpp"
#include "hnsw/hnsw_walk.hpp"

#include "pg/alloc.hpp"

namespace ann::hnsw {

using Alloc = pg::PgAllocator<std::byte>;

enum class Phase { kStart, kWalk, kSweep, kHeld, kDone };

struct ScanState {
  explicit ScanState(MemoryContext cxt)
      : context(cxt),
        beam(Alloc(cxt)),
        visited(Alloc(cxt)),
        emitted(Alloc(cxt)),
        walk(Alloc(cxt)),
        spill(Alloc(cxt)),
        found(Alloc(cxt)),
        posted(Alloc(cxt)),
        emission(cxt) {}

  void ReportHits() { graph.ReportHits(); }
  am::ScanWork Work() const {
    return {round_ef, 0, visited.count() + swept, searches, graph.peeked(), filtered(), ways};
  }

  MemoryContext context;
  IndexView* view = nullptr;
  IndexScanDesc scan = nullptr;
  const am::RowSet* rows = nullptr;  // null: all
  am::TableEnd table_end;
  PageGraph graph;
  ColumnReader columns;
  quant::SearchQuery queries[kFrames] = {};
  am::ScanTarget aim;
  quant::VectorRef x;  // aim.x
  float x_norm = 0;
  Phase phase = Phase::kStart;
  Beam<Alloc> beam;
  VisitedSet<Alloc> visited;         // scored by the walk
  VisitedSet<Alloc> emitted;         // emitted, held back, or found to have no visible row
  graph::FilteredWalk<Alloc> walk;   // in place of beam and spill, where there is a filter
  ColumnReader::Sample sample = {};  // its rate: of filter and set
  double filter_rate = 1;
  VecOf<Candidate, Alloc> spill;
  VecOf<NodeId, Alloc> found;  // of a round, on their way to items
  NodeList posted;             // all that may pass, where the filter asks for few values
  bool by_postings = false;    // a sweep is of these
  am::Emission emission;
  uint32_t round_ef = 0;
  uint32_t quota = 0;    // candidates to be settled until the next round
  uint32_t portion = 0;  // nodes that the next sweep among those that pass keeps
  bool partial = false;  // the last sweep kept the nearest only, of those that pass
  bool sweep_again = false;
  uint64_t swept = 0;     // nodes that sweeps looked at, rows of a set
  uint32_t searches = 0;  // walks and sweeps
  uint8_t ways = 0;       // of am::ScanWay

  // Whether there are conditions that nodes may fail.
  bool filtered() const { return columns.filter() != nullptr || rows != nullptr; }
  // Whether another round may find more.
  bool more() const { return filtered() ? walk.more() : !spill.empty(); }
};

inline size_t MemoryLimit() { return static_cast<size_t>(work_mem * 1024.0 * scan_mem_multiplier); }

inline auto QueryScorer(ScanState& s) {
  return [view = s.view, queries = s.queries](Frame frame, const uint8_t* coded) {
    return view->CodecOf(frame).Key(queries[static_cast<int>(frame)], coded);
  };
}

// Candidates of the first round. A number that the user has set is meant for distances, as
// pgvector's is, while codes rank the beam: an eighth more makes up for those near its end that are
// ranked amiss (README, "Scan"). `off` promises at most ef_search rows.
inline uint32_t FirstRound(const ScanState& s) {
  if (!ef_search_is_set) return s.view->meta.default_ef;
  const uint32_t ef = static_cast<uint32_t>(ef_search);
  return iterative_scan == static_cast<int>(am::IterativeScan::kOff) ? ef : ef + ef / 8;
}

// --- hnsw_scan_rows.cpp

// Appends the TIDs of a node's rows that pass to the pool; the number of them. Locks: the node page
// shared, then chain pages one by one (L2, L4).
uint32_t ReadTids(ScanState& s, NodeId id);
// Whether a row of the node may be of the set that the scan is kept to.
bool IsOfSet(ScanState& s, NodeId id);
// Whether a row of the node may pass all that the scan knows.
inline bool Passes(ScanState& s, NodeId id) {
  return s.columns.Passes(id) && (s.rows == nullptr || IsOfSet(s, id));
}
// The share of nodes that pass the set, as far as it is known without looking at them.
double ShareOfSet(const ScanState& s);
// The nodes of a page that may have rows of the set, `ids` with room for kMostSlots; their number.
// None if it is no page of nodes. Locks: as ReadTids.
inline constexpr uint32_t kMostSlots = format::kPageSize / sizeof(format::NodeSlot);
uint32_t NodesOfSet(ScanState& s, BlockNumber block, NodeId* ids);
// Adds some nodes that pass to the sample, from anywhere: the set is known by rows, not by nodes.
void SampleSet(ScanState& s);
// Puts the rows of the set into the heap, with their exact distances.
void ListSet(ScanState& s);

// --- hnsw_sweep.cpp

// Puts the nearest nodes not yet emitted into the heap, as many as memory allows; false: none is
// left.
bool Sweep(ScanState& s);
// The same among the nodes that pass: by columns or postings, and codes of those nodes only. Keeps
// a portion of the nearest, since few rows are wanted as a rule, and eight times as many the next
// time.
bool SweepPassing(ScanState& s);

}  // namespace ann::hnsw
