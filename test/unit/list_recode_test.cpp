// What a code of a list says of its row's vector, and codes about another centroid that are made of
// it: src/quant/README.md, "Another centroid".
#include <algorithm>
#include <cmath>
#include <limits>

#include "list_codec_test_util.hpp"

namespace {

using namespace ann;
using namespace ann::testing;

class ListRecodeTest : public ::testing::TestWithParam<Metric> {};
INSTANTIATE_TEST_SUITE_P(Metrics, ListRecodeTest, ::testing::ValuesIn(kMetrics),
                         [](const auto& info) { return NameOfMetric(info.param); });

// Any codebook is one: its coordinates are those of the list's own residuals.
Vector Codebook(const ListCodecParams& params, const std::vector<Vector>& residuals) {
  const size_t clusters = size_t{1} << params.pq_bits, dims = residuals[0].size();
  Vector codebook(quant::PqCodebookFloats(params, static_cast<uint32_t>(dims)));
  for (size_t i = 0; i < dims; ++i) {
    for (size_t j = 0; j < clusters; ++j) {
      codebook[clusters * i + j] = residuals[j * 7 % residuals.size()][i];
    }
  }
  return codebook;
}

struct Fixture {
  explicit Fixture(Metric metric)
      : base(RealBase(600)),
        space(metric, Mean(metric == Metric::kCosine ? Normalized(base) : base), 42),
        cluster(space, base, 200) {
    for (const Vector& x : cluster.rows) {
      residuals.push_back(space.Work(x));
      for (size_t i = 0; i < x.size(); ++i) residuals.back()[i] -= cluster.centroid[i];
    }
    // The centre of the farthest ones.
    std::vector<Vector> far;
    for (size_t i = cluster.rows.size() - 20; i < cluster.rows.size(); ++i) {
      far.push_back(space.Work(cluster.rows[i]));
    }
    other = Mean(far);
  }
  std::vector<Vector> base;
  TestSpace space;
  Cluster cluster;
  std::vector<Vector> residuals;
  Vector other;
};

std::vector<ListCodecParams> AllParams() {
  ListCodecParams pq4 = Pq(4, 96), pq8 = Pq(8, 48);
  pq4.pq_margin = 1.5f;
  pq8.second_bits = 4;
  return {Rabitq(0), Rabitq(2), Rabitq(4), Rabitq(6), Rabitq(8), kSq8, kFlat, pq4, pq8};
}

const uint8_t* SecondOf(const TestLists& codec, const List& list, size_t i) {
  return codec->second_bytes() == 0 ? nullptr : list.second.data() + i * codec->second_bytes();
}

// The error is the one that the factors state, row by row; 16 bits hold it to within .8 %.
TEST_P(ListRecodeTest, ErrorsAreAsStated) {
  const Fixture f(GetParam());
  for (const ListCodecParams& params : AllParams()) {
    SCOPED_TRACE(::testing::Message() << "quantizer " << static_cast<int>(params.quantizer) << ", "
                                      << int{params.second_bits} << " bits");
    const Vector codebook =
        params.quantizer == Quantizer::kPq ? Codebook(params, f.residuals) : Vector();
    const TestLists codec(f.space, params, codebook);
    const List list(codec, f.space, f.cluster.rows, f.cluster.centroid);
    for (size_t i = 0; i < list.rows.size(); ++i) {
      const Vector truth = f.space.Work(list.rows[i]);
      Vector x(truth.size()), work(truth.size());
      for (const uint8_t* second : {SecondOf(codec, list, i), (const uint8_t*){nullptr}}) {
        const float prior = codec->Reconstruct(list.centroid.data(), list.coded[i].data(), second,
                                               x.data(), work.data());
        const double squared = SquaredDistance(work, truth);
        const double length = SquaredDistance(truth, list.centroid);
        ASSERT_NEAR(squared, prior, 0.02 * prior + 1e-5 * length);
        if (params.quantizer == Quantizer::kRabitq && second == nullptr) {
          ASSERT_GT(squared, 0.3 * length);
        }
        if (params.quantizer == Quantizer::kFlat) {
          ASSERT_EQ(x, list.rows[i]);
          continue;
        }
        // The way back is a rotation: what is off by so much there is here.
        Vector own = list.rows[i];
        if (GetParam() == Metric::kCosine) own = Normalized({own})[0];
        ASSERT_NEAR(SquaredDistance(x, own), squared, 1e-3 * squared + 1e-6 * Dot(own, own));
      }
    }
  }
}

// The code about another centroid promises what it keeps: its own error and that of the first.
TEST_P(ListRecodeTest, CodesAboutAnotherCentroidAreAsPromised) {
  const Fixture f(GetParam());
  const std::vector<Vector> queries = ReadRows("query.npy", 20);
  for (const ListCodecParams& params : {Rabitq(4), Rabitq(6), Rabitq(8), kSq8}) {
    SCOPED_TRACE(::testing::Message() << "quantizer " << static_cast<int>(params.quantizer) << ", "
                                      << int{params.second_bits} << " bits");
    const TestLists codec(f.space, params);
    const List list(codec, f.space, f.cluster.rows, f.cluster.centroid);
    Errors errors;
    double fresh_sigma = 0, sigma = 0;
    for (size_t i = 0; i < list.rows.size(); ++i) {
      Vector x(f.other.size()), work(f.other.size());
      const uint8_t* second = SecondOf(codec, list, i);
      const float prior = codec->Reconstruct(list.centroid.data(), list.coded[i].data(), second,
                                             x.data(), work.data());
      std::vector<uint8_t> row(codec->row_bytes()), record(codec->second_bytes() + 1);
      codec->Encode(x.data(), work.data(), f.other.data(), row.data(),
                    second == nullptr ? nullptr : record.data(), prior);
      Aligned block(codec->block_bytes());
      codec->SetRow(block.data(), 0, row.data());
      std::vector<uint8_t> first(codec->row_bytes()), record_of_first(codec->second_bytes() + 1);
      const Vector known = f.space.Work(list.rows[i]);
      codec->Encode(list.rows[i].data(), known.data(), f.other.data(), first.data(),
                    second == nullptr ? nullptr : record_of_first.data());
      Aligned block_of_first(codec->block_bytes());
      codec->SetRow(block_of_first.data(), 0, first.data());
      for (const Vector& q : queries) {
        const Asked asked(codec, f.space, q, quant::kOrderEpsilon);
        const ListContext context = codec->PrepareList(asked.query, f.other.data());
        const auto estimate = [&](uint8_t* coded, const uint8_t* coded_record) {
          if (second != nullptr) return codec->Refine(asked.query, context, coded_record);
          BlockScores scores;
          codec->ScanBlock(asked.query, context, coded, false, 1, INFINITY, &scores);
          return codec->WithError(asked.query, context, coded, 0, scores.key[0]);
        };
        const Estimate e = estimate(block.data(), record.data());
        ASSERT_NO_FATAL_FAILURE(errors.Add(e, TrueKey(GetParam(), list.rows[i], q)));
        sigma += e.sigma;
        fresh_sigma += estimate(block_of_first.data(), record_of_first.data()).sigma;
      }
    }
    EXPECT_LT(std::fabs(errors.mean()), params.second_bits == 4 ? 0.25 : 0.12);
    EXPECT_LT(errors.deviation(), 1.05);
    EXPECT_GT(errors.deviation(), 0.5);
    EXPECT_LT(errors.worst, 5);
    EXPECT_GT(sigma, 1.1 * fresh_sigma);
    EXPECT_LT(sigma, 2 * fresh_sigma);
  }
}

// Codes that are too coarse to be coded again say that they are.
TEST_P(ListRecodeTest, CoarseCodesAreNotCodedAgain) {
  const Fixture f(GetParam());
  for (const ListCodecParams& params : {Rabitq(0), Rabitq(2)}) {
    const TestLists codec(f.space, params);
    const List list(codec, f.space, f.cluster.rows, f.cluster.centroid);
    Vector x(f.other.size()), work(f.other.size());
    std::vector<uint8_t> row(codec->row_bytes()), record(codec->second_bytes() + 1);
    const uint8_t* second = SecondOf(codec, list, 0);
    const float prior = codec->Reconstruct(list.centroid.data(), list.coded[0].data(), second,
                                           x.data(), work.data());
    codec->Encode(x.data(), work.data(), list.centroid.data(), row.data(),
                  second == nullptr ? nullptr : record.data(), prior);
    const uint16_t infinite = 0x7F80;
    EXPECT_EQ(Read<quant::RowFactors>(row).error, infinite);
    if (second != nullptr) {
      EXPECT_EQ(Read<quant::SecondFactors>(record).error, INFINITY);
    }
  }
}

TEST_P(ListRecodeTest, WhatIsNotKnownStaysUnknown) {
  const size_t dims = 64;
  const TestSpace space(GetParam(), Vector(dims, 0), 1);
  const TestLists codec(space, Rabitq(8));
  // Under cosine there is no such vector, but there may be such a code.
  std::vector<uint8_t> row(codec->row_bytes()), second(codec->second_bytes());
  const Vector huge(dims, 1e30f), centroid(dims, 1);
  codec->Encode(huge.data(), huge.data(), centroid.data(), row.data(), second.data());
  Vector x(dims), work(dims);
  for (const uint8_t* record : {second.data(), static_cast<uint8_t*>(nullptr)}) {
    const float prior =
        codec->Reconstruct(centroid.data(), row.data(), record, x.data(), work.data());
    EXPECT_EQ(prior, std::numeric_limits<float>::infinity());
    EXPECT_EQ(work, centroid);
    codec->Encode(x.data(), work.data(), Vector(dims, 2).data(), row.data(), second.data(), prior);
    EXPECT_EQ(Read<quant::SecondFactors>(second).error, std::numeric_limits<float>::infinity());
  }
}

// A row that is its list's centroid is known exactly.
TEST_P(ListRecodeTest, TheCentroidItselfIsKnown) {
  const Fixture f(GetParam());
  const Vector& x = f.cluster.rows[0];
  const Vector centroid = f.space.Work(x);
  const TestLists codec(f.space, Rabitq(8));
  std::vector<uint8_t> row(codec->row_bytes()), second(codec->second_bytes());
  codec->Encode(x.data(), centroid.data(), centroid.data(), row.data(), second.data());
  Vector back(x.size()), work(x.size());
  EXPECT_EQ(
      codec->Reconstruct(centroid.data(), row.data(), second.data(), back.data(), work.data()), 0);
  EXPECT_EQ(work, centroid);
}

}  // namespace
