// Functions of one `vector` or `halfvec` and the operators that make vectors: + - * ||. Their loops
// are plain, so that the compiler vectorises them for the baseline CPU; what they cost is mostly
// the result's memory.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "simd/simd.hpp"

#include "types/dense_type.hpp"
#include "pg/entry.hpp"

namespace ann::types {

namespace {

double Norm(const VectorArg& vector) {
  return std::sqrt(
      simd::Floats().squared_norm(vector.values(), static_cast<size_t>(vector.dims())));
}
double Norm(const HalfVectorArg& vector) {
  return std::sqrt(
      simd::Halves().squared_norm(vector.values(), static_cast<size_t>(vector.dims())));
}

// The operands are finite, so a result that is not has overflowed.
template <class Number>
void CheckOverflow(const Number* values, int dims) {
  if (!AllFinite(values, dims)) float_overflow_error();
}

// A product of values that are not zero must not be.
template <class Number>
void CheckUnderflow(const Number* a, const Number* b, const Number* products, int dims) {
  for (int i = 0; i < dims; i++) {
    if (Widen(products[i]) == 0 && Widen(a[i]) != 0 && Widen(b[i]) != 0) float_underflow_error();
  }
}

// Eight values as bits, the first one highest.
template <class Number>
unsigned SignByte(const Number* values) {
  unsigned byte = 0;
  for (int k = 0; k < 8; k++) byte |= static_cast<unsigned>(Widen(values[k]) > 0) << (7 - k);
  return byte;
}

template <class Number>
Datum NormOf(FunctionCallInfo fcinfo) {
  const DenseArg<Number> vector(fcinfo, 0);
  PG_RETURN_FLOAT8(Norm(vector));
}

// A zero vector stays what it is.
template <class Number>
Datum Normalize(FunctionCallInfo fcinfo) {
  const DenseArg<Number> vector(fcinfo, 0);
  const double norm = Norm(vector);
  const double scale = norm > 0 ? 1 / norm : 0;
  Dense<Number>* result = MakeVector<Number>(vector.dims());
  for (int i = 0; i < vector.dims(); i++) {
    result->values[i] = Narrow<Number>(static_cast<float>(Widen(vector.values()[i]) * scale));
  }
  return VectorDatum(result);
}

// sum() calls this with its own running sum, which it may change in place.
template <class Number>
Datum Add(FunctionCallInfo fcinfo) {
  const DensePair<Number> pair(fcinfo);
  const int dims = pair.dims();
  const Number* a = pair.a();
  const Number* b = pair.b();
  const bool own_state = fcinfo->context != nullptr && AggCheckCallContext(fcinfo, nullptr) != 0;
  Dense<Number>* result = own_state ? pair.state() : nullptr;
  if (result == nullptr) result = MakeVector<Number>(dims);
  Number* sum = result->values;
  // The sum may lie on a, but no element depends on another.
#pragma GCC ivdep
  for (int i = 0; i < dims; i++) sum[i] = Narrow<Number>(Widen(a[i]) + Widen(b[i]));
  CheckOverflow(sum, dims);
  return VectorDatum(result);
}

template <class Number>
Datum Subtract(FunctionCallInfo fcinfo) {
  const DensePair<Number> pair(fcinfo);
  const int dims = pair.dims();
  const Number* a = pair.a();
  const Number* b = pair.b();
  Dense<Number>* result = MakeVector<Number>(dims);
  for (int i = 0; i < dims; i++) result->values[i] = Narrow<Number>(Widen(a[i]) - Widen(b[i]));
  CheckOverflow(result->values, dims);
  return VectorDatum(result);
}

template <class Number>
Datum Multiply(FunctionCallInfo fcinfo) {
  const DensePair<Number> pair(fcinfo);
  const int dims = pair.dims();
  const Number* a = pair.a();
  const Number* b = pair.b();
  Dense<Number>* result = MakeVector<Number>(dims);
  uint32_t zeros = 0;
  for (int i = 0; i < dims; i++) {
    const Number product = Narrow<Number>(Widen(a[i]) * Widen(b[i]));
    result->values[i] = product;
    zeros |= Widen(product) == 0;
  }
  CheckOverflow(result->values, dims);
  if (zeros != 0) CheckUnderflow(a, b, result->values, dims);
  return VectorDatum(result);
}

template <class Number>
Datum Concatenate(FunctionCallInfo fcinfo) {
  const DenseArg<Number> a(fcinfo, 0);
  const DenseArg<Number> b(fcinfo, 1);
  const int dims = a.dims() + b.dims();
  CheckDims<Number>(dims);
  Dense<Number>* result = MakeVector<Number>(dims);
  memcpy(result->values, a.values(), a.value_bytes());
  memcpy(result->values + a.dims(), b.values(), b.value_bytes());
  return VectorDatum(result);
}

template <class Number>
Datum BinaryQuantize(FunctionCallInfo fcinfo) {
  const DenseArg<Number> vector(fcinfo, 0);
  const int dims = vector.dims();
  const int bytes = VARBITTOTALLEN(dims);
  auto* result = static_cast<VarBit*>(palloc0(static_cast<Size>(bytes)));
  SET_VARSIZE(result, bytes);
  VARBITLEN(result) = dims;
  bits8* bits = VARBITS(result);
  int i = 0;
  for (; i + 8 <= dims; i += 8) bits[i / 8] = static_cast<bits8>(SignByte(vector.values() + i));
  for (; i < dims; i++)
    bits[i / 8] |= static_cast<bits8>((Widen(vector.values()[i]) > 0) << (7 - i % 8));
  PG_RETURN_VARBIT_P(result);
}

// Positions start at 1 and what lies outside the vector is left out, as in substring().
template <class Number>
Datum Subvector(FunctionCallInfo fcinfo) {
  const DenseArg<Number> vector(fcinfo, 0);
  const int64 start = PG_GETARG_INT32(1);
  const int64 count = PG_GETARG_INT32(2);
  const int64 first = std::max<int64>(start, 1);
  const int64 past = std::min<int64>(start + count, vector.dims() + 1);
  const int64 dims = count < 1 ? count : past - first;
  if (dims < 1) {
    ereport(ERROR,
            (errcode(ERRCODE_DATA_EXCEPTION),
             errmsg("%s must have at least 1 dimension", kTypeName<Number>),
             errdetail("Elements %lld to %lld of a %s of %d dimensions were asked for.",
                       static_cast<long long>(start), static_cast<long long>(start + count - 1),
                       kTypeName<Number>, vector.dims())));
  }
  Dense<Number>* result = MakeVector<Number>(static_cast<int>(dims));
  memcpy(result->values, vector.values() + (first - 1), sizeof(Number) * static_cast<size_t>(dims));
  return VectorDatum(result);
}

}  // namespace

ANN_FUNCTION(ann_vector_dims)
{ PG_RETURN_INT32(VectorDims<float>(PG_GETARG_DATUM(0))); }
ANN_FUNCTION(ann_vector_norm)
{ return NormOf<float>(fcinfo); }
ANN_FUNCTION(ann_vector_l2_normalize)
{ return Normalize<float>(fcinfo); }
ANN_FUNCTION(ann_vector_add)
{ return Add<float>(fcinfo); }
ANN_FUNCTION(ann_vector_sub)
{ return Subtract<float>(fcinfo); }
ANN_FUNCTION(ann_vector_mul)
{ return Multiply<float>(fcinfo); }
ANN_FUNCTION(ann_vector_concat)
{ return Concatenate<float>(fcinfo); }
ANN_FUNCTION(ann_vector_binary_quantize)
{ return BinaryQuantize<float>(fcinfo); }
ANN_FUNCTION(ann_vector_subvector)
{ return Subvector<float>(fcinfo); }

ANN_FUNCTION(ann_halfvec_dims)
{ PG_RETURN_INT32(VectorDims<Half>(PG_GETARG_DATUM(0))); }
ANN_FUNCTION(ann_halfvec_norm)
{ return NormOf<Half>(fcinfo); }
ANN_FUNCTION(ann_halfvec_l2_normalize)
{ return Normalize<Half>(fcinfo); }
ANN_FUNCTION(ann_halfvec_add)
{ return Add<Half>(fcinfo); }
ANN_FUNCTION(ann_halfvec_sub)
{ return Subtract<Half>(fcinfo); }
ANN_FUNCTION(ann_halfvec_mul)
{ return Multiply<Half>(fcinfo); }
ANN_FUNCTION(ann_halfvec_concat)
{ return Concatenate<Half>(fcinfo); }
ANN_FUNCTION(ann_halfvec_binary_quantize)
{ return BinaryQuantize<Half>(fcinfo); }
ANN_FUNCTION(ann_halfvec_subvector)
{ return Subvector<Half>(fcinfo); }

}  // namespace ann::types
