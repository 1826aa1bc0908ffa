#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "core/rng.hpp"
#include "quant/rotation.hpp"
#include "unit_data.hpp"

namespace {

using namespace ann;
using namespace ann::testing;

Vector Rotated(Vector x, uint64_t seed) {
  std::vector<uint64_t> signs(quant::RotationWords(x.size()));
  quant::MakeRotation(seed, x.size(), signs.data());
  quant::Rotate(signs.data(), x.size(), x.data());
  return x;
}

TEST(RotationTest, KeepsNormsAndInnerProducts) {
  Gaussian gaussian(1);
  std::vector<size_t> all = {384, 1000, 1536, 16000};
  for (size_t d = 1; d <= 130; ++d) all.push_back(d);
  for (const size_t dims : all) {
    SCOPED_TRACE(dims);
    const Vector a = gaussian.Make(dims, 3), b = gaussian.Make(dims, 0.1f);
    const Vector ra = Rotated(a, dims), rb = Rotated(b, dims);
    const double na = std::sqrt(Dot(a, a)), nb = std::sqrt(Dot(b, b));
    EXPECT_NEAR(std::sqrt(Dot(ra, ra)) / na, 1, 2e-6);
    EXPECT_NEAR(std::sqrt(Dot(rb, rb)) / nb, 1, 2e-6);
    EXPECT_NEAR((Dot(ra, rb) - Dot(a, b)) / (na * nb), 0, 2e-6);
  }
}

TEST(RotationTest, RotatesBack) {
  Gaussian gaussian(2);
  for (const size_t dims : {1, 2, 3, 64, 100, 127, 384, 1536}) {
    SCOPED_TRACE(dims);
    const Vector x = gaussian.Make(dims);
    Vector back = Rotated(x, 7);
    std::vector<uint64_t> signs(quant::RotationWords(dims));
    quant::MakeRotation(7, dims, signs.data());
    quant::RotateBack(signs.data(), dims, back.data());
    for (size_t i = 0; i < dims; ++i) EXPECT_NEAR(back[i], x[i], 1e-5);
  }
}

// Codes on disk depend on the signs.
TEST(RotationTest, SignsAreFixed) {
  uint64_t hash = 0;
  for (const size_t dims : {1, 63, 64, 65, 384, 16000}) {
    std::vector<uint64_t> signs(quant::RotationWords(dims));
    quant::MakeRotation(99, dims, signs.data());
    for (const uint64_t word : signs) hash = Mix64(hash ^ word);
  }
  EXPECT_EQ(hash, 14701833673305742884u);
  EXPECT_EQ(Rotated(Vector(384, 1), 5), Rotated(Vector(384, 1), 5));
  EXPECT_NE(Rotated(Vector(384, 1), 5), Rotated(Vector(384, 1), 6));
}

// Codes of equal steps want coordinates that look Gaussian, whatever the vector: here the worst,
// axes and constants. Excess kurtosis 0 +- 0.6 over many seeds, and no coordinate dominates.
TEST(RotationTest, MakesAnyVectorGaussian) {
  for (const size_t dims : {100, 128, 384, 1000}) {
    for (const int kind : {0, 1, 2}) {
      Vector x(dims, kind == 1 ? 1.0f : 0.0f);
      if (kind != 1) x[kind == 0 ? 0 : dims - 1] = 1;
      double fourth = 0, largest = 0;
      constexpr int kSeeds = 200;
      for (uint64_t seed = 0; seed < kSeeds; ++seed) {
        const Vector r = Rotated(x, seed);
        const double variance = Dot(r, r) / static_cast<double>(dims);
        for (const float v : r) {
          fourth += std::pow(v, 4) / (variance * variance) / static_cast<double>(dims * kSeeds);
          largest = std::max(largest, std::fabs(v) / std::sqrt(variance));
        }
      }
      EXPECT_NEAR(fourth, 3, 0.6) << dims << " dims, kind " << kind;
      EXPECT_LT(largest, 7) << dims << " dims, kind " << kind;
    }
  }
}

}  // namespace
