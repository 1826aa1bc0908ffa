#include "am/limit_hint.hpp"

#include <algorithm>
#include <cstring>

#include "am/row_set.hpp"

#include "pg/running.hpp"

namespace ann::am {

namespace {

// Of larger plans (many partitions) only the first nodes are looked at.
constexpr int kMostNodes = 1000;

struct Search {
  IndexScanDesc scan;
  int nodes;
  int64 rows;
};

// A node on the way down to the one being looked at.
struct Way {
  PlanState* node;
  const Way* up;
  Search* search;
};

bool IsOneOf(PlanState** nodes, int n, const PlanState* node) {
  return std::find(nodes, nodes + n, node) != nodes + n;
}

// Whether `node` returns each row of `child`, which then wants no more rows than it does.
bool PassesAll(PlanState* node, const PlanState* child) {
  if (node->qual != nullptr) return false;
  switch (nodeTag(node)) {
    case T_ResultState:
    case T_LockRowsState:
    case T_MaterialState:
    case T_IncrementalSortState:
    case T_GatherState:
    case T_GatherMergeState:
      return outerPlanState(node) == child;
    // Its scan's rows are of the set; few of them have to be dropped after all.
    case T_CustomScanState:
      return std::strcmp(reinterpret_cast<CustomScanState*>(node)->methods->CustomName,
                         kFilterScanName) == 0;
    case T_SubqueryScanState:
      return reinterpret_cast<SubqueryScanState*>(node)->subplan == child;
    case T_AppendState: {
      const AppendState* append = reinterpret_cast<AppendState*>(node);
      return IsOneOf(append->appendplans, append->as_nplans, child);
    }
    case T_MergeAppendState: {
      const MergeAppendState* append = reinterpret_cast<MergeAppendState*>(node);
      return IsOneOf(append->mergeplans, append->ms_nplans, child);
    }
    default:
      return false;
  }
}

int64 RowsOf(const LimitState* limit) {
  if (limit->lstate == LIMIT_INITIAL || limit->noCount || limit->count <= 0) return 0;
  return limit->count > PG_INT64_MAX - limit->offset ? PG_INT64_MAX : limit->count + limit->offset;
}

// Of the scan's node, from the nodes above it.
int64 RowsFrom(const Way& scan) {
  if (scan.node->qual != nullptr) return 0;
  const PlanState* child = scan.node;
  for (const Way* way = scan.up; way != nullptr; way = way->up) {
    if (IsA(way->node, LimitState)) {
      return outerPlanState(way->node) == child
                 ? RowsOf(reinterpret_cast<const LimitState*>(way->node))
                 : 0;
    }
    if (!PassesAll(way->node, child)) return 0;
    child = way->node;
  }
  return 0;
}

// True: the search is over.
bool Look(PlanState* node, void* up) {
  if (node == nullptr) return false;
  const Way* above = static_cast<const Way*>(up);
  Way way{node, above->node != nullptr ? above : nullptr, above->search};
  if (--way.search->nodes < 0) return true;
  if (IsA(node, IndexScanState) &&
      reinterpret_cast<IndexScanState*>(node)->iss_ScanDesc == way.search->scan) {
    way.search->rows = RowsFrom(way);
    return true;
  }
  return pg::WalkPlan(node, Look, &way);
}

}  // namespace

void OfferLimit(IndexScanDesc scan, int64 rows) {
  static_cast<ScanHead*>(scan->opaque)->limit = rows;
}

int64 RowsWanted(IndexScanDesc scan) {
  const int64 limit = static_cast<const ScanHead*>(scan->opaque)->limit;
  if (limit > 0) return limit;
  const QueryDesc* query = pg::RunningQuery();
  if (query == nullptr) return 0;
  Search search{scan, kMostNodes, 0};
  Way start{nullptr, nullptr, &search};
  Look(query->planstate, &start);
  return search.rows;
}

}  // namespace ann::am
