// Codes of lists in blocks, flat ones, and product quantization.
#include <algorithm>
#include <bit>
#include <cmath>

#include "list_codec_test_util.hpp"
#include "simd/simd.hpp"

namespace {

using namespace ann;
using namespace ann::testing;

// A few rounds of Lloyd's algorithm, enough for a codebook.
void PlainKMeans(void*, const float* rows, size_t count, uint32_t dims, uint32_t clusters,
                 float* centroids) {
  for (uint32_t j = 0; j < clusters; ++j) {
    std::copy_n(rows + (j * 7919u) % count * dims, dims, centroids + j * dims);
  }
  for (int round = 0; round < 3; ++round) {
    std::vector<double> sums(clusters * dims), sizes(clusters);
    for (size_t i = 0; i < count; ++i) {
      uint32_t best = 0;
      double least = INFINITY;
      for (uint32_t j = 0; j < clusters; ++j) {
        double d = 0;
        for (uint32_t k = 0; k < dims; ++k) {
          const double diff = rows[i * dims + k] - centroids[j * dims + k];
          d += diff * diff;
        }
        if (d < least) least = d, best = j;
      }
      sizes[best] += 1;
      for (uint32_t k = 0; k < dims; ++k) sums[best * dims + k] += rows[i * dims + k];
    }
    for (uint32_t j = 0; j < clusters; ++j) {
      for (uint32_t k = 0; k < dims && sizes[j] > 0; ++k) {
        centroids[j * dims + k] = static_cast<float>(sums[j * dims + k] / sizes[j]);
      }
    }
  }
}

Vector Trained(const ListCodecParams& params, size_t dims, const Vector& residuals) {
  const uint32_t d = static_cast<uint32_t>(dims);
  const size_t count = residuals.size() / dims;
  Vector codebook(quant::PqCodebookFloats(params, d));
  Vector scratch(quant::PqTrainingFloats(params, d, count));
  for (uint32_t m = 0; m < params.pq_segments; ++m) {
    quant::TrainPqSegment(params, d, residuals.data(), count, m, PlainKMeans, nullptr,
                          scratch.data(), codebook.data());
  }
  return codebook;
}

Vector Residuals(const TestSpace& space, const std::vector<Vector>& rows, const Vector& centroid) {
  Vector residuals;
  for (const Vector& x : rows) {
    const Vector work = space.Work(x);
    for (size_t i = 0; i < work.size(); ++i) residuals.push_back(work[i] - centroid[i]);
  }
  return residuals;
}

// --- blocks
// -------------------------------------------------------------------------------------------------

class ListBlockTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override { ASSERT_TRUE(simd::SetTarget(GetParam())); }
  void TearDown() override { simd::InitKernels(); }
};
INSTANTIATE_TEST_SUITE_P(Targets, ListBlockTest, ::testing::ValuesIn(simd::Targets()),
                         [](const auto& info) { return info.param; });

