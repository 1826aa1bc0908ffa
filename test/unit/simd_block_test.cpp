// Block kernels on every target: sums exact against plain integers, bounds against doubles.
#include <bit>
#include <cmath>
#include <limits>

#include "simd_test_util.hpp"

namespace {

using namespace ann::simd;
using ann::simd::testing::EveryTarget;
using ann::simd::testing::Guarded;
using ann::simd::testing::NameOfTarget;
using ann::simd::testing::Random;

std::vector<uint8_t> RandomBytes(Random& random, size_t n) {
  std::vector<uint8_t> bytes(n);
  for (uint8_t& b : bytes) b = static_cast<uint8_t>(random.Between(0, 255));
  return bytes;
}

// Nibble m of a row in a row-major block.
int Nibble(const std::vector<uint8_t>& rows, size_t bytes, size_t row, size_t m) {
  return rows[row * bytes + m / 2] >> (m % 2 * 4) & 15;
}

class SimdBlockTest : public EveryTarget {};
INSTANTIATE_TEST_SUITE_P(Targets, SimdBlockTest, ::testing::ValuesIn(Targets()), NameOfTarget);

void ExpectSums(const std::vector<uint8_t>& rows, const std::vector<uint8_t>& table) {
  const size_t bytes = rows.size() / kBlockRows;
  std::vector<uint8_t> sealed(rows.size());
  SealNibbles(rows.data(), bytes, sealed.data());
  const Guarded<uint8_t> codes(sealed), entries(table);
  float sums[kBlockRows];
  Blocks().scan_nibbles(codes.data(), entries.data(), 2 * bytes, sums);
  for (size_t r = 0; r < kBlockRows; ++r) {
    uint32_t expected = 0;
    for (size_t m = 0; m < 2 * bytes; ++m) {
      expected += table[16 * m + static_cast<size_t>(Nibble(rows, bytes, r, m))];
    }
    ASSERT_EQ(sums[r], static_cast<float>(expected)) << "row " << r << ", " << bytes << " bytes";
  }
}

// 128 and 130 bytes: a chunk of 16-bit sums is full, and one more begins.
TEST_P(SimdBlockTest, SumsAreExact) {
  Random random(1);
  for (const size_t bytes : {2, 4, 6, 8, 16, 18, 48, 96, 126, 128, 130, 192, 256, 258, 1000}) {
    const std::vector<uint8_t> rows = RandomBytes(random, kBlockRows * bytes);
    ExpectSums(rows, RandomBytes(random, 32 * bytes));
    ExpectSums(rows, std::vector<uint8_t>(32 * bytes, 255));
  }
}

struct Factors {
  std::vector<float> sums, add, scale;
  std::vector<uint16_t> error;
};

Factors RandomFactors(Random& random) {
  Factors f;
  for (size_t r = 0; r < kBlockRows; ++r) {
    f.sums.push_back(static_cast<float>(random.Between(0, 8000)));
    f.add.push_back(3 * random.Symmetric());
    f.scale.push_back(-1e-3f * (1.1f + random.Symmetric()));
    f.error.push_back(
        static_cast<uint16_t>(std::bit_cast<uint32_t>(0.3f * (1.01f + random.Symmetric())) >> 16));
  }
  return f;
}

TEST_P(SimdBlockTest, BoundsAreWhatTheHeaderSays) {
  Random random(2);
  for (const float near : {0.0f, 0.95f, 2.5f}) {
    for (int round = 0; round < 20; ++round) {
      const Factors f = RandomFactors(random);
      const BlockTerms t = {0.7f, -5, 4 * random.Symmetric(), 0.8f, 1.9f, 0.6f, 1e-3f, near};
      double expected[kBlockRows];
      float keys[kBlockRows], lower[kBlockRows];
      const Guarded<float> sums(f.sums), add(f.add), scale(f.scale);
      const Guarded<uint16_t> error(f.error);
      const auto score = [&](float threshold) {
        return Blocks().score(sums.data(), add.data(), scale.data(), error.data(), t, threshold,
                              keys, lower);
      };
      ASSERT_EQ(score(INFINITY), ~0u);
      ASSERT_EQ(score(-INFINITY), 0u);
      for (size_t r = 0; r < kBlockRows; ++r) {
        const double key =
            t.add + t.weight * f.add[r] + f.scale[r] * (double(t.step) * f.sums[r] + t.bias);
        const double e = std::bit_cast<float>(uint32_t{f.error[r]} << 16);
        const double base = key - t.slack - t.noise * std::fabs(f.scale[r]);
        expected[r] = base - t.spread * e;
        if (near > 0) {
          const double h = near * e, root = std::sqrt(h * h + std::max(base, 0.0)) - h;
          expected[r] = std::max(expected[r], root * root);
        }
        EXPECT_NEAR(keys[r], key, 2e-5);
        EXPECT_NEAR(lower[r], expected[r], 2e-5);
      }
      // Each row at its own bound, and just below.
      for (size_t r = 0; r < kBlockRows; ++r) {
        const float bound = lower[r];
        EXPECT_EQ(score(bound) >> r & 1, 1u);
        EXPECT_EQ(score(std::nextafter(bound, -INFINITY)) >> r & 1, 0u);
      }
    }
  }
}

TEST_P(SimdBlockTest, WhatIsNotKnownPasses) {
  const float kNaN = std::numeric_limits<float>::quiet_NaN();
  const uint16_t kInfinite = 0x7f80;
  Random random(3);
  for (const float near : {0.0f, 0.95f}) {
    for (const float spread : {0.0f, 2.0f}) {
      Factors f = RandomFactors(random);
      f.add[3] = kNaN;
      f.error[7] = kInfinite;
      f.add[20] = -INFINITY;
      f.add[30] = INFINITY, f.error[30] = kInfinite;
      const BlockTerms t = {1, 0, 100, 1, spread, 0, 0, near};
      float keys[kBlockRows], lower[kBlockRows];
      const uint32_t passing = Blocks().score(f.sums.data(), f.add.data(), f.scale.data(),
                                              f.error.data(), t, 0, keys, lower);
      // Row 20's squared distance cannot be negative, so it is bounded by 0, which passes as well.
      EXPECT_EQ(passing, 1u << 3 | 1u << 7 | 1u << 20 | 1u << 30) << near << " " << spread;
    }
  }
}

TEST(BlockLayoutTest, SealedNibblesLieWhereTheHeaderSays) {
  Random random(4);
  for (size_t bytes = 2; bytes <= 70; bytes += 2) {
    const std::vector<uint8_t> rows = RandomBytes(random, kBlockRows * bytes);
    const Guarded<uint8_t> open(rows), sealed(std::vector<uint8_t>(rows.size(), 0xee));
    SealNibbles(open.data(), bytes, sealed.data());
    for (size_t m = 0; m < 2 * bytes; ++m) {
      for (size_t p = 0; p < 16; ++p) {
        const int byte = sealed.data()[16 * m + p];
        const size_t row = p % 2 * 8 + p / 2;
        ASSERT_EQ(byte & 15, Nibble(rows, bytes, row, m)) << bytes;
        ASSERT_EQ(byte >> 4, Nibble(rows, bytes, row + 16, m)) << bytes;
      }
    }
    const Guarded<uint8_t> back(std::vector<uint8_t>(rows.size(), 0xee));
    UnsealNibbles(sealed.data(), bytes, back.data());
    EXPECT_EQ(back.Values(), rows);
    for (size_t r = 0; r < kBlockRows; ++r) {
      const Guarded<uint8_t> code(std::vector<uint8_t>(bytes, 0xee));
      ExtractNibbles(sealed.data(), bytes, r, code.data());
      ASSERT_EQ(std::memcmp(code.data(), rows.data() + r * bytes, bytes), 0) << r;
    }
  }
}

TEST(BlockLayoutTest, BytesAreSummed) {
  Random random(5);
  for (const size_t segments : {1, 2, 3, 16, 97}) {
    std::vector<uint16_t> table(256 * segments);
    for (uint16_t& t : table) t = static_cast<uint16_t>(random.Between(0, 65535));
    const Guarded<uint16_t> entries(table);
    for (const bool largest : {false, true}) {
      std::vector<uint8_t> code = RandomBytes(random, segments);
      if (largest) code.assign(segments, 255);
      uint32_t expected = 0;
      for (size_t m = 0; m < segments; ++m) expected += table[256 * m + code[m]];
      const Guarded<uint8_t> bytes(code);
      EXPECT_EQ(SumBytes(bytes.data(), entries.data(), segments), expected);
    }
  }
}

}  // namespace
