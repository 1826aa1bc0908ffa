// The distance functions behind <->, <#>, <=> and <+>, and those that only access methods call.
// Sums are in float, as pgvector's: they may overflow to infinity, and a zero vector has no cosine
// distance (NaN).
#include <cmath>
#include <cstring>
#include <numbers>

#include "simd/simd.hpp"

#include "types/vector_type.hpp"
#include "pg/alloc.hpp"
#include "pg/entry.hpp"

namespace ann::types {

namespace {

// In `ORDER BY v <-> (SELECT ...)` the query vector is a reference to a value stored out of line,
// and so are the rows. Fetching such a value takes 2 us, a distance 0.1: the one that repeats is
// kept, from its second use on, for as long as the function's call site lives (a statement).
struct RepeatedVectors {
  varatt_external references[2];  // of the last call
  struct varlena* values[2];      // what they refer to, once repeated
};
static_assert(pg::kJumpSafe<RepeatedVectors>);

Datum KeepRepeated(FunctionCallInfo fcinfo, int n) {
  auto* stored = reinterpret_cast<struct varlena*>(PG_GETARG_POINTER(n));
  FmgrInfo* const site = fcinfo->flinfo;
  if (site == nullptr) return PointerGetDatum(stored);
  if (site->fn_extra == nullptr) {
    site->fn_extra = pg::AllocZero<RepeatedVectors>(site->fn_mcxt, 1);
  }
  auto* repeated = static_cast<RepeatedVectors*>(site->fn_extra);
  varatt_external reference;
  VARATT_EXTERNAL_GET_POINTER(reference, stored);
  if (memcmp(&reference, &repeated->references[n], sizeof reference) != 0) {
    repeated->references[n] = reference;
    if (repeated->values[n] != nullptr) pfree(repeated->values[n]);
    repeated->values[n] = nullptr;
    return PointerGetDatum(stored);
  }
  if (repeated->values[n] == nullptr) {
    MemoryContext caller = MemoryContextSwitchTo(site->fn_mcxt);
    repeated->values[n] = pg_detoast_datum(stored);
    MemoryContextSwitchTo(caller);
  }
  return PointerGetDatum(repeated->values[n]);
}

Datum DistanceArg(FunctionCallInfo fcinfo, int n) {
  const bool out_of_line = VARATT_IS_EXTERNAL_ONDISK(PG_GETARG_POINTER(n));
  return out_of_line ? KeepRepeated(fcinfo, n) : PG_GETARG_DATUM(n);
}

// Out of line itself: where a value must be fetched, or an error is due.
template <class Distance>
[[gnu::noinline]] double MeasureFetched(FunctionCallInfo fcinfo, Distance distance) {
  const VectorPair pair(DistanceArg(fcinfo, 0), DistanceArg(fcinfo, 1));
  return distance(pair.a(), pair.b(), static_cast<size_t>(pair.dims()));
}

// Calls distance(a, b, dims). At 128 dimensions a kernel takes 5 ns, so two plain values are
// checked at once: the same length word, dimensions and reserved field. The shortest stored form,
// one dimension behind a 1-byte header, has 9 bytes, so the first 8 can be read of any.
template <class Distance>
inline double Measure(FunctionCallInfo fcinfo, Distance distance) {
  const auto* a = reinterpret_cast<const Vector*>(PG_GETARG_POINTER(0));
  const auto* b = reinterpret_cast<const Vector*>(PG_GETARG_POINTER(1));
  if (VARATT_IS_EXTENDED(a) || memcmp(a, b, sizeof(Vector)) != 0 || a->dims < 1 ||
      VARSIZE(a) != VectorBytes(a->dims)) [[unlikely]] {
    return MeasureFetched(fcinfo, distance);
  }
  return distance(a->values, b->values, static_cast<size_t>(a->dims));
}

double L2Squared(const float* a, const float* b, size_t dims) {
  return simd::Floats().l2_squared(a, b, dims);
}

double InnerProduct(const float* a, const float* b, size_t dims) {
  return simd::Floats().inner_product(a, b, dims);
}

double L1(const float* a, const float* b, size_t dims) { return simd::Floats().l1(a, b, dims); }

// Rounding may carry a cosine out of [-1, 1]; NaN stays NaN.
double ClampCosine(double cosine) { return cosine > 1 ? 1 : cosine < -1 ? -1 : cosine; }

double Cosine(const float* a, const float* b, size_t dims) {
  const simd::CosineParts parts = simd::Floats().cosine_parts(a, b, dims);
  // One root of the product, which cannot overflow in double, rounds less than two roots.
  return parts.ab / std::sqrt(static_cast<double>(parts.aa) * static_cast<double>(parts.bb));
}

}  // namespace

ANN_FUNCTION(ann_vector_l2_distance)
{ PG_RETURN_FLOAT8(std::sqrt(Measure(fcinfo, L2Squared))); }

ANN_FUNCTION(ann_vector_l2_squared_distance)
{ PG_RETURN_FLOAT8(Measure(fcinfo, L2Squared)); }

ANN_FUNCTION(ann_vector_inner_product)
{ PG_RETURN_FLOAT8(Measure(fcinfo, InnerProduct)); }

ANN_FUNCTION(ann_vector_negative_inner_product)
{ PG_RETURN_FLOAT8(-Measure(fcinfo, InnerProduct)); }

ANN_FUNCTION(ann_vector_cosine_distance)
{ PG_RETURN_FLOAT8(1 - ClampCosine(Measure(fcinfo, Cosine))); }

// The angle between two unit vectors in half turns: a metric, unlike the cosine distance.
ANN_FUNCTION(ann_vector_spherical_distance)
{ PG_RETURN_FLOAT8(std::acos(ClampCosine(Measure(fcinfo, InnerProduct))) / std::numbers::pi); }

ANN_FUNCTION(ann_vector_l1_distance)
{ PG_RETURN_FLOAT8(Measure(fcinfo, L1)); }

}  // namespace ann::types
