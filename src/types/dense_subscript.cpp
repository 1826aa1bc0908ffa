// Subscripts of `vector` and `halfvec`: v[2] is a number, v[2:5] a vector, v[:5] and v[2:] are
// open. Positions start at 1; what lies outside is NULL, as with arrays, and so is a slice of
// nothing, because a vector has at least one dimension. Parts cannot be assigned to.
#include <algorithm>
#include <cstring>

#include "types/dense_type.hpp"
#include "pg/entry.hpp"

namespace ann::types {

namespace {

// One bound as an integer expression; null stays null, an open end.
Node* Bound(ParseState* parse, Node* expression) {
  if (expression == nullptr) return nullptr;
  Node* bound = transformExpr(parse, expression, parse->p_expr_kind);
  const Oid type = exprType(bound);
  Node* integer = coerce_to_target_type(parse, bound, type, INT4OID, -1, COERCION_ASSIGNMENT,
                                        COERCE_IMPLICIT_CAST, -1);
  if (integer == nullptr) {
    ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
                    errmsg("a subscript must be an integer, not %s", format_type_be(type)),
                    parser_errposition(parse, exprLocation(bound))));
  }
  return integer;
}

void Transform(SubscriptingRef* reference, List* indirection, ParseState* parse, bool is_slice,
               bool is_assignment) {
  const char* type = format_type_be(reference->refcontainertype);
  if (is_assignment) {
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("cannot assign to a part of type %s", type),
                    errhint("Assign a whole value, for example one cast from an array.")));
  }
  if (list_length(indirection) != 1) {
    ereport(ERROR, (errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
                    errmsg("type %s takes one subscript, not %d", type, list_length(indirection))));
  }
  const auto* indices = linitial_node(A_Indices, indirection);
  reference->refupperindexpr = list_make1(Bound(parse, indices->uidx));
  if (is_slice) reference->reflowerindexpr = list_make1(Bound(parse, indices->lidx));
  reference->refrestype = is_slice ? reference->refcontainertype : FLOAT4OID;
  reference->reftypmod = -1;
}

// False: a subscript is NULL, and so is the result.
bool CheckSubscripts(ExprState*, ExprEvalStep* step, ExprContext*) {
  const SubscriptingRefState* state = step->d.sbsref_subscript.state;
  const bool lower_null =
      state->numlower > 0 && state->lowerprovided[0] && state->lowerindexnull[0];
  if (lower_null || (state->upperprovided[0] && state->upperindexnull[0])) {
    *step->resnull = true;
    return false;
  }
  return true;
}

template <class Number>
void FetchElement(ExprState*, ExprEvalStep* step, ExprContext*) {
  const DenseArg<Number> vector(*step->resvalue);
  const int32 position = DatumGetInt32(step->d.sbsref.state->upperindex[0]);
  if (position < 1 || position > vector.dims()) {
    *step->resnull = true;
    return;
  }
  *step->resvalue = Float4GetDatum(Widen(vector.values()[position - 1]));
}

template <class Number>
void FetchSlice(ExprState*, ExprEvalStep* step, ExprContext*) {
  const SubscriptingRefState* state = step->d.sbsref.state;
  const DenseArg<Number> vector(*step->resvalue);
  const int32 first =
      state->lowerprovided[0] ? std::max(DatumGetInt32(state->lowerindex[0]), 1) : 1;
  const int32 last = state->upperprovided[0]
                         ? std::min(DatumGetInt32(state->upperindex[0]), vector.dims())
                         : vector.dims();
  if (first > last) {
    *step->resnull = true;
    return;
  }
  auto* slice = MakeVector<Number>(last - first + 1);
  std::memcpy(slice->values, vector.values() + (first - 1),
              sizeof(Number) * static_cast<size_t>(slice->dims));
  *step->resvalue = VectorDatum(slice);
}

template <class Number>
void SetUp(const SubscriptingRef*, SubscriptingRefState* state, SubscriptExecSteps* steps) {
  steps->sbs_check_subscripts = CheckSubscripts;
  steps->sbs_fetch = state->numlower > 0 ? FetchSlice<Number> : FetchElement<Number>;
}

template <class Number>
constexpr SubscriptRoutines kRoutines = {
    .transform = Transform,
    .exec_setup = SetUp<Number>,
    .fetch_strict = true,
    .fetch_leakproof = true,
    .store_leakproof = false,
};

}  // namespace

ANN_FUNCTION(ann_vector_subscript)
{ PG_RETURN_POINTER(&kRoutines<float>); }
ANN_FUNCTION(ann_halfvec_subscript)
{ PG_RETURN_POINTER(&kRoutines<Half>); }

}  // namespace ann::types
