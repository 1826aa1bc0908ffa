// Functions and operators of `sparsevec`: distances, norm, order and hashing, aggregates.
#include <algorithm>
#include <bit>
#include <climits>
#include <cmath>
#include <cstring>

#include "types/sparse_type.hpp"
#include "pg/entry.hpp"

namespace ann::types {

SparseVector* MakeSparse(int dims, int nonzeros) {
  const size_t bytes = SparseBytes(nonzeros);
  auto* vector = static_cast<SparseVector*>(palloc(bytes));
  SET_VARSIZE(vector, bytes);
  vector->dims = dims;
  vector->nonzeros = nonzeros;
  vector->unused = 0;
  return vector;
}

void CheckNonZeros(int64_t count) {
  if (count < 0) {
    ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
                    errmsg("sparsevec cannot have %lld elements", static_cast<long long>(count))));
  }
  if (count > kMaxNonZeros) {
    ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                    errmsg("sparsevec cannot have more than %d elements that are not zero",
                           kMaxNonZeros)));
  }
}

namespace {

template <class Distance>
double Measure(FunctionCallInfo fcinfo, Distance distance) {
  const SparsePair pair(fcinfo);
  return distance(pair.a(), pair.b());
}

// NaN for a vector of zeros; rounding may carry a cosine out of [-1, 1].
double Cosine(const SparseView& a, const SparseView& b) {
  const double cosine =
      SparseInnerProduct(a, b) / std::sqrt(SparseSquaredNorm(a) * SparseSquaredNorm(b));
  return cosine > 1 ? 1 : cosine < -1 ? -1 : cosine;
}

// As arrays with all their zeros compare: by the first dimension that differs, then by dimensions.
int Compare(const SparseArg& a, const SparseArg& b) {
  const int common = std::min(a.dims(), b.dims());
  for (int i = 0, j = 0;;) {
    const int ia = i < a.nonzeros() ? a.indices()[i] : INT_MAX;
    const int ib = j < b.nonzeros() ? b.indices()[j] : INT_MAX;
    if (std::min(ia, ib) >= common) break;
    const float x = ia <= ib ? a.values()[i++] : 0;
    const float y = ib <= ia ? b.values()[j++] : 0;
    if (x < y) return -1;
    if (x > y) return 1;
  }
  return (a.dims() > b.dims()) - (a.dims() < b.dims());
}

int Compare(FunctionCallInfo fcinfo) {
  const SparseArg a(fcinfo, 0);
  const SparseArg b(fcinfo, 1);
  return Compare(a, b);
}

// Equal vectors have equal bytes: no value is 0, so none is a negative zero.
bool Equal(FunctionCallInfo fcinfo) {
  if (toast_raw_datum_size(PG_GETARG_DATUM(0)) != toast_raw_datum_size(PG_GETARG_DATUM(1))) {
    return false;
  }
  return Compare(fcinfo) == 0;
}

}  // namespace

ANN_FUNCTION(ann_sparsevec_l2_distance)
{ PG_RETURN_FLOAT8(std::sqrt(Measure(fcinfo, SparseL2Squared))); }
ANN_FUNCTION(ann_sparsevec_l2_squared_distance)
{ PG_RETURN_FLOAT8(Measure(fcinfo, SparseL2Squared)); }
ANN_FUNCTION(ann_sparsevec_inner_product)
{ PG_RETURN_FLOAT8(Measure(fcinfo, SparseInnerProduct)); }
ANN_FUNCTION(ann_sparsevec_negative_inner_product)
{ PG_RETURN_FLOAT8(-Measure(fcinfo, SparseInnerProduct)); }
ANN_FUNCTION(ann_sparsevec_cosine_distance)
{ PG_RETURN_FLOAT8(1 - Measure(fcinfo, Cosine)); }
ANN_FUNCTION(ann_sparsevec_l1_distance)
{ PG_RETURN_FLOAT8(Measure(fcinfo, SparseL1)); }

ANN_FUNCTION(ann_sparsevec_dims)
{
  const SparseArg vector(fcinfo, 0);
  PG_RETURN_INT32(vector.dims());
}

ANN_FUNCTION(ann_sparsevec_norm)
{
  const SparseArg vector(fcinfo, 0);
  PG_RETURN_FLOAT8(std::sqrt(SparseSquaredNorm(vector.view())));
}

// A vector of zeros stays what it is. What becomes zero by underflow is left out.
ANN_FUNCTION(ann_sparsevec_l2_normalize)
{
  const SparseArg vector(fcinfo, 0);
  const double norm = std::sqrt(SparseSquaredNorm(vector.view()));
  SparseVector* result = MakeSparse(vector.dims(), vector.nonzeros());
  auto* values =
      static_cast<float*>(palloc(sizeof(float) * static_cast<size_t>(vector.nonzeros()) + 1));
  int kept = 0;
  for (int i = 0; i < vector.nonzeros(); i++) {
    const auto value = static_cast<float>(vector.values()[i] / norm);
    if (!std::isfinite(value)) float_overflow_error();
    if (value == 0) continue;
    result->indices[kept] = vector.indices()[i];
    values[kept++] = value;
  }
  result->nonzeros = kept;
  SET_VARSIZE(result, SparseBytes(kept));
  memcpy(result->values(), values, sizeof(float) * static_cast<size_t>(kept));
  pfree(values);
  return SparseDatum(result);
}

ANN_FUNCTION(ann_sparsevec_lt)
{ PG_RETURN_BOOL(Compare(fcinfo) < 0); }
ANN_FUNCTION(ann_sparsevec_le)
{ PG_RETURN_BOOL(Compare(fcinfo) <= 0); }
ANN_FUNCTION(ann_sparsevec_eq)
{ PG_RETURN_BOOL(Equal(fcinfo)); }
ANN_FUNCTION(ann_sparsevec_ne)
{ PG_RETURN_BOOL(!Equal(fcinfo)); }
ANN_FUNCTION(ann_sparsevec_ge)
{ PG_RETURN_BOOL(Compare(fcinfo) >= 0); }
ANN_FUNCTION(ann_sparsevec_gt)
{ PG_RETURN_BOOL(Compare(fcinfo) > 0); }
ANN_FUNCTION(ann_sparsevec_cmp)
{ PG_RETURN_INT32(Compare(fcinfo)); }

ANN_FUNCTION(ann_sparsevec_hash)
{
  const SparseArg vector(fcinfo, 0);
  PG_RETURN_UINT32(hash_bytes(vector.bytes(), vector.byte_count()));
}

ANN_FUNCTION(ann_sparsevec_hash_extended)
{
  const SparseArg vector(fcinfo, 0);
  const auto seed = static_cast<uint64>(PG_GETARG_INT64(1));
  PG_RETURN_UINT64(hash_bytes_extended(vector.bytes(), vector.byte_count(), seed));
}

}  // namespace ann::types
