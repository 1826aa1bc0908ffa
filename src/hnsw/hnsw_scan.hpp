// What an index scan knows: README section "Scan".
#pragma once

#include "am/index_scan.hpp"
#include "core/beam.hpp"
#include "core/visited.hpp"
#include "graph/filtered.hpp"
#include "hnsw/hnsw_columns.hpp"
#include "hnsw/hnsw_index.hpp"
#include "hnsw/hnsw_postings.hpp"
#include "hnsw/hnsw_walk.hpp"

#include "pg/alloc.hpp"

namespace ann::hnsw {

enum class Phase { kStart, kWalk, kSweep, kHeld, kDone };

struct ScanState {
  using Alloc = pg::PgAllocator<std::byte>;

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
    return {
        round_ef, 0, visited.count() + swept, rounds, graph.peeked(), filtered() || rows != nullptr,
        ways};
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
  VisitedSet<Alloc> visited;        // scored by the walk
  VisitedSet<Alloc> emitted;        // emitted, held back, or found to have no visible row
  graph::FilteredWalk<Alloc> walk;  // in place of beam and spill, where there is a filter
  ColumnReader::Sample sample = {};
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
  uint64_t swept = 0;   // nodes that sweeps looked at
  uint32_t rounds = 0;  // walks and sweeps
  uint8_t ways = 0;     // of am::ScanWay

  bool filtered() const { return columns.filter() != nullptr; }
  // Whether another round may find more.
  bool more() const { return filtered() ? walk.more() : !spill.empty(); }
};

}  // namespace ann::hnsw
