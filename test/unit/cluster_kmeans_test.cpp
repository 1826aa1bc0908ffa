// k-means: quality against a plain reference, determinism, chunks in any order, degenerate rows.
#include <algorithm>
#include <cfloat>
#include <csetjmp>
#include <cstring>

#include <gtest/gtest.h>

#include "cluster_util.hpp"
#include "simd_test_util.hpp"

namespace {

using ann::Mix64;
using ann::Rng;
using ann::cluster::KMeans;
using ann::cluster::KMeansParams;
using ann::cluster::Phase;
using ann::cluster::Progress;
using ann::testing::ClusteredRows;
using ann::testing::Gaussian;
using ann::testing::GaussianRows;
using ann::testing::Inertia;
using ann::testing::Memory;
using ann::testing::NearestOf;
using ann::testing::ReadRows;
using ann::testing::ResultOf;
using ann::testing::SizesOf;
using ann::testing::Train;
using ann::testing::Trained;
using ann::testing::Vector;

KMeansParams Params(uint32_t dims, uint32_t lists, uint32_t iterations = 10) {
  KMeansParams params;
  params.dims = dims;
  params.lists = lists;
  params.iterations = iterations;
  params.seed = 42;
  return params;
}

Vector RealRows(size_t n) {
  Vector rows;
  for (const Vector& row : ReadRows("base.npy", n)) rows.insert(rows.end(), row.begin(), row.end());
  return rows;
}

// Lloyd 1982 from random rows, in double.
double PlainInertia(const Vector& rows, size_t dims, size_t lists, int iterations) {
  const size_t n = rows.size() / dims;
  Rng rng(1);
  Vector centroids;
  for (size_t list = 0; list < lists; ++list) {
    const float* row = &rows[(list * n + rng.Next() % n) / lists * dims];
    centroids.insert(centroids.end(), row, row + dims);
  }
  for (int iteration = 0; iteration < iterations; ++iteration) {
    std::vector<double> sums(lists * dims);
    std::vector<size_t> counts(lists);
    for (size_t i = 0; i < n; ++i) {
      const size_t list = NearestOf(&rows[i * dims], centroids, dims);
      ++counts[list];
      for (size_t d = 0; d < dims; ++d) sums[list * dims + d] += rows[i * dims + d];
    }
    for (size_t i = 0; i < sums.size(); ++i) {
      if (counts[i / dims] > 0) {
        centroids[i] = static_cast<float>(sums[i] / static_cast<double>(counts[i / dims]));
      }
    }
  }
  return Inertia(rows, centroids, dims);
}

TEST(KMeansTest, IsAsGoodAsPlainLloydOnRealRows) {
  constexpr size_t kDims = 384;
  const Vector rows = RealRows(1500);
  for (const uint32_t lists : {10u, 40u}) {
    const Trained trained = Train(Params(kDims, lists, 6), rows);
    EXPECT_EQ(trained.lists, lists);
    EXPECT_LE(Inertia(rows, trained.centroids, kDims), 1.02 * PlainInertia(rows, kDims, lists, 6));
  }
}

// With cells and, from 1,024 lists on, with groups.
TEST(KMeansTest, CellsAndGroupsAreAsGoodAsPlainLloyd) {
  constexpr size_t kDims = 16;
  const struct {
    uint32_t lists;
    size_t rows;
  } cases[] = {{300, 3000}, {1100, 6600}};
  for (const auto& c : cases) {
    const Vector rows = ClusteredRows(3, c.rows, kDims, 150, 4);
    const Trained trained = Train(Params(kDims, c.lists, 4), rows);
    EXPECT_EQ(trained.lists, c.lists);
    EXPECT_LE(Inertia(rows, trained.centroids, kDims),
              1.02 * PlainInertia(rows, kDims, c.lists, 4));
  }
}

// Random starts leave some of 50 far clusters without a centroid, and Lloyd never mends that.
TEST(KMeansTest, TheStartFindsFarClusters) {
  constexpr size_t kDims = 8, kClusters = 50;
  const Vector rows = ClusteredRows(4, 2000, kDims, kClusters, 0.01f);
  const Trained trained = Train(Params(kDims, kClusters), rows);
  const double spread = 0.01 * 0.01 * kDims * 2000;
  EXPECT_LE(trained.inertia, 1.1 * spread);
  EXPECT_GE(PlainInertia(rows, kDims, kClusters, 10), 100 * spread);
}

TEST(KMeansTest, MoreIterationsLessInertia) {
  const Vector rows = GaussianRows(5, 4000, 10);
  double last = 1e300;
  for (const uint32_t iterations : {1u, 3u, 10u}) {
    const Trained trained = Train(Params(10, 50, iterations), rows);
    EXPECT_EQ(trained.iterations, iterations);
    EXPECT_LT(trained.inertia, last);
    last = trained.inertia;
  }
}

TEST(KMeansTest, StopsWhenRowsRest) {
  const Vector rows = ClusteredRows(6, 1000, 4, 5, 0.01f);
  const Trained trained = Train(Params(4, 5, 100), rows);
  EXPECT_LT(trained.iterations, 10u);
}

// --- determinism ---------------------------------------------------------------------------------

class KMeansTargetTest : public ann::simd::testing::EveryTarget {};
INSTANTIATE_TEST_SUITE_P(Targets, KMeansTargetTest, ::testing::ValuesIn(ann::simd::Targets()),
                         ann::simd::testing::NameOfTarget);

TEST_P(KMeansTargetTest, SameSeedSameCentroids) {
  const Vector rows = GaussianRows(7, 3000, 9);
  for (const uint32_t lists : {20u, 300u}) {
    KMeansParams params = Params(9, lists, 3);
    const Trained first = Train(params, rows), second = Train(params, rows);
    EXPECT_EQ(first.centroids, second.centroids);
    EXPECT_EQ(first.inertia, second.inertia);
    params.seed = 43;
    EXPECT_NE(Train(params, rows).centroids, first.centroids);
  }
}

// Three processes, each with the block at an address of its own, take chunks in random order.
Trained TrainShared(const KMeansParams& params, const Vector& rows, uint64_t seed) {
  const size_t n = rows.size() / params.dims, bytes = KMeans::BlockBytes(params, n);
  const Memory blocks[3] = {Memory(bytes), Memory(bytes), Memory(bytes)};
  const size_t scratch_bytes = KMeans::ScratchBytes(params);
  const Memory scratch[3] = {Memory(scratch_bytes), Memory(scratch_bytes), Memory(scratch_bytes)};
  const Vector copies[3] = {rows, rows, rows};
  KMeans::Init(blocks[0].data(), params, n);
  Rng rng(seed);
  size_t at = 0;
  const auto move = [&] {
    const size_t to = rng.Next() % 3;
    if (to != at) std::memcpy(blocks[to].data(), blocks[at].data(), bytes);
    if (to != at) std::memset(blocks[at].data(), 0x5a, bytes);
    at = to;
    return KMeans(blocks[at].data(), copies[at].data(), scratch[at].data());
  };
  while (!move().done()) {
    std::vector<uint32_t> chunks(move().chunks());
    std::iota(chunks.begin(), chunks.end(), 0u);
    for (size_t i = chunks.size(); i > 1; --i) std::swap(chunks[i - 1], chunks[rng.Next() % i]);
    for (const uint32_t chunk : chunks) move().RunChunk(chunk, {});
    move().Advance({});
  }
  return ResultOf(move(), params.dims);
}

TEST(KMeansTest, WhoDoesWhichChunkDoesNotMatter) {
  const struct {
    uint32_t lists, dims;
    size_t rows;
  } cases[] = {{1, 3, 9000}, {40, 5, 9000}, {300, 5, 9000}, {1100, 4, 9000}};
  for (const auto& c : cases) {
    const Vector rows = GaussianRows(8, c.rows, c.dims);
    const KMeansParams params = Params(c.dims, c.lists, 3);
    const Trained alone = Train(params, rows);
    for (const uint64_t seed : {1, 2}) {
      const Trained shared = TrainShared(params, rows, seed);
      EXPECT_EQ(shared.centroids, alone.centroids) << c.lists;
      EXPECT_EQ(shared.inertia, alone.inertia) << c.lists;
    }
  }
}

// --- spherical -----------------------------------------------------------------------------------

TEST(KMeansTest, SphericalCentroidsHaveLengthOne) {
  constexpr size_t kDims = 12;
  Vector rows = GaussianRows(9, 2000, kDims);
  for (size_t i = 0; i < rows.size(); i += kDims) {
    const Vector zero(kDims);
    const double norm = std::sqrt(ann::testing::Squared(&rows[i], zero.data(), kDims));
    for (size_t d = 0; d < kDims; ++d) rows[i + d] = static_cast<float>(rows[i + d] / norm);
  }
  for (const uint32_t lists : {1u, 30u, 300u}) {
    KMeansParams params = Params(kDims, lists);
    params.spherical = 1;
    const Trained trained = Train(params, rows);
    EXPECT_EQ(trained.lists, lists);
    for (uint32_t list = 0; list < lists; ++list) {
      const Vector zero(kDims);
      EXPECT_NEAR(ann::testing::Squared(&trained.centroids[list * kDims], zero.data(), kDims), 1,
                  1e-6);
    }
  }
}

TEST(KMeansTest, SphericalRowsThatCancelOut) {
  const Vector rows = {1, 0, 0, -1, 0, 0, 0, 1, 0, 0, -1, 0};
  KMeansParams params = Params(3, 1);
  params.spherical = 1;
  const Trained trained = Train(params, rows);
  EXPECT_NEAR(ann::testing::Squared(trained.centroids.data(), Vector(3).data(), 3), 1, 1e-6);
}

// --- empty lists ---------------------------------------------------------------------------------

// Two rows in three are the same, so cells share two lists in three among equal rows; they must be
// given to others. And no list may be left without rows.
TEST(KMeansTest, EmptyListsAreMovedToOtherRows) {
  constexpr size_t kDims = 6;
  Vector rows = GaussianRows(10, 1000, kDims);
  for (size_t i = 0; i < 2000; ++i) rows.insert(rows.end(), kDims, 3.0f);
  const Trained trained = Train(Params(kDims, 300), rows);
  EXPECT_EQ(trained.lists, 300u);
  const std::vector<size_t> sizes = SizesOf(rows, trained.centroids, kDims);
  EXPECT_LE(std::count(sizes.begin(), sizes.end(), 0u), 3);
  // What 299 lists for the others cost at most.
  const Vector others(rows.begin(), rows.begin() + 1000 * kDims);
  EXPECT_LE(trained.inertia, 1.1 * PlainInertia(others, kDims, 299, 10));
}

TEST(KMeansTest, NoMoreListsThanDistinctRows) {
  constexpr size_t kDims = 5;
  const Vector few = GaussianRows(11, 7, kDims);
  for (const uint32_t lists : {7u, 8u, 100u, 400u}) {
    Vector rows;
    for (size_t i = 0; i < 700; ++i) {
      const float* row = &few[Mix64(i) % 7 * kDims];
      rows.insert(rows.end(), row, row + kDims);
    }
    const Trained trained = Train(Params(kDims, lists), rows);
    EXPECT_EQ(trained.lists, 7u) << lists;
    EXPECT_EQ(trained.inertia, 0.0) << lists;
    EXPECT_EQ(Inertia(few, trained.centroids, kDims), 0.0) << lists;
  }
}

TEST(KMeansTest, FewerRowsThanLists) {
  for (const size_t n : {1, 2, 33, 299}) {
    const Vector rows = GaussianRows(12, n, 4);
    const Trained trained = Train(Params(4, 300), rows);
    EXPECT_EQ(trained.lists, n);
    EXPECT_EQ(Inertia(rows, trained.centroids, 4), 0.0);
  }
}

TEST(KMeansTest, AllRowsEqual) {
  for (const uint32_t lists : {1u, 30u, 300u, 1100u}) {
    for (const uint32_t spherical : {0u, 1u}) {
      KMeansParams params = Params(3, lists);
      params.spherical = spherical;
      const float x = 1 / std::sqrt(3.0f);
      const Trained trained = Train(params, Vector(3 * 5000, x));
      EXPECT_EQ(trained.lists, 1u);
      for (const float value : trained.centroids) EXPECT_NEAR(value, x, 1e-6);
    }
  }
}

TEST(KMeansTest, OneList) {
  const Vector rows = GaussianRows(13, 500, 7);
  const Trained trained = Train(Params(7, 1), rows);
  ASSERT_EQ(trained.lists, 1u);
  for (size_t d = 0; d < 7; ++d) {
    double sum = 0;
    for (size_t i = 0; i < 500; ++i) sum += rows[i * 7 + d];
    EXPECT_NEAR(trained.centroids[d], sum / 500, 1e-6);
  }
}

TEST(KMeansTest, AnyDims) {
  for (const size_t dims : {1, 2, 1023, 1024, 1025, 2500}) {
    const Vector rows = GaussianRows(14, 60, dims);
    const Trained trained = Train(Params(static_cast<uint32_t>(dims), 60), rows);
    EXPECT_EQ(trained.lists, 60u);
    // Rows that floats cannot tell apart by |c|^2 / 2 - <x, c> may share a list.
    EXPECT_LE(Inertia(rows, trained.centroids, dims), 1e-6) << dims;
  }
  EXPECT_EQ(Train(Params(1, 1100), GaussianRows(15, 2000, 1)).lists, 1100u);
}

// Squares overflow: clusters may be poor, but lists are some and centroids are numbers.
TEST(KMeansTest, HugeRows) {
  for (const uint32_t lists : {8u, 300u, 1100u}) {
    Vector rows = GaussianRows(16, 2000, 4);
    for (float& x : rows) x = std::clamp(x, -1.0f, 1.0f) * FLT_MAX;
    const Trained trained = Train(Params(4, lists, 3), rows);
    EXPECT_GE(trained.lists, 1u);
    EXPECT_LE(trained.lists, lists);
    for (const float x : trained.centroids) EXPECT_TRUE(std::isfinite(x));
  }
}

// --- callers -------------------------------------------------------------------------------------

std::jmp_buf jump;
int ticks_left;

void CountDown(void*, Phase, uint64_t, uint64_t) {
  if (--ticks_left == 0) std::longjmp(jump, 1);
}

// Whether the training ended by itself.
bool RunUntilJump(const KMeans& kmeans) {
  if (setjmp(jump) != 0) return false;
  kmeans.Run({CountDown, nullptr});
  return true;
}

TEST(KMeansTest, JumpsOutOfEveryTick) {
  const Vector rows = GaussianRows(17, 5000, 32);
  const KMeansParams params = Params(32, 300, 2);
  const Trained expected = Train(params, rows);
  const Memory block(KMeans::BlockBytes(params, 5000)), scratch(KMeans::ScratchBytes(params));
  const KMeans kmeans = [&] {
    KMeans::Init(block.data(), params, 5000);
    return KMeans(block.data(), rows.data(), scratch.data());
  }();
  int jumps = 0;
  for (;; ++jumps) {
    KMeans::Init(block.data(), params, 5000);
    ticks_left = jumps + 1;
    if (RunUntilJump(kmeans)) break;
  }
  EXPECT_GT(jumps, 20);
  EXPECT_EQ(ResultOf(kmeans, 32).centroids, expected.centroids);
}

struct Seen {
  Phase phase = Phase::kStart;
  uint64_t done = 0, total = 0;
  int ticks = 0;
};

TEST(KMeansTest, ProgressGrowsToItsTotal) {
  for (const uint32_t lists : {100u, 300u, 1100u}) {
    Seen seen;
    const auto tick = [](void* context, Phase phase, uint64_t done, uint64_t total) {
      Seen& last = *static_cast<Seen*>(context);
      if (phase == last.phase) {
        EXPECT_GE(done, last.done);
      } else {
        EXPECT_EQ(last.phase, Phase::kStart);
        EXPECT_EQ(phase, Phase::kIterate);
      }
      EXPECT_LE(done, total);
      last = {phase, done, total, last.ticks + 1};
    };
    const Trained trained = Train(Params(16, lists, 2), GaussianRows(18, 20000, 16), {tick, &seen});
    EXPECT_EQ(seen.phase, Phase::kIterate);
    EXPECT_EQ(trained.iterations, 2u);
    EXPECT_GE(static_cast<double>(seen.done), 0.9 * static_cast<double>(seen.total)) << lists;
    EXPECT_GT(seen.ticks, 10);
  }
}

size_t Needs(const KMeansParams& params, uint64_t rows) {
  return rows * params.dims * sizeof(float) + KMeans::BlockBytes(params, rows) +
         KMeans::ScratchBytes(params);
}

TEST(KMeansTest, SampleFitsTheBudget) {
  for (const uint32_t dims : {1u, 128u, 1536u}) {
    for (const uint32_t lists : {1u, 100u, 4000u}) {
      const KMeansParams params = Params(dims, lists);
      for (size_t budget = size_t{1} << 20; budget < size_t{1} << 33; budget *= 3) {
        const uint64_t rows = KMeans::SampleRows(params, 100000000, 256, budget);
        ASSERT_GE(rows, lists);
        ASSERT_LE(rows, uint64_t{256} * lists);
        if (rows > lists) {
          EXPECT_LE(Needs(params, rows), budget);
        }
        if (rows < uint64_t{256} * lists) {
          EXPECT_GT(Needs(params, rows + 128), budget) << "more rows would fit";
        }
      }
    }
  }
  const KMeansParams params = Params(128, 100);
  EXPECT_EQ(KMeans::SampleRows(params, 77, 256, size_t{1} << 30), 77u);
  EXPECT_EQ(KMeans::SampleRows(params, 1000000, 256, size_t{1} << 30), 25600u);
  EXPECT_EQ(KMeans::SampleRows(params, 1000000, 64, size_t{1} << 30), 6400u);
  EXPECT_EQ(KMeans::SampleRows(params, 1000000, 256, 1), 100u);
  EXPECT_EQ(KMeans::SampleRows(params, 3, 256, 1), 3u);
}

}  // namespace
