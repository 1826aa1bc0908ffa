// Codes made from codes, about another mean: the claims of src/quant/README.md, "Another mean".
#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "codec_test_util.hpp"

namespace {

using namespace ann;
using namespace ann::testing;
using quant::CodecParams;
using quant::Metric;

constexpr size_t kDims = 384;

const std::vector<Vector>& Base() {
  static const std::vector<Vector>* const rows = new auto(ReadRows("base.npy", 600));
  return *rows;
}
const std::vector<Vector>& Queries() {
  static const std::vector<Vector>* const rows = new auto(ReadRows("query.npy", 8));
  return *rows;
}

// The mean of the base as the metric sees it, and one off it by a third of the residuals.
Vector MeanOf(Metric metric) {
  std::vector<Vector> rows = Base();
  for (Vector& x : rows) {
    const double length = metric == Metric::kCosine ? std::sqrt(Dot(x, x)) : 1;
    for (float& value : x) value = static_cast<float>(value / length);
  }
  return Mean(rows);
}
Vector Shifted(Vector mean) {
  Gaussian gaussian(5);
  const Vector shift = gaussian.Make(mean.size(), 0.01f);
  for (size_t i = 0; i < mean.size(); ++i) mean[i] += shift[i];
  return mean;
}

CodecParams Epoch(Metric metric, int traversal, int refinement, float max_norm, bool recoded) {
  CodecParams params = Params(metric, kDims, traversal, refinement);
  params.max_norm = max_norm;
  params.recoded = recoded;
  return params;
}

const uint8_t* Refinement(const Coded& coded) {
  return coded.refinement.empty() ? nullptr : coded.refinement.data();
}

Coded First(const TestCodec& codec, const Vector& x) {
  Coded coded = codec.Encode(x);
  if (codec->params().metric == Metric::kInnerProduct) {
    codec->SetLift(coded.code.data(), codec->params().max_norm);
  }
  return coded;
}

Coded Recode(const TestCodec& from, const TestCodec& to, Coded coded) {
  uint8_t* refinement = coded.refinement.empty() ? nullptr : coded.refinement.data();
  to->Recode(*from, coded.code.data(), refinement, coded.code.data(), refinement);
  return coded;
}

void Measure(const TestCodec& codec, const std::vector<Coded>& codes, Errors* coarse,
             Errors* refined) {
  for (const Vector& q : Queries()) {
    const TestQuery query(codec, q);
    for (size_t i = 0; i < codes.size(); ++i) {
      const double truth = TrueKey(codec->params().metric, Base()[i], q);
      ASSERT_NO_FATAL_FAILURE(coarse->Add(codec->Coarse(*query, codes[i].code.data()), truth));
      if (codes[i].refinement.empty()) continue;
      ASSERT_NO_FATAL_FAILURE(
          refined->Add(codec->Refined(*query, codes[i].code.data(), Refinement(codes[i])), truth));
    }
  }
}

// As ExpectGaussian; errors of one rotation have a little in common where rows and error do: .083
// at most.
void ExpectHonest(const Errors& errors, const char* what, double least) {
  EXPECT_LT(errors.worst, 5) << what;
  EXPECT_NEAR(errors.mean(), 0, 0.1) << what;
  EXPECT_GT(errors.deviation(), least) << what;
  EXPECT_LT(errors.deviation(), 1.1) << what;
  EXPECT_LT(errors.beyond3 / errors.n, 0.006) << what;
}

// From the mean 0 that an empty table has to the mean of the rows, and on to another.
TEST(RecodeTest, ErrorsAreAsPromisedAfterOneAndAfterTwo) {
  for (const Metric metric : {Metric::kL2, Metric::kCosine, Metric::kInnerProduct}) {
    const Vector mean = MeanOf(metric);
    for (const auto& [traversal, refinement] : {std::pair{2, 4}, {2, 6}, {4, 2}, {4, 4}, {4, 6}}) {
      SCOPED_TRACE(::testing::Message() << "metric " << static_cast<int>(metric) << ", bits "
                                        << traversal << " + " << refinement);
      const TestCodec zero(Epoch(metric, traversal, refinement, 0, false), Vector(kDims, 0));
      const TestCodec one(Epoch(metric, traversal, refinement, 1.2f, true), mean);
      const TestCodec two(Epoch(metric, traversal, refinement, 1.2f, true), Shifted(mean));
      std::vector<Coded> codes;
      for (const Vector& x : Base()) codes.push_back(Recode(zero, one, First(zero, x)));
      // Inner product: sigma allows for the whole query, of which a part meets no error.
      const double least = metric == Metric::kInnerProduct ? 0.4 : 0.6;
      Errors coarse, refined;
      ASSERT_NO_FATAL_FAILURE(Measure(one, codes, &coarse, &refined));
      ExpectHonest(coarse, "coarse, once", least);
      if (refinement > 0) ExpectHonest(refined, "refined, once", least);
      for (Coded& coded : codes) coded = Recode(one, two, coded);
      Errors coarse2, refined2;
      ASSERT_NO_FATAL_FAILURE(Measure(two, codes, &coarse2, &refined2));
      ExpectHonest(coarse2, "coarse, twice", least);
      if (refinement > 0) ExpectHonest(refined2, "refined, twice", least);
    }
  }
}

// A query at, and beside, the row: the directions in which an error about the old mean and one
// about the new lie differ.
TEST(RecodeTest, NearDuplicatesKeepThePromise) {
  Gaussian gaussian(6);
  const Vector mean = MeanOf(Metric::kL2);
  const TestCodec zero(Epoch(Metric::kL2, 2, 6, 0, false), Vector(kDims, 0));
  const TestCodec one(Epoch(Metric::kL2, 2, 6, 0, true), mean);
  for (const float apart : {0.0f, 1e-4f, 1e-3f, 1e-2f}) {
    // Along the line from the new mean through the row, too.
    for (const bool radial : {false, true}) {
      for (size_t i = 0; i < 200; ++i) {
        const Vector& x = Base()[i];
        Vector q = gaussian.Make(kDims, apart);
        for (size_t d = 0; d < kDims; ++d) {
          q[d] = radial ? x[d] + 10 * apart * (x[d] - mean[d]) : x[d] + q[d];
        }
        const Coded coded = Recode(zero, one, First(zero, x));
        const TestQuery query(one, q);
        const quant::Estimate estimate =
            one->Refined(*query, coded.code.data(), coded.refinement.data());
        EXPECT_LT(std::fabs(estimate.key - TrueKey(Metric::kL2, x, q)), 5 * estimate.sigma + 1e-6)
            << apart << ", " << radial << ", row " << i;
      }
    }
  }
}

// Codes of one vector, made of it and of its code, are seen to be of one; those of others hardly
// ever.
TEST(RecodeTest, CodesOfOneVectorMayBeEqual) {
  for (const Metric metric : {Metric::kL2, Metric::kCosine, Metric::kInnerProduct, Metric::kL1}) {
    SCOPED_TRACE(static_cast<int>(metric));
    const bool l1 = metric == Metric::kL1;
    CodecParams params = Epoch(metric, l1 ? 8 : 2, l1 ? 0 : 6, 0, false);
    params.l1_step = 0.002f;
    const TestCodec zero(params, Vector(kDims, 0));
    params.recoded = true, params.max_norm = 1.2f, params.l1_step = 0.0015f;
    const TestCodec one(params, MeanOf(metric));
    size_t others = 0;
    for (size_t i = 0; i < 300; ++i) {
      const Coded fresh = First(one, Base()[i]);
      std::vector<uint8_t> memory(quant::Codec::QueryBytes(params));
      const quant::CodeQuery query = one->PrepareCode(fresh.code.data(), memory.data());
      const Coded own = Recode(zero, one, First(zero, Base()[i]));
      const Coded other = Recode(zero, one, First(zero, Base()[i + 1]));
      EXPECT_TRUE(one->MayBeEqual(query, fresh.code.data(), fresh.code.data()));
      EXPECT_TRUE(one->MayBeEqual(query, fresh.code.data(), own.code.data())) << i;
      others += one->MayBeEqual(query, fresh.code.data(), other.code.data());
    }
    EXPECT_LT(others, 15u);
  }
}

// A mean that moves by whole cells loses nothing under L1.
TEST(RecodeTest, WholeCellsMoveWithoutLoss) {
  CodecParams params = Epoch(Metric::kL1, 8, 0, 0, false);
  params.l1_step = 0.004f;
  const TestCodec zero(params, Vector(kDims, 0));
  Vector mean = MeanOf(Metric::kL1);
  for (float& value : mean) value = std::round(value / params.l1_step) * params.l1_step;
  params.recoded = true;
  const TestCodec one(params, mean);
  size_t different = 0;
  for (const Vector& x : Base()) {
    const Coded fresh = First(one, x), moved = Recode(zero, one, First(zero, x));
    for (size_t i = 0; i < fresh.code.size(); ++i) different += fresh.code[i] != moved.code[i];
  }
  // Halves of cells may be rounded either way.
  EXPECT_LT(different, Base().size() * kDims / 10000);
}

TEST(RecodeTest, AnotherGridKeepsThePromise) {
  CodecParams params = Epoch(Metric::kL1, 8, 0, 0, false);
  params.l1_step = 0.008f;
  const TestCodec zero(params, Vector(kDims, 0));
  params.recoded = true, params.l1_step = 0.003f;
  const TestCodec one(params, MeanOf(Metric::kL1));
  Errors errors, unused;
  std::vector<Coded> codes;
  for (const Vector& x : Base()) codes.push_back(Recode(zero, one, First(zero, x)));
  ASSERT_NO_FATAL_FAILURE(Measure(one, codes, &errors, &unused));
  EXPECT_LT(errors.worst, 5);
  for (size_t i = 0; i < 200; ++i) {
    const TestQuery query(one, Base()[i]);
    const quant::Estimate estimate = one->Coarse(*query, codes[i].code.data());
    EXPECT_LT(estimate.key, 5 * estimate.sigma) << i;
  }
}

// Vectors that leave float's range, and the mean itself.
TEST(RecodeTest, WhatIsNotKnownStaysUnknown) {
  const TestCodec zero(Epoch(Metric::kL2, 2, 6, 0, false), Vector(kDims, 0));
  const TestCodec one(Epoch(Metric::kL2, 2, 6, 0, true), Base()[0]);
  const TestQuery query(one, Base()[1]);
  for (const float value : {3e38f, 0.0f}) {
    const Coded coded = Recode(zero, one, First(zero, Vector(kDims, value)));
    const quant::Estimate estimate =
        one->Refined(*query, coded.code.data(), coded.refinement.data());
    if (value == 0) {
      EXPECT_NEAR(estimate.key, Dot(Base()[1], Base()[1]), 5 * estimate.sigma);
    } else {
      EXPECT_FALSE(std::isfinite(estimate.key) && std::isfinite(estimate.sigma));
    }
  }
  const Coded coded = Recode(zero, one, First(zero, Base()[0]));
  const quant::Estimate estimate = one->Refined(*query, coded.code.data(), coded.refinement.data());
  const double truth = TrueKey(Metric::kL2, Base()[0], Base()[1]);
  EXPECT_FALSE(std::isfinite(estimate.key) && std::fabs(estimate.key - truth) > 5 * estimate.sigma);
}

}  // namespace
