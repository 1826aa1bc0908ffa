// Functions of one vector and the operators that make vectors: + - * ||. Their loops are plain, so
// that the compiler vectorises them for the baseline CPU; what they cost is mostly the result's
// memory.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "simd/simd.hpp"

#include "types/vector_type.hpp"
#include "pg/entry.hpp"

namespace ann::types {

namespace {

double Norm(const VectorArg& vector) {
  return std::sqrt(
      simd::Floats().squared_norm(vector.values(), static_cast<size_t>(vector.dims())));
}

// The operands are finite, so a result that is not has overflowed.
void CheckOverflow(const float* values, int dims) {
  if (!AllFinite(values, dims)) float_overflow_error();
}

// A product of values that are not zero must not be.
void CheckUnderflow(const float* a, const float* b, const float* products, int dims) {
  for (int i = 0; i < dims; i++) {
    if (products[i] == 0 && a[i] != 0 && b[i] != 0) float_underflow_error();
  }
}

// Eight values as bits, the first one highest.
unsigned SignByte(const float* values) {
  unsigned byte = 0;
  for (int k = 0; k < 8; k++) byte |= static_cast<unsigned>(values[k] > 0) << (7 - k);
  return byte;
}

}  // namespace

ANN_FUNCTION(ann_vector_dims)
{ PG_RETURN_INT32(VectorDims(PG_GETARG_DATUM(0))); }

ANN_FUNCTION(ann_vector_norm)
{
  const VectorArg vector(fcinfo, 0);
  PG_RETURN_FLOAT8(Norm(vector));
}

// A zero vector stays what it is.
ANN_FUNCTION(ann_vector_l2_normalize)
{
  const VectorArg vector(fcinfo, 0);
  const double norm = Norm(vector);
  const double scale = norm > 0 ? 1 / norm : 0;
  Vector* result = MakeVector(vector.dims());
  for (int i = 0; i < vector.dims(); i++) {
    result->values[i] = static_cast<float>(vector.values()[i] * scale);
  }
  return VectorDatum(result);
}

// sum() calls this with its own running sum, which it may change in place.
ANN_FUNCTION(ann_vector_add)
{
  const VectorPair pair(fcinfo);
  const int dims = pair.dims();
  const float* a = pair.a();
  const float* b = pair.b();
  const bool own_state = fcinfo->context != nullptr && AggCheckCallContext(fcinfo, nullptr) != 0;
  Vector* result = own_state ? pair.state() : nullptr;
  if (result == nullptr) result = MakeVector(dims);
  float* sum = result->values;
  // The sum may lie on a, but no element depends on another.
#pragma GCC ivdep
  for (int i = 0; i < dims; i++) sum[i] = a[i] + b[i];
  CheckOverflow(sum, dims);
  return VectorDatum(result);
}

ANN_FUNCTION(ann_vector_sub)
{
  const VectorPair pair(fcinfo);
  const int dims = pair.dims();
  const float* a = pair.a();
  const float* b = pair.b();
  Vector* result = MakeVector(dims);
  for (int i = 0; i < dims; i++) result->values[i] = a[i] - b[i];
  CheckOverflow(result->values, dims);
  return VectorDatum(result);
}

ANN_FUNCTION(ann_vector_mul)
{
  const VectorPair pair(fcinfo);
  const int dims = pair.dims();
  const float* a = pair.a();
  const float* b = pair.b();
  Vector* result = MakeVector(dims);
  uint32_t zeros = 0;
  for (int i = 0; i < dims; i++) {
    const float product = a[i] * b[i];
    result->values[i] = product;
    zeros |= product == 0;
  }
  CheckOverflow(result->values, dims);
  if (zeros != 0) CheckUnderflow(a, b, result->values, dims);
  return VectorDatum(result);
}

ANN_FUNCTION(ann_vector_concat)
{
  const VectorArg a(fcinfo, 0);
  const VectorArg b(fcinfo, 1);
  const int dims = a.dims() + b.dims();
  CheckDims(dims);
  Vector* result = MakeVector(dims);
  memcpy(result->values, a.values(), a.value_bytes());
  memcpy(result->values + a.dims(), b.values(), b.value_bytes());
  return VectorDatum(result);
}

ANN_FUNCTION(ann_vector_binary_quantize)
{
  const VectorArg vector(fcinfo, 0);
  const int dims = vector.dims();
  const int bytes = VARBITTOTALLEN(dims);
  auto* result = static_cast<VarBit*>(palloc0(static_cast<Size>(bytes)));
  SET_VARSIZE(result, bytes);
  VARBITLEN(result) = dims;
  bits8* bits = VARBITS(result);
  int i = 0;
  for (; i + 8 <= dims; i += 8) bits[i / 8] = static_cast<bits8>(SignByte(vector.values() + i));
  for (; i < dims; i++) bits[i / 8] |= static_cast<bits8>((vector.values()[i] > 0) << (7 - i % 8));
  PG_RETURN_VARBIT_P(result);
}

// Positions start at 1 and what lies outside the vector is left out, as in substring().
ANN_FUNCTION(ann_vector_subvector)
{
  const VectorArg vector(fcinfo, 0);
  const int64 start = PG_GETARG_INT32(1);
  const int64 count = PG_GETARG_INT32(2);
  const int64 first = std::max<int64>(start, 1);
  const int64 past = std::min<int64>(start + count, vector.dims() + 1);
  const int64 dims = count < 1 ? count : past - first;
  if (dims < 1) {
    ereport(ERROR,
            (errcode(ERRCODE_DATA_EXCEPTION), errmsg("vector must have at least 1 dimension"),
             errdetail("Elements %lld to %lld of a vector of %d dimensions were asked for.",
                       static_cast<long long>(start), static_cast<long long>(start + count - 1),
                       vector.dims())));
  }
  Vector* result = MakeVector(static_cast<int>(dims));
  memcpy(result->values, vector.values() + (first - 1), sizeof(float) * static_cast<size_t>(dims));
  return VectorDatum(result);
}

}  // namespace ann::types
