// Planner costs of a scan: `startup` is the first round of lists, the rest is what streaming the
// rows after it takes. The server adds the heap's pages and rows, and takes of the whole the part
// that LIMIT needs of the rows left by the filter.
//
// The figures are of the same measure as hnsw's (hnsw_cost.cpp): a unit of cost is 1.5 us.
#include <algorithm>
#include <cmath>

#include "am/costs.hpp"
#include "ivf/ivf.hpp"
#include "ivf/ivf_calibrate.hpp"
#include "ivf/ivf_index.hpp"
#include "ivf/ivf_train.hpp"

namespace ann::ivf {

namespace {

// Begin, meta page, query preparation, tables: 38 us, counted in rows' cpu_tuple_cost.
constexpr double kFixedTuples = 2500;
// A centroid's distance or bound: 11 ns.
constexpr double kCentroidOperators = 3;
// A list, with what is looked at more closely of it: 1.2 us. A page of its codes, with all that is
// on it: 0.9 us, of whichever quantizer. Pages of records are read for few rows.
constexpr double kListTuples = 80;
constexpr double kPageTuples = 60;
// Rows that the first lists give without further ado; a row after these: 2.1 us, and half as much
// again where the search learns only by and by how many are wanted.
constexpr double kFirstRows = 10;
constexpr double kEmissionOperators = 560, kUntoldOperators = 950;
// Patience of an index that is not there.
constexpr double kUsualPatience = 20;

struct Search {
  double rows;  // in the index
  double pages;
  double code_pages;
  double lists;
  double probes;  // lists of the first round
  bool adaptive;

  // Reading so many lists.
  Cost Read(double n) const {
    const double read = std::min(n, lists);
    return (read * kListTuples + read / lists * code_pages * kPageTuples) * cpu_tuple_cost;
  }
  // Lists that are read until `wanted` rows have been found. An adaptive search looks for twice as
  // many of the nearest in each round, around which lists overlap: 8 times as many lists for 64
  // times as many rows.
  double ListsFor(double wanted) const {
    const double needed = adaptive ? probes * std::sqrt(std::max(wanted / kFirstTarget, 1.0))
                                   : std::max(probes, wanted / rows * lists);
    return std::min(needed, lists);
  }
};

// Of so many rows; the last page of a list is half full. Records that are the codes themselves are
// read like them.
double CodePages(const format::IvfMeta& meta, double rows, double lists) {
  const uint32_t page_rows = std::max(uint32_t{meta.blocks_per_page} * meta.block_rows, 1u);
  double pages = rows / page_rows + 0.5 * lists;
  if (meta.code_place == format::CodePlace::kRecord) {
    pages += rows * meta.pages_per_record / std::max<double>(meta.records_per_page, 1);
  }
  return pages;
}

// What the index is searched with.
Search PlannedSearch(const IndexOptInfo* index) {
  const double pages = std::max<double>(index->pages, 1);
  Search search{std::max(index->tuples, 1.0), pages, pages, 1, 1, false};
  double patience = kUsualPatience;
  const Settings settings = SettingsOf(index->relam);
  if (index->hypothetical) {
    search.lists = AutomaticLists(search.rows);
  } else {
    const Relation rel = index_open(index->indexoid, NoLock);
    const format::IvfMeta meta = ReadMeta(rel);
    const format::IvfFrame& shape = meta.frames[meta.current & 1];
    search.lists = std::clamp(shape.lists, 1u, uint32_t{kMaxLists});
    search.code_pages = CodePages(meta, search.rows, search.lists);
    patience = std::clamp(shape.patience, kLeastPatience, uint32_t{kMaxLists});
    index_close(rel, NoLock);
  }
  search.adaptive = settings.probes <= 0;
  search.probes = search.adaptive ? UsualProbes(patience) : settings.probes;
  if (settings.max_probes > 0) search.probes = std::min<double>(search.probes, settings.max_probes);
  search.probes = std::min(search.probes, search.lists);
  return search;
}

// Pages of so many lists that are not in the cache: runs, not single pages.
Cost PageCost(const PlannerInfo* root, const IndexOptInfo* index, double share) {
  double random_page, sequential_page;
  get_tablespace_page_costs(index->reltablespace, &random_page, &sequential_page);
  return std::max<double>(index->pages, 1) * std::min(share, 1.0) * am::MissingShare(root, index) *
         sequential_page;
}

am::ScanCost SearchCost(const PlannerInfo* root, const IndexOptInfo* index,
                        const am::PlannedRows& planned) {
  const Search search = PlannedSearch(index);
  const auto read = [&](double lists) {
    return search.Read(lists) + PageCost(root, index, lists / search.lists);
  };
  // Lists are read on until rows that pass have been found. A scan that the settings cut short is
  // charged as if it went on: what makes an answer short makes no plan cheap.
  const double first =
      search.ListsFor(std::min<double>(planned.rows, kFirstTarget) / planned.passing);
  const double needed = std::max(search.ListsFor(planned.rows / planned.passing), first);
  const Cost emission = (planned.told ? kEmissionOperators : kUntoldOperators) * cpu_operator_cost;
  return {kFixedTuples * cpu_tuple_cost + search.lists * kCentroidOperators * cpu_operator_cost +
              read(first),
          read(needed) - read(first) + std::max(planned.rows - kFirstRows, 0.0) * emission,
          search.pages * needed / search.lists};
}

}  // namespace

void CostEstimate(PlannerInfo* root, IndexPath* path, double, Cost* startup_cost, Cost* total_cost,
                  Selectivity* selectivity, double* correlation, double* pages) {
  am::EstimateCost(SearchCost, root, path, startup_cost, total_cost, selectivity, correlation,
                   pages);
}

}  // namespace ann::ivf
