// Casts of `vector` and `halfvec`: to themselves, which enforces a column's dimensions, to each
// other, and from and to arrays.
#include <cstring>

#include "simd/simd.hpp"
#include "types/array_input.hpp"
#include "types/dense_type.hpp"

#include "pg/entry.hpp"

namespace ann::types {

namespace {

// Errors: a finite number that the type has no room for.
template <class Number>
Number NarrowElement(float value, int index) {
  const Number number = Narrow<Number>(value);
  if (AllFinite(&value, 1) && !AllFinite(&number, 1)) {
    ReportOutOfRange(kTypeName<Number>, value, index + 1);
  }
  return number;
}

// The value as it is: one stored out of line is not fetched for its dimensions.
template <class Number>
Datum CheckTypmod(FunctionCallInfo fcinfo) {
  const Datum vector = PG_GETARG_DATUM(0);
  const int32 typmod = PG_GETARG_INT32(1);
  if (typmod != -1) CheckExpectedDims<Number>(typmod, VectorDims<Number>(vector));
  PG_RETURN_DATUM(vector);
}

// `numbers[i]` for i below `dims`.
template <class Number, class Numbers>
Datum FromNumbers(const Numbers& numbers, int dims, int32 typmod) {
  CheckDims<Number>(dims);
  CheckExpectedDims<Number>(typmod, dims);
  auto* vector = MakeVector<Number>(dims);
  for (int i = 0; i < dims; i++) vector->values[i] = NarrowElement<Number>(numbers[i], i);
  CheckFinite(vector->values, dims);
  return VectorDatum(vector);
}

template <class Number>
Datum FromArray(FunctionCallInfo fcinfo) {
  ArrayType* array = PG_GETARG_ARRAYTYPE_P(0);
  const int32 typmod = PG_GETARG_INT32(1);
  const ArrayNumbers numbers(array, kTypeName<Number>);
  if (ARR_ELEMTYPE(array) == FLOAT4OID) {
    return FromNumbers<Number>(reinterpret_cast<const float*>(ARR_DATA_PTR(array)), numbers.count(),
                               typmod);
  }
  return FromNumbers<Number>(numbers, numbers.count(), typmod);
}

template <class Number>
Datum FromJson(FunctionCallInfo fcinfo) {
  const JsonNumbers numbers(PG_GETARG_JSONB_P(0), kTypeName<Number>);
  return FromNumbers<Number>(numbers.values(), numbers.count(), PG_GETARG_INT32(1));
}

template <class Number>
Datum ToFloatArray(FunctionCallInfo fcinfo) {
  const DenseArg<Number> vector(fcinfo, 0);
  const Size bytes = ARR_OVERHEAD_NONULLS(1) + sizeof(float) * static_cast<size_t>(vector.dims());
  auto* array = static_cast<ArrayType*>(palloc0(bytes));
  SET_VARSIZE(array, bytes);
  array->ndim = 1;
  array->dataoffset = 0;
  array->elemtype = FLOAT4OID;
  ARR_DIMS(array)[0] = vector.dims();
  ARR_LBOUND(array)[0] = 1;
  auto* values = reinterpret_cast<float*>(ARR_DATA_PTR(array));
  for (int i = 0; i < vector.dims(); i++) values[i] = Widen(vector.values()[i]);
  PG_RETURN_ARRAYTYPE_P(array);
}

}  // namespace

ANN_FUNCTION(ann_vector)
{ return CheckTypmod<float>(fcinfo); }
ANN_FUNCTION(ann_array_to_vector)
{ return FromArray<float>(fcinfo); }
ANN_FUNCTION(ann_jsonb_to_vector)
{ return FromJson<float>(fcinfo); }
ANN_FUNCTION(ann_vector_to_float4)
{ return ToFloatArray<float>(fcinfo); }

ANN_FUNCTION(ann_halfvec)
{ return CheckTypmod<Half>(fcinfo); }
ANN_FUNCTION(ann_array_to_halfvec)
{ return FromArray<Half>(fcinfo); }
ANN_FUNCTION(ann_jsonb_to_halfvec)
{ return FromJson<Half>(fcinfo); }
ANN_FUNCTION(ann_halfvec_to_float4)
{ return ToFloatArray<Half>(fcinfo); }

ANN_FUNCTION(ann_halfvec_to_vector)
{
  const HalfVectorArg from(fcinfo, 0);
  CheckExpectedDims<float>(PG_GETARG_INT32(1), from.dims());
  Vector* vector = MakeVector(from.dims());
  simd::Halves().widen(from.values(), vector->values, static_cast<size_t>(from.dims()));
  return VectorDatum(vector);
}

ANN_FUNCTION(ann_vector_to_halfvec)
{
  const VectorArg from(fcinfo, 0);
  CheckExpectedDims<Half>(PG_GETARG_INT32(1), from.dims());
  HalfVector* vector = MakeVector<Half>(from.dims());
  simd::Halves().narrow(from.values(), vector->values, static_cast<size_t>(from.dims()));
  if (!AllFinite(vector->values, from.dims())) {
    for (int i = 0; i < from.dims(); i++) NarrowElement<Half>(from.values()[i], i);
  }
  return VectorDatum(vector);
}

}  // namespace ann::types
