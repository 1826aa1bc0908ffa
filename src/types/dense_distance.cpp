// The distance functions of `vector` and `halfvec` behind <->, <#>, <=> and <+>, and those that
// only access methods call.
#include <cmath>
#include <cstring>
#include <numbers>

#include "types/dense_type.hpp"
#include "types/metric_distance.hpp"
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
template <class Number>
[[gnu::noinline]] double MeasureFetched(FunctionCallInfo fcinfo, Distance<Number> distance) {
  const DensePair<Number> pair(DistanceArg(fcinfo, 0), DistanceArg(fcinfo, 1));
  return distance(pair.a(), pair.b(), static_cast<size_t>(pair.dims()));
}

// Calls distance(a, b, dims). At 128 dimensions a kernel takes 5 ns, so two plain values are
// checked at once: the same length word, dimensions and reserved field. A value that is not
// extended has these 8 bytes.
template <class Number>
[[gnu::always_inline]] inline double Measure(FunctionCallInfo fcinfo, Distance<Number> distance) {
  const auto* a = reinterpret_cast<const Dense<Number>*>(PG_GETARG_POINTER(0));
  const auto* b = reinterpret_cast<const Dense<Number>*>(PG_GETARG_POINTER(1));
  if (VARATT_IS_EXTENDED(a) || VARATT_IS_EXTENDED(b) || memcmp(a, b, sizeof *a) != 0 ||
      a->dims < 1 || VARSIZE(a) != VectorBytes<Number>(a->dims)) [[unlikely]] {
    return MeasureFetched(fcinfo, distance);
  }
  return distance(a->values, b->values, static_cast<size_t>(a->dims));
}

// The angle between two unit vectors in half turns: a metric, unlike the cosine distance.
double HalfTurns(double cosine) { return std::acos(ClampCosine(cosine)) / std::numbers::pi; }

}  // namespace

ANN_FUNCTION(ann_vector_l2_distance)
{ PG_RETURN_FLOAT8(Measure(fcinfo, L2Distance<float>)); }
ANN_FUNCTION(ann_vector_l2_squared_distance)
{ PG_RETURN_FLOAT8(Measure(fcinfo, L2Squared<float>)); }
ANN_FUNCTION(ann_vector_inner_product)
{ PG_RETURN_FLOAT8(Measure(fcinfo, InnerProduct<float>)); }
ANN_FUNCTION(ann_vector_negative_inner_product)
{ PG_RETURN_FLOAT8(Measure(fcinfo, NegativeInnerProduct<float>)); }
ANN_FUNCTION(ann_vector_cosine_distance)
{ PG_RETURN_FLOAT8(Measure(fcinfo, CosineDistance<float>)); }
ANN_FUNCTION(ann_vector_spherical_distance)
{ PG_RETURN_FLOAT8(HalfTurns(Measure(fcinfo, InnerProduct<float>))); }
ANN_FUNCTION(ann_vector_l1_distance)
{ PG_RETURN_FLOAT8(Measure(fcinfo, L1Distance<float>)); }

ANN_FUNCTION(ann_halfvec_l2_distance)
{ PG_RETURN_FLOAT8(Measure(fcinfo, L2Distance<Half>)); }
ANN_FUNCTION(ann_halfvec_l2_squared_distance)
{ PG_RETURN_FLOAT8(Measure(fcinfo, L2Squared<Half>)); }
ANN_FUNCTION(ann_halfvec_inner_product)
{ PG_RETURN_FLOAT8(Measure(fcinfo, InnerProduct<Half>)); }
ANN_FUNCTION(ann_halfvec_negative_inner_product)
{ PG_RETURN_FLOAT8(Measure(fcinfo, NegativeInnerProduct<Half>)); }
ANN_FUNCTION(ann_halfvec_cosine_distance)
{ PG_RETURN_FLOAT8(Measure(fcinfo, CosineDistance<Half>)); }
ANN_FUNCTION(ann_halfvec_spherical_distance)
{ PG_RETURN_FLOAT8(HalfTurns(Measure(fcinfo, InnerProduct<Half>))); }
ANN_FUNCTION(ann_halfvec_l1_distance)
{ PG_RETURN_FLOAT8(Measure(fcinfo, L1Distance<Half>)); }

}  // namespace ann::types
