// Counting bits on every target, against one bit after the other.
#include <random>

#include "simd_test_util.hpp"

namespace {

using ann::simd::Bits;
using ann::simd::Targets;
using ann::simd::testing::EveryTarget;
using ann::simd::testing::Guarded;
using ann::simd::testing::NameOfTarget;

class SimdBitsTest : public EveryTarget {};
INSTANTIATE_TEST_SUITE_P(Targets, SimdBitsTest, ::testing::ValuesIn(Targets()), NameOfTarget);

TEST_P(SimdBitsTest, CountsEveryBit) {
  std::mt19937 random(4);
  for (size_t bytes = 0; bytes < 300; ++bytes) {
    std::vector<uint8_t> a(bytes), b(bytes);
    uint64_t differ = 0, both = 0, either = 0;
    for (size_t i = 0; i < bytes; ++i) {
      a[i] = static_cast<uint8_t>(random()), b[i] = static_cast<uint8_t>(random());
      for (int bit = 0; bit < 8; ++bit) {
        const int x = a[i] >> bit & 1, y = b[i] >> bit & 1;
        differ += x != y, both += x && y, either += x || y;
      }
    }
    const Guarded<uint8_t> ga(a), gb(b);
    EXPECT_EQ(Bits().hamming(ga.data(), gb.data(), bytes), differ) << bytes;
    const ann::simd::BitCounts counts = Bits().counts(ga.data(), gb.data(), bytes);
    EXPECT_EQ(counts.both, both) << bytes;
    EXPECT_EQ(Bits().common(ga.data(), gb.data(), bytes), both) << bytes;
    EXPECT_EQ(counts.either, either) << bytes;
  }
}

TEST_P(SimdBitsTest, LongStringsOfOnes) {
  const std::vector<uint8_t> ones(100'000, 0xFF), zeros(100'000, 0);
  EXPECT_EQ(Bits().hamming(ones.data(), zeros.data(), ones.size()), 800'000u);
  EXPECT_EQ(Bits().counts(ones.data(), ones.data(), ones.size()).both, 800'000u);
}

}  // namespace
