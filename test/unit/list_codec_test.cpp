// Codes of lists: what src/quant/README.md says of their estimates, on real and on random vectors.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "list_codec_test_util.hpp"

namespace {

using namespace ann;
using namespace ann::testing;

// --- errors
// -------------------------------------------------------------------------------------------------

class ListCodecTest : public ::testing::TestWithParam<Metric> {};
INSTANTIATE_TEST_SUITE_P(Metrics, ListCodecTest, ::testing::ValuesIn(kMetrics),
                         [](const auto& info) { return NameOfMetric(info.param); });

TEST_P(ListCodecTest, ErrorsOnRealVectorsAreAsPromised) {
  const std::vector<Vector> base = RealBase(1500), queries = ReadRows("query.npy", 20);
  const TestSpace space(GetParam(), Mean(GetParam() == Metric::kCosine ? Normalized(base) : base),
                        42);
  const Cluster cluster(space, base, 300);
  for (const int bits : {2, 4, 6, 8}) {
    SCOPED_TRACE(bits);
    const TestLists codec(space, Rabitq(bits));
    List list(codec, space, cluster.rows, cluster.centroid);
    Measured measured;
    ASSERT_NO_FATAL_FAILURE(
        Measure(codec, space, list, queries, quant::kDefaultEpsilon, &measured));
    ExpectGaussian(measured.first, "first stage", 0.9);
    ExpectGaussian(measured.second, "second stage", 0.9);
    // One side of a Gaussian beyond 1.9 sigma: 2.9 %.
    EXPECT_LT(measured.below / measured.first.n, 0.035);
    EXPECT_GT(measured.below / measured.first.n, 0.010);
  }
  const TestLists codec(space, kSq8);
  List list(codec, space, cluster.rows, cluster.centroid);
  Measured measured;
  ASSERT_NO_FATAL_FAILURE(Measure(codec, space, list, queries, quant::kOrderEpsilon, &measured));
  ExpectGaussian(measured.first, "sq8", 0.9);
  EXPECT_EQ(measured.below, 0);
}

// Queries at a tenth of the residual's length from a row: the bound from the key itself, not the
// query's distance from the centroid, is what keeps sigma small.
TEST_P(ListCodecTest, SigmaShrinksTowardsNearRows) {
  if (GetParam() == Metric::kInnerProduct) return;
  Gaussian gaussian(3);
  const size_t dims = 256;
  const TestSpace space(GetParam(), Vector(dims, 0.05f), 7);
  const Vector centroid = gaussian.Make(dims, 0.1f);
  const TestLists codec(space, Rabitq(8));
  std::vector<Vector> rows;
  for (int i = 0; i < 300; ++i) rows.push_back(gaussian.Make(dims));
  List list(codec, space, rows, centroid);
  Errors errors, fine;
  for (uint32_t i = 0; i < rows.size(); ++i) {
    Vector q = gaussian.Make(dims, 0.1f);
    for (size_t k = 0; k < dims; ++k) q[k] += rows[i][k];
    const Asked asked(codec, space, q, 5);
    const ListContext context = codec->PrepareList(asked.query, centroid.data());
    BlockScores scores;
    uint8_t* const block = list.sealed[i / 32].data();
    codec->ScanBlock(asked.query, context, block, true, ~0u, INFINITY, &scores);
    const double truth = TrueKey(GetParam(), rows[i], q);
    const Estimate e = codec->WithError(asked.query, context, block, i % 32, scores.key[i % 32]);
    errors.Add(e, truth);
    EXPECT_LE(scores.lower[i % 32], truth);
    // RaBitQ's bound has the query's whole distance from the centroid.
    EXPECT_LT(e.sigma, 0.75 * 2 * 0.7555 * context.across * context.across / std::sqrt(dims - 1));
    fine.Add(codec->Refine(asked.query, context, list.second.data() + i * codec->second_bytes()),
             truth);
  }
  EXPECT_LT(errors.worst, 5);
  EXPECT_LT(fine.worst, 5);
  EXPECT_GT(fine.deviation(), 0.7);
}

// Inner product of rows and queries of one length: what of the query meets an error is no longer
// than under L2, and the same for a query of any length.
TEST(ListContextTest, InnerProductKnowsWhatLiesAlongTheCentroid) {
  const std::vector<Vector> base = Normalized(RealBase(200));
  const Vector mean = Mean(base);
  const TestSpace product(Metric::kInnerProduct, mean, 42), squared(Metric::kL2, mean, 42);
  const TestLists products(product, Rabitq(0)), squares(squared, Rabitq(0));
  for (size_t i = 0; i < 20; ++i) {
    const Vector centroid = squared.Work(base[100 + i]);
    const Asked l2(squares, squared, base[i], 1), ip(products, product, base[i], 1);
    const float across = products->PrepareList(ip.query, centroid.data()).across;
    EXPECT_LE(across, 1.001f * squares->PrepareList(l2.query, centroid.data()).across);
    Vector longer = base[i];
    for (float& v : longer) v *= 7;
    const Asked seven(products, product, longer, 1);
    EXPECT_NEAR(products->PrepareList(seven.query, centroid.data()).across / (7 * across), 1, 1e-3);
  }
}

// One pair, many rotations: the mean of the estimates is the distance.
TEST_P(ListCodecTest, EstimatesAreUnbiased) {
  Gaussian gaussian(11);
  const size_t dims = 48;
  const Vector mean = gaussian.Make(dims, 0.2f);
  const Vector x = gaussian.Make(dims), offset = gaussian.Make(dims, 0.5f);
  Vector q = gaussian.Make(dims);
  const double truth = TrueKey(GetParam(), x, q);
  constexpr int kSeeds = 1500;
  std::array<double, 3> sums{}, squares{};
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    const TestSpace space(GetParam(), mean, seed);
    // A centroid that is the same vector in every rotation.
    const Vector centroid = space.Work(offset);
    const auto error = [&](const TestLists& codec, size_t at) {
      List list(codec, space, {x}, centroid);
      const Asked asked(codec, space, q, 1);
      const ListContext context = codec->PrepareList(asked.query, centroid.data());
      BlockScores scores;
      codec->ScanBlock(asked.query, context, list.sealed[0].data(), true, 1, INFINITY, &scores);
      sums[at] += scores.key[0] - truth;
      squares[at] += (scores.key[0] - truth) * (scores.key[0] - truth);
      if (codec->second_bytes() == 0) return;
      const double fine = codec->Refine(asked.query, context, list.second.data()).key - truth;
      sums[at + 1] += fine, squares[at + 1] += fine * fine;
    };
    error(TestLists(space, Rabitq(4)), 0);
    error(TestLists(space, kSq8), 2);
  }
  for (size_t k = 0; k < sums.size(); ++k) {
    const double deviation = std::sqrt(squares[k] / kSeeds);
    EXPECT_GT(deviation, 0) << k;
    EXPECT_LT(std::fabs(sums[k] / kSeeds), 4 * deviation / std::sqrt(kSeeds)) << k;
  }
}

