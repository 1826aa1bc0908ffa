// Vectors for tests: random ones, and the real embeddings of test/data.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numbers>
#include <string>
#include <vector>

#include "core/rng.hpp"

namespace ann::testing {

using Vector = std::vector<float>;

class Gaussian {
 public:
  explicit Gaussian(uint64_t seed) : rng_(seed) {}
  float Next() {  // Box and Muller 1958
    const double radius = std::sqrt(-2 * std::log(rng_.NextUnit()));
    return static_cast<float>(radius * std::cos(2 * std::numbers::pi * rng_.NextUnit()));
  }
  Vector Make(size_t dims, float scale = 1) {
    Vector v(dims);
    for (float& value : v) value = scale * Next();
    return v;
  }

 private:
  Rng rng_;
};

inline double Dot(const Vector& a, const Vector& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += double(a[i]) * b[i];
  return sum;
}
inline double SquaredDistance(const Vector& a, const Vector& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += (double(a[i]) - b[i]) * (double(a[i]) - b[i]);
  return sum;
}
inline double L1Distance(const Vector& a, const Vector& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += std::fabs(double(a[i]) - b[i]);
  return sum;
}

inline Vector Mean(const std::vector<Vector>& vectors) {
  std::vector<double> sums(vectors[0].size());
  for (const Vector& v : vectors) {
    for (size_t i = 0; i < v.size(); ++i) sums[i] += v[i];
  }
  Vector mean(sums.size());
  for (size_t i = 0; i < mean.size(); ++i) {
    mean[i] = static_cast<float>(sums[i] / static_cast<double>(vectors.size()));
  }
  return mean;
}

inline float FromHalf(uint16_t half) {
  const uint32_t sign = uint32_t{half} >> 15 << 31, exponent = half >> 10 & 31;
  const uint32_t fraction = half & 1023;
  const float magnitude = exponent == 0
                              ? static_cast<float>(fraction) * 0x1p-24f
                              : std::bit_cast<float>((exponent + 112) << 23 | fraction << 13);
  return sign != 0 ? -magnitude : magnitude;
}

// The first `limit` rows of a two-dimensional float16 .npy file (format version 1) in test/data.
inline std::vector<Vector> ReadRows(const char* name, size_t limit) {
  const std::string path = std::string("test/data/") + name;
  FILE* file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) {
    std::fprintf(stderr, "cannot open %s: run from the top of the tree\n", path.c_str());
    std::abort();
  }
  unsigned char start[10];
  size_t rows = 0, dims = 0;
  bool good = std::fread(start, 1, 10, file) == 10 && std::memcmp(start, "\x93NUMPY\x01", 7) == 0;
  std::string header(good ? start[8] | start[9] << 8 : 0, ' ');
  good = good && std::fread(header.data(), 1, header.size(), file) == header.size() &&
         header.find("'<f2'") != std::string::npos;
  const size_t shape = header.find("'shape': (");
  good = good && shape != std::string::npos &&
         std::sscanf(header.c_str() + shape, "'shape': (%zu, %zu)", &rows, &dims) == 2;
  std::vector<Vector> vectors(good ? std::min(rows, limit) : 0, Vector(dims));
  std::vector<uint16_t> row(dims);
  for (Vector& v : vectors) {
    good = good && std::fread(row.data(), 2, dims, file) == dims;
    for (size_t i = 0; i < dims; ++i) v[i] = FromHalf(row[i]);
  }
  std::fclose(file);
  if (!good) {
    std::fprintf(stderr, "%s is not what the tests expect\n", path.c_str());
    std::abort();
  }
  return vectors;
}

}  // namespace ann::testing
