// avg(vector). Its state is a float8[]: the number of rows, then the sum of each dimension; {0}
// before the first row. sum(vector) needs no state of its own (vector_add).
#include <cfloat>
#include <cmath>

#include "types/vector_type.hpp"
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

}  // namespace

// Within an aggregate the state is this function's own and is changed in place.
ANN_FUNCTION(ann_vector_accum)
{
  const AverageState state(PG_GETARG_ARRAYTYPE_P(0), "vector_accum");
  const VectorArg vector(fcinfo, 1);
  const int dims = vector.dims();
  const double count = state.count() + 1;
  if (state.dims() == 0) {
    const AverageState first = MakeState(dims, count);
    for (int i = 0; i < dims; i++) first.sums()[i] = vector.values()[i];
    return first.datum();
  }
  CheckExpectedDims(state.dims(), dims);
  const bool in_place = AggCheckCallContext(fcinfo, nullptr) != 0;
  const AverageState next = in_place ? state : MakeState(dims, count);
  next.count() = count;
  for (int i = 0; i < dims; i++) next.sums()[i] = state.sums()[i] + vector.values()[i];
  CheckOverflow(next.sums(), dims);
  return next.datum();
}

ANN_FUNCTION(ann_vector_combine)
{
  const AverageState a(PG_GETARG_ARRAYTYPE_P(0), "vector_combine");
  const AverageState b(PG_GETARG_ARRAYTYPE_P(1), "vector_combine");
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

ANN_FUNCTION(ann_vector_avg)
{
  const AverageState state(PG_GETARG_ARRAYTYPE_P(0), "vector_avg");
  const double count = state.count();
  if (count == 0) PG_RETURN_NULL();
  CheckDims(state.dims());
  Vector* result = MakeVector(state.dims());
  for (int i = 0; i < state.dims(); i++) {
    result->values[i] = static_cast<float>(state.sums()[i] / count);
  }
  CheckFinite(result->values, state.dims());
  return VectorDatum(result);
}

}  // namespace ann::types
