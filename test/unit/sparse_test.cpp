// Sums over sparse vectors against the same vectors with all their zeros.
#include "core/sparse.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

namespace {

using ann::SparseView;

struct Sparse {
  std::vector<int32_t> indices;
  std::vector<float> values;
  std::vector<double> dense;
  SparseView view() const {
    return {indices.data(), values.data(), static_cast<uint32_t>(indices.size())};
  }
};

// `share` of the numbers are not 0. Whole numbers, so that float sums are exact.
Sparse Make(std::mt19937& random, int dims, double share) {
  Sparse sparse;
  sparse.dense.resize(static_cast<size_t>(dims));
  for (int i = 0; i < dims; ++i) {
    if (std::uniform_real_distribution<>()(random) >= share) continue;
    const int value = std::uniform_int_distribution<>(1, 9)(random) * (random() % 2 ? 1 : -1);
    sparse.indices.push_back(i);
    sparse.values.push_back(static_cast<float>(value));
    sparse.dense[static_cast<size_t>(i)] = value;
  }
  return sparse;
}

TEST(Sparse, SumsAreThoseOfDenseVectors) {
  std::mt19937 random(5);
  for (const double share_a : {0.0, 0.002, 0.05, 0.5, 1.0}) {
    for (const double share_b : {0.0, 0.002, 0.05, 0.5, 1.0}) {
      for (const int dims : {1, 2, 10, 3000}) {
        const Sparse a = Make(random, dims, share_a), b = Make(random, dims, share_b);
        double product = 0, l2 = 0, l1 = 0, norm = 0;
        for (size_t i = 0; i < a.dense.size(); ++i) {
          const double x = a.dense[i], y = b.dense[i];
          product += x * y, l2 += (x - y) * (x - y), l1 += std::fabs(x - y), norm += x * x;
        }
        EXPECT_EQ(SparseInnerProduct(a.view(), b.view()), product);
        EXPECT_EQ(SparseInnerProduct(b.view(), a.view()), product);
        EXPECT_EQ(SparseL2Squared(a.view(), b.view()), l2);
        EXPECT_EQ(SparseL1(a.view(), b.view()), l1);
        EXPECT_EQ(SparseSquaredNorm(a.view()), norm);
      }
    }
  }
}

// Both orders of the arguments cut the lists at the same index, so that rounding is the same.
TEST(Sparse, SumsAreSymmetric) {
  std::mt19937 random(6);
  const auto make = [&random](double share) {
    Sparse sparse = Make(random, 500, share);
    for (float& value : sparse.values) value = std::uniform_real_distribution<float>(0, 1)(random);
    return sparse;
  };
  for (int i = 0; i < 200; ++i) {
    const Sparse a = make(0.2), b = make(i % 2 == 0 ? 0.2 : 0.02);
    EXPECT_EQ(SparseInnerProduct(a.view(), b.view()), SparseInnerProduct(b.view(), a.view()));
    EXPECT_EQ(SparseL2Squared(a.view(), b.view()), SparseL2Squared(b.view(), a.view()));
    EXPECT_EQ(SparseL1(a.view(), b.view()), SparseL1(b.view(), a.view()));
    EXPECT_EQ(SparseL2Squared(a.view(), a.view()), 0);
  }
}

}  // namespace
