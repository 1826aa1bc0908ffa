// What the planner does not do by itself for ordered scans of our indexes (README.md).
#pragma once

#include "pg/pg.hpp"

namespace ann::planner {

// Called once, when the library is loaded.
void InstallPlannerHook();

// --- index_clauses.cpp

// The conditions of the query that the index answers, as an index path wants them, in the order of
// its columns. `beyond_server`: there is one among them that the server would not have put into an
// ordered path.
List* MatchClauses(PlannerInfo* root, const IndexOptInfo* index, bool* beyond_server);

// --- filter_scan_path.cpp

// Adds a path "Ann Filter Scan" over the ordered path that create_index_path would make of this.
struct OrderedScan {
  IndexOptInfo* index;
  List* clauses;
  List* orderbys;
  List* orderby_columns;
  List* pathkeys;
};
IndexPath* MakePath(PlannerInfo* root, const OrderedScan& scan);

// The best bitmap of the table's other indexes for the query's conditions; null: there is none.
BitmapHeapPath* BitmapOfOthers(PlannerInfo* root, RelOptInfo* rel);
// Adds the scan of the table by that bitmap at the cost that it has when its pages are cached.
void AddCachedBitmapScan(PlannerInfo* root, RelOptInfo* rel, const BitmapHeapPath* bitmap);
void AddFilterScan(PlannerInfo* root, const OrderedScan& scan, BitmapHeapPath* bitmap);
void RegisterFilterScan();

// --- filter_scan.cpp

Node* CreateFilterScanState(CustomScan* plan);

}  // namespace ann::planner