// A query's table against products by the book: what rounding does is right in the mean and of the
// deviation that the query states.
TEST(ListCodecTest, TablesAreRoundedAsStated) {
  Gaussian gaussian(22);
  const size_t dims = 200;
  const TestSpace space(Metric::kL2, Vector(dims), 9);
  const TestLists codec(space, Rabitq(0));
  std::vector<Vector> rows;
  for (int i = 0; i < 32; ++i) rows.push_back(gaussian.Make(dims));
  List list(codec, space, rows, Vector(dims));
  double sum = 0, squares = 0, n = 0;
  for (int round = 0; round < 60; ++round) {
    const Asked asked(codec, space, gaussian.Make(dims), 1);
    const ListContext context = codec->PrepareList(asked.query, nullptr);
    BlockScores scores;
    codec->ScanBlock(asked.query, context, list.sealed[0].data(), true, ~0u, INFINITY, &scores);
    for (uint32_t i = 0; i < 32; ++i) {
      const auto factors = Read<quant::RowFactors>(list.coded[i]);
      double product = 0;
      for (size_t k = 0; k < dims; ++k) {
        const bool set = list.coded[i][sizeof factors + k / 8] >> (k % 8) & 1;
        product += set ? asked.work[k] : -asked.work[k];
      }
      const double key = double(context.add) + factors.add + factors.scale * product;
      const double z = (scores.key[i] - key) / factors.scale / asked.query.noise;
      sum += z, squares += z * z, n += 1;
    }
  }
  EXPECT_NEAR(sum / n, 0, 0.12);
  EXPECT_NEAR(std::sqrt(squares / n), 1, 0.1);
}

