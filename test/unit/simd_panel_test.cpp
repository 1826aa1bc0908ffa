// Panel kernels on every target against a double reference.
#include <algorithm>
#include <cfloat>
#include <cmath>
#include <limits>

#include "simd_test_util.hpp"

namespace {

using ann::simd::kPanelLists;
using ann::simd::kPanelRows;
using ann::simd::Panels;
using ann::simd::PanelSet;
using ann::simd::Targets;
using ann::simd::testing::DimsToTest;
using ann::simd::testing::EveryTarget;
using ann::simd::testing::Guarded;
using ann::simd::testing::NameOfTarget;
using ann::simd::testing::Random;

constexpr float kInf = std::numeric_limits<float>::infinity();
using Rows = std::vector<std::vector<float>>;

// Panels of `centroids`, both arrays ending at an unreadable page.
class Packed {
 public:
  Packed(const Rows& centroids, size_t dims, uint32_t first_id = 0)
      : count_((centroids.size() + kPanelLists - 1) / kPanelLists),
        values_(Values(centroids, dims, count_)),
        half_norms_(HalfNorms(centroids, count_)),
        set_{values_.data(), half_norms_.data(), count_, first_id} {}
  const PanelSet& set() const { return set_; }
  double HalfNorm(size_t list) const { return set_.half_norms[list]; }

 private:
  static std::vector<float> Values(const Rows& centroids, size_t dims, size_t count) {
    std::vector<float> values(count * dims * kPanelLists);
    for (size_t l = 0; l < centroids.size(); ++l) {
      for (size_t d = 0; d < dims; ++d) {
        values[(l / kPanelLists * dims + d) * kPanelLists + l % kPanelLists] = centroids[l][d];
      }
    }
    return values;
  }
  static std::vector<float> HalfNorms(const Rows& centroids, size_t count) {
    std::vector<float> norms(count * kPanelLists, kInf);
    for (size_t l = 0; l < centroids.size(); ++l) {
      double sum = 0;
      for (const float x : centroids[l]) sum += static_cast<double>(x) * x;
      norms[l] = static_cast<float>(sum / 2);
    }
    return norms;
  }

