// What the planner is told of our index scans (README, "Costs").
#pragma once

#include "pg/pg.hpp"

namespace ann::am {

// LIMIT with a number that is not known yet, a parameter of a generic plan.
inline constexpr double kUnknownLimit = 100;

// A row whose page is in shared buffers, read for its distance: 0.4 to 1.3 us, measured.
inline constexpr Cost kCachedRow = 0.5;

// What a plan is expected to take from an ordered scan.
struct PlannedRows {
  double indexed;  // rows of the index
  double passing;  // share of them that the scan's own conditions let pass
  double rows;     // of those, how many the executor takes before it stops
  bool told;       // the scan knows of them before it begins
  bool has_set;    // rows are kept to a set of TIDs, not only to attributes in the index
  bool by_value;   // a condition asks for values of the first attribute
};

struct ScanCost {
  Cost startup;    // up to the first row
  Cost streaming;  // the rows that are taken
  double pages;    // of the index
};

// Of one access method.
using CostModel = ScanCost (*)(const PlannerInfo* root, const IndexOptInfo* index,
                               const PlannedRows& planned);

// The body of amcostestimate.
void EstimateCost(CostModel model, PlannerInfo* root, IndexPath* path, Cost* startup_cost,
                  Cost* total_cost, Selectivity* selectivity, double* correlation, double* pages);

// Tells the access methods' indexes by their amcostestimate; called when the library is loaded.
void RegisterCosts(amcostestimate_function estimate);
bool IsOurs(const IndexOptInfo* index);

// The share of the table's rows that the paths made from now on will be kept to by a set of TIDs
// (row_set.hpp); 1: there is none.
void PlanRowSet(Selectivity share);

// The pages of the index that are read again, as a share: what fits into the cache stays there.
double MissingShare(const PlannerInfo* root, const IndexOptInfo* index);

}  // namespace ann::am