TEST_P(ListBlockTest, OpenAndSealedBlocksAreOne) {
  Gaussian gaussian(15);
  for (const size_t dims : {5, 100, 384}) {
    const TestSpace space(Metric::kL2, gaussian.Make(dims, 0.1f), 5);
    const Vector centroid = gaussian.Make(dims, 0.3f);
    std::vector<Vector> rows;
    for (int i = 0; i < 50; ++i) rows.push_back(gaussian.Make(dims));
    const Vector residuals = Residuals(space, rows, centroid);
    for (const ListCodecParams& params :
         {Rabitq(0), kSq8, kFlat, Pq(4, (dims + 1) / 2), Pq(8, (dims + 3) / 4)}) {
      const Vector codebook =
          params.quantizer == Quantizer::kPq ? Trained(params, dims, residuals) : Vector();
      const TestLists codec(space, params, codebook);
      SCOPED_TRACE(::testing::Message()
                   << dims << " dims, quantizer " << static_cast<int>(params.quantizer));
      List list(codec, space, rows, centroid);
      const Asked asked(codec, space, gaussian.Make(dims), 1.9f);
      const ListContext context = codec->PrepareList(asked.query, centroid.data());
      for (size_t b = 0; b < list.open.size(); ++b) {
        const uint32_t mask = b == 0 ? 0xffffffffu : 0x0003ffffu;
        BlockScores from_open, from_sealed;
        const uint32_t all = codec->ScanBlock(asked.query, context, list.open[b].data(), false,
                                              mask, INFINITY, &from_open);
        EXPECT_EQ(all, mask);
        std::vector<float> bounds;
        for (uint32_t i = 0; i < 32; ++i) {
          if (mask >> i & 1) bounds.push_back(from_open.lower[i]);
        }
        std::sort(bounds.begin(), bounds.end());
        const float threshold = bounds[bounds.size() / 2];
        const uint32_t some = codec->ScanBlock(asked.query, context, list.sealed[b].data(), true,
                                               mask, threshold, &from_sealed);
        for (uint32_t i = 0; i < 32; ++i) {
          if (!(mask >> i & 1)) continue;
          EXPECT_EQ(from_open.key[i], from_sealed.key[i]);
          EXPECT_EQ(from_open.lower[i], from_sealed.lower[i]);
          EXPECT_EQ(some >> i & 1, from_sealed.lower[i] <= threshold);
        }
        EXPECT_EQ(some & ~mask, 0u);
        // Not a row more than the mask allows.
        EXPECT_EQ(codec->ScanBlock(asked.query, context, list.sealed[b].data(), true, 0x11,
                                   INFINITY, &from_sealed),
                  0x11u);

        std::vector<uint8_t> back(codec->block_bytes(), 0xee);
        codec->Unseal(list.sealed[b].data(), back.data());
        EXPECT_EQ(std::memcmp(back.data(), list.open[b].data(), back.size()), 0);
        std::vector<uint8_t> row(codec->row_bytes());
        for (uint32_t i = 0; i < 32 && 32 * b + i < rows.size(); ++i) {
          codec->ExtractRow(list.sealed[b].data(), true, i, row.data());
          EXPECT_EQ(row, list.coded[32 * b + i]);
          codec->ExtractRow(list.open[b].data(), false, i, row.data());
          EXPECT_EQ(row, list.coded[32 * b + i]);
        }
      }
    }
  }
}

// The layout is on disk: offsets by hand.
TEST(ListBlockTest, LayoutIsWhatTheHeaderSays) {
  const TestSpace space(Metric::kL2, Vector(100), 1);
  const struct {
    ListCodecParams params;
    uint32_t code, row, offset, block;
  } kLayouts[] = {{Rabitq(0), 14, 26, 320, 320 + 32 * 14},
                  {kSq8, 112, 124, 320, 320 + 32 * 112},
                  {Pq(4, 25), 14, 26, 320, 320 + 32 * 14},
                  {Pq(8, 25), 25, 37, 320, 320 + 32 * 25},
                  {kFlat, 400, 400, 0, 32 * 400}};
  for (const auto& layout : kLayouts) {
    const Vector codebook(quant::PqCodebookFloats(layout.params, 100));
    const TestLists codec(space, layout.params, codebook);
    EXPECT_EQ(codec->code_bytes(), layout.code);
    EXPECT_EQ(codec->row_bytes(), layout.row);
    EXPECT_EQ(codec->code_offset(), layout.offset);
    EXPECT_EQ(codec->block_bytes(), layout.block);
    EXPECT_EQ(ListCodec::RowsWithin(layout.params, 100, layout.block), 32u);
    std::vector<uint8_t> row(layout.row), block(layout.block);
    for (size_t i = 0; i < row.size(); ++i) row[i] = static_cast<uint8_t>(i + 1);
    codec->SetRow(block.data(), 5, row.data());
    const size_t factors = layout.row - layout.code;
    EXPECT_EQ(std::memcmp(&block[layout.offset + 5 * layout.code], &row[factors], layout.code), 0);
    if (factors == 0) continue;
    EXPECT_EQ(std::memcmp(&block[5 * 4], &row[0], 4), 0);
    EXPECT_EQ(std::memcmp(&block[128 + 5 * 4], &row[4], 4), 0);
    EXPECT_EQ(std::memcmp(&block[256 + 5 * 2], &row[8], 2), 0);
  }
  EXPECT_EQ(ListCodec::RowsWithin(Rabitq(0), 100, 767), 0u);
  // 10 rows: 100 bytes of factors, in 128.
  EXPECT_EQ(ListCodec::RowsWithin(kSq8, 768, 8000), 10u);
  EXPECT_EQ(ListCodec::RowsWithin(kFlat, 768, 8000), 2u);
}

