// Half-precision numbers: every one of them, and their kernels on every target against a double
// reference.
#include <cfloat>
#include <cmath>
#include <limits>

#include "core/half.hpp"
#include "simd_test_util.hpp"

namespace {

using ann::Half;
using ann::ToFloat;
using ann::ToHalf;
using ann::simd::Halves;
using ann::simd::Targets;
using ann::simd::testing::DimsToTest;
using ann::simd::testing::EveryTarget;
using ann::simd::testing::Guarded;
using ann::simd::testing::NameOfTarget;
using ann::simd::testing::Random;

// By the definition of the format.
double ValueOf(uint16_t bits) {
  const int exponent = bits >> 10 & 31, fraction = bits & 1023;
  const double magnitude =
      exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
  return bits >> 15 ? -magnitude : magnitude;
}
bool IsFinite(uint16_t bits) { return (bits >> 10 & 31) != 31; }

TEST(Half, EveryNumberThereAndBack) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const Half half{static_cast<uint16_t>(bits)};
    const float wide = ToFloat(half);
    if (!IsFinite(half.bits)) {
      EXPECT_EQ(std::isinf(wide), (bits & 1023) == 0) << bits;
      EXPECT_EQ(std::isnan(wide), (bits & 1023) != 0) << bits;
      continue;
    }
    EXPECT_EQ(wide, ValueOf(half.bits)) << bits;
    EXPECT_EQ(std::signbit(wide), bits >> 15 == 1) << bits;
    EXPECT_EQ(ToHalf(wide).bits, bits);
  }
}

// Between two neighbours the nearer one, the even one in the middle, and beyond the last infinity.
TEST(Half, RoundsToNearestEven) {
  for (uint16_t bits = 0; bits < 0x7C00; ++bits) {
    const double low = ValueOf(bits);
    const double high = bits == 0x7BFF ? 65536 : ValueOf(static_cast<uint16_t>(bits + 1));
    const float middle = static_cast<float>((low + high) / 2);
    EXPECT_EQ(ToHalf(std::nextafter(middle, -1.0f)).bits, bits);
    EXPECT_EQ(ToHalf(std::nextafter(middle, FLT_MAX)).bits, bits + 1);
    EXPECT_EQ(ToHalf(middle).bits, bits + bits % 2);
    EXPECT_EQ(ToHalf(-middle).bits, 0x8000 | (bits + bits % 2));
  }
  EXPECT_EQ(ToHalf(FLT_MAX).bits, 0x7C00);
  EXPECT_EQ(ToHalf(-std::numeric_limits<float>::infinity()).bits, 0xFC00);
  EXPECT_TRUE(std::isnan(ToFloat(ToHalf(std::numeric_limits<float>::quiet_NaN()))));
}

std::vector<Half> Rounded(const std::vector<float>& values) {
  std::vector<Half> halves;
  for (const float value : values) halves.push_back(ToHalf(value));
  return halves;
}

class SimdHalfTest : public EveryTarget {};
INSTANTIATE_TEST_SUITE_P(Targets, SimdHalfTest, ::testing::ValuesIn(Targets()), NameOfTarget);

TEST_P(SimdHalfTest, MatchesDoubleReference) {
  Random random(3);
  for (const size_t dims : DimsToTest()) {
    const std::vector<Half> a = Rounded(random.Floats(dims)), b = Rounded(random.Floats(dims));
    const Guarded<Half> ga(a), gb(b);
    double l2 = 0, ab = 0, magnitude = 0, l1 = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < dims; ++i) {
      const double x = ToFloat(a[i]), y = ToFloat(b[i]);
      l2 += (x - y) * (x - y), ab += x * y, magnitude += std::fabs(x * y), l1 += std::fabs(x - y);
      aa += x * x, bb += y * y;
    }
    const auto near = [dims](double value, double expected, double scale) {
      EXPECT_NEAR(value, expected, (double(dims) / 16 + 16) * (FLT_EPSILON / 2) * scale) << dims;
    };
    near(Halves().l2_squared(ga.data(), gb.data(), dims), l2, l2);
    near(Halves().inner_product(ga.data(), gb.data(), dims), ab, magnitude);
    near(Halves().l1(ga.data(), gb.data(), dims), l1, l1);
    const ann::simd::CosineParts parts = Halves().cosine_parts(ga.data(), gb.data(), dims);
    near(parts.ab, ab, magnitude);
    near(parts.aa, aa, aa);
    near(parts.bb, bb, bb);
    EXPECT_NEAR(Halves().squared_norm(ga.data(), dims), aa, aa * 1e-13) << dims;
  }
}

TEST_P(SimdHalfTest, ConvertsRowsAsOneByOne) {
  std::vector<Half> all;
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    if (IsFinite(static_cast<uint16_t>(bits))) all.push_back({static_cast<uint16_t>(bits)});
  }
  std::vector<float> wide(all.size());
  Halves().widen(all.data(), wide.data(), all.size());
  for (size_t i = 0; i < all.size(); ++i) EXPECT_EQ(wide[i], ToFloat(all[i])) << all[i].bits;
  // Those in the middle between two, and a little beside.
  std::vector<float> odd;
  for (const Half half : all) {
    const float value = ToFloat(half);
    for (const float factor : {1.0f, 1.00048828125f, 1.0003f, 0.9997f})
      odd.push_back(value * factor);
  }
  std::vector<Half> narrow(odd.size());
  Halves().narrow(odd.data(), narrow.data(), odd.size());
  for (size_t i = 0; i < odd.size(); ++i) ASSERT_EQ(narrow[i].bits, ToHalf(odd[i]).bits) << odd[i];
}

}  // namespace