  size_t count_;
  Guarded<float> values_, half_norms_;
  PanelSet set_;
};

Rows RandomRows(Random& random, size_t n, size_t dims) {
  Rows rows(n);
  for (std::vector<float>& row : rows) row = random.Floats(dims);
  return rows;
}

Rows SmallIntegers(Random& random, size_t n, size_t dims, int limit) {
  Rows rows(n, std::vector<float>(dims));
  for (std::vector<float>& row : rows) {
    for (float& v : row) v = static_cast<float>(random.Between(-limit, limit));
  }
  return rows;
}

struct Found {
  std::vector<float> keys;
  std::vector<uint32_t> ids;
};

Found Nothing(size_t n) { return {std::vector<float>(n, kInf), std::vector<uint32_t>(n, 0)}; }

// Every row in memory of its own that ends at an unreadable page.
void Offer(const Rows& rows, const PanelSet& set, Found& found) {
  std::vector<std::unique_ptr<Guarded<float>>> guarded;
  std::vector<const float*> pointers;
  for (const std::vector<float>& row : rows) {
    guarded.push_back(std::make_unique<Guarded<float>>(row));
    pointers.push_back(guarded.back()->data());
  }
  const Guarded<float> keys(found.keys);
  const Guarded<uint32_t> ids(found.ids);
  Panels().nearest(pointers.data(), rows.size(), rows[0].size(), set, keys.data(), ids.data());
  found = {keys.Values(), ids.Values()};
}

Found Nearest(const Rows& rows, const PanelSet& set) {
  Found found = Nothing(rows.size());
  Offer(rows, set, found);
  return found;
}

double Key(const std::vector<float>& x, const std::vector<float>& c, double half_norm) {
  double dot = 0;
  for (size_t d = 0; d < x.size(); ++d) dot += static_cast<double>(x[d]) * c[d];
  return half_norm - dot;
}

// One sum of dims terms; every partial sum is at most dims for values within [-1, 1].
double Tolerance(size_t dims) { return static_cast<double>(dims + 4) * FLT_EPSILON * 0.5 * dims; }

void ExpectNearest(const Rows& rows, const Rows& centroids, const Packed& packed,
                   const Found& found, double tolerance) {
  for (size_t i = 0; i < rows.size(); ++i) {
    double best = 1e300;
    uint32_t best_id = 0;
    for (size_t l = 0; l < centroids.size(); ++l) {
      const double key = Key(rows[i], centroids[l], packed.HalfNorm(l));
      if (key < best) {
        best = key;
        best_id = static_cast<uint32_t>(l);
      }
    }
    ASSERT_LT(found.ids[i], centroids.size());
    const double chosen = Key(rows[i], centroids[found.ids[i]], packed.HalfNorm(found.ids[i]));
    EXPECT_NEAR(found.keys[i], chosen, tolerance) << "dims " << rows[0].size();
    if (tolerance > 0) {
      EXPECT_LE(chosen, best + 2 * tolerance) << "dims " << rows[0].size();
    } else {
      EXPECT_EQ(found.ids[i], best_id) << "dims " << rows[0].size();
    }
  }
}

class SimdPanelTest : public EveryTarget {};
INSTANTIATE_TEST_SUITE_P(Targets, SimdPanelTest, ::testing::ValuesIn(Targets()), NameOfTarget);

TEST_P(SimdPanelTest, MatchesDoubleReferenceInAllDims) {
  Random random(1);
  for (const size_t dims : DimsToTest()) {
    const Rows centroids = RandomRows(random, 45, dims), rows = RandomRows(random, 9, dims);
    const Packed packed(centroids, dims);
    ExpectNearest(rows, centroids, packed, Nearest(rows, packed.set()), Tolerance(dims));
  }
}

// Small integers are exact, so the ids must be, the lowest of equal ones included.
TEST_P(SimdPanelTest, EveryNumberOfRowsAndOfCentroidsExactly) {
  Random random(2);
  constexpr size_t kDims = 5;
  for (size_t n = 1; n <= kPanelRows; ++n) {
    const size_t lists = 1 + random.Next() % 300;
    const Rows centroids = SmallIntegers(random, lists, kDims, 2);
    const Rows rows = SmallIntegers(random, n, kDims, 2);
    const Packed packed(centroids, kDims);
    ExpectNearest(rows, centroids, packed, Nearest(rows, packed.set()), 0);
  }
  for (size_t lists = 1; lists <= 5 * kPanelLists; ++lists) {
    for (const size_t n : {1, 7}) {
      const Rows centroids = SmallIntegers(random, lists, kDims, 1);
      const Rows rows = SmallIntegers(random, n, kDims, 1);
      const Packed packed(centroids, kDims);
      ExpectNearest(rows, centroids, packed, Nearest(rows, packed.set()), 0);
    }
  }
}

TEST_P(SimdPanelTest, EveryCentroidCanWin) {
  constexpr size_t kLists = 9 * kPanelLists - 3, kDims = 3;
  Rows centroids;
  for (size_t l = 0; l < kLists; ++l) {
    const float x = static_cast<float>(l % 16), y = static_cast<float>(l / 16);
    centroids.push_back({x, y, x * y / 8});
  }
  const Packed packed(centroids, kDims);
  for (size_t l = 0; l < kLists; l += 11) {
    const Rows rows(centroids.begin() + l, centroids.begin() + std::min(l + 11, kLists));
    const Found found = Nearest(rows, packed.set());
    for (size_t i = 0; i < rows.size(); ++i) {
      EXPECT_EQ(found.ids[i], l + i);
      EXPECT_EQ(Nearest({rows[i]}, packed.set()).ids[0], l + i);
    }
  }
}

TEST_P(SimdPanelTest, SeveralCallsFindTheNearestOverAll) {
  Random random(3);
  constexpr size_t kDims = 4, kLists = 4 * kPanelLists;
  const Rows centroids = SmallIntegers(random, kLists, kDims, 2);
  const Rows rows = SmallIntegers(random, 30, kDims, 2);
  const Packed all(centroids, kDims);
  const Found expected = Nearest(rows, all.set());
  for (const size_t cut : {kPanelLists, 3 * kPanelLists}) {
    const Packed head({centroids.begin(), centroids.begin() + cut}, kDims);
    const Packed tail({centroids.begin() + cut, centroids.end()}, kDims, cut);
    for (const bool tail_first : {false, true}) {
      Found found = Nothing(rows.size());
      Offer(rows, tail_first ? tail.set() : head.set(), found);
      Offer(rows, tail_first ? head.set() : tail.set(), found);
      EXPECT_EQ(found.ids, expected.ids);
      EXPECT_EQ(found.keys, expected.keys);
    }
  }
}

TEST_P(SimdPanelTest, NoPanelsChangeNothing) {
  const PanelSet none = {nullptr, nullptr, 0, 0};
  for (const size_t n : {1, 5}) {
    Found found = {std::vector<float>(n, 7.0f), std::vector<uint32_t>(n, 3)};
    Offer(Rows(n, {1.0f}), none, found);
    EXPECT_EQ(found.keys, std::vector<float>(n, 7.0f));
    EXPECT_EQ(found.ids, std::vector<uint32_t>(n, 3));
  }
}

// A row's key does not hang on the rows beside it, so neither do clusters on how work is cut.
TEST_P(SimdPanelTest, KeysAreTheSameAloneAndInCompany) {
  Random random(4);
  for (const size_t dims : {1, 17, 128, 131}) {
    const Rows centroids = RandomRows(random, 200, dims);
    const Rows rows = RandomRows(random, kPanelRows, dims);
    const Packed packed(centroids, dims);
    const Found together = Nearest(rows, packed.set());
    for (size_t i = 0; i < rows.size(); ++i) {
      const Found alone = Nearest({rows[i]}, packed.set());
      EXPECT_EQ(alone.keys[0], together.keys[i]);
      EXPECT_EQ(alone.ids[0], together.ids[i]);
    }
  }
}

TEST_P(SimdPanelTest, OverflowLeavesAValidId) {
  const Rows centroids(40, std::vector<float>(6, FLT_MAX));
  const Packed packed(centroids, 6);
  for (const float x : {FLT_MAX, -FLT_MAX, 0.0f}) {
    for (const size_t n : {1, 3}) {
      for (const uint32_t id : Nearest(Rows(n, std::vector<float>(6, x)), packed.set()).ids) {
        EXPECT_LT(id, centroids.size());
      }
    }
  }
}

TEST_P(SimdPanelTest, AllKeysHoldTheNearest) {
  Random random(6);
  for (size_t n = 1; n <= kPanelRows; ++n) {
    const size_t dims = 1 + random.Next() % 40, lists = 1 + random.Next() % 100;
    const Rows centroids = SmallIntegers(random, lists, dims, 3);
    const Rows rows = SmallIntegers(random, n, dims, 3);
    const Packed packed(centroids, dims);
    std::vector<const float*> pointers;
    for (const std::vector<float>& row : rows) pointers.push_back(row.data());
    const size_t stride = packed.set().count * kPanelLists;
    const Guarded<float> keys(std::vector<float>(n * stride));
    Panels().all_keys(pointers.data(), n, dims, packed.set(), keys.data());
    for (size_t i = 0; i < n; ++i) {
      for (size_t l = 0; l < lists; ++l) {
        EXPECT_EQ(keys.data()[i * stride + l], Key(rows[i], centroids[l], packed.HalfNorm(l)));
      }
      for (size_t l = lists; l < stride; ++l) EXPECT_EQ(keys.data()[i * stride + l], kInf);
    }
  }
}

void ExpectSmallest(const std::vector<float>& keys, size_t count) {
  const Guarded<float> guarded(keys);
  const Guarded<uint16_t> numbers(std::vector<uint16_t>(count, 65535));
  Panels().smallest(guarded.data(), keys.size(), count, numbers.data());
  const std::vector<uint16_t> got = numbers.Values();
  EXPECT_TRUE(std::is_sorted(got.begin(), got.end()));
  EXPECT_EQ(std::adjacent_find(got.begin(), got.end()), got.end()) << "one is given twice";
  std::vector<bool> taken(keys.size());
  for (const uint16_t i : got) {
    ASSERT_LT(i, keys.size());
    taken[i] = true;
  }
  float worst_taken = -kInf, best_left = kInf;
  for (size_t i = 0; i < keys.size(); ++i) {
    if (taken[i] && !(keys[i] <= worst_taken)) worst_taken = keys[i];
    if (!taken[i] && keys[i] < best_left) best_left = keys[i];
  }
  const float range = 200.0f;  // of the keys below
  EXPECT_LE(worst_taken, best_left + range * 0x1p-15f) << keys.size() << " " << count;
}

TEST_P(SimdPanelTest, SmallestKeys) {
  Random random(7);
  for (const size_t n : {1, 2, 15, 16, 17, 33, 116, 1000}) {
    std::vector<float> mixed = random.Floats(n);
    for (float& key : mixed) key *= 100;
    std::vector<float> few(n);
    for (float& key : few) key = static_cast<float>(random.Between(0, 3));
    for (size_t count = 1; count <= std::min<size_t>(n, 48); ++count) {
      ExpectSmallest(mixed, count);
      ExpectSmallest(few, count);
      ExpectSmallest(std::vector<float>(n, -5.0f), count);
    }
  }
}

TEST_P(SimdPanelTest, SmallestOfKeysThatAreNotFinite) {
  Random random(8);
  for (const float bad : {kInf, std::numeric_limits<float>::quiet_NaN()}) {
    for (const size_t n : {3, 40, 70}) {
      std::vector<float> keys = random.Floats(n);
      for (size_t i = 0; i < n; i += 2) keys[i] = bad;
      const size_t good = n / 2;
      for (const size_t count : {good / 2 + 1, good, good + 1, n}) {
        std::vector<uint16_t> numbers(count);
        Panels().smallest(keys.data(), n, count, numbers.data());
        size_t finite = 0;
        for (const uint16_t i : numbers) {
          ASSERT_LT(i, n);
          finite += i % 2;
        }
        EXPECT_EQ(finite, std::min(count, good));
        std::sort(numbers.begin(), numbers.end());
        EXPECT_EQ(std::adjacent_find(numbers.begin(), numbers.end()), numbers.end());
      }
      std::vector<uint16_t> all(n);
      Panels().smallest(std::vector<float>(n, bad).data(), n, n, all.data());
      for (size_t i = 0; i < n; ++i) EXPECT_EQ(all[i], i);
    }
  }
}

TEST_P(SimdPanelTest, NearestColumn) {
  Random random(6);
  for (const size_t count : {16, 48, 256}) {
    for (const size_t dims : {1, 2, 3, 4, 7, 33}) {
      for (size_t wanted = 0; wanted < count; wanted += count / 16) {
        std::vector<float> values = random.Floats(count * dims);
        std::vector<float> x(dims);
        for (size_t d = 0; d < dims; ++d) x[d] = values[d * count + wanted] + 1e-6f;
        // The same column again, further on: the first one counts.
        for (size_t d = 0; wanted + 1 < count && d < dims; ++d) {
          values[d * count + count - 1] = values[d * count + wanted];
        }
        const Guarded<float> columns(values), row(x);
        EXPECT_EQ(Panels().nearest_column(columns.data(), count, row.data(), dims), wanted)
            << count << " columns of " << dims;
      }
    }
  }
}

TEST_P(SimdPanelTest, NearestColumnOfValuesThatAreNotNumbers) {
  constexpr size_t kCount = 32, kDims = 3;
  std::vector<float> columns(kCount * kDims, 1);
  EXPECT_EQ(Panels().nearest_column(columns.data(), kCount, std::vector(kDims, NAN).data(), kDims),
            0u);
  EXPECT_EQ(Panels().nearest_column(columns.data(), kCount, std::vector(kDims, kInf).data(), kDims),
            0u);
  std::fill(columns.begin(), columns.begin() + 20, NAN);
  EXPECT_EQ(Panels().nearest_column(columns.data(), kCount, std::vector(kDims, 1.f).data(), kDims),
            20u);
}

TEST_P(SimdPanelTest, AccumulatesInDouble) {
  Random random(5);
  for (const size_t dims : DimsToTest()) {
    std::vector<double> expected(dims);
    for (double& v : expected) v = random.Symmetric() * 1e6;
    const Guarded<double> sums(expected);
    const Guarded<float> row(random.Floats(dims));
    for (size_t d = 0; d < dims; ++d) expected[d] += static_cast<double>(row.data()[d]);
    Panels().accumulate(sums.data(), row.data(), dims);
    EXPECT_EQ(sums.Values(), expected) << dims;
  }
}

}  // namespace
