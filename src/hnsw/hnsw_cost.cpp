// Planner costs of a scan: `startup` is one beam search, the rest is what streaming the rows after
// it takes. The server adds the heap's pages and rows, and takes of the whole the part that LIMIT
// needs of the rows *left by the filter*, so a filter that few rows pass is charged for all that
// must be streamed to find them.
//
// The figures make plans comparable that the planner chooses between: a unit of cost is 1.5 us of a
// sequential scan with a sort by distance (200,000 SIFT rows of 128 dimensions: 25,600 units, 34
// ms; 63,666 texts of 384: 16,300 units, 28 ms), and about as much of a search (src/am/README.md,
// "Costs").
#include <algorithm>
#include <cmath>

#include "am/costs.hpp"
#include "hnsw/hnsw.hpp"
#include "hnsw/hnsw_index.hpp"

namespace ann::hnsw {

namespace {

// Begin, meta page, beam, query preparation: 30 us, counted in rows' cpu_tuple_cost.
constexpr double kFixedTuples = 2000;
// Rows that a search gives without further ado.
constexpr double kFirstRows = 10;
// An index of so many pages is half in the processor's caches. What a node costs depends on that
// more than on anything else: 20 ns a visit in a small index, 75 ns in a large one; 1 to 4 us a row
// after the first ones, for refinement, exact distance, its place in the order.
constexpr double kCachedPages = 1000;
constexpr double kOperatorCost = 4, kMissOperators = 12;
constexpr double kEmissionOperators = 250, kEmissionMissOperators = 900;
// A row's attributes in a sweep over the columns: 0.5 ns; its TID, which lies in its node: 18 ns.
constexpr double kColumnOperators = 0.13;
constexpr double kSetOperators = 5;

struct Walk {
  double nodes;  // in the index
  double m;
  double beam;    // ef plus the descent through the upper levels
  double missed;  // share of the nodes that the processor's caches do not hold
  bool posted;    // by values of the first attribute

  Cost visit() const {
    return cpu_index_tuple_cost + (kOperatorCost + kMissOperators * missed) * cpu_operator_cost;
  }
  Cost emission() const {
    return (kEmissionOperators + kEmissionMissOperators * missed) * cpu_operator_cost;
  }

  // Expanding a node meets 2m neighbours, of which about half have been seen (SIFT 862 k rows:
  // 1,240 candidates in 80 expansions at m = 16). No node is visited twice.
  double Visits(double rows) const { return std::min(nodes, m * (beam + rows)); }
  double Expansions(double rows) const { return std::min(nodes, beam + rows); }

  // 1.2 us an expansion with its visits at m = 16 in a large index, or 0.8 units.
  Cost Cpu(double rows) const {
    const Cost expansion = cpu_tuple_cost + 2 * m * cpu_operator_cost;
    return Visits(rows) * visit() + Expansions(rows) * expansion;
  }
};

// What the index is walked with.
Walk PlannedWalk(const IndexOptInfo* index) {
  const double pages = std::max<double>(index->pages, 1);
  Walk walk{std::max(index->tuples, 1.0), kDefaultM, kDefaultEfSearch,
            pages / (pages + kCachedPages), false};
  if (!index->hypothetical) {
    const Relation rel = index_open(index->indexoid, NoLock);
    // L1, alone.
    const pg::PageRef page =
        pg::ReadPage(rel, kMetaBlock, BUFFER_LOCK_SHARE, format::PageKind::kMeta);
    walk.m = std::clamp<double>(MetaOn(page.page)->m, kMinM, kMaxM);
    walk.beam = std::max<double>(MetaOn(page.page)->default_ef, 1);
    walk.posted = MetaOn(page.page)->posting_pages > 0;
    pg::Release(page);
    index_close(rel, NoLock);
  }
  if (ef_search_is_set) walk.beam = ef_search;
  walk.beam = std::min(walk.beam, walk.nodes) + std::log2(walk.nodes + 1);
  return walk;
}

// The cost of reading `visits` nodes at random.
Cost PageCost(const PlannerInfo* root, const IndexOptInfo* index, double visits) {
  const double missing = am::MissingShare(root, index);
  if (missing == 0) return 0;
  const double pages = std::max<double>(index->pages, 1);
  double random_page, sequential_page;
  get_tablespace_page_costs(index->reltablespace, &random_page, &sequential_page);
  // Expected number of distinct pages among `visits` random ones.
  return pages * -std::expm1(-visits / pages) * missing * random_page;
}

struct Found {
  Cost cost;
  double visits;
};

// Until so many rows beyond the first ones have been found of the share that passes. A walk meets
// all rows, so it has to go on for `1 / passing` times as many; a sweep looks at each row's
// attributes, unless these are posted by value, and at the codes of those that pass.
Found Find(const PlannerInfo* root, const IndexOptInfo* index, const Walk& walk,
           const am::PlannedRows& planned, double rows) {
  const double met = (kFirstRows + rows) / planned.passing - kFirstRows;
  const Found walked{walk.Cpu(met) + PageCost(root, index, walk.Visits(met)), walk.Visits(met)};
  if (planned.passing >= 1) return walked;
  const double scored = walk.nodes * planned.passing;
  const bool posted = walk.posted && planned.by_value && !planned.has_set;
  const double test = posted ? 0 : planned.has_set ? kSetOperators : kColumnOperators;
  const Found swept{
      walk.nodes * test * cpu_operator_cost + scored * walk.visit() + PageCost(root, index, scored),
      scored};
  return swept.cost < walked.cost ? swept : walked;
}

am::ScanCost SearchCost(const PlannerInfo* root, const IndexOptInfo* index,
                        const am::PlannedRows& planned) {
  const Walk walk = PlannedWalk(index);
  const Found first = Find(root, index, walk, planned, 0);
  const double streamed = std::max(planned.rows - kFirstRows, 0.0);
  const Found all = Find(root, index, walk, planned, streamed);
  return {kFixedTuples * cpu_tuple_cost + first.cost,
          all.cost - first.cost + streamed * walk.emission(), all.visits};
}

}  // namespace

void CostEstimate(PlannerInfo* root, IndexPath* path, double, Cost* startup_cost, Cost* total_cost,
                  Selectivity* selectivity, double* correlation, double* pages) {
  am::EstimateCost(SearchCost, root, path, startup_cost, total_cost, selectivity, correlation,
                   pages);
}

}  // namespace ann::hnsw
