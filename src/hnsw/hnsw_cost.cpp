// Planner costs of a scan: `startup` is one beam search, the rest is what streaming the rows after
// it takes. The server adds the heap's pages and rows, and takes of the whole the part that LIMIT
// needs of the rows *left by the filter*, so a filter that few rows pass is charged for all that
// must be streamed to find them.
//
// In units of cpu_operator_cost = 0.0025, which is some 5 to 10 ns: a candidate costs 60 to 110 ns,
// as much as the distance operator (COST 10) on a row already in cache.
#include <algorithm>
#include <cmath>

#include "quant/codec.hpp"

#include "hnsw/hnsw.hpp"
#include "pg/pg.hpp"

namespace ann::hnsw {

namespace {

// Above any real cost, yet finite: the server subtracts startup from total, and inf - inf is NaN.
constexpr Cost kNever = 1e100;
// Begin, meta page, beam, query preparation: 20 to 40 us, counted in rows' cpu_tuple_cost.
constexpr double kFixedTuples = 1000;
// Rows whose exact distance is computed before the first is emitted.
constexpr double kFinalists = 20;
constexpr double kOperatorCost = 10;

struct Walk {
  double nodes;  // in the index
  double m;
  double beam;  // ef plus the descent through the upper levels

  // Expanding a node meets 2m neighbours, of which about half have been seen (SIFT 862 k rows:
  // 1,240 candidates in 80 expansions at m = 16). No node is visited twice.
  double Visits(double rows) const { return std::min(nodes, m * (beam + rows)); }
  double Expansions(double rows) const { return std::min(nodes, beam + rows); }

  Cost Cpu(double rows) const {
    const Cost visit = cpu_index_tuple_cost + kOperatorCost * cpu_operator_cost;
    const Cost expansion = cpu_tuple_cost + 2 * m * cpu_operator_cost;
    return Visits(rows) * visit + Expansions(rows) * expansion;
  }
};

// Rows that the scan is expected to return before the executor stops it.
double RowsWanted(const PlannerInfo* root, const RelOptInfo* rel, double nodes) {
  if (root->limit_tuples < 0) return nodes;
  const double passing = std::clamp(rel->rows / std::max(rel->tuples, 1.0), 1e-9, 1.0);
  return std::clamp(root->limit_tuples / passing, 1.0, nodes);
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
  if (path->indexorderbys == NIL) {
    *startup_cost = *total_cost = kNever;
    *selectivity = 0;
    *pages = 0;
    pg::DisablePath(&path->path);
    return;
  }

  // A partial index returns the rows of its predicate.
  *selectivity =
      clauselist_selectivity(root, index->indpred, index->rel->relid, JOIN_INNER, nullptr);

  // The options are not at hand without opening the index; m changes costs little beside the rest.
  Walk walk;
  walk.nodes = std::max(index->tuples, 1.0);
  walk.m = kDefaultM;
  walk.beam = ef_search + std::log2(walk.nodes + 1);

  const double visits = walk.Visits(0);
  *startup_cost =
      kFixedTuples * cpu_tuple_cost + walk.Cpu(0) + PageCost(root, index, visits) +
      std::min(kFinalists, walk.nodes) * (cpu_tuple_cost + kOperatorCost * cpu_operator_cost);

  // The server interpolates linearly from startup to total. Visits are not linear in rows: steep at
  // first, then none is left to visit. So the slope is the one up to the rows that LIMIT will take.
  const double wanted = RowsWanted(root, index->rel, walk.nodes);
  const Cost streaming = walk.Cpu(wanted) - walk.Cpu(0) +
                         PageCost(root, index, walk.Visits(wanted)) -
                         PageCost(root, index, visits) + wanted * kOperatorCost * cpu_operator_cost;
  *total_cost = *startup_cost + streaming * (walk.nodes / wanted);
  *pages = std::min<double>(index->pages, walk.Visits(wanted));
}

}  // namespace ann::hnsw
