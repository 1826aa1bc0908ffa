// The hook: README.md, "When it runs". It looks for a path that the server has ordered by one of
// our indexes; without one there is nothing to do.
#include "planner/planner.hpp"

#include "am/costs.hpp"

namespace ann::planner {

namespace {

set_rel_pathlist_hook_type next_hook;

const IndexPath* OrderedPath(const RelOptInfo* rel) {
  ListCell* cell;
  foreach (cell, rel->pathlist) {
    const Path* path = static_cast<const Path*>(lfirst(cell));
    if (!IsA(path, IndexPath)) continue;
    const IndexPath* index_path = reinterpret_cast<const IndexPath*>(path);
    if (index_path->indexorderbys != NIL && am::IsOurs(index_path->indexinfo)) return index_path;
  }
  return nullptr;
}

// Whether the index brings rows in the order of `path`, by its first column.
bool HasOrder(IndexOptInfo* index, const IndexPath* path) {
  if (list_length(path->indexorderbys) != 1 || linitial_int(path->indexorderbycols) != 0)
    return false;
  if (index == path->indexinfo) return true;
  const OpExpr* order = castNode(OpExpr, linitial(path->indexorderbys));
  const PathKey* key = static_cast<const PathKey*>(linitial(path->path.pathkeys));
  return match_index_to_operand(static_cast<Node*>(linitial(order->args)), 0, index) &&
         get_op_opfamily_sortfamily(order->opno, index->opfamily[0]) == key->pk_opfamily;
}

void AddPaths(PlannerInfo* root, RelOptInfo* rel) {
  const IndexPath* ordered = OrderedPath(rel);
  if (ordered == nullptr || rel->baserestrictinfo == NIL) return;
  List* orderbys = ordered->indexorderbys;
  List* pathkeys = ordered->path.pathkeys;
  // Paths that are added may displace it.
  IndexPath kept = *ordered;
  BitmapHeapPath* bitmap = BitmapOfOthers(root, rel);
  if (bitmap != nullptr) AddCachedBitmapScan(root, rel, bitmap);
  ListCell* cell;
  foreach (cell, rel->indexlist) {
    IndexOptInfo* index = lfirst_node(IndexOptInfo, cell);
    if (!am::IsOurs(index) || (index->indpred != NIL && !index->predOK)) continue;
    if (!HasOrder(index, &kept)) continue;
    bool beyond_server;
    const OrderedScan scan{index, MatchClauses(root, index, &beyond_server), orderbys,
                           list_make1_int(0), pathkeys};
    if (beyond_server) add_path(rel, &MakePath(root, scan)->path);
    if (bitmap != nullptr) AddFilterScan(root, scan, bitmap);
  }
}

void SetRelPathlist(PlannerInfo* root, RelOptInfo* rel, Index relation, RangeTblEntry* entry) {
  if (next_hook != nullptr) next_hook(root, rel, relation, entry);
  if (entry->rtekind == RTE_RELATION) AddPaths(root, rel);
}

}  // namespace

void InstallPlannerHook() {
  RegisterFilterScan();
  next_hook = set_rel_pathlist_hook;
  set_rel_pathlist_hook = SetRelPathlist;
}

}  // namespace ann::planner
