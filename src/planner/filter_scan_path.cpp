// "Ann Filter Scan" as a path and as a plan: README.md, "Ann Filter Scan".
#include "planner/planner.hpp"

#include <algorithm>
#include <cmath>

#include "am/costs.hpp"
#include "am/limit_hint.hpp"

namespace ann::planner {

namespace {

// A row of the set beyond what the server counts for its place in a bitmap: 0.3 us, measured, most
// of it for sorting the bitmap's pages.
constexpr double kSetRowOperators = 50;

// A plan without the node that checks conditions which hold for all rows or for none: there is one
// above the custom scan.
Plan* WithoutGate(Plan* plan) { return IsA(plan, Result) ? outerPlan(plan) : plan; }

Plan* MakePlan(PlannerInfo*, RelOptInfo* rel, CustomPath* path, List* targets, List*, List* plans);

const CustomPathMethods kPathMethods = {am::kFilterScanName, MakePlan, nullptr};
const CustomScanMethods kPlanMethods = {am::kFilterScanName, CreateFilterScanState};

// The index scan gives the rows' order and is left without conditions but those of its index: the
// rest is checked above it, after the bitmap's have been checked again where that is needed.
Plan* MakePlan(PlannerInfo*, RelOptInfo* rel, CustomPath* path, List* targets, List*, List* plans) {
  IndexScan* scan = castNode(IndexScan, WithoutGate(static_cast<Plan*>(linitial(plans))));
  BitmapHeapScan* heap = castNode(BitmapHeapScan, WithoutGate(static_cast<Plan*>(lsecond(plans))));
  CustomScan* plan = makeNode(CustomScan);
  plan->scan.scanrelid = rel->relid;
  plan->scan.plan.targetlist = targets;
  plan->scan.plan.qual = list_intersection(scan->scan.plan.qual, heap->scan.plan.qual);
  plan->flags = path->flags;
  plan->custom_plans = list_make2(scan, outerPlan(heap));
  plan->custom_exprs = heap->bitmapqualorig;
  plan->methods = &kPlanMethods;
  scan->scan.plan.qual = NIL;
  // Its rows are taken as the table holds them.
  scan->scan.plan.targetlist = NIL;
  return &plan->scan.plan;
}

// Adds the conditions of a bitmap's index paths to `conditions`.
void CollectConditions(Path* bitmap, List** conditions) {
  List* parts = NIL;
  if (IsA(bitmap, BitmapAndPath)) parts = reinterpret_cast<BitmapAndPath*>(bitmap)->bitmapquals;
  if (IsA(bitmap, BitmapOrPath)) parts = reinterpret_cast<BitmapOrPath*>(bitmap)->bitmapquals;
  ListCell* cell;
  foreach (cell, parts) CollectConditions(static_cast<Path*>(lfirst(cell)), conditions);
  if (!IsA(bitmap, IndexPath)) return;
  foreach (cell, reinterpret_cast<IndexPath*>(bitmap)->indexclauses) {
    *conditions = lappend(*conditions, lfirst_node(IndexClause, cell)->rinfo);
  }
}

// Whether the index's own conditions are all that the bitmap knows.
bool KnowsNothingMore(Path* bitmap, const List* clauses) {
  List* conditions = NIL;
  CollectConditions(bitmap, &conditions);
  ListCell* cell;
  foreach (cell, clauses) {
    conditions = list_delete_ptr(conditions, lfirst_node(IndexClause, cell)->rinfo);
  }
  return conditions == NIL;
}

}  // namespace

IndexPath* MakePath(PlannerInfo* root, const OrderedScan& scan) {
  return create_index_path(root, scan.index, scan.clauses, scan.orderbys, scan.orderby_columns,
                           scan.pathkeys, ForwardScanDirection, false,
                           scan.index->rel->lateral_relids, 1, false);
}

namespace {

// The same for a scan that is kept to a set of rows. Whatever an error leaves of it would be in the
// costs of all paths that the session makes from then on.
IndexPath* MakePathOfShare(PlannerInfo* root, const OrderedScan& scan, Selectivity share) {
  IndexPath* volatile path = nullptr;
  am::PlanRowSet(share);
  PG_TRY();
  { path = MakePath(root, scan); }
  PG_FINALLY();
  { am::PlanRowSet(1); }
  PG_END_TRY();
  return path;
}

}  // namespace

// The server chooses the indexes: it is shown the table as one whose other indexes can be used for
// bitmaps only, so that a bitmap comes out even where it would read the table in another way.
BitmapHeapPath* BitmapOfOthers(PlannerInfo* root, RelOptInfo* rel) {
  if (!enable_bitmapscan) return nullptr;
  RelOptInfo* shown = makeNode(RelOptInfo);
  *shown = *rel;
  shown->pathlist = shown->partial_pathlist = shown->indexlist = shown->joininfo = NIL;
  shown->consider_parallel = false;
  shown->has_eclass_joins = false;
  ListCell* cell;
  foreach (cell, rel->indexlist) {
    const IndexOptInfo* index = lfirst_node(IndexOptInfo, cell);
    if (!index->amhasgetbitmap) continue;
    IndexOptInfo* other = makeNode(IndexOptInfo);
    *other = *index;
    other->rel = shown;
    other->amhasgettuple = false;
    shown->indexlist = lappend(shown->indexlist, other);
  }
  if (shown->indexlist == NIL) return nullptr;
  create_index_paths(root, shown);
  foreach (cell, shown->pathlist) {
    Path* path = static_cast<Path*>(lfirst(cell));
    if (IsA(path, BitmapHeapPath) && bms_equal(PATH_REQ_OUTER(path), rel->lateral_relids)) {
      return reinterpret_cast<BitmapHeapPath*>(path);
    }
  }
  return nullptr;
}

// The server takes it that no page of the table is cached, while the costs of our scans are those
// of pages which are as far as the cache goes (src/am/README.md): a sort of few rows would look
// dear.
void AddCachedBitmapScan(PlannerInfo* root, RelOptInfo* rel, const BitmapHeapPath* bitmap) {
  const double cached =
      std::min(effective_cache_size / std::max(root->total_table_pages, 1.0), 1.0);
  double random_page, sequential_page;
  get_tablespace_page_costs(rel->reltablespace, &random_page, &sequential_page);
  double rows;
  const double pages = compute_bitmap_pages(root, rel, bitmap->bitmapqual, 1, nullptr, &rows);
  // As cost_bitmap_heap_scan does it: the more pages, the more of them lie one behind the other.
  const double all = std::max<double>(rel->pages, 1);
  const Cost page =
      random_page - (random_page - sequential_page) * (pages >= 2 ? std::sqrt(pages / all) : 0);
  BitmapHeapPath* path = makeNode(BitmapHeapPath);
  *path = *bitmap;
  path->path.parent = rel;
  path->path.total_cost -= cached * std::max(pages * page - rows * am::kCachedRow, 0.0);
  add_path(rel, &path->path);
}

void AddFilterScan(PlannerInfo* root, const OrderedScan& scan, BitmapHeapPath* bitmap) {
  if (KnowsNothingMore(bitmap->bitmapqual, scan.clauses)) return;
  RelOptInfo* rel = scan.index->rel;
  Cost cost;
  Selectivity share;
  cost_bitmap_tree_node(bitmap->bitmapqual, &cost, &share);
  IndexPath* ordered = MakePathOfShare(root, scan, share);
  CustomPath* path = makeNode(CustomPath);
  path->path = ordered->path;
  path->path.type = T_CustomPath;
  path->path.pathtype = T_CustomScan;
  // Each worker would make the set anew.
  path->path.parallel_safe = false;
  cost += share * rel->tuples * kSetRowOperators * cpu_operator_cost;
  path->path.startup_cost += cost;
  path->path.total_cost += cost;
  path->flags = CUSTOMPATH_SUPPORT_PROJECTION;
  path->custom_paths = list_make2(ordered, bitmap);
  path->methods = &kPathMethods;
  add_path(rel, &path->path);
}

void RegisterFilterScan() { RegisterCustomScanMethods(&kPlanMethods); }

}  // namespace ann::planner
