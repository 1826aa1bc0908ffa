// Distance kernels over f32 rows. A row is `dims` contiguous floats, aligned as float only (a heap
// tuple gives 8 bytes, a detoasted copy 4). Sums are kept in f32 in several independent
// accumulators, so the rounding error grows with dims / (accumulators * lanes), not dims. NaN and
// Inf propagate, denormals count. dims = 0 gives 0. Results differ between targets in the last
// bits: never store one where equality is tested later.
#pragma once

#include <cstddef>

namespace ann::simd {

// ab = sum a*b, aa = sum a*a, bb = sum b*b; cosine = ab / sqrt(aa * bb).
struct CosineParts {
  float ab, aa, bb;
};

struct FloatKernels {
  float (*l2_squared)(const float* a, const float* b, size_t dims);
  float (*inner_product)(const float* a, const float* b, size_t dims);
  float (*l1)(const float* a, const float* b, size_t dims);
  CosineParts (*cosine_parts)(const float* a, const float* b, size_t dims);
  // Sum a*a in double: no finite row overflows it, none but zeros makes it 0.
  double (*squared_norm)(const float* a, size_t dims);
};

}  // namespace ann::simd
