// Nearest centroids: exact below 1,024 lists, by groups above, one row at a time.
#include <cfloat>

#include <gtest/gtest.h>

#include "cluster/nearest.hpp"
#include "cluster_util.hpp"
#include "simd_test_util.hpp"

namespace {

using ann::cluster::CentroidTable;
using ann::cluster::kGroupedLists;
using ann::cluster::Phase;
using ann::testing::ClusteredRows;
using ann::testing::GaussianRows;
using ann::testing::Memory;
using ann::testing::NearestOf;
using ann::testing::Squared;
using ann::testing::Vector;

// A filled table, with its memory.
class Table {
 public:
  Table(const Vector& centroids, uint32_t dims)
      : lists_(static_cast<uint32_t>(centroids.size() / dims)),
        memory_(CentroidTable::Bytes(lists_, dims)),
        scratch_(CentroidTable::ScratchBytes(lists_)),
        table_(centroids.data(), lists_, dims, memory_.data(), scratch_.data()) {
    table_.Fill({});
  }
  const CentroidTable* operator->() const { return &table_; }

 private:
  uint32_t lists_;
  Memory memory_, scratch_;
  CentroidTable table_;
};

struct Answer {
  std::vector<uint32_t> ids;
  Vector distances;
};

Answer NearestOfAll(const Table& table, const Vector& rows, uint32_t dims) {
  const size_t n = rows.size() / dims;
  Answer answer = {std::vector<uint32_t>(n, UINT32_MAX), Vector(n)};
  table->Nearest(rows.data(), n, answer.ids.data(), answer.distances.data(), {});
  return answer;
}

class NearestTest : public ann::simd::testing::EveryTarget {};
INSTANTIATE_TEST_SUITE_P(Targets, NearestTest, ::testing::ValuesIn(ann::simd::Targets()),
                         ann::simd::testing::NameOfTarget);

void ExpectExact(const Vector& rows, const Vector& centroids, uint32_t dims, size_t row,
                 uint32_t id, float distance) {
  ASSERT_LT(id, centroids.size() / dims);
  const float* x = &rows[row * dims];
  const double found = Squared(x, &centroids[id * dims], dims);
  const double best = Squared(x, &centroids[NearestOf(x, centroids, dims) * dims], dims);
  EXPECT_NEAR(distance, found, 1e-5 * found + 1e-9);
  EXPECT_LE(found, best + 1e-4 * dims);
}

TEST_P(NearestTest, ExactForEveryNumberOfListsAndRows) {
  for (const uint32_t lists : {1u, 2u, 31u, 32u, 33u, 500u, kGroupedLists - 1}) {
    const uint32_t dims = 1 + lists % 23;
    const Vector centroids = GaussianRows(lists, lists, dims);
    const Table table(centroids, dims);
    for (const size_t n : {1, 7, 63, 64, 65}) {
      const Vector rows = GaussianRows(100 + n, n, dims);
      const Answer answer = NearestOfAll(table, rows, dims);
      for (size_t i = 0; i < n; ++i) {
        ExpectExact(rows, centroids, dims, i, answer.ids[i], answer.distances[i]);
        float distance;
        const uint32_t one = table->NearestOne(&rows[i * dims], &distance);
        EXPECT_EQ(one, answer.ids[i]);
        EXPECT_EQ(distance, answer.distances[i]);
      }
    }
  }
}

TEST_P(NearestTest, GroupsFindNearlyAll) {
  constexpr uint32_t kDims = 24, kLists = 2500;
  constexpr size_t kRows = 3000;
  const Vector all = ClusteredRows(1, kLists + kRows, kDims, 300, 5);
  const Vector centroids(all.begin(), all.begin() + kLists * kDims);
  const Vector rows(all.begin() + kLists * kDims, all.end());
  const Table table(centroids, kDims);
  const Answer answer = NearestOfAll(table, rows, kDims);
  size_t missed = 0;
  double sum = 0, least = 0;
  for (size_t i = 0; i < kRows; ++i) {
    float distance;
    const uint32_t exact = table->NearestOne(&rows[i * kDims], &distance);
    ExpectExact(rows, centroids, kDims, i, exact, distance);
    missed += answer.ids[i] != exact ? 1 : 0;
    sum += Squared(&rows[i * kDims], &centroids[answer.ids[i] * kDims], kDims);
    least += static_cast<double>(distance);
    ASSERT_GE(answer.distances[i], distance * 0.9999f);
  }
  EXPECT_LE(missed, kRows / 20);
  EXPECT_LE(sum, least * 1.01);
}

// A row's answer does not hang on the rows beside it.
TEST_P(NearestTest, BatchesDoNotMatter) {
  constexpr uint32_t kDims = 6, kLists = 1500;
  const Vector centroids = GaussianRows(2, kLists, kDims), rows = GaussianRows(3, 2100, kDims);
  const Table table(centroids, kDims);
  const Answer whole = NearestOfAll(table, rows, kDims);
  for (const size_t piece : {1, 100, 1024, 1025}) {
    for (size_t begin = 0; begin < 2100; begin += piece) {
      const size_t end = std::min<size_t>(begin + piece, 2100);
      const Vector some(rows.begin() + begin * kDims, rows.begin() + end * kDims);
      const Answer answer = NearestOfAll(table, some, kDims);
      for (size_t i = begin; i < end; ++i) ASSERT_EQ(answer.ids[i - begin], whole.ids[i]);
      if (piece == 1 && begin == 50) break;
    }
  }
}

TEST(CentroidTableTest, EveryCentroidFindsItself) {
  for (const uint32_t lists : {kGroupedLists - 1, kGroupedLists, 1025u, 1055u, 1056u, 3000u}) {
    for (const uint32_t dims : {2u, 40u}) {
      const Vector centroids = GaussianRows(4, lists, dims);
      const Answer answer = NearestOfAll(Table(centroids, dims), centroids, dims);
      size_t others = 0, far = 0;
      for (uint32_t i = 0; i < lists; ++i) {
        ASSERT_LT(answer.ids[i], lists);
        others += answer.ids[i] != i ? 1 : 0;
        far += answer.distances[i] > 1e-5f ? 1 : 0;
      }
      const bool is_grouped = lists >= kGroupedLists;
      EXPECT_LE(far, is_grouped ? lists / 200 : 0) << lists << " " << dims;
      // In two dims floats cannot tell all of them apart.
      EXPECT_LE(others, dims == 2 ? lists / 50 : far);
    }
  }
}

TEST(CentroidTableTest, EqualCentroids) {
  for (const uint32_t lists : {100u, 2000u}) {
    const Vector centroids(lists * 3, 1.5f), rows = GaussianRows(5, 200, 3);
    const Answer answer = NearestOfAll(Table(centroids, 3), rows, 3);
    for (const uint32_t id : answer.ids) EXPECT_EQ(id, answer.ids[0]);
    EXPECT_LT(answer.ids[0], lists);
  }
}

TEST(CentroidTableTest, HugeValuesGiveSomeList) {
  for (const uint32_t lists : {100u, 2000u}) {
    Vector centroids = GaussianRows(6, lists, 3), rows = GaussianRows(7, 100, 3);
    for (Vector* values : {&centroids, &rows}) {
      for (float& x : *values) x = x < 0 ? -FLT_MAX : FLT_MAX;
    }
    const Table table(centroids, 3);
    for (const uint32_t id : NearestOfAll(table, rows, 3).ids) EXPECT_LT(id, lists);
    float distance;
    EXPECT_LT(table->NearestOne(rows.data(), &distance), lists);
  }
}

TEST(CentroidTableTest, SizesOfTablesAreBounded) {
  for (const uint32_t dims : {1u, 3u, 16u, 128u, 1536u, 16000u}) {
    for (uint32_t lists = 1; lists < 1000000; lists += 1 + lists / 7) {
      EXPECT_LE(CentroidTable::Bytes(lists, dims),
                lists * CentroidTable::PerList(dims) + CentroidTable::PerTable(dims))
          << lists << " " << dims;
    }
    for (const uint32_t lists : {kGroupedLists - 1, kGroupedLists, kGroupedLists + 1}) {
      EXPECT_LE(CentroidTable::Bytes(lists, dims),
                lists * CentroidTable::PerList(dims) + CentroidTable::PerTable(dims))
          << lists << " " << dims;
    }
  }
}

TEST(CentroidTableTest, ProgressReachesItsTotal) {
  for (const uint32_t lists : {100u, 1500u}) {
    const Vector centroids = GaussianRows(8, lists, 32), rows = GaussianRows(9, 100000, 32);
    const Table table(centroids, 32);
    struct Seen {
      uint64_t done = 0, total = 0;
      int ticks = 0;
    } seen;
    const auto tick = [](void* context, Phase phase, uint64_t done, uint64_t total) {
      EXPECT_EQ(phase, Phase::kAssign);
      Seen& last = *static_cast<Seen*>(context);
      EXPECT_GT(done, last.done);
      last = {done, total, last.ticks + 1};
    };
    std::vector<uint32_t> ids(100000);
    Vector distances(100000);
    table->Nearest(rows.data(), 100000, ids.data(), distances.data(), {tick, &seen});
    EXPECT_GE(seen.ticks, 4);
    EXPECT_LE(seen.done, seen.total);
    EXPECT_GE(static_cast<double>(seen.done), 0.7 * static_cast<double>(seen.total));
  }
}

}  // namespace
