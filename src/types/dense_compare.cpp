// Order, equality and hashing of `vector` and `halfvec`: their btree and hash operator classes.
// Vectors compare as arrays do, value by value, and a vector before its extensions; different
// dimensions are no error, because ANALYZE compares all rows of a column. -0 equals 0, so both hash
// alike; NaN cannot occur.
#include <algorithm>
#include <bit>
#include <cstring>

#include "types/dense_type.hpp"
#include "pg/entry.hpp"

namespace ann::types {

namespace {

template <class Number>
int Compare(const DenseArg<Number>& a, const DenseArg<Number>& b) {
  const int common = std::min(a.dims(), b.dims());
  for (int i = 0; i < common; i++) {
    const float x = Widen(a.values()[i]), y = Widen(b.values()[i]);
    if (x < y) return -1;
    if (x > y) return 1;
  }
  return (a.dims() > b.dims()) - (a.dims() < b.dims());
}

template <class Number>
int Compare(FunctionCallInfo fcinfo) {
  const DenseArg<Number> a(fcinfo, 0);
  const DenseArg<Number> b(fcinfo, 1);
  return Compare(a, b);
}

template <class Number>
bool Equal(FunctionCallInfo fcinfo) {
  // Different lengths need no fetch of what is stored out of line.
  if (toast_raw_datum_size(PG_GETARG_DATUM(0)) != toast_raw_datum_size(PG_GETARG_DATUM(1))) {
    return false;
  }
  const DenseArg<Number> a(fcinfo, 0);
  const DenseArg<Number> b(fcinfo, 1);
  return memcmp(a.values(), b.values(), a.value_bytes()) == 0 || Compare(a, b) == 0;
}

// The only zero with a sign, as bits.
template <class Number>
bool HasNegativeZero(const Number* values, int dims) {
  using Bits = std::conditional_t<sizeof(Number) == 2, uint16_t, uint32_t>;
  constexpr Bits kNegativeZero = Bits{1} << (8 * sizeof(Bits) - 1);
  int found = 0;
  for (int i = 0; i < dims; i++) found |= std::bit_cast<Bits>(values[i]) == kNegativeZero;
  return found != 0;
}

template <class Number, class Hash>
auto HashValues(const DenseArg<Number>& vector, Hash hash) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(vector.values());
  const int length = static_cast<int>(vector.value_bytes());
  if (!HasNegativeZero(vector.values(), vector.dims())) [[likely]]
    return hash(bytes, length);
  auto* values = static_cast<Number*>(palloc(vector.value_bytes()));
  for (int i = 0; i < vector.dims(); i++) {
    values[i] = Narrow<Number>(Widen(vector.values()[i]) + 0.0f);
  }
  const auto result = hash(reinterpret_cast<const unsigned char*>(values), length);
  pfree(values);
  return result;
}

template <class Number>
Datum Hash(FunctionCallInfo fcinfo) {
  const DenseArg<Number> vector(fcinfo, 0);
  PG_RETURN_UINT32(HashValues(vector, hash_bytes));
}

template <class Number>
Datum HashExtended(FunctionCallInfo fcinfo) {
  const DenseArg<Number> vector(fcinfo, 0);
  const auto seed = static_cast<uint64>(PG_GETARG_INT64(1));
  PG_RETURN_UINT64(HashValues(vector, [seed](const unsigned char* bytes, int length) {
    return hash_bytes_extended(bytes, length, seed);
  }));
}

}  // namespace

ANN_FUNCTION(ann_vector_lt)
{ PG_RETURN_BOOL(Compare<float>(fcinfo) < 0); }
ANN_FUNCTION(ann_vector_le)
{ PG_RETURN_BOOL(Compare<float>(fcinfo) <= 0); }
ANN_FUNCTION(ann_vector_eq)
{ PG_RETURN_BOOL(Equal<float>(fcinfo)); }
ANN_FUNCTION(ann_vector_ne)
{ PG_RETURN_BOOL(!Equal<float>(fcinfo)); }
ANN_FUNCTION(ann_vector_ge)
{ PG_RETURN_BOOL(Compare<float>(fcinfo) >= 0); }
ANN_FUNCTION(ann_vector_gt)
{ PG_RETURN_BOOL(Compare<float>(fcinfo) > 0); }
ANN_FUNCTION(ann_vector_cmp)
{ PG_RETURN_INT32(Compare<float>(fcinfo)); }
ANN_FUNCTION(ann_vector_hash)
{ return Hash<float>(fcinfo); }
ANN_FUNCTION(ann_vector_hash_extended)
{ return HashExtended<float>(fcinfo); }

ANN_FUNCTION(ann_halfvec_lt)
{ PG_RETURN_BOOL(Compare<Half>(fcinfo) < 0); }
ANN_FUNCTION(ann_halfvec_le)
{ PG_RETURN_BOOL(Compare<Half>(fcinfo) <= 0); }
ANN_FUNCTION(ann_halfvec_eq)
{ PG_RETURN_BOOL(Equal<Half>(fcinfo)); }
ANN_FUNCTION(ann_halfvec_ne)
{ PG_RETURN_BOOL(!Equal<Half>(fcinfo)); }
ANN_FUNCTION(ann_halfvec_ge)
{ PG_RETURN_BOOL(Compare<Half>(fcinfo) >= 0); }
ANN_FUNCTION(ann_halfvec_gt)
{ PG_RETURN_BOOL(Compare<Half>(fcinfo) > 0); }
ANN_FUNCTION(ann_halfvec_cmp)
{ PG_RETURN_INT32(Compare<Half>(fcinfo)); }
ANN_FUNCTION(ann_halfvec_hash)
{ return Hash<Half>(fcinfo); }
ANN_FUNCTION(ann_halfvec_hash_extended)
{ return HashExtended<Half>(fcinfo); }

}  // namespace ann::types
