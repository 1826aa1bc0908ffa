// Conditions on attributes: README.md, "Index paths". The same rules as the server's own, with
// lists of values and flags on any column.
#include "planner/planner.hpp"

namespace ann::planner {

namespace {

bool IsBare(PlannerInfo* root, const IndexOptInfo* index, Node* operand) {
  return !bms_is_member(static_cast<int>(index->rel->relid), pull_varnos(root, operand)) &&
         !contain_volatile_functions(operand);
}

bool MatchesCollation(const IndexOptInfo* index, int column, Oid collation) {
  const Oid indexed = index->indexcollations[column];
  return !OidIsValid(indexed) || indexed == collation;
}

IndexClause* ClauseOf(RestrictInfo* condition, RestrictInfo* index_condition, int column) {
  IndexClause* clause = makeNode(IndexClause);
  clause->rinfo = condition;
  clause->indexquals = list_make1(index_condition);
  clause->indexcol = static_cast<AttrNumber>(column);
  return clause;
}

// column OP value, or value OP column.
IndexClause* MatchOperator(PlannerInfo* root, const IndexOptInfo* index, RestrictInfo* condition,
                           int column) {
  const OpExpr* expr = reinterpret_cast<const OpExpr*>(condition->clause);
  if (list_length(expr->args) != 2) return nullptr;
  Node* left = static_cast<Node*>(linitial(expr->args));
  Node* right = static_cast<Node*>(lsecond(expr->args));
  IndexOptInfo* matched = const_cast<IndexOptInfo*>(index);
  if (!MatchesCollation(index, column, expr->inputcollid)) return nullptr;
  if (match_index_to_operand(left, column, matched) && IsBare(root, index, right)) {
    return op_in_opfamily(expr->opno, index->opfamily[column])
               ? ClauseOf(condition, condition, column)
               : nullptr;
  }
  if (!match_index_to_operand(right, column, matched) || !IsBare(root, index, left)) return nullptr;
  const Oid commuted = get_commutator(expr->opno);
  if (!OidIsValid(commuted) || !op_in_opfamily(commuted, index->opfamily[column])) return nullptr;
  return ClauseOf(condition, commute_restrictinfo(condition, commuted), column);
}

// column OP ANY (values)
IndexClause* MatchArray(PlannerInfo* root, const IndexOptInfo* index, RestrictInfo* condition,
                        int column) {
  const auto* expr = reinterpret_cast<const ScalarArrayOpExpr*>(condition->clause);
  if (!expr->useOr || !index->amsearcharray) return nullptr;
  Node* left = static_cast<Node*>(linitial(expr->args));
  Node* right = static_cast<Node*>(lsecond(expr->args));
  if (!match_index_to_operand(left, column, const_cast<IndexOptInfo*>(index)) ||
      !IsBare(root, index, right) || !MatchesCollation(index, column, expr->inputcollid) ||
      !op_in_opfamily(expr->opno, index->opfamily[column])) {
    return nullptr;
  }
  return ClauseOf(condition, condition, column);
}

// column IS [NOT] NULL
IndexClause* MatchNullTest(const IndexOptInfo* index, RestrictInfo* condition, int column) {
  const NullTest* test = reinterpret_cast<const NullTest*>(condition->clause);
  if (test->argisrow || !index->amsearchnulls ||
      !match_index_to_operand(reinterpret_cast<Node*>(test->arg), column,
                              const_cast<IndexOptInfo*>(index))) {
    return nullptr;
  }
  return ClauseOf(condition, condition, column);
}

// flag, NOT flag, flag IS TRUE, flag IS FALSE: as an index's equality.
IndexClause* MatchFlag(PlannerInfo* root, const IndexOptInfo* index, RestrictInfo* condition,
                       int column) {
  if (!op_in_opfamily(BooleanEqualOperator, index->opfamily[column])) return nullptr;
  Node* flag = reinterpret_cast<Node*>(condition->clause);
  bool value = true;
  if (is_notclause(flag)) {
    flag = reinterpret_cast<Node*>(get_notclausearg(flag));
    value = false;
  } else if (IsA(flag, BooleanTest)) {
    const BooleanTest* test = reinterpret_cast<const BooleanTest*>(flag);
    if (test->booltesttype != IS_TRUE && test->booltesttype != IS_FALSE) return nullptr;
    flag = reinterpret_cast<Node*>(test->arg);
    value = test->booltesttype == IS_TRUE;
  }
  if (!match_index_to_operand(flag, column, const_cast<IndexOptInfo*>(index))) return nullptr;
  Expr* equality =
      make_opclause(BooleanEqualOperator, BOOLOID, false, reinterpret_cast<Expr*>(flag),
                    reinterpret_cast<Expr*>(makeBoolConst(value, false)), InvalidOid, InvalidOid);
  return ClauseOf(condition, make_simple_restrictinfo(root, equality), column);
}

IndexClause* Match(PlannerInfo* root, const IndexOptInfo* index, RestrictInfo* condition,
                   int column, bool* beyond_server) {
  switch (nodeTag(condition->clause)) {
    case T_OpExpr:
      return MatchOperator(root, index, condition, column);
    case T_ScalarArrayOpExpr: {
      IndexClause* clause = MatchArray(root, index, condition, column);
      if (clause != nullptr && column > 0) *beyond_server |= !pg::kArraysKeepOrder;
      return clause;
    }
    case T_NullTest:
      return MatchNullTest(index, condition, column);
    default: {
      IndexClause* clause = MatchFlag(root, index, condition, column);
      if (clause != nullptr) *beyond_server |= !pg::kKnowsFlags;
      return clause;
    }
  }
}

}  // namespace

List* MatchClauses(PlannerInfo* root, const IndexOptInfo* index, bool* beyond_server) {
  List* clauses = NIL;
  List* taken = NIL;
  *beyond_server = false;
  for (int column = 0; column < index->nkeycolumns; ++column) {
    ListCell* cell;
    foreach (cell, index->indrestrictinfo) {
      RestrictInfo* condition = lfirst_node(RestrictInfo, cell);
      // An index evaluates its conditions before all others: none that might tell of rows that a
      // security barrier hides.
      if (condition->pseudoconstant || list_member_ptr(taken, condition) ||
          !restriction_is_securely_promotable(condition, index->rel)) {
        continue;
      }
      IndexClause* clause = Match(root, index, condition, column, beyond_server);
      if (clause == nullptr) continue;
      clauses = lappend(clauses, clause);
      taken = lappend(taken, condition);
    }
  }
  return clauses;
}

}  // namespace ann::planner
