// Unit vectors of random directions, to test with.
#include <cmath>
#include <numbers>

#include "core/rng.hpp"
#include "types/dense_type.hpp"
#include "pg/entry.hpp"

namespace ann::types {

namespace {

// Coordinates of one normal distribution make all directions alike. `uniform()`: in (0, 1].
template <class Uniform>
Vector* Direction(int dims, Uniform&& uniform) {
  CheckDims(dims);
  Vector* result = MakeVector<float>(dims);
  auto* normals = static_cast<double*>(palloc(sizeof(double) * (static_cast<size_t>(dims) + 1)));
  double squared = 0;
  do {
    // Two at a time (Box and Muller 1958).
    for (int i = 0; i < dims; i += 2) {
      const double length = std::sqrt(-2 * std::log(uniform()));
      const double angle = 2 * std::numbers::pi * uniform();
      normals[i] = length * std::cos(angle);
      normals[i + 1] = length * std::sin(angle);
    }
    squared = 0;
    for (int i = 0; i < dims; ++i) squared += normals[i] * normals[i];
  } while (squared == 0);
  const double norm = std::sqrt(squared);
  for (int i = 0; i < dims; ++i) result->values[i] = static_cast<float>(normals[i] / norm);
  pfree(normals);
  return result;
}

}  // namespace

// From the generator of random(), which setseed() sets.
ANN_FUNCTION(ann_random_unit_vector)
{
  LOCAL_FCINFO(call, 0);
  InitFunctionCallInfoData(*call, nullptr, 0, InvalidOid, nullptr, nullptr);
  return VectorDatum(
      Direction(PG_GETARG_INT32(0), [&] { return 1 - DatumGetFloat8(drandom(call)); }));
}

ANN_FUNCTION(ann_random_unit_vector_of_seed)
{
  Rng rng(static_cast<uint64_t>(PG_GETARG_INT64(1)));
  return VectorDatum(Direction(PG_GETARG_INT32(0), [&] { return rng.NextUnit(); }));
}

}  // namespace ann::types