// |e| / |r| by bits, as the README's table has it.
TEST(ListCodecTest, ErrorsShrinkWithBits) {
  Gaussian gaussian(12);
  const size_t dims = 384;
  const TestSpace space(Metric::kL2, Vector(dims), 1);
  const struct {
    int bits;
    double kappa;
  } kRows[] = {{2, 0.3673}, {4, 0.1081}, {6, 0.0296}, {8, 0.0076}};
  const Vector zero(dims);
  for (const auto& row : kRows) {
    const TestLists codec(space, Rabitq(row.bits));
    std::vector<uint8_t> coded(codec->row_bytes()), second(codec->second_bytes());
    double first = 0, fine = 0;
    constexpr int kVectors = 300;
    for (int i = 0; i < kVectors; ++i) {
      const Vector x = gaussian.Make(dims), work = space.Work(x);
      codec->Encode(x.data(), work.data(), zero.data(), coded.data(), second.data());
      // The factor is 2 |e| / sqrt(D - 1).
      const double norm = 4 * Dot(work, work) / double(dims - 1);
      const float error =
          std::bit_cast<float>(uint32_t{Read<quant::RowFactors>(coded).error} << 16);
      first += error * error / norm;
      fine += std::pow(Read<quant::SecondFactors>(second).error, 2) / norm;
    }
    EXPECT_NEAR(std::sqrt(first / kVectors), 0.7555, 0.008);
    EXPECT_NEAR(std::sqrt(fine / kVectors) / row.kappa, 1, 0.03) << row.bits;
  }
}

// The error is rounded up to half a float: never too small, by 1/128 at most.
TEST(ListCodecTest, ErrorsAreRoundedUp) {
  Gaussian gaussian(13);
  const size_t dims = 100;
  const TestSpace space(Metric::kL2, Vector(dims), 1);
  const TestLists codec(space, Rabitq(0));
  std::vector<uint8_t> row(codec->row_bytes());
  for (int i = 0; i < 200; ++i) {
    const Vector x = gaussian.Make(dims), work = space.Work(x);
    codec->Encode(x.data(), work.data(), nullptr, row.data(), nullptr);
    double l1 = 0;
    for (const float v : work) l1 += std::fabs(v);
    const double norm = Dot(work, work), slope = norm / l1;
    const double error = 2 * std::sqrt((slope * slope * dims - norm) / (dims - 1));
    const auto factors = Read<quant::RowFactors>(row);
    const double stored = std::bit_cast<float>(uint32_t{factors.error} << 16);
    EXPECT_GE(stored, error * (1 - 1e-6));
    EXPECT_LE(stored, error * (1 + 1.0 / 128 + 1e-6));
    EXPECT_NEAR(factors.scale / (-2 * slope), 1, 1e-5);
    EXPECT_NEAR(factors.add / norm, 1, 1e-5);
    for (size_t k = 0; k < dims; ++k) {
      ASSERT_EQ(row[sizeof factors + k / 8] >> (k % 8) & 1, work[k] > 0);
    }
  }
}

// --- probe order
// -------------------------------------------------------------------------------------------------

