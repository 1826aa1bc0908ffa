// f32 distance kernels on every target against a double reference.
#include <cfloat>
#include <cmath>
#include <limits>

#include "simd_test_util.hpp"

namespace {

using ann::simd::CosineParts;
using ann::simd::FloatKernels;
using ann::simd::Floats;
using ann::simd::Targets;
using ann::simd::testing::DimsToTest;
using ann::simd::testing::EveryTarget;
using ann::simd::testing::Guarded;
using ann::simd::testing::NameOfTarget;
using ann::simd::testing::Random;

struct Reference {
  double l2_squared = 0, inner_product = 0, l1 = 0, aa = 0, bb = 0;
  double inner_product_magnitude = 0;  // sum |a*b|, what rounding errors of a*b scale with
};

Reference Compute(const std::vector<float>& a, const std::vector<float>& b) {
  Reference r;
  for (size_t i = 0; i < a.size(); ++i) {
    const double x = a[i], y = b[i];
    r.l2_squared += (x - y) * (x - y);
    r.inner_product += x * y;
    r.inner_product_magnitude += std::fabs(x * y);
    r.l1 += std::fabs(x - y);
    r.aa += x * x;
    r.bb += y * y;
  }
  return r;
}

// The narrowest kernel adds dims / 16 terms to each accumulator; 16 more roundings cover the terms
// themselves and the reduction.
double Tolerance(size_t dims, double magnitude) {
  return (static_cast<double>(dims) / 16 + 16) * (FLT_EPSILON / 2) * magnitude;
}

void ExpectMatch(const std::vector<float>& a, const std::vector<float>& b) {
  const size_t dims = a.size();
  const Guarded<float> ga(a), gb(b);
  const Reference r = Compute(a, b);
  const FloatKernels& f = Floats();
  EXPECT_NEAR(f.l2_squared(ga.data(), gb.data(), dims), r.l2_squared, Tolerance(dims, r.l2_squared))
      << dims;
  EXPECT_NEAR(f.inner_product(ga.data(), gb.data(), dims), r.inner_product,
              Tolerance(dims, r.inner_product_magnitude))
      << dims;
  EXPECT_NEAR(f.l1(ga.data(), gb.data(), dims), r.l1, Tolerance(dims, r.l1)) << dims;
  const CosineParts parts = f.cosine_parts(ga.data(), gb.data(), dims);
  EXPECT_NEAR(parts.ab, r.inner_product, Tolerance(dims, r.inner_product_magnitude)) << dims;
  EXPECT_NEAR(parts.aa, r.aa, Tolerance(dims, r.aa)) << dims;
  EXPECT_NEAR(parts.bb, r.bb, Tolerance(dims, r.bb)) << dims;
  EXPECT_NEAR(f.squared_norm(ga.data(), dims), r.aa, Tolerance(dims, r.aa) * 1e-8) << dims;
}

class SimdDistanceTest : public EveryTarget {};
INSTANTIATE_TEST_SUITE_P(Targets, SimdDistanceTest, ::testing::ValuesIn(Targets()), NameOfTarget);

TEST_P(SimdDistanceTest, MatchesDoubleReference) {
  Random random(1);
  for (const size_t dims : DimsToTest()) ExpectMatch(random.Floats(dims), random.Floats(dims));
}

TEST_P(SimdDistanceTest, AnyFloatAlignment) {
  Random random(2);
  for (const size_t dims : {3u, 16u, 67u, 128u}) {
    const std::vector<float> a = random.Floats(dims + 32), b = random.Floats(dims + 32);
    for (size_t shift_a = 0; shift_a < 17; ++shift_a) {
      const size_t shift_b = shift_a * 5 % 17;
      const Reference r = Compute({a.begin() + shift_a, a.begin() + shift_a + dims},
                                  {b.begin() + shift_b, b.begin() + shift_b + dims});
      EXPECT_NEAR(Floats().l2_squared(&a[shift_a], &b[shift_b], dims), r.l2_squared,
                  Tolerance(dims, r.l2_squared));
      EXPECT_NEAR(Floats().inner_product(&a[shift_a], &b[shift_b], dims), r.inner_product,
                  Tolerance(dims, r.inner_product_magnitude));
    }
  }
}

TEST_P(SimdDistanceTest, NoDimsGiveZero) {
  const Guarded<float> none({});
  EXPECT_EQ(Floats().l2_squared(none.data(), none.data(), 0), 0.0f);
  EXPECT_EQ(Floats().inner_product(none.data(), none.data(), 0), 0.0f);
  EXPECT_EQ(Floats().l1(none.data(), none.data(), 0), 0.0f);
  EXPECT_EQ(Floats().cosine_parts(none.data(), none.data(), 0).aa, 0.0f);
  EXPECT_EQ(Floats().squared_norm(none.data(), 0), 0.0);
}

// A norm's squares neither overflow nor vanish.
TEST_P(SimdDistanceTest, NormOfHugeAndTinyRows) {
  for (const size_t dims : DimsToTest()) {
    for (const float value : {FLT_MAX, FLT_TRUE_MIN}) {
      const Guarded<float> row(std::vector<float>(dims, value));
      const double expected = static_cast<double>(value) * value * static_cast<double>(dims);
      EXPECT_NEAR(Floats().squared_norm(row.data(), dims), expected, expected * 1e-12);
      EXPECT_EQ(Floats().squared_norm(row.data(), dims) > 0, dims > 0);
    }
  }
}

// Small integers are exact in f32 in any order of addition.
TEST_P(SimdDistanceTest, IntegersAreExact) {
  Random random(3);
  for (const size_t dims : DimsToTest()) {
    std::vector<float> a(dims), b(dims);
    for (float& v : a) v = static_cast<float>(random.Between(-9, 9));
    for (float& v : b) v = static_cast<float>(random.Between(-9, 9));
    const Guarded<float> ga(a), gb(b);
    const Reference r = Compute(a, b);
    EXPECT_EQ(Floats().l2_squared(ga.data(), gb.data(), dims), r.l2_squared);
    EXPECT_EQ(Floats().inner_product(ga.data(), gb.data(), dims), r.inner_product);
    EXPECT_EQ(Floats().l1(ga.data(), gb.data(), dims), r.l1);
    const CosineParts parts = Floats().cosine_parts(ga.data(), gb.data(), dims);
    EXPECT_EQ(parts.ab, r.inner_product);
    EXPECT_EQ(parts.aa, r.aa);
    EXPECT_EQ(parts.bb, r.bb);
    EXPECT_EQ(Floats().squared_norm(ga.data(), dims), r.aa);
  }
}

TEST_P(SimdDistanceTest, NanAndInfinityPropagateFromEveryPosition) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  constexpr float kInf = std::numeric_limits<float>::infinity();
  for (const size_t dims : {1u, 5u, 67u, 131u}) {
    for (size_t at = 0; at < dims; ++at) {
      std::vector<float> a(dims, 0.5f);
      const std::vector<float> b(dims, 0.25f);
      for (const bool swapped : {false, true}) {
        a[at] = kNan;
        const float* x = swapped ? b.data() : a.data();
        const float* y = swapped ? a.data() : b.data();
        EXPECT_TRUE(std::isnan(Floats().l2_squared(x, y, dims)));
        EXPECT_TRUE(std::isnan(Floats().inner_product(x, y, dims)));
        EXPECT_TRUE(std::isnan(Floats().l1(x, y, dims)));
        EXPECT_TRUE(std::isnan(Floats().cosine_parts(x, y, dims).ab));
        a[at] = kInf;
        EXPECT_EQ(Floats().l2_squared(x, y, dims), kInf);
        EXPECT_EQ(Floats().inner_product(x, y, dims), kInf);
        EXPECT_EQ(Floats().l1(x, y, dims), kInf);
        const CosineParts parts = Floats().cosine_parts(x, y, dims);
        EXPECT_EQ(swapped ? parts.bb : parts.aa, kInf);
        EXPECT_TRUE(std::isfinite(swapped ? parts.aa : parts.bb));
      }
    }
  }
}

