// Planner costs of a scan: `startup` is one beam search, the rest is what streaming the rows after
// it takes. The server adds the heap's pages and rows, and takes of the whole the part that LIMIT
// needs of the rows *left by the filter*, so a filter that few rows pass is charged for all that
// must be streamed to find them.
//
// The figures make plans comparable that the planner chooses between: measured on 100,000 SIFT rows
// of 128 dimensions, a unit of cost is 2.3 us of a sequential scan with a sort by distance (12,800
// units, 29 ms), and about as much of a search (src/am/README.md, "Costs").
#include <algorithm>
#include <cmath>

#include "am/planned_rows.hpp"
#include "hnsw/hnsw.hpp"
#include "hnsw/hnsw_index.hpp"

namespace ann::hnsw {

namespace {

// Above any real cost, yet finite: the server subtracts startup from total, and inf - inf is NaN.
constexpr Cost kNever = 1e100;
// Begin, meta page, beam, query preparation: 25 us, counted in rows' cpu_tuple_cost.
constexpr double kFixedTuples = 1000;
// Rows that a search gives without further ado.
constexpr double kFirstRows = 10;
// A row after these: refinement, exact distance, its place in the order. 3 us.
constexpr double kEmissionOperators = 560;
constexpr double kOperatorCost = 10;

struct Walk {
  double nodes;  // in the index
  double m;
  double beam;  // ef plus the descent through the upper levels

  // Expanding a node meets 2m neighbours, of which about half have been seen (SIFT 862 k rows:
  // 1,240 candidates in 80 expansions at m = 16). No node is visited twice.
  double Visits(double rows) const { return std::min(nodes, m * (beam + rows)); }
  double Expansions(double rows) const { return std::min(nodes, beam + rows); }

  // 1.4 us an expansion with its visits at m = 16, or 0.6 units.
  Cost Cpu(double rows) const {
    const Cost visit = cpu_index_tuple_cost + kOperatorCost * cpu_operator_cost;
    const Cost expansion = cpu_tuple_cost + 2 * m * cpu_operator_cost;
    return Visits(rows) * visit + Expansions(rows) * expansion;
  }
};

// What the index is walked with.
Walk PlannedWalk(const IndexOptInfo* index) {
  Walk walk{std::max(index->tuples, 1.0), kDefaultM, kDefaultEfSearch};
  if (!index->hypothetical) {
    const Relation rel = index_open(index->indexoid, NoLock);
    // L1, alone.
    const pg::PageRef page =
        pg::ReadPage(rel, kMetaBlock, BUFFER_LOCK_SHARE, format::PageKind::kMeta);
    walk.m = std::clamp<double>(MetaOn(page.page)->m, kMinM, kMaxM);
    walk.beam = std::max<double>(MetaOn(page.page)->default_ef, 1);
    pg::Release(page);
    index_close(rel, NoLock);
  }
  if (ef_search_is_set) walk.beam = ef_search;
  walk.beam = std::min(walk.beam, walk.nodes) + std::log2(walk.nodes + 1);
  return walk;
}

// The cost of reading `visits` nodes at random from `pages` pages, once the cache holds the share
// of the index that is its due: every search goes all over the graph, so what fits stays cached.
Cost PageCost(const PlannerInfo* root, const IndexOptInfo* index, double visits) {
  const double pages = std::max<double>(index->pages, 1);
  const double share = effective_cache_size / (root->total_table_pages + pages);
  const double missing = std::clamp(1 - share, 0.0, 1.0);
  if (missing == 0) return 0;
  double random_page, sequential_page;
  get_tablespace_page_costs(index->reltablespace, &random_page, &sequential_page);
  // Expected number of distinct pages among `visits` random ones.
  return pages * -std::expm1(-visits / pages) * missing * random_page;
}

}  // namespace

void CostEstimate(PlannerInfo* root, IndexPath* path, double loop_count, Cost* startup_cost,
                  Cost* total_cost, Selectivity* selectivity, double* correlation, double* pages) {
  IndexOptInfo* index = path->indexinfo;
  *correlation = 0;
  if (!am::CanServe(path)) {
    *startup_cost = *total_cost = kNever;
    *selectivity = 0;
    *pages = 0;
    pg::DisablePath(&path->path);
    return;
  }

  const Selectivity share = am::ShareWithin(root, path);
  // A partial index returns the rows of its predicate.
  *selectivity =
      share * clauselist_selectivity(root, index->indpred, index->rel->relid, JOIN_INNER, nullptr);

  const Walk walk = PlannedWalk(index);
  const double visits = walk.Visits(0);
  *startup_cost = kFixedTuples * cpu_tuple_cost + walk.Cpu(0) + PageCost(root, index, visits);

  // The server interpolates linearly from startup to total. Visits are not linear in rows: steep at
  // first, then none is left to visit. So the slope is the one up to the rows that LIMIT will take.
  const am::PlannedRows wanted = am::PlanRows(root, path, std::max(walk.nodes * share, 1.0), share);
  const double streamed = std::max(wanted.rows - kFirstRows, 0.0);
  const Cost streaming =
      walk.Cpu(streamed) - walk.Cpu(0) + PageCost(root, index, walk.Visits(streamed)) -
      PageCost(root, index, visits) + streamed * kEmissionOperators * cpu_operator_cost;
  *total_cost = *startup_cost + streaming / wanted.share;
  *pages = std::min<double>(index->pages, walk.Visits(streamed));
}

}  // namespace ann::hnsw