// Blocks of fewer rows give what blocks of 32 give.
TEST(ListBlockTest, SmallerBlocks) {
  Gaussian gaussian(16);
  const size_t dims = 70;
  const TestSpace space(Metric::kInnerProduct, gaussian.Make(dims, 0.1f), 5);
  const Vector centroid = gaussian.Make(dims, 0.3f);
  std::vector<Vector> rows;
  for (int i = 0; i < 32; ++i) rows.push_back(gaussian.Make(dims));
  for (const ListCodecParams& params : {kSq8, kFlat}) {
    const TestLists whole(space, params), parts(space, params, {}, 7);
    List one(whole, space, rows, centroid), several(parts, space, rows, centroid);
    const Asked asked(whole, space, gaussian.Make(dims), 5);
    const ListContext context = whole->PrepareList(asked.query, centroid.data());
    BlockScores all;
    whole->ScanBlock(asked.query, context, one.sealed[0].data(), true, ~0u, INFINITY, &all);
    for (uint32_t i = 0; i < 32; ++i) {
      BlockScores some;
      Aligned& block = several.sealed[i / 7];
      EXPECT_EQ(parts->ScanBlock(asked.query, context, block.data(), true, 1u << (i % 7), INFINITY,
                                 &some),
                1u << (i % 7));
      EXPECT_EQ(some.key[i % 7], all.key[i]);
      EXPECT_EQ(some.lower[i % 7], all.lower[i]);
      std::vector<uint8_t> row(parts->row_bytes());
      parts->ExtractRow(block.data(), true, i % 7, row.data());
      EXPECT_EQ(row, one.coded[i]);
      EXPECT_EQ(parts->WithError(asked.query, context, block.data(), i % 7, 1).sigma,
                whole->WithError(asked.query, context, one.sealed[0].data(), i, 1).sigma);
    }
  }
}

// --- flat
// -------------------------------------------------------------------------------------------------

class ListMetricTest : public ::testing::TestWithParam<Metric> {};
INSTANTIATE_TEST_SUITE_P(Metrics, ListMetricTest, ::testing::ValuesIn(kMetrics),
                         [](const auto& info) { return NameOfMetric(info.param); });

TEST_P(ListMetricTest, FlatIsExact) {
  const std::vector<Vector> base = RealBase(64), queries = ReadRows("query.npy", 3);
  const TestSpace space(GetParam(), Mean(base), 42);
  const TestLists codec(space, kFlat);
  List list(codec, space, base, Vector(384));
  for (const Vector& q : queries) {
    const Asked asked(codec, space, q, 5);
    const ListContext context = codec->PrepareList(asked.query, list.centroid.data());
    for (size_t b = 0; b < 2; ++b) {
      BlockScores scores;
      codec->ScanBlock(asked.query, context, list.sealed[b].data(), true, ~0u, INFINITY, &scores);
      for (uint32_t i = 0; i < 32; ++i) {
        const double truth = TrueKey(GetParam(), base[32 * b + i], q);
        EXPECT_NEAR(scores.key[i], truth, 2e-6);
        EXPECT_EQ(scores.lower[i], scores.key[i]);
        const Estimate e =
            codec->WithError(asked.query, context, list.sealed[b].data(), i, scores.key[i]);
        EXPECT_EQ(e.sigma, 0);
      }
    }
  }
}

// All dims to 130: nothing is read or written outside, estimates are within 5 sigma.
TEST_P(ListMetricTest, OddDims) {
  Gaussian gaussian(14);
  for (size_t dims = 1; dims <= 130; ++dims) {
    SCOPED_TRACE(dims);
    const TestSpace space(GetParam(), gaussian.Make(dims, 0.3f), dims);
    const Vector centroid = gaussian.Make(dims, 0.5f);
    std::vector<Vector> rows, queries;
    for (int i = 0; i < 33; ++i) rows.push_back(gaussian.Make(dims));
    for (int i = 0; i < 2; ++i) queries.push_back(gaussian.Make(dims));
    const size_t segments = (dims + 2) / 3;
    const ListCodecParams pq = Pq(4, segments);
    for (ListCodecParams params : {Rabitq(2 + 2 * int(dims % 4)), kSq8, kFlat, pq}) {
      Vector codebook;
      if (params.quantizer == Quantizer::kPq) {
        const Vector residuals = Residuals(space, rows, centroid);
        codebook = Trained(pq, dims, residuals);
        const TestLists trained(space, pq, codebook);
        // A handful of rows that are much alike: their errors are, too.
        params.pq_margin = 2 * quant::CalibratePq(*trained, residuals.data(), rows.size());
      }
      const TestLists codec(space, params, codebook);
      List list(codec, space, rows, centroid);
      Measured measured;
      // In one dimension no error is left but what floats leave: sigma is about the floats' own.
      ASSERT_NO_FATAL_FAILURE(Measure(codec, space, list, queries, 5, &measured));
      EXPECT_LT(measured.first.worst, 5);
      EXPECT_LT(measured.second.worst, 5);
    }
  }
}

