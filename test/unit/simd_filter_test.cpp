// Filter kernels on every target against plain comparisons: all widths, bounds at the ends of the
// range, inputs that start anywhere and end at an unreadable page.
#include <algorithm>

#include "simd_test_util.hpp"

namespace {

using namespace ann::simd;
using ann::simd::testing::EveryTarget;
using ann::simd::testing::Guarded;
using ann::simd::testing::NameOfTarget;
using ann::simd::testing::Random;

class SimdFilterTest : public EveryTarget {};
INSTANTIATE_TEST_SUITE_P(Targets, SimdFilterTest, ::testing::ValuesIn(Targets()), NameOfTarget);

// 32 values, some of them near `near`, at the end of readable memory, `shift` bytes from alignment.
template <class T>
std::vector<T> SomeValues(Random& random, T near) {
  std::vector<T> values(kMaskRows);
  for (T& value : values) {
    value = random.Between(0, 2) == 0 ? static_cast<T>(random.Next())
                                      : static_cast<T>(near + random.Between(-2, 2));
  }
  values[static_cast<size_t>(random.Between(0, 31))] = std::numeric_limits<T>::max();
  values[static_cast<size_t>(random.Between(0, 31))] = 0;
  return values;
}

template <class T>
std::vector<uint8_t> Shifted(const std::vector<T>& values, size_t shift) {
  std::vector<uint8_t> bytes(values.size() * sizeof(T) + shift);
  std::memcpy(bytes.data(), values.data(), values.size() * sizeof(T));
  return bytes;
}

template <class T, class Kernel, class Expected>
void ExpectMask(Random& random, const std::vector<T>& values, Kernel&& kernel,
                Expected&& expected) {
  uint32_t wanted = 0;
  for (uint32_t i = 0; i < kMaskRows; ++i) wanted |= uint32_t{expected(values[i])} << i;
  const Guarded<uint8_t> memory(Shifted(values, static_cast<size_t>(random.Between(0, 3))));
  EXPECT_EQ(kernel(memory.data()), wanted) << "width " << sizeof(T);
}

template <class T>
void TestRanges(uint32_t width_log) {
  Random random(width_log + 1);
  const T most = std::numeric_limits<T>::max();
  for (int round = 0; round < 300; ++round) {
    const T anchor = static_cast<T>(random.Next());
    const std::vector<T> values = SomeValues<T>(random, anchor);
    const T bounds[] = {0, most, anchor, static_cast<T>(anchor + 1), values[7], values[31]};
    for (const T a : bounds) {
      for (const T b : bounds) {
        const T low = std::min(a, b), high = std::max(a, b);
        ExpectMask(
            random, values,
            [&](const void* at) { return Filters().range[width_log](at, low, T(high - low)); },
            [&](T value) { return value >= low && value <= high; });
      }
    }
  }
}

TEST_P(SimdFilterTest, Ranges) {
  TestRanges<uint8_t>(0);
  TestRanges<uint16_t>(1);
  TestRanges<uint32_t>(2);
  TestRanges<uint64_t>(3);
}

TEST_P(SimdFilterTest, Bits) {
  Random random(9);
  for (int round = 0; round < 500; ++round) {
    std::vector<uint64_t> values(kMaskRows);
    for (uint64_t& value : values) value = random.Next() & random.Next();
    const uint64_t bits = random.Next() & random.Next() & random.Next();
    ExpectMask(
        random, values, [&](const void* at) { return Filters().all_bits(at, bits); },
        [&](uint64_t value) { return (value & bits) == bits; });
    ExpectMask(
        random, values, [&](const void* at) { return Filters().any_bits(at, bits); },
        [&](uint64_t value) { return (value & bits) != 0; });
    std::vector<uint8_t> flags(kMaskRows);
    for (uint8_t& flag : flags) flag = static_cast<uint8_t>(random.Next() & random.Next());
    const uint8_t flag = static_cast<uint8_t>(1u << random.Between(0, 7));
    ExpectMask(
        random, flags, [&](const void* at) { return Filters().any_flags(at, flag); },
        [&](uint8_t value) { return (value & flag) != 0; });
  }
}

}  // namespace
