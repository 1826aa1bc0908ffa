// The distance functions behind <->, <#>, <=> and <+>, and those that only access methods call.
// Sums are in float, as pgvector's: they may overflow to infinity, and a zero vector has no cosine
// distance (NaN).
#include <cmath>
#include <numbers>

#include "simd/simd.hpp"

#include "types/vector_type.hpp"
#include "pg/entry.hpp"

namespace ann::types {

namespace {

double L2Squared(const VectorPair& pair) {
  return simd::Floats().l2_squared(pair.a(), pair.b(), static_cast<size_t>(pair.dims()));
}

double InnerProduct(const VectorPair& pair) {
  return simd::Floats().inner_product(pair.a(), pair.b(), static_cast<size_t>(pair.dims()));
}

// Rounding may carry a cosine out of [-1, 1]; NaN stays NaN.
double ClampCosine(double cosine) { return cosine > 1 ? 1 : cosine < -1 ? -1 : cosine; }

}  // namespace

ANN_FUNCTION(ann_vector_l2_distance)
{
  const VectorPair pair(fcinfo);
  PG_RETURN_FLOAT8(std::sqrt(L2Squared(pair)));
}

ANN_FUNCTION(ann_vector_l2_squared_distance)
{
  const VectorPair pair(fcinfo);
  PG_RETURN_FLOAT8(L2Squared(pair));
}

ANN_FUNCTION(ann_vector_inner_product)
{
  const VectorPair pair(fcinfo);
  PG_RETURN_FLOAT8(InnerProduct(pair));
}

ANN_FUNCTION(ann_vector_negative_inner_product)
{
  const VectorPair pair(fcinfo);
  PG_RETURN_FLOAT8(-InnerProduct(pair));
}

ANN_FUNCTION(ann_vector_cosine_distance)
{
  const VectorPair pair(fcinfo);
  const simd::CosineParts parts =
      simd::Floats().cosine_parts(pair.a(), pair.b(), static_cast<size_t>(pair.dims()));
  // One root of the product, which cannot overflow in double, rounds less than two roots.
  const double norms = std::sqrt(static_cast<double>(parts.aa) * static_cast<double>(parts.bb));
  PG_RETURN_FLOAT8(1 - ClampCosine(parts.ab / norms));
}

// The angle between two unit vectors in half turns: a metric, unlike the cosine distance.
ANN_FUNCTION(ann_vector_spherical_distance)
{
  const VectorPair pair(fcinfo);
  PG_RETURN_FLOAT8(std::acos(ClampCosine(InnerProduct(pair))) / std::numbers::pi);
}

ANN_FUNCTION(ann_vector_l1_distance)
{
  const VectorPair pair(fcinfo);
  PG_RETURN_FLOAT8(simd::Floats().l1(pair.a(), pair.b(), static_cast<size_t>(pair.dims())));
}

}  // namespace ann::types