// --- product quantization
// -------------------------------------------------------------------------------------------------

// Codes name the nearest centroid of every segment, segments of unequal widths included.
TEST(PqTest, CodesAreNearestCentroids) {
  Gaussian gaussian(17);
  const size_t dims = 50;
  const TestSpace space(Metric::kL2, gaussian.Make(dims, 0.1f), 3);
  const Vector centroid = gaussian.Make(dims, 0.3f);
  for (const int bits : {4, 8}) {
    for (const size_t segments : {1, 7, 16, 50}) {
      const ListCodecParams params = Pq(bits, segments);
      const size_t clusters = size_t{1} << bits;
      const Vector codebook = gaussian.Make(quant::PqCodebookFloats(params, dims));
      const TestLists codec(space, params, codebook);
      std::vector<uint8_t> row(codec->row_bytes());
      for (int n = 0; n < 20; ++n) {
        const Vector x = gaussian.Make(dims), work = space.Work(x);
        codec->Encode(x.data(), work.data(), centroid.data(), row.data(), nullptr);
        double yr = 0, rr = 0, yc = 0, yy = 0;
        for (size_t m = 0; m < segments; ++m) {
          const size_t begin = m * dims / segments, end = (m + 1) * dims / segments;
          size_t best = 0;
          double least = INFINITY;
          for (size_t j = 0; j < clusters; ++j) {
            double d = 0;
            for (size_t i = begin; i < end; ++i) {
              d += std::pow(work[i] - centroid[i] - codebook[clusters * i + j], 2);
            }
            if (d < least) least = d, best = j;
          }
          const uint8_t* const code = row.data() + sizeof(quant::RowFactors);
          ASSERT_EQ(bits == 8 ? code[m] : code[m / 2] >> (m % 2 * 4) & 15, int(best));
          for (size_t i = begin; i < end; ++i) {
            const double y = codebook[clusters * i + best], r = work[i] - centroid[i];
            yr += y * r, rr += r * r, yc += y * centroid[i], yy += y * y;
          }
        }
        const auto factors = Read<quant::RowFactors>(row);
        const double slope = rr / yr;
        EXPECT_NEAR(factors.scale / (-2 * slope), 1, 1e-4);
        EXPECT_NEAR(factors.add, rr + 2 * slope * yc, 1e-4 * (rr + std::fabs(2 * slope * yc)));
        const double error = 2 * std::sqrt((slope * slope * yy - rr) / (dims - 1));
        EXPECT_NEAR(std::bit_cast<float>(uint32_t{factors.error} << 16) / error, 1.004, 0.005);
      }
    }
  }
}

// Trained centroids reconstruct residuals as well as the codebook's training says: better than any
// one value a segment, and as far as the k-means itself left them.
TEST(PqTest, TrainingLowersTheError) {
  const std::vector<Vector> base = RealBase(600);
  const TestSpace space(Metric::kL2, Mean(base), 3);
  const Vector zero(384), residuals = Residuals(space, base, zero);
  const ListCodecParams params = Pq(4, 96);
  const Vector codebook = Trained(params, 384, residuals);
  // Segment 5 by hand: its rows to the same k-means.
  Vector rows, centroids(16 * 4);
  for (size_t r = 0; r < base.size(); ++r) {
    for (size_t i = 20; i < 24; ++i) rows.push_back(residuals[r * 384 + i]);
  }
  PlainKMeans(nullptr, rows.data(), base.size(), 4, 16, centroids.data());
  for (size_t j = 0; j < 16; ++j) {
    for (size_t i = 0; i < 4; ++i) {
      ASSERT_EQ(codebook[16 * (20 + i) + j], centroids[4 * j + i]);
    }
  }
  double left = 0, all = 0;
  for (size_t r = 0; r < base.size(); ++r) {
    for (size_t m = 0; m < 96; ++m) {
      double least = INFINITY;
      for (size_t j = 0; j < 16; ++j) {
        double d = 0;
        for (size_t i = 4 * m; i < 4 * m + 4; ++i) {
          d += std::pow(residuals[r * 384 + i] - codebook[16 * i + j], 2);
        }
        least = std::min(least, d);
      }
      left += least;
    }
  }
  for (const float v : residuals) all += double(v) * v;
  // One bit a dim leaves .32 of a Gaussian's variance by rate-distortion's Shannon bound of .25.
  EXPECT_LT(left / all, 0.36);
  EXPECT_GT(left / all, 0.2);
}

