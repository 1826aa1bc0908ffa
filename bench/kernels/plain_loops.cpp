#include "plain_loops.hpp"

#include <cmath>

namespace plain {

float L2Squared(const float* a, const float* b, size_t dims) {
  float sum = 0;
  for (size_t i = 0; i < dims; ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return sum;
}

float InnerProduct(const float* a, const float* b, size_t dims) {
  float sum = 0;
  for (size_t i = 0; i < dims; ++i) sum += a[i] * b[i];
  return sum;
}

float L1(const float* a, const float* b, size_t dims) {
  float sum = 0;
  for (size_t i = 0; i < dims; ++i) sum += std::fabs(a[i] - b[i]);
  return sum;
}

float Cosine(const float* a, const float* b, size_t dims) {
  float ab = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < dims; ++i) {
    ab += a[i] * b[i];
    aa += a[i] * a[i];
    bb += b[i] * b[i];
  }
  return ab / std::sqrt(aa * bb);
}

}  // namespace plain
