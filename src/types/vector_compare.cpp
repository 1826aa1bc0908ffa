// Order, equality and hashing: the btree and hash operator classes. Vectors compare as arrays do,
// value by value, and a vector before its extensions; different dimensions are no error, because
// ANALYZE compares all rows of a column. -0 equals 0, so both hash alike; NaN cannot occur.
#include <algorithm>
#include <bit>
#include <cstring>

#include "types/vector_type.hpp"
#include "pg/entry.hpp"

namespace ann::types {

namespace {

int Compare(const VectorArg& a, const VectorArg& b) {
  const int common = std::min(a.dims(), b.dims());
  for (int i = 0; i < common; i++) {
    if (a.values()[i] < b.values()[i]) return -1;
    if (a.values()[i] > b.values()[i]) return 1;
  }
  return (a.dims() > b.dims()) - (a.dims() < b.dims());
}

int Compare(FunctionCallInfo fcinfo) {
  const VectorArg a(fcinfo, 0);
  const VectorArg b(fcinfo, 1);
  return Compare(a, b);
}

bool Equal(FunctionCallInfo fcinfo) {
  // Different lengths need no fetch of what is stored out of line.
  if (toast_raw_datum_size(PG_GETARG_DATUM(0)) != toast_raw_datum_size(PG_GETARG_DATUM(1))) {
    return false;
  }
  const VectorArg a(fcinfo, 0);
  const VectorArg b(fcinfo, 1);
  return memcmp(a.values(), b.values(), a.value_bytes()) == 0 || Compare(a, b) == 0;
}

bool HasNegativeZero(const float* values, int dims) {
  int found = 0;
  for (int i = 0; i < dims; i++) found |= std::bit_cast<uint32_t>(values[i]) == 0x80000000u;
  return found != 0;
}

template <class Hash>
auto HashValues(const VectorArg& vector, Hash hash) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(vector.values());
  const int length = static_cast<int>(vector.value_bytes());
  if (!HasNegativeZero(vector.values(), vector.dims())) [[likely]]
    return hash(bytes, length);
  auto* values = static_cast<float*>(palloc(vector.value_bytes()));
  for (int i = 0; i < vector.dims(); i++) values[i] = vector.values()[i] + 0.0f;
  const auto result = hash(reinterpret_cast<const unsigned char*>(values), length);
  pfree(values);
  return result;
}

}  // namespace

ANN_FUNCTION(ann_vector_lt)
{ PG_RETURN_BOOL(Compare(fcinfo) < 0); }
ANN_FUNCTION(ann_vector_le)
{ PG_RETURN_BOOL(Compare(fcinfo) <= 0); }
ANN_FUNCTION(ann_vector_eq)
{ PG_RETURN_BOOL(Equal(fcinfo)); }
ANN_FUNCTION(ann_vector_ne)
{ PG_RETURN_BOOL(!Equal(fcinfo)); }
ANN_FUNCTION(ann_vector_ge)
{ PG_RETURN_BOOL(Compare(fcinfo) >= 0); }
ANN_FUNCTION(ann_vector_gt)
{ PG_RETURN_BOOL(Compare(fcinfo) > 0); }
ANN_FUNCTION(ann_vector_cmp)
{ PG_RETURN_INT32(Compare(fcinfo)); }

ANN_FUNCTION(ann_vector_hash)
{
  const VectorArg vector(fcinfo, 0);
  PG_RETURN_UINT32(HashValues(vector, hash_bytes));
}

ANN_FUNCTION(ann_vector_hash_extended)
{
  const VectorArg vector(fcinfo, 0);
  const auto seed = static_cast<uint64>(PG_GETARG_INT64(1));
  PG_RETURN_UINT64(HashValues(vector, [seed](const unsigned char* bytes, int length) {
    return hash_bytes_extended(bytes, length, seed);
  }));
}

}  // namespace ann::types
