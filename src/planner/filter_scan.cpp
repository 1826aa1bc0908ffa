// "Ann Filter Scan" as it is executed: README.md, "Ann Filter Scan".
#include "planner/planner.hpp"

#include "am/limit_hint.hpp"
#include "am/row_set.hpp"

namespace ann::planner {

namespace {

struct FilterScanState {
  CustomScanState custom;  // the server's, first
  IndexScanState* scan;
  PlanState* bitmap;
  ExprState* recheck;      // the bitmap's conditions
  MemoryContext context;   // of `rows`
  const am::RowSet* rows;  // null: not made yet
};

FilterScanState* StateOf(CustomScanState* node) { return reinterpret_cast<FilterScanState*>(node); }

void Begin(CustomScanState* node, EState* executor, int flags) {
  FilterScanState* state = StateOf(node);
  const CustomScan* plan = castNode(CustomScan, node->ss.ps.plan);
  state->scan =
      castNode(IndexScanState,
               ExecInitNode(static_cast<Plan*>(linitial(plan->custom_plans)), executor, flags));
  state->bitmap = ExecInitNode(static_cast<Plan*>(lsecond(plan->custom_plans)), executor, flags);
  node->custom_ps = list_make2(state->scan, state->bitmap);
  state->context =
      AllocSetContextCreate(CurrentMemoryContext, "ann row set", ALLOCSET_DEFAULT_SIZES);
  // The rows are those of the index scan, so what the server has prepared for rows of a kind of
  // their own is prepared again for the table's.
  ScanState& ss = node->ss;
  ss.ss_ScanTupleSlot = state->scan->ss.ss_ScanTupleSlot;
  ss.ps.scanops = state->scan->ss.ps.scanops;
  ss.ps.scanopsfixed = state->scan->ss.ps.scanopsfixed;
  ss.ps.subPlan = NIL;
  ExecAssignScanProjectionInfo(&ss);
  ss.ps.qual = ExecInitQual(plan->scan.plan.qual, &ss.ps);
  state->recheck = ExecInitQual(plan->custom_exprs, &ss.ps);
}

// Has the set made, if it is not there, and gives it to the scan.
void Offer(FilterScanState* state) {
  if (state->rows != nullptr) return;
  TIDBitmap* bitmap = reinterpret_cast<TIDBitmap*>(MultiExecProcNode(state->bitmap));
  if (bitmap == nullptr || !IsA(bitmap, TIDBitmap)) elog(ERROR, "unrecognized result from subplan");
  state->rows = am::RowSet::Make(state->context, bitmap);
  tbm_free(bitmap);
  am::OfferRows(pg::BeginNodesScan(state->scan), state->rows);
}

TupleTableSlot* Next(CustomScanState* node) {
  FilterScanState* state = StateOf(node);
  PlanState& ps = node->ss.ps;
  ExprContext* context = ps.ps_ExprContext;
  // A row that is checked again after a concurrent update need not be of the set.
  const bool again = ps.state->es_epq_active != nullptr;
  if (!again) Offer(state);
  for (;;) {
    CHECK_FOR_INTERRUPTS();
    ResetExprContext(context);
    const TupleTableSlot* row = ExecProcNode(&state->scan->ss.ps);
    if (TupIsNull(row)) {
      return ExecClearTuple(ps.ps_ProjInfo != nullptr ? ps.ps_ProjInfo->pi_state.resultslot
                                                      : node->ss.ss_ScanTupleSlot);
    }
    context->ecxt_scantuple = state->scan->ss.ps.ps_ExprContext->ecxt_scantuple;
    // First the bitmap's conditions: others may be leaky, and are for rows only that pass these.
    if ((again || state->rows->needs_recheck()) && !ExecQual(state->recheck, context)) {
      InstrCountFiltered2(node, 1);
      continue;
    }
    if (!ExecQual(ps.qual, context)) {
      InstrCountFiltered1(node, 1);
      continue;
    }
    return ps.ps_ProjInfo != nullptr ? ExecProject(ps.ps_ProjInfo) : context->ecxt_scantuple;
  }
}

void Rescan(CustomScanState* node) {
  FilterScanState* state = StateOf(node);
  if (node->ss.ps.chgParam != nullptr) {
    UpdateChangedParamSet(&state->scan->ss.ps, node->ss.ps.chgParam);
    UpdateChangedParamSet(state->bitmap, node->ss.ps.chgParam);
  }
  // The set stays where nothing has changed that it depends on; the bitmap's node sees for itself
  // that it has.
  if (state->rows != nullptr && state->bitmap->chgParam != nullptr) {
    am::OfferRows(state->scan->iss_ScanDesc, nullptr);
    state->rows = nullptr;
    MemoryContextReset(state->context);
  }
  if (state->scan->ss.ps.chgParam == nullptr) ExecReScan(&state->scan->ss.ps);
}

void End(CustomScanState* node) {
  FilterScanState* state = StateOf(node);
  ExecEndNode(&state->scan->ss.ps);
  ExecEndNode(state->bitmap);
  MemoryContextDelete(state->context);
}

void Explain(CustomScanState* node, List* ancestors, ExplainState* explain) {
  const FilterScanState* state = StateOf(node);
  const CustomScan* plan = castNode(CustomScan, node->ss.ps.plan);
  List* context = set_deparse_context_plan(explain->deparse_cxt, node->ss.ps.plan, ancestors);
  const bool qualified = list_length(explain->rtable) > 1 || explain->verbose;
  Node* conditions = reinterpret_cast<Node*>(make_ands_explicit(plan->custom_exprs));
  ExplainPropertyText("Recheck Cond", deparse_expression(conditions, context, qualified, false),
                      explain);
  if (!explain->analyze || node->ss.ps.instrument == nullptr) return;
  const Instrumentation& counted = *node->ss.ps.instrument;
  if (counted.nfiltered2 > 0 && counted.nloops > 0) {
    ExplainPropertyFloat("Rows Removed by Index Recheck", nullptr,
                         counted.nfiltered2 / counted.nloops, 0, explain);
  }
  if (state->rows == nullptr) return;
  ExplainPropertyInteger("Rows in Set", nullptr, static_cast<int64>(state->rows->rows()), explain);
  if (state->rows->lossy_blocks() > 0) {
    ExplainPropertyInteger("Lossy Blocks in Set", nullptr,
                           static_cast<int64>(state->rows->lossy_blocks()), explain);
  }
}

const CustomExecMethods kExecMethods = {
    .CustomName = am::kFilterScanName,
    .BeginCustomScan = Begin,
    .ExecCustomScan = Next,
    .EndCustomScan = End,
    .ReScanCustomScan = Rescan,
    .ExplainCustomScan = Explain,
};

}  // namespace

Node* CreateFilterScanState(CustomScan*) {
  FilterScanState* state = static_cast<FilterScanState*>(palloc0(sizeof(FilterScanState)));
  NodeSetTag(&state->custom, T_CustomScanState);
  state->custom.methods = &kExecMethods;
  return reinterpret_cast<Node*>(state);
}

}  // namespace ann::planner
