// Casts of `sparsevec`: to itself, which enforces a column's dimensions, to and from the dense
// types, and from arrays.
#include <cstring>

#include "types/array_input.hpp"
#include "types/dense_type.hpp"
#include "types/sparse_type.hpp"
#include "pg/entry.hpp"

namespace ann::types {

namespace {

// Of `number(i)` for i below `dims`, those that are not 0.
template <class Number>
Datum FromNumbers(int dims, int32 typmod, Number&& number) {
  CheckSparseDims(dims);
  CheckExpectedSparseDims(typmod, dims);
  int nonzeros = 0;
  for (int i = 0; i < dims; i++) nonzeros += number(i) != 0;
  CheckNonZeros(nonzeros);
  SparseVector* vector = MakeSparse(dims, nonzeros);
  int at = 0;
  for (int i = 0; i < dims; i++) {
    const float value = number(i);
    if (value == 0) continue;
    if (!AllFinite(&value, 1)) ReportNonFinite(kSparseName, value, i + 1, dims);
    vector->indices[at] = i;
    vector->values()[at++] = value;
  }
  return SparseDatum(vector);
}

template <class Number>
Datum FromDense(FunctionCallInfo fcinfo) {
  const DenseArg<Number> from(fcinfo, 0);
  return FromNumbers(from.dims(), PG_GETARG_INT32(1),
                     [&from](int i) { return Widen(from.values()[i]); });
}

template <class Number>
Datum ToDense(FunctionCallInfo fcinfo) {
  const SparseArg from(fcinfo, 0);
  CheckDims<Number>(from.dims());
  CheckExpectedDims<Number>(PG_GETARG_INT32(1), from.dims());
  auto* vector = MakeVector<Number>(from.dims());
  memset(vector->values, 0, sizeof(Number) * static_cast<size_t>(from.dims()));
  for (int i = 0; i < from.nonzeros(); i++) {
    const int at = from.indices()[i];
    if (at < 0 || at >= from.dims()) ReportDamaged(kSparseName, SparseBytes(from.nonzeros()));
    vector->values[at] = Narrow<Number>(from.values()[i]);
    if (!AllFinite(vector->values + at, 1)) {
      ReportOutOfRange(kTypeName<Number>, from.values()[i], at + 1);
    }
  }
  return VectorDatum(vector);
}

}  // namespace

ANN_FUNCTION(ann_sparsevec)
{
  const SparseArg vector(fcinfo, 0);
  CheckExpectedSparseDims(PG_GETARG_INT32(1), vector.dims());
  PG_RETURN_DATUM(PG_GETARG_DATUM(0));
}

ANN_FUNCTION(ann_vector_to_sparsevec)
{ return FromDense<float>(fcinfo); }
ANN_FUNCTION(ann_halfvec_to_sparsevec)
{ return FromDense<Half>(fcinfo); }
ANN_FUNCTION(ann_sparsevec_to_vector)
{ return ToDense<float>(fcinfo); }
ANN_FUNCTION(ann_sparsevec_to_halfvec)
{ return ToDense<Half>(fcinfo); }

ANN_FUNCTION(ann_array_to_sparsevec)
{
  const ArrayNumbers numbers(PG_GETARG_ARRAYTYPE_P(0), kSparseName);
  return FromNumbers(numbers.count(), PG_GETARG_INT32(1), [&numbers](int i) { return numbers[i]; });
}

}  // namespace ann::types
