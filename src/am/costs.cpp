#include "am/costs.hpp"

#include <algorithm>

#include "am/row_set.hpp"

namespace ann::am {

namespace {

// Above any real cost, yet finite: the server subtracts startup from total, and inf - inf is NaN.
constexpr Cost kNever = 1e100;

constexpr int kMostMethods = 4;
amcostestimate_function methods[kMostMethods];
int method_count;

Selectivity set_share = 1;

// Whether an index can serve a scan: by its order, or by a condition on its first column that says
// how far rows may be. The others cannot: what has no distance is not in the index.
bool CanServe(const IndexPath* path) {
  // Of several keys the first alone is no order that the scan could give.
  if (list_length(path->indexorderbys) > 1) return false;
  bool found = path->indexorderbys != NIL;
  ListCell* cell;
  foreach (cell, path->indexclauses) {
    const IndexClause* clause = lfirst_node(IndexClause, cell);
    if (clause->indexcol != 0) continue;
    const Node* condition = reinterpret_cast<const Node*>(clause->rinfo->clause);
    if (IsA(condition, NullTest)) {
      if (reinterpret_cast<const NullTest*>(condition)->nulltesttype == IS_NULL) return false;
    } else if (IsA(condition, OpExpr)) {
      found = true;
    }
  }
  return found;
}

// Shares of the table's rows.
struct Shares {
  Selectivity scanned;  // of all conditions of the path, and the index's predicate
  Selectivity within;   // of those on the first column: how far rows may be
};

Shares SharesOf(PlannerInfo* root, const IndexPath* path) {
  List* far = NIL;
  ListCell* cell;
  foreach (cell, path->indexclauses) {
    const IndexClause* clause = lfirst_node(IndexClause, cell);
    if (clause->indexcol == 0) far = list_concat(far, clause->indexquals);
  }
  const int rel = static_cast<int>(path->indexinfo->rel->relid);
  List* quals = get_quals_from_indexclauses(path->indexclauses);
  quals = add_predicate_to_index_quals(path->indexinfo, quals);
  return {clauselist_selectivity(root, quals, rel, JOIN_INNER, nullptr),
          clauselist_selectivity(root, far, rel, JOIN_INNER, nullptr)};
}

// Whether rows have one of some values of the first attribute.
bool IsByValue(const IndexPath* path) {
  const IndexOptInfo* index = path->indexinfo;
  ListCell* cell;
  foreach (cell, path->indexclauses) {
    const IndexClause* clause = lfirst_node(IndexClause, cell);
    if (clause->indexcol != 1) continue;
    const Node* condition = reinterpret_cast<const Node*>(clause->rinfo->clause);
    Oid op = InvalidOid;
    if (IsA(condition, OpExpr)) op = reinterpret_cast<const OpExpr*>(condition)->opno;
    if (IsA(condition, ScalarArrayOpExpr)) {
      op = reinterpret_cast<const ScalarArrayOpExpr*>(condition)->opno;
    }
    if (OidIsValid(op) &&
        get_op_opfamily_strategy(op, index->opfamily[1]) == BTEqualStrategyNumber) {
      return true;
    }
  }
  return false;
}

// Rows that pass all conditions, those on rows of other tables that the path is given included.
double PassingRows(const IndexPath* path) {
  const ParamPathInfo* given = path->path.param_info;
  return given != nullptr ? given->ppi_rows : path->indexinfo->rel->rows;
}

struct Taken {
  double rows;
  double share;  // of the scan's cost that the server will charge for them
  bool told;     // the scan will know of them (limit_hint.hpp)
};

// `scanned`: all rows that the scan returns; PassingRows of them pass the query's other conditions.
Taken RowsTaken(const PlannerInfo* root, const IndexPath* path, double scanned) {
  if (path->indexorderbys == NIL) return {scanned, 1, false};
  const double passing = std::clamp(PassingRows(path) / scanned, 1e-9, 1.0);
  const bool none_dropped = passing > 0.999;
  if (root->limit_tuples >= 0) {
    const double rows = std::clamp(root->limit_tuples / passing, 1.0, scanned);
    return {rows, rows / scanned, none_dropped};
  }
  const double fraction = root->tuple_fraction;
  if (root->parse->limitCount != nullptr && fraction > 0 && fraction < 1) {
    // The server guesses a tenth of the table; who asks for what is near asks for few.
    return {std::min(kUnknownLimit, scanned), fraction, none_dropped};
  }
  return {scanned, 1, false};
}

// Reading the rows of a set one by one, where a scan may (MayList).
ScanCost ListingCost(const PlannerInfo* root, const IndexOptInfo* index) {
  double random_page, sequential_page;
  get_tablespace_page_costs(index->rel->reltablespace, &random_page, &sequential_page);
  const double rows = index->rel->tuples * set_share;
  const bool may = set_share < 1 && index->indpred == NIL && rows <= MostListed(work_mem * 1024.0);
  return {may ? rows * (kCachedRow + MissingShare(root, index) * random_page) : kNever, 0, 0};
}

}  // namespace

void EstimateCost(CostModel model, PlannerInfo* root, IndexPath* path, Cost* startup_cost,
                  Cost* total_cost, Selectivity* selectivity, double* correlation, double* pages) {
  *correlation = 0;
  if (!CanServe(path)) {
    *startup_cost = *total_cost = kNever;
    *selectivity = 0;
    *pages = 0;
    pg::DisablePath(&path->path);
    return;
  }
  const IndexOptInfo* index = path->indexinfo;
  const RelOptInfo* rel = index->rel;
  const Shares shares = SharesOf(root, path);
  *selectivity = shares.scanned * set_share;
  const double indexed = std::max(index->tuples, 1.0);
  // Conditions that depend on each other are estimated too low as a product; fewer than the rows
  // that pass all of them it cannot be.
  const double scanned =
      std::clamp(std::max(rel->tuples * *selectivity, PassingRows(path)), 1.0, indexed);
  const Taken taken = RowsTaken(root, path, scanned);
  // What is too far away is not met, unlike what does not pass for other reasons.
  const double near = std::max(indexed * shares.within, scanned);
  ScanCost cost =
      model(root, index,
            {indexed, scanned / near, taken.rows, taken.told, set_share < 1, IsByValue(path)});
  const ScanCost listing = ListingCost(root, index);
  if (listing.startup < cost.startup + cost.streaming) cost = listing;
  *startup_cost = cost.startup;
  // The server interpolates linearly from startup to total, while what a row costs falls as more
  // are taken. So the slope is the one up to the rows that will be.
  *total_cost = cost.startup + cost.streaming / taken.share;
  *pages = std::min<double>(index->pages, cost.pages);
}

void RegisterCosts(amcostestimate_function estimate) {
  Assert(method_count < kMostMethods);
  methods[method_count++] = estimate;
}

bool IsOurs(const IndexOptInfo* index) {
  const auto estimate = reinterpret_cast<amcostestimate_function>(index->amcostestimate);
  return std::find(methods, methods + method_count, estimate) != methods + method_count;
}

void PlanRowSet(Selectivity share) { set_share = share; }

double MissingShare(const PlannerInfo* root, const IndexOptInfo* index) {
  const double pages = std::max<double>(index->pages, 1);
  const double cached = effective_cache_size / (root->total_table_pages + pages);
  return std::clamp(1 - cached, 0.0, 1.0);
}

}  // namespace ann::am
