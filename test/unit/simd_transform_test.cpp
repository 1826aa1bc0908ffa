// Rotation and quantization kernels on every target, against the definitions in double and, bit by
// bit, against the portable target.
#include <bit>
#include <cfloat>
#include <cmath>
#include <limits>

#include "simd_test_util.hpp"

namespace {

using ann::simd::kMaxInt16Level;
using ann::simd::SetTarget;
using ann::simd::Targets;
using ann::simd::Transforms;
using ann::simd::testing::DimsToTest;
using ann::simd::testing::EveryTarget;
using ann::simd::testing::Guarded;
using ann::simd::testing::NameOfTarget;
using ann::simd::testing::Random;

class SimdTransformTest : public EveryTarget {
 protected:
  // Runs `transform` on a guarded copy of x, on the tested target and on the portable one, and
  // expects the same bits.
  template <class Transform>
  std::vector<float> Run(const std::vector<float>& x, Transform&& transform) {
    const Guarded<float> ours(x), portable(x);
    transform(ours.data());
    EXPECT_TRUE(SetTarget("portable"));
    transform(portable.data());
    EXPECT_TRUE(SetTarget(GetParam()));
    EXPECT_EQ(std::memcmp(ours.data(), portable.data(), x.size() * sizeof(float)), 0) << x.size();
    return ours.Values();
  }
};
INSTANTIATE_TEST_SUITE_P(Targets, SimdTransformTest, ::testing::ValuesIn(Targets()), NameOfTarget);

TEST_P(SimdTransformTest, HadamardMatchesItsDefinition) {
  Random random(1);
  for (size_t n = 1; n <= 1024; n *= 2) {
    const std::vector<float> x = random.Floats(n);
    const std::vector<float> y = Run(x, [n](float* p) { Transforms().hadamard(p, n); });
    for (size_t row = 0; row < n; ++row) {
      double expected = 0;
      for (size_t i = 0; i < n; ++i) {
        expected += std::popcount(row & i) % 2 == 0 ? double{x[i]} : -double{x[i]};
      }
      EXPECT_NEAR(y[row], expected / std::sqrt(static_cast<double>(n)), 1e-6) << n << " " << row;
    }
  }
}

TEST_P(SimdTransformTest, HadamardIsItsOwnInverseAtEverySize) {
  Random random(2);
  for (size_t n = 1; n <= 16384; n *= 2) {
    const std::vector<float> x = random.Floats(n);
    const std::vector<float> y = Run(x, [n](float* p) {
      Transforms().hadamard(p, n);
      Transforms().hadamard(p, n);
    });
    for (size_t i = 0; i < n; ++i) EXPECT_NEAR(y[i], x[i], 1e-6) << n;
  }
}

TEST_P(SimdTransformTest, FlipSignsFollowsTheBits) {
  Random random(3);
  for (const size_t n : DimsToTest()) {
    const std::vector<float> x = random.Floats(n);
    std::vector<uint64_t> words((n + 63) / 64);
    for (uint64_t& word : words) word = random.Next();
    const Guarded<uint64_t> bits(words);
    const auto y = Run(x, [&](float* p) { Transforms().flip_signs(p, bits.data(), n); });
    for (size_t i = 0; i < n; ++i) {
      EXPECT_EQ(y[i], (words[i / 64] >> (i % 64) & 1) != 0 ? -x[i] : x[i]) << n << " " << i;
    }
  }
}

TEST_P(SimdTransformTest, KacStepRotatesPairsAndKeepsTheMiddle) {
  Random random(4);
  for (const size_t n : DimsToTest()) {
    const std::vector<float> x = random.Floats(n);
    const auto y = Run(x, [n](float* p) { Transforms().kac_step(p, n); });
    for (size_t i = 0; i < n / 2; ++i) {
      const size_t j = i + (n + 1) / 2;
      EXPECT_NEAR(y[i], (double{x[i]} + x[j]) * M_SQRT1_2, 2e-7) << n << " " << i;
      EXPECT_NEAR(y[j], (double{x[i]} - x[j]) * M_SQRT1_2, 2e-7) << n << " " << i;
    }
    if (n % 2 == 1) {
      EXPECT_EQ(y[n / 2], x[n / 2]);
    }
  }
}

TEST_P(SimdTransformTest, SubtractAndScaleAreCorrectlyRounded) {
  Random random(5);
  for (const size_t n : DimsToTest()) {
    const std::vector<float> x = random.Floats(n), other = random.Floats(n);
    const Guarded<float> b(other);
    const auto difference = Run(x, [&](float* p) { Transforms().subtract(p, b.data(), p, n); });
    const auto reverse = Run(x, [&](float* p) { Transforms().subtract(b.data(), p, p, n); });
    const auto scaled = Run(x, [&](float* p) { Transforms().scale(p, 0.3f, p, n); });
    for (size_t i = 0; i < n; ++i) {
      EXPECT_EQ(difference[i], x[i] - other[i]);
      EXPECT_EQ(reverse[i], other[i] - x[i]);
      EXPECT_EQ(scaled[i], x[i] * 0.3f);
    }
  }
}

TEST_P(SimdTransformTest, QuantizeI8RoundsToNearestEvenAndClamps) {
  Random random(6);
  for (const size_t n : DimsToTest()) {
    std::vector<float> x = random.Floats(n);
    for (size_t i = 0; i < n; i += 5) x[i] = static_cast<float>(random.Between(-300, 300)) / 2 / 64;
    const Guarded<float> input(x);
    const Guarded<int8_t> out(std::vector<int8_t>(n, 99));
    Transforms().quantize_i8(input.data(), 64.0f, out.data(), n);
    for (size_t i = 0; i < n; ++i) {
      EXPECT_EQ(out.data()[i], std::lrint(std::fmin(std::fmax(x[i] * 64.0, -127.0), 127.0))) << n;
    }
  }
}

TEST_P(SimdTransformTest, QuantizeI16SplitsIntoSignedBytes) {
  Random random(7);
  for (const size_t n : DimsToTest()) {
    std::vector<float> x = random.Floats(n);
    for (size_t i = 0; i < n; i += 3) x[i] = static_cast<float>(random.Between(-513, 513)) / 32768;
    const Guarded<float> input(x);
    const Guarded<int8_t> hi(std::vector<int8_t>(n, 99)), lo(std::vector<int8_t>(n, 99));
    Transforms().quantize_i16(input.data(), 32768.0f, hi.data(), lo.data(), n);
    for (size_t i = 0; i < n; ++i) {
      const double limit = kMaxInt16Level;
      EXPECT_EQ(256 * hi.data()[i] + lo.data()[i],
                std::lrint(std::fmin(std::fmax(x[i] * 32768.0, -limit), limit)))
          << n;
    }
  }
}

TEST_P(SimdTransformTest, QuantizeTakesEveryFloat) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> x(37);
  for (size_t i = 0; i < x.size(); ++i) {
    const float values[] = {FLT_MAX, -FLT_MAX, kInf, -kInf, 0x1p-149f, -0.0f, kNan};
    x[i] = values[i % 7];
  }
  std::vector<int8_t> out(x.size()), hi(x.size()), lo(x.size());
  Transforms().quantize_i8(x.data(), 3.0f, out.data(), x.size());
  Transforms().quantize_i16(x.data(), 3.0f, hi.data(), lo.data(), x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    const int level = 256 * hi[i] + lo[i];
    if (i % 7 == 6) {
      EXPECT_GE(out[i], -127);
      EXPECT_LE(std::abs(level), kMaxInt16Level);
      continue;
    }
    const int sign = i % 7 >= 4 ? 0 : i % 7 % 2 == 0 ? 1 : -1;
    EXPECT_EQ(out[i], sign * 127) << i;
    EXPECT_EQ(level, sign * kMaxInt16Level) << i;
  }
}

}  // namespace
