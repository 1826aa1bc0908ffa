// avg() of `vector` and `halfvec`, and sum(halfvec). Their state is a float8[]: the number of rows,
// then the sum of each dimension; {0} before the first row. sum(vector) needs no state of its own
// (vector_add); halves are summed wide and rounded once.
#include <cfloat>
#include <cmath>

#include "types/dense_type.hpp"
#include "pg/entry.hpp"

namespace ann::types {

namespace {

// A state that has been checked: count()[0], then sums() of dims().
class AverageState {
 public:
  AverageState(ArrayType* array, const char* caller) : array_(array) {
    if (ARR_NDIM(array) != 1 || ARR_DIMS(array)[0] < 1 || ARR_HASNULL(array) ||
        ARR_ELEMTYPE(array) != FLOAT8OID) {
      elog(ERROR, "%s: expected a one-dimensional float8 array without nulls as state", caller);
    }
  }
  int dims() const { return ARR_DIMS(array_)[0] - 1; }
  double& count() const { return data()[0]; }
  double* sums() const { return data() + 1; }
  Datum datum() const { return PointerGetDatum(array_); }

 private:
  double* data() const { return reinterpret_cast<double*>(ARR_DATA_PTR(array_)); }

  ArrayType* array_;
};

// A state with room for `dims` sums, which the caller writes.
AverageState MakeState(int dims, double count) {
  const Size bytes = ARR_OVERHEAD_NONULLS(1) + sizeof(double) * (static_cast<Size>(dims) + 1);
  auto* array = static_cast<ArrayType*>(palloc0(bytes));
  SET_VARSIZE(array, bytes);
  array->ndim = 1;
  array->dataoffset = 0;
  array->elemtype = FLOAT8OID;
  ARR_DIMS(array)[0] = dims + 1;
  ARR_LBOUND(array)[0] = 1;
  AverageState state(array, "avg");
  state.count() = count;
  return state;
}

void CheckOverflow(const double* sums, int dims) {
  int overflows = 0;
  for (int i = 0; i < dims; i++) overflows |= std::fabs(sums[i]) > DBL_MAX;
  if (overflows != 0) float_overflow_error();
}

// Within an aggregate the state is this function's own and is changed in place.
template <class Number>
Datum Accumulate(FunctionCallInfo fcinfo) {
  const AverageState state(PG_GETARG_ARRAYTYPE_P(0), "accumulate");
  const DenseArg<Number> vector(fcinfo, 1);
  const int dims = vector.dims();
  const double count = state.count() + 1;
  if (state.dims() == 0) {
    const AverageState first = MakeState(dims, count);
    for (int i = 0; i < dims; i++) first.sums()[i] = Widen(vector.values()[i]);
    return first.datum();
  }
  CheckExpectedDims<Number>(state.dims(), dims);
  const bool in_place = AggCheckCallContext(fcinfo, nullptr) != 0;
  const AverageState next = in_place ? state : MakeState(dims, count);
  next.count() = count;
  for (int i = 0; i < dims; i++) next.sums()[i] = state.sums()[i] + Widen(vector.values()[i]);
  CheckOverflow(next.sums(), dims);
  return next.datum();
}

// The sums divided by `divisor`, for rows of which there were some; may be beyond the type's range.
template <class Number>
Dense<Number>* Quotient(const AverageState& state, double divisor) {
  CheckDims<Number>(state.dims());
  auto* result = MakeVector<Number>(state.dims());
  for (int i = 0; i < state.dims(); i++) {
    result->values[i] = Narrow<Number>(static_cast<float>(state.sums()[i] / divisor));
  }
  return result;
}

template <class Number>
Datum Average(FunctionCallInfo fcinfo) {
  const AverageState state(PG_GETARG_ARRAYTYPE_P(0), "avg");
  if (state.count() == 0) PG_RETURN_NULL();
  const Dense<Number>* average = Quotient<Number>(state, state.count());
  CheckFinite(average->values, average->dims);
  return VectorDatum(average);
}

}  // namespace

ANN_FUNCTION(ann_vector_accum)
{ return Accumulate<float>(fcinfo); }
ANN_FUNCTION(ann_halfvec_accum)
{ return Accumulate<Half>(fcinfo); }

ANN_FUNCTION(ann_vector_avg)
{ return Average<float>(fcinfo); }
ANN_FUNCTION(ann_halfvec_avg)
{ return Average<Half>(fcinfo); }

ANN_FUNCTION(ann_halfvec_sum)
{
  const AverageState state(PG_GETARG_ARRAYTYPE_P(0), "sum");
  if (state.count() == 0) PG_RETURN_NULL();
  const HalfVector* sum = Quotient<Half>(state, 1);
  if (!AllFinite(sum->values, sum->dims)) float_overflow_error();
  return VectorDatum(sum);
}

// Of the states of both types.
ANN_FUNCTION(ann_vector_combine)
{
  const AverageState a(PG_GETARG_ARRAYTYPE_P(0), "combine");
  const AverageState b(PG_GETARG_ARRAYTYPE_P(1), "combine");
  const double count = a.count() + b.count();
  if (a.dims() == 0 || b.dims() == 0) {
    const AverageState& other = a.dims() == 0 ? b : a;
    if (other.dims() > 0) CheckDims(other.dims());
    const AverageState copy = MakeState(other.dims(), count);
    memcpy(copy.sums(), other.sums(), sizeof(double) * static_cast<size_t>(other.dims()));
    return copy.datum();
  }
  CheckDims(a.dims());
  CheckExpectedDims(a.dims(), b.dims());
  const AverageState both = MakeState(a.dims(), count);
  for (int i = 0; i < a.dims(); i++) both.sums()[i] = a.sums()[i] + b.sums()[i];
  CheckOverflow(both.sums(), a.dims());
  return both.datum();
}

}  // namespace ann::types
