// Casts of `vector`: to itself, which enforces a column's dimensions, and from and to arrays.
#include <cstring>

#include "types/vector_type.hpp"
#include "pg/entry.hpp"

namespace ann::types {

namespace {

template <class Element>
void Convert(const ArrayType* array, float* values, int dims) {
  const auto* elements = reinterpret_cast<const Element*>(ARR_DATA_PTR(array));
  for (int i = 0; i < dims; i++) values[i] = static_cast<float>(elements[i]);
}

void ConvertNumeric(ArrayType* array, float* values, int dims) {
  Datum* elements = nullptr;
  int count = 0;
  deconstruct_array(array, NUMERICOID, -1, false, TYPALIGN_INT, &elements, nullptr, &count);
  for (int i = 0; i < dims; i++) {
    values[i] = DatumGetFloat4(DirectFunctionCall1(numeric_float4, elements[i]));
  }
  pfree(elements);
}

}  // namespace

// The value as it is: one stored out of line is not fetched for its dimensions.
ANN_FUNCTION(ann_vector)
{
  const Datum vector = PG_GETARG_DATUM(0);
  const int32 typmod = PG_GETARG_INT32(1);
  if (typmod != -1) CheckExpectedDims(typmod, VectorDims(vector));
  PG_RETURN_DATUM(vector);
}

ANN_FUNCTION(ann_array_to_vector)
{
  ArrayType* array = PG_GETARG_ARRAYTYPE_P(0);
  const int32 typmod = PG_GETARG_INT32(1);
  if (ARR_NDIM(array) > 1) {
    ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
                    errmsg("cannot convert an array of %d dimensions to vector", ARR_NDIM(array)),
                    errhint("The array must have one dimension.")));
  }
  if (array_contains_nulls(array)) {
    ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
                    errmsg("cannot convert an array that contains nulls to vector")));
  }
  const int dims = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
  CheckDims(dims);
  CheckExpectedDims(typmod, dims);
  Vector* vector = MakeVector(dims);
  switch (ARR_ELEMTYPE(array)) {
    case INT4OID:
      Convert<int32>(array, vector->values, dims);
      break;
    case FLOAT4OID:
      Convert<float4>(array, vector->values, dims);
      break;
    case FLOAT8OID:
      Convert<float8>(array, vector->values, dims);
      break;
    case NUMERICOID:
      ConvertNumeric(array, vector->values, dims);
      break;
    default:
      ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
                      errmsg("cannot convert an array of type %s to vector",
                             format_type_be(ARR_ELEMTYPE(array)))));
  }
  CheckFinite(vector->values, dims);
  return VectorDatum(vector);
}

ANN_FUNCTION(ann_vector_to_float4)
{
  const VectorArg vector(fcinfo, 0);
  const Size bytes = ARR_OVERHEAD_NONULLS(1) + vector.value_bytes();
  auto* array = static_cast<ArrayType*>(palloc0(bytes));
  SET_VARSIZE(array, bytes);
  array->ndim = 1;
  array->dataoffset = 0;
  array->elemtype = FLOAT4OID;
  ARR_DIMS(array)[0] = vector.dims();
  ARR_LBOUND(array)[0] = 1;
  memcpy(ARR_DATA_PTR(array), vector.values(), vector.value_bytes());
  PG_RETURN_ARRAYTYPE_P(array);
}

}  // namespace ann::types
