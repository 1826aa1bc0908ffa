// How many rows a plan is expected to take from an ordered scan, for cost estimates.
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

// `indexed`: rows of the index. What a filter drops must be taken, too.
inline PlannedRows PlanRows(const PlannerInfo* root, const RelOptInfo* rel, double indexed) {
  if (root->limit_tuples >= 0) {
    const double passing = std::clamp(rel->rows / std::max(rel->tuples, 1.0), 1e-9, 1.0);
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
