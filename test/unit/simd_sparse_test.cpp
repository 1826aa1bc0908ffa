// Sparse codes against tables on every target, against one entry after the other.
#include <cmath>
#include <random>

#include "simd_test_util.hpp"

namespace {

using ann::simd::DimensionOf;
using ann::simd::kSparseStep;
using ann::simd::SparseCodes;
using ann::simd::SparseEntry;
using ann::simd::Targets;
using ann::simd::ValueOf;
using ann::simd::testing::EveryTarget;
using ann::simd::testing::Guarded;
using ann::simd::testing::NameOfTarget;

class SimdSparseTest : public EveryTarget {};
INSTANTIATE_TEST_SUITE_P(Targets, SimdSparseTest, ::testing::ValuesIn(Targets()), NameOfTarget);

TEST_P(SimdSparseTest, MeetsEqualDimensionsOnly) {
  std::mt19937 random(4);
  for (uint32_t bits : {4u, 12u, 16u}) {
    const uint32_t mask = (1u << bits) - 1;
    std::vector<uint32_t> table(mask + 1);
    // Of two dimensions that share a place one is there; values of both signs, the largest too.
    for (uint32_t i = 0; i <= mask; ++i) {
      if (random() % 3 == 0) continue;
      const uint32_t dimension = i | (static_cast<uint32_t>(random()) << bits & 0xFFFF);
      table[i] = SparseEntry(dimension, static_cast<int16_t>(random()));
    }
    const Guarded<uint32_t> guarded_table(table);
    for (size_t count = 0; count <= 5 * kSparseStep; count += kSparseStep) {
      std::vector<uint32_t> entries(count);
      double dot = 0, shared = 0, size = 0;
      const float step = 0.5f, table_step = 0.125f;
      for (uint32_t& entry : entries) {
        uint32_t dimension = static_cast<uint32_t>(random()) & 0xFFFF;
        if (random() % 2 == 0) dimension = DimensionOf(table[dimension & mask]);
        entry = SparseEntry(dimension, random() % 8 == 0 ? -32768 : static_cast<int16_t>(random()));
        const uint32_t other = table[dimension & mask];
        if (DimensionOf(other) != dimension) continue;
        const double a = ValueOf(entry), b = ValueOf(other);
        dot += a * b, size += std::fabs(a * b);
        shared +=
            std::fabs(a * step - b * table_step) - std::fabs(a * step) - std::fabs(b * table_step);
      }
      const Guarded<uint32_t> guarded(entries);
      EXPECT_NEAR(SparseCodes().dot(guarded.data(), count, guarded_table.data(), mask), dot,
                  1e-6 * size);
      EXPECT_NEAR(SparseCodes().l1_shared(guarded.data(), count, step, guarded_table.data(), mask,
                                          table_step),
                  shared, 1e-5 * std::fabs(shared));
    }
  }
}

}  // namespace