// Centroids coded about 0 by a codec of their own, a query shared with the lists' codec.
TEST_P(ListCodecTest, CentroidsAreRowsOfAListOfTheirOwn) {
  const std::vector<Vector> base = RealBase(200), queries = ReadRows("query.npy", 5);
  const TestSpace space(GetParam(), Mean(GetParam() == Metric::kCosine ? Normalized(base) : base),
                        42);
  const TestLists lists(space, Rabitq(8)), probes(space, Rabitq(0));
  Errors errors;
  std::vector<uint8_t> row(probes->row_bytes());
  for (const Vector& q : queries) {
    const Asked asked(lists, space, q, 1.9f);
    const ListContext context = probes->PrepareList(asked.query, nullptr);
    for (size_t first = 0; first + 32 <= base.size(); first += 32) {
      Aligned open(probes->block_bytes()), sealed(probes->block_bytes());
      for (uint32_t i = 0; i < 32; ++i) {
        const Vector work = space.Work(base[first + i]);
        probes->Encode(nullptr, work.data(), nullptr, row.data(), nullptr);
        probes->SetRow(open.data(), i, row.data());
      }
      probes->Seal(open.data(), sealed.data());
      BlockScores scores;
      probes->ScanBlock(asked.query, context, sealed.data(), true, ~0u, INFINITY, &scores);
      for (uint32_t i = 0; i < 32; ++i) {
        // The list's own key of its centroid.
        const Vector work = space.Work(base[first + i]);
        const double truth = lists->PrepareList(asked.query, work.data()).add;
        ASSERT_NEAR(truth, TrueKey(GetParam(), base[first + i], q), 1e-5);
        ASSERT_NO_FATAL_FAILURE(errors.Add(
            probes->WithError(asked.query, context, sealed.data(), i, scores.key[i]), truth));
      }
    }
  }
  EXPECT_LT(errors.worst, 5);
  EXPECT_LT(errors.deviation(), 1.1);
  EXPECT_GT(errors.deviation(), 0.8);
}

// --- numbers at the ends
// -------------------------------------------------------------------------------------------------

TEST_P(ListCodecTest, RowsAtTheCentroidAreExact) {
  Gaussian gaussian(19);
  const size_t dims = 100;
  const TestSpace space(GetParam(), gaussian.Make(dims, 0.1f), 5);
  const Vector x = gaussian.Make(dims), q = gaussian.Make(dims);
  const Vector centroid = space.Work(x);
  for (const ListCodecParams& params : {Rabitq(8), kSq8}) {
    const TestLists codec(space, params);
    List list(codec, space, {x}, centroid);
    const Asked asked(codec, space, q, 5);
    const ListContext context = codec->PrepareList(asked.query, centroid.data());
    BlockScores scores;
    codec->ScanBlock(asked.query, context, list.sealed[0].data(), true, 1, INFINITY, &scores);
    const double truth = TrueKey(GetParam(), x, q);
    EXPECT_NEAR(scores.key[0], truth, 1e-4);
    EXPECT_LE(scores.lower[0], truth);
    EXPECT_GT(scores.lower[0], truth - 1e-2);
    if (codec->second_bytes() == 0) continue;
    const Estimate e = codec->Refine(asked.query, context, list.second.data());
    EXPECT_NEAR(e.key, truth, 1e-4);
    EXPECT_LT(e.sigma, 1e-3);
  }
}

// A query that is the row: its code has no error then, so the bound is 0 but for what the rounding
// of the table adds, which is within epsilon sigma as seldom as any error.
TEST_P(ListCodecTest, DuplicatesOfTheQueryPass) {
  if (GetParam() == Metric::kInnerProduct) return;
  Gaussian gaussian(20);
  int above = 0, tried = 0;
  for (const size_t dims : {3, 64, 384}) {
    for (const float scale : {1e-3f, 1.0f, 1e3f}) {
      const TestSpace space(GetParam(), gaussian.Make(dims, 0.1f), 5);
      const Vector centroid = space.Work(gaussian.Make(dims, scale));
      std::vector<Vector> rows;
      for (int i = 0; i < 32; ++i) rows.push_back(gaussian.Make(dims, scale));
      const TestLists codec(space, Rabitq(8));
      List list(codec, space, rows, centroid);
      for (uint32_t i = 0; i < 32; ++i) {
        const Asked asked(codec, space, rows[i], 1.9f);
        const ListContext context = codec->PrepareList(asked.query, centroid.data());
        BlockScores scores;
        codec->ScanBlock(asked.query, context, list.sealed[0].data(), true, ~0u, 0, &scores);
        const float size = asked.query.work.norm + context.add;
        EXPECT_LE(scores.lower[i], 1e-3 * size) << dims << " " << scale;
        above += scores.lower[i] > 1e-6 * size;
        ++tried;
        const Estimate e =
            codec->Refine(asked.query, context, list.second.data() + i * codec->second_bytes());
        EXPECT_LE(e.key, 5 * e.sigma);
      }
    }
  }
  EXPECT_LT(above, tried * 5 / 100);
}

