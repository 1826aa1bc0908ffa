// Distance kernels over rows of half-precision numbers, summed in f32 as those of distance.hpp are,
// and conversions of rows. A row is `dims` contiguous numbers, aligned to 2 bytes.
#pragma once

#include <cstddef>

#include "core/half.hpp"
#include "simd/distance.hpp"

namespace ann::simd {

struct HalfKernels {
  float (*l2_squared)(const Half* a, const Half* b, size_t dims);
  float (*inner_product)(const Half* a, const Half* b, size_t dims);
  float (*l1)(const Half* a, const Half* b, size_t dims);
  CosineParts (*cosine_parts)(const Half* a, const Half* b, size_t dims);
  // Sum a*a in double.
  double (*squared_norm)(const Half* a, size_t dims);
  void (*widen)(const Half* from, float* to, size_t dims);  // exact
  // To the nearest, ties to even; beyond the range: infinity.
  void (*narrow)(const float* from, Half* to, size_t dims);
};

}  // namespace ann::simd
