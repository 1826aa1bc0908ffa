// Planner costs of a scan: `startup` is the first round of lists, the rest is what streaming the
// rows after it takes. The server adds the heap's pages and rows, and takes of the whole the part
// that LIMIT needs of the rows left by the filter.
//
// In units of cpu_operator_cost = 0.0025, which is some 5 to 10 ns: a centroid costs 10 to 40 ns, a
// row's code 2 to 10 ns, an exact distance as much as the distance operator.
#include <algorithm>
#include <cmath>

#include "ivf/ivf.hpp"
#include "ivf/ivf_index.hpp"

namespace ann::ivf {

namespace {

// Above any real cost, yet finite: the server subtracts startup from total, and inf - inf is NaN.
constexpr Cost kNever = 1e100;
// Begin, meta page, query preparation: 20 to 40 us, counted in rows' cpu_tuple_cost.
constexpr double kFixedTuples = 1000;
constexpr double kOperatorCost = 10;
// Lists of an adaptive search, by the number of lists (README, "Scan").
double AdaptiveProbes(double lists) { return 16 + lists / 100; }

double RowsWanted(const PlannerInfo* root, const RelOptInfo* rel, double rows) {
  if (root->limit_tuples < 0) return rows;
  const double passing = std::clamp(rel->rows / std::max(rel->tuples, 1.0), 1e-9, 1.0);
  return std::clamp(root->limit_tuples / passing, 1.0, rows);
}

struct Search {
  double rows;  // in the index
  double lists;
  double pages;

  Cost Read(double probes) const {
    const double share = std::min(probes / lists, 1.0);
    return share * rows * 2 * cpu_operator_cost + share * pages * cpu_tuple_cost;
  }
};

// Pages of so many lists that are not in the cache: runs, not single pages.
Cost PageCost(const PlannerInfo* root, const IndexOptInfo* index, double share) {
  const double pages = std::max<double>(index->pages, 1);
  const double cached = effective_cache_size / (root->total_table_pages + pages);
  const double missing = std::clamp(1 - cached, 0.0, 1.0);
  double random_page, sequential_page;
  get_tablespace_page_costs(index->reltablespace, &random_page, &sequential_page);
  return pages * std::min(share, 1.0) * missing * sequential_page;
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

  const Relation opened = index_open(index->indexoid, NoLock);
  const Settings settings = SettingsOf(opened);
  const double lists = ListsOf(opened);
  index_close(opened, NoLock);
  const Search search{std::max(index->tuples, 1.0), lists, std::max<double>(index->pages, 1)};
  double probes = settings.probes > 0 ? settings.probes : AdaptiveProbes(lists);
  if (settings.max_probes > 0) probes = std::min<double>(probes, settings.max_probes);
  probes = std::min(probes, lists);

  const Cost exact = cpu_tuple_cost + kOperatorCost * cpu_operator_cost;
  *startup_cost = kFixedTuples * cpu_tuple_cost + lists * 4 * cpu_operator_cost +
                  search.Read(probes) + PageCost(root, index, probes / lists) +
                  std::min(20.0, search.rows) * exact;
  // Rows beyond what the first lists hold several times over come from further lists.
  const double wanted = RowsWanted(root, index->rel, search.rows);
  const double needed = std::min(lists, std::max(probes, 2 * wanted / search.rows * lists));
  const Cost streaming = search.Read(needed) - search.Read(probes) +
                         PageCost(root, index, needed / lists) -
                         PageCost(root, index, probes / lists) + wanted * exact;
  *total_cost = *startup_cost + streaming * (search.rows / wanted);
  *pages = std::min<double>(index->pages, search.pages * needed / lists);
}

}  // namespace ann::ivf