// From denormal to the largest float: a key is within 5 sigma, or nothing is known and the row
// passes.
TEST_P(ListCodecTest, AnyFiniteVectorIsCoded) {
  const size_t dims = 100;
  Gaussian gaussian(21);
  const float kLargest = std::numeric_limits<float>::max();
  std::vector<Vector> all = {Vector(dims, kLargest), Vector(dims, -kLargest), Vector(dims, 1e-45f)};
  all.push_back(Vector(dims));
  all.back()[3] = kLargest;
  if (GetParam() != Metric::kCosine) all.push_back(Vector(dims));
  for (const float scale :
       {1e-42f, 1e-30f, 1e-20f, 1e-10f, 1.0f, 1e5f, 1e10f, 1e14f, 1e18f, 1e25f, 3e37f}) {
    all.push_back(gaussian.Make(dims, scale));
    all.push_back(gaussian.Make(dims, scale));
  }
  const TestSpace space(GetParam(), Vector(dims), 5);
  const Vector centroid = gaussian.Make(dims, 0.01f);
  for (const ListCodecParams& params : {Rabitq(8), kSq8}) {
    const TestLists codec(space, params);
    List list(codec, space, all, centroid);
    int known = 0, tried = 0;
    for (const Vector& q : all) {
      const Asked asked(codec, space, q, 5);
      const ListContext context = codec->PrepareList(asked.query, centroid.data());
      for (size_t i = 0; i < all.size(); ++i) {
        const uint32_t place = i % 32;
        uint8_t* const block = list.sealed[i / 32].data();
        BlockScores scores;
        const double truth = TrueKey(GetParam(), all[i], q);
        // What float arithmetic on terms of this size leaves; squares of lengths below 1e-18 or so
        // are no floats any more.
        const double longest = std::max(Dot(all[i], all[i]), Dot(centroid, centroid));
        const double lengths = std::sqrt(Dot(q, q)) + std::sqrt(longest);
        const double size = std::sqrt(Dot(q, q) * longest) +
                            (GetParam() == Metric::kL2 ? Dot(q, q) + Dot(all[i], all[i]) : 0);
        const double tiny = GetParam() == Metric::kCosine ? 1e-5 : 1e-5 * size + 1e-18 * lengths;
        const float threshold = static_cast<float>(truth + tiny);
        const uint32_t passing =
            codec->ScanBlock(asked.query, context, block, true, 1u << place, threshold, &scores);
        EXPECT_EQ(passing, 1u << place) << i << " " << truth << " " << scores.lower[place];
        std::vector<Estimate> estimates = {
            codec->WithError(asked.query, context, block, place, scores.key[place])};
        if (codec->second_bytes() > 0) {
          estimates.push_back(
              codec->Refine(asked.query, context, list.second.data() + i * codec->second_bytes()));
        }
        for (const Estimate& e : estimates) {
          ++tried;
          if (!std::isfinite(e.key) || !std::isfinite(e.sigma)) continue;
          ++known;
          EXPECT_LE(std::fabs(e.key - truth), 5 * e.sigma + tiny) << i << " " << truth;
        }
      }
    }
    EXPECT_GT(known, GetParam() == Metric::kCosine ? tried * 9 / 10 : tried / 4);
  }
}

}  // namespace