// Rows of several lists, residuals about the own centroid of each, as a build takes them.
Vector ResidualsOfLists(const TestSpace& space, const std::vector<Vector>& rows, size_t lists) {
  std::vector<std::vector<Vector>> members(lists);
  for (const Vector& x : rows) {
    size_t best = 0;
    for (size_t l = 1; l < lists; ++l) {
      if (SquaredDistance(x, rows[l]) < SquaredDistance(x, rows[best])) best = l;
    }
    members[best].push_back(x);
  }
  Vector all;
  for (const std::vector<Vector>& list : members) {
    if (list.size() < 20) continue;
    std::vector<Vector> work;
    for (const Vector& x : list) work.push_back(space.Work(x));
    const Vector residuals = Residuals(space, list, Mean(work));
    all.insert(all.end(), residuals.begin(), residuals.end());
  }
  return all;
}

TEST_P(ListMetricTest, PqErrorsAreWithinTheCalibratedMargin) {
  const std::vector<Vector> base = RealBase(2400), queries = ReadRows("query.npy", 15);
  const TestSpace space(GetParam(), Mean(GetParam() == Metric::kCosine ? Normalized(base) : base),
                        42);
  // Trained on others than the list's rows.
  const Cluster cluster(space, {base.begin(), base.begin() + 1200}, 250);
  const Vector residuals = ResidualsOfLists(space, {base.begin() + 1200, base.end()}, 8);
  const size_t count = residuals.size() / 384;
  ASSERT_GT(count, 800u);
  for (ListCodecParams params : {Pq(4, 96), Pq(4, 192), Pq(8, 24)}) {
    SCOPED_TRACE(::testing::Message() << int(params.pq_bits) << " x " << params.pq_segments);
    const Vector codebook = Trained(params, 384, residuals);
    const TestLists trained(space, params, codebook);
    params.pq_margin = quant::CalibratePq(*trained, residuals.data(), count);
    EXPECT_GE(params.pq_margin, 1);
    EXPECT_LT(params.pq_margin, 1.5);
    params.second_bits = 8;
    const TestLists codec(space, params, codebook);
    List list(codec, space, cluster.rows, cluster.centroid);
    Measured measured;
    ASSERT_NO_FATAL_FAILURE(
        Measure(codec, space, list, queries, quant::kDefaultEpsilon, &measured));
    EXPECT_LT(measured.first.worst, 5.5);
    EXPECT_GT(measured.first.deviation(), 0.6);
    EXPECT_LT(measured.first.deviation(), 1.15);
    // 256 centroids of a thousand rows are fitted to those too closely.
    EXPECT_LT(measured.below / measured.first.n, params.pq_bits == 4 ? 0.045 : 0.06);
    ExpectGaussian(measured.second, "second stage", 0.9);
  }
}

// Where rows and queries differ in few dims only, errors lie in those, too, and are larger than
// random directions make them.
TEST(PqTest, CalibrationSeesErrorsThatAreNotRandom) {
  Gaussian gaussian(18);
  const size_t dims = 64, count = 400;
  const TestSpace space(Metric::kL2, Vector(dims), 1);
  const ListCodecParams params = Pq(4, 16);
  for (const float scale : {1.0f, 20.0f}) {
    Vector residuals;
    for (size_t n = 0; n < count; ++n) {
      Vector r = gaussian.Make(dims, 0.1f);
      r[0] *= scale, r[1] *= scale;
      residuals.insert(residuals.end(), r.begin(), r.end());
    }
    const Vector codebook = Trained(params, dims, residuals);
    const TestLists codec(space, params, codebook);
    const float margin = quant::CalibratePq(*codec, residuals.data(), count);
    if (scale == 1) {
      EXPECT_LT(margin, 1.15);
    } else {
      EXPECT_GT(margin, 2);
    }
  }
}

}  // namespace