TEST_P(SimdDistanceTest, OverflowGivesInfinity) {
  const std::vector<float> a(33, FLT_MAX), b(33, -FLT_MAX);
  EXPECT_EQ(Floats().l2_squared(a.data(), b.data(), 33), std::numeric_limits<float>::infinity());
  EXPECT_EQ(Floats().inner_product(a.data(), b.data(), 33),
            -std::numeric_limits<float>::infinity());
  EXPECT_EQ(Floats().l1(a.data(), b.data(), 33), std::numeric_limits<float>::infinity());
}

TEST_P(SimdDistanceTest, DenormalsAreNotFlushed) {
  constexpr float kTiny = 0x1p-149f;
  for (const size_t dims : {1u, 7u, 16u, 100u}) {
    const std::vector<float> a(dims, 3 * kTiny), b(dims, kTiny), one(dims, 1.0f);
    const float n = static_cast<float>(dims);
    EXPECT_EQ(Floats().l1(a.data(), b.data(), dims), 2 * kTiny * n);
    EXPECT_EQ(Floats().inner_product(a.data(), one.data(), dims), 3 * kTiny * n);
    EXPECT_EQ(Floats().cosine_parts(a.data(), one.data(), dims).ab, 3 * kTiny * n);
  }
}

}  // namespace
