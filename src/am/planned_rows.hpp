// How many rows a plan is expected to take from a scan, for cost estimates.
#pragma once

#include <algorithm>

#include "pg/pg.hpp"

namespace ann::am {

struct PlannedRows {
  double rows;   // that the executor takes from the scan before it stops
  double share;  // of the scan's cost that the server will charge for them
};

// LIMIT with a number that is not known yet, a parameter of a generic plan.
inline constexpr double kUnknownLimit = 100;

// Whether an index can serve a scan: by its order, or by a condition on its first column that says
// how far rows may be. The others cannot: what has no distance is not in the index.
inline bool CanServe(const IndexPath* path) {
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

// The share of the index's rows that fulfil the conditions which the scan is given.
inline Selectivity ShareWithin(PlannerInfo* root, const IndexPath* path) {
  return clauselist_selectivity(root, get_quals_from_indexclauses(path->indexclauses),
                                path->indexinfo->rel->relid, JOIN_INNER, nullptr);
}

// `indexed`: rows of the index that fulfil its conditions, `share` of all. What a filter drops must
// be taken, too.
inline PlannedRows PlanRows(const PlannerInfo* root, const IndexPath* path, double indexed,
                            Selectivity share) {
  if (path->indexorderbys == NIL) return {indexed, 1};
  if (root->limit_tuples >= 0) {
    const RelOptInfo* rel = path->indexinfo->rel;
    const double passing = std::clamp(rel->rows / std::max(rel->tuples * share, 1.0), 1e-9, 1.0);
    const double rows = std::clamp(root->limit_tuples / passing, 1.0, indexed);
    return {rows, rows / indexed};
  }
  const double fraction = root->tuple_fraction;
  if (root->parse->limitCount != nullptr && fraction > 0 && fraction < 1) {
    // The server guesses a tenth of the table; who asks for what is near asks for few.
    return {std::min(kUnknownLimit, indexed), fraction};
  }
  return {indexed, 1};
}

}  // namespace ann::am
