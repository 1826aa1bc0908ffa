// Codes and estimates: the claims of src/quant/README.md, on real and on random vectors.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include <gtest/gtest.h>

#include "codec_test_util.hpp"
#include "core/sizes.hpp"

namespace {

using namespace ann;
using namespace ann::testing;
using quant::Codec;
using quant::CodecParams;
using quant::Estimate;
using quant::Metric;

constexpr Metric kRotated[] = {Metric::kL2, Metric::kCosine, Metric::kInnerProduct};
struct Bits {
  int traversal, refinement;
};
constexpr Bits kAllBits[] = {{2, 0}, {2, 2}, {2, 4}, {2, 6}, {4, 0}, {4, 2}, {4, 4}, {4, 6}};

const std::vector<Vector>& RealBase() {
  static const std::vector<Vector>* const rows = new auto(ReadRows("base.npy", 1500));
  return *rows;
}
const std::vector<Vector>& RealQueries() {
  static const std::vector<Vector>* const rows = new auto(ReadRows("query.npy", 12));
  return *rows;
}

std::vector<Vector> Normalized(std::vector<Vector> vectors) {
  for (Vector& v : vectors) {
    const double length = std::sqrt(Dot(v, v));
    for (float& value : v) value = static_cast<float>(value / length);
  }
  return vectors;
}

void Measure(const TestCodec& codec, const std::vector<Vector>& base,
             const std::vector<Vector>& queries, Errors* coarse, Errors* refined) {
  std::vector<Coded> coded;
  for (const Vector& x : base) coded.push_back(codec.Encode(x));
  for (const Vector& q : queries) {
    const TestQuery query(codec, q);
    for (size_t i = 0; i < base.size(); ++i) {
      const double truth = TrueKey(codec->params().metric, base[i], q);
      const Estimate estimate = codec->Coarse(*query, coded[i].code.data());
      ASSERT_EQ(estimate.key, codec->Key(*query, coded[i].code.data()));
      ASSERT_NO_FATAL_FAILURE(coarse->Add(estimate, truth));
      if (coded[i].refinement.empty()) continue;
      ASSERT_NO_FATAL_FAILURE(refined->Add(
          codec->Refined(*query, coded[i].code.data(), coded[i].refinement.data()), truth));
    }
  }
}

TEST(CodecTest, ErrorsOnRealVectorsAreAsPromised) {
  const Vector mean = Mean(RealBase());
  for (const Metric metric : kRotated) {
    for (const Bits bits : kAllBits) {
      SCOPED_TRACE(::testing::Message() << "metric " << static_cast<int>(metric) << " bits "
                                        << bits.traversal << "+" << bits.refinement);
      const TestCodec codec(Params(metric, 384, bits.traversal, bits.refinement), mean);
      Errors coarse, refined;
      ASSERT_NO_FATAL_FAILURE(Measure(codec, RealBase(), RealQueries(), &coarse, &refined));
      ExpectGaussian(coarse, "coarse", 0.9);
      if (bits.refinement > 0) ExpectGaussian(refined, "refined", 0.9);
    }
  }
}

// Anisotropic vectors about a far mean, of dims that fill no plane; queries from among them, near
// them (down to a thousandth of their length) and far.
TEST(CodecTest, ErrorsOnSkewedVectorsAreAsPromised) {
  for (const size_t dims : {33, 64, 100, 129, 200}) {
    Gaussian gaussian(dims);
    std::vector<Vector> base, queries;
    const Vector offset = gaussian.Make(dims, 2);
    auto make = [&](float scale) {
      Vector v = gaussian.Make(dims);
      for (size_t i = 0; i < dims; ++i) v[i] = offset[i] + v[i] * scale / (1 + 0.1f * float(i));
      return v;
    };
    for (int i = 0; i < 600; ++i) base.push_back(make(1));
    for (int i = 0; i < 4; ++i) queries.push_back(make(i < 2 ? 1 : 10));
    for (const Metric metric : kRotated) {
      for (const Bits bits : {Bits{2, 6}, Bits{4, 4}}) {
        SCOPED_TRACE(::testing::Message()
                     << "dims " << dims << " metric " << static_cast<int>(metric) << " bits "
                     << bits.traversal << "+" << bits.refinement);
        const TestCodec codec(Params(metric, dims, bits.traversal, bits.refinement, dims),
                              Mean(metric == Metric::kCosine ? Normalized(base) : base));
        Errors coarse, refined;
        ASSERT_NO_FATAL_FAILURE(Measure(codec, base, queries, &coarse, &refined));
        // Few dims and a far mean: sigma allows more for the doubt about |q_orthogonal| (README).
        ExpectGaussian(coarse, "coarse", 0.65);
        ExpectGaussian(refined, "refined", 0.88);
      }
    }
  }
}

// Near duplicates down to equality: errors may be smaller than promised, never larger.
TEST(CodecTest, NearDuplicatesKeepThePromise) {
  for (const size_t dims : {2, 3, 8, 64, 384}) {
    Gaussian gaussian(7 + dims);
    for (const Metric metric : kRotated) {
      const TestCodec codec(Params(metric, dims, dims < 256 ? 4 : 2, dims < 256 ? 4 : 6),
                            Vector(dims, 0.01f));
      double worst_coarse = 0, worst_refined = 0;
      for (int i = 0; i < 400; ++i) {
        const Vector x = gaussian.Make(dims);
        const Coded coded = codec.Encode(x);
        for (const float away : {0.0f, 1e-4f, 1e-3f, 1e-2f, 0.1f, 0.3f}) {
          Vector q = gaussian.Make(dims, away);
          for (size_t k = 0; k < dims; ++k) q[k] += x[k];
          const TestQuery query(codec, q);
          const double truth = TrueKey(metric, x, q);
          auto z = [&](Estimate e) {
            // What float arithmetic on terms of this size leaves is nobody's promise.
            const double floor = 3e-6 * (Dot(x, x) + Dot(q, q));
            return std::max(0.0,
                            std::fabs(e.key - truth) - (metric == Metric::kCosine ? 6e-6 : floor)) /
                   e.sigma;
          };
          worst_coarse = std::max(worst_coarse, z(codec->Coarse(*query, coded.code.data())));
          worst_refined = std::max(
              worst_refined, z(codec->Refined(*query, coded.code.data(), coded.refinement.data())));
        }
      }
      EXPECT_LT(worst_coarse, 5) << dims << " dims, metric " << static_cast<int>(metric);
      EXPECT_LT(worst_refined, 5) << dims << " dims, metric " << static_cast<int>(metric);
    }
  }
}

// Rows at three tenths of the query's length: sigma is as much smaller as the part of q across r.
TEST(CodecTest, SigmaShrinksTowardsNearRows) {
  Gaussian gaussian(16);
  for (const Metric metric : kRotated) {
    const TestCodec codec(Params(metric, 384, 2, 6), Vector(384, 0.01f));
    Errors coarse, refined;
    for (int i = 0; i < 1000; ++i) {
      const Vector x = gaussian.Make(384);
      Vector q = gaussian.Make(384, 0.3f);
      for (size_t k = 0; k < 384; ++k) q[k] += x[k];
      const Coded coded = codec.Encode(x);
      const TestQuery query(codec, q);
      const double truth = TrueKey(metric, x, q);
      coarse.Add(codec->Coarse(*query, coded.code.data()), truth);
      refined.Add(codec->Refined(*query, coded.code.data(), coded.refinement.data()), truth);
    }
    ExpectGaussian(coarse, "coarse", 0.65);
    ExpectGaussian(refined, "refined", 0.88);
  }
}

// One pair, many rotations: the mean of the estimates is the distance.
TEST(CodecTest, EstimatesAreUnbiased) {
  Gaussian gaussian(11);
  const size_t dims = 64;
  const Vector mean = gaussian.Make(dims, 0.2f);
  for (const Metric metric : kRotated) {
    for (const float away : {0.3f, 3.0f}) {
      const Vector x = gaussian.Make(dims);
      Vector q = gaussian.Make(dims, away);
      for (size_t i = 0; i < dims; ++i) q[i] += x[i];
      const double truth = TrueKey(metric, x, q);
      constexpr int kSeeds = 1500;
      double sums[2] = {}, squares[2] = {};
      for (uint64_t seed = 0; seed < kSeeds; ++seed) {
        const TestCodec codec(Params(metric, dims, 2, 4, seed), mean);
        const Coded coded = codec.Encode(x);
        const TestQuery query(codec, q);
        const double errors[2] = {
            codec->Coarse(*query, coded.code.data()).key - truth,
            codec->Refined(*query, coded.code.data(), coded.refinement.data()).key - truth};
        for (int k : {0, 1}) sums[k] += errors[k], squares[k] += errors[k] * errors[k];
      }
      for (int k : {0, 1}) {
        const double deviation = std::sqrt(squares[k] / kSeeds);
        EXPECT_GT(deviation, 0);
        EXPECT_LT(std::fabs(sums[k] / kSeeds), 4 * deviation / std::sqrt(kSeeds))
            << (k == 0 ? "coarse" : "refined") << ", metric " << static_cast<int>(metric);
      }
    }
  }
}

// |e| / |r| by bits, as the README's table has it.
TEST(CodecTest, ErrorsShrinkWithBits) {
  struct Row {
    Bits bits;
    double kappa;
  };
  Gaussian gaussian(12);
  const size_t dims = 384;
  for (const Row& row :
       {Row{{2, 0}, 0.3668}, Row{{4, 0}, 0.1062}, Row{{2, 2}, 0.1509}, Row{{2, 4}, 0.0539},
        Row{{2, 6}, 0.01554}, Row{{4, 2}, 0.05}, Row{{4, 4}, 0.02317}, Row{{4, 6}, 0.00658}}) {
    const TestCodec codec(Params(Metric::kL2, dims, row.bits.traversal, row.bits.refinement),
                          Vector(dims));
    double squares = 0;
    constexpr int kVectors = 300;
    for (int i = 0; i < kVectors; ++i) {
      const Coded coded = codec.Encode(gaussian.Make(dims));
      const auto factors = Read<quant::Factors>(coded.code);
      if (row.bits.refinement == 0) {
        squares += factors.norm / factors.decoded - 1;
      } else {
        const float error = Read<quant::RefinementFactors>(coded.refinement).error;
        squares += error * error / factors.norm;
      }
    }
    EXPECT_NEAR(std::sqrt(squares / kVectors) / row.kappa, 1, 0.03)
        << row.bits.traversal << "+" << row.bits.refinement << ": "
        << std::sqrt(squares / kVectors);
  }
}

// The factors are what codec.hpp says, recomputed from the decoded values.
TEST(CodecTest, FactorsDescribeTheCode) {
  Gaussian gaussian(13);
  for (const size_t dims : {1, 5, 63, 65, 384}) {
    for (const Bits bits : kAllBits) {
      const TestCodec codec(Params(Metric::kL2, dims, bits.traversal, bits.refinement),
                            gaussian.Make(dims));
      const Vector x = gaussian.Make(dims, 5);
      const Vector r = codec.Work(x);
      const Coded coded = codec.Encode(x);
      const auto factors = Read<quant::Factors>(coded.code);
      const double norm = Dot(r, r);
      EXPECT_NEAR(factors.norm / norm, 1, 1e-5);
      const std::vector<double> decoded = Decode(codec, coded.code);
      double squared = 0, along = 0;
      for (size_t i = 0; i < dims; ++i) {
        squared += decoded[i] * decoded[i];
        along += decoded[i] * r[i];
      }
      EXPECT_NEAR(factors.decoded / squared, 1, 1e-4);
      // The best scale of y leaves an error that is orthogonal to y.
      EXPECT_NEAR(along / squared, 1, 1e-4);
      EXPECT_LE(squared, norm * 1.0001);
      if (bits.refinement == 0) continue;
      const auto fine = Read<quant::RefinementFactors>(coded.refinement);
      const uint8_t* planes = coded.refinement.data() + sizeof fine;
      const int high_bits = bits.refinement == 6 ? 4 : bits.refinement;
      std::vector<int> high = Values(planes, high_bits, dims);
      if (bits.refinement == 6) {
        const auto low = Values(planes + simd::PlaneBytes(4, dims), 2, dims);
        for (size_t i = 0; i < dims; ++i) high[i] = 4 * high[i] + low[i];
      }
      const auto values = Values(coded.code.data() + codec->factor_bytes(), bits.traversal, dims);
      double error = 0, orthogonal = 0;
      for (size_t i = 0; i < dims; ++i) {
        const double both = fine.first * (values[i] - ((1 << bits.traversal) - 1) / 2.0) +
                            fine.second * (high[i] - ((1 << bits.refinement) - 1) / 2.0);
        error += (both - r[i]) * (both - r[i]);
        orthogonal += (both - r[i]) * r[i];
      }
      EXPECT_NEAR(std::sqrt(error) - fine.error, 0, 1e-3 * std::sqrt(norm));
      EXPECT_NEAR(orthogonal / norm, 0, 1e-4);
    }
  }
}

// --- distances between codes
// ----------------------------------------------------------------------

double DecodedDistance(const TestCodec& codec, const Coded& a, const Coded& b) {
  double sum = 0;
  if (codec->params().metric == Metric::kL1) {
    const auto u = Values(a.code.data() + 4, codec->params().traversal_bits, codec->params().dims);
    const auto v = Values(b.code.data() + 4, codec->params().traversal_bits, codec->params().dims);
    for (size_t i = 0; i < u.size(); ++i) sum += std::abs(u[i] - v[i]);
    return sum * codec->params().l1_step;
  }
  const auto u = Decode(codec, a.code), v = Decode(codec, b.code);
  for (size_t i = 0; i < u.size(); ++i) sum += (u[i] - v[i]) * (u[i] - v[i]);
  if (codec->params().metric == Metric::kInnerProduct) {
    const double lift = Read<float>(a.code, 12) - Read<float>(b.code, 12);
    sum += lift * lift;
  }
  return sum;
}

float CodeDistance(const TestCodec& codec, const Coded& a, const Coded& b) {
  std::vector<uint8_t> memory(RoundUp(codec->params().dims, 64), 0xee);
  return codec->CodeDistance(codec->PrepareCode(a.code.data(), memory.data()), b.code.data());
}

TEST(CodecTest, CodeDistanceIsAMetric) {
  Gaussian gaussian(14);
  for (const size_t dims : {1, 3, 64, 100, 384, 1000}) {
    for (const Metric metric : {Metric::kL2, Metric::kCosine, Metric::kInnerProduct, Metric::kL1}) {
      for (const int bits : {2, 4, 8}) {
        if (bits == 8 && metric != Metric::kL1) continue;
        CodecParams params = Params(metric, dims, bits, 0);
        params.l1_step = 6.0f / static_cast<float>(1 << bits);
        const TestCodec codec(params, gaussian.Make(dims, 0.1f));
        std::vector<Coded> coded;
        for (int i = 0; i < 12; ++i) {
          coded.push_back(codec.Encode(gaussian.Make(dims)));
          if (metric == Metric::kInnerProduct) codec->SetLift(coded.back().code.data(), 100);
        }
        coded.push_back(coded[0]);
        SCOPED_TRACE(::testing::Message() << dims << " dims, metric " << static_cast<int>(metric)
                                          << ", " << bits << " bits");
        const size_t n = coded.size();
        std::vector<std::vector<double>> d(n, std::vector<double>(n));
        double largest = 0;
        for (size_t i = 0; i < n; ++i) {
          for (size_t j = 0; j < n; ++j) {
            d[i][j] = CodeDistance(codec, coded[i], coded[j]);
            largest =
                std::max({largest, d[i][j], double(Read<quant::Factors>(coded[i].code).norm)});
          }
        }
        const double slack = 1e-5 * largest;
        const bool squared = metric != Metric::kL1;
        for (size_t i = 0; i < n; ++i) {
          EXPECT_NEAR(d[i][i], 0, slack);
          for (size_t j = 0; j < n; ++j) {
            EXPECT_GE(d[i][j], 0);
            EXPECT_NEAR(d[i][j], d[j][i], slack);
            EXPECT_NEAR(d[i][j], DecodedDistance(codec, coded[i], coded[j]), slack);
            for (size_t k = 0; k < n; ++k) {
              if (squared) {
                EXPECT_LE(std::sqrt(d[i][k]),
                          std::sqrt(d[i][j]) + std::sqrt(d[j][k]) + std::sqrt(slack));
              } else {
                EXPECT_LE(d[i][k], d[i][j] + d[j][k] + slack);
              }
            }
          }
        }
        EXPECT_NEAR(d[0][n - 1], 0, slack);
      }
    }
  }
}

// With the lift as a further coordinate, nearer means a larger inner product, whatever the lengths.
TEST(CodecTest, LiftOrdersByInnerProduct) {
  Gaussian gaussian(15);
  const size_t dims = 256;
  const TestCodec codec(Params(Metric::kInnerProduct, dims, 4, 0), gaussian.Make(dims, 0.05f));
  std::vector<Vector> base;
  float longest = 0;
  for (int i = 0; i < 300; ++i) {
    base.push_back(gaussian.Make(dims, 0.2f + 0.01f * static_cast<float>(i)));
    longest = std::max(longest, static_cast<float>(std::sqrt(Dot(base[i], base[i]))));
  }
  // The longest vector has lift 0: distances from it are |max|^2 + |max|^2 - 2 <x, max>.
  size_t top = 0;
  std::vector<Coded> coded;
  for (size_t i = 0; i < base.size(); ++i) {
    coded.push_back(codec.Encode(base[i]));
    EXPECT_NEAR(codec->SquaredNorm(coded[i].code.data()) / Dot(base[i], base[i]), 1, 1e-4);
    codec->SetLift(coded[i].code.data(), longest);
    const double lift = Read<float>(coded[i].code, sizeof(quant::Factors));
    EXPECT_NEAR(lift * lift + Dot(base[i], base[i]), double(longest) * longest,
                1e-4 * longest * longest);
    if (Dot(base[i], base[i]) > Dot(base[top], base[top])) top = i;
  }
  int wrong = 0, pairs = 0;
  const double clear = 0.8 * longest * longest / std::sqrt(dims);
  for (size_t i = 0; i < base.size(); ++i) {
    for (size_t j = 0; j < base.size(); ++j) {
      if (i == top || j == top || Dot(base[i], base[top]) < Dot(base[j], base[top]) + clear)
        continue;
      ++pairs;
      wrong +=
          CodeDistance(codec, coded[top], coded[i]) > CodeDistance(codec, coded[top], coded[j]);
    }
  }
  EXPECT_GT(pairs, 1000);
  EXPECT_EQ(wrong, 0);
}

// --- L1
// -------------------------------------------------------------------------------------------

TEST(CodecTest, L1KeysAreWithinTheirSigma) {
  const std::vector<Vector>& base = RealBase();
  const Vector mean = Mean(base);
  double variance = 0;
  for (const Vector& x : base) variance += SquaredDistance(x, mean);
  const double sigma = std::sqrt(variance / static_cast<double>(base.size()) / 384);
  for (const int bits : {2, 4, 8}) {
    for (const double reach : {1.5, 4.0}) {
      CodecParams params = Params(Metric::kL1, 384, bits, 0);
      params.l1_step = static_cast<float>(reach * sigma / (1 << (bits - 1)));
      const TestCodec codec(params, mean);
      Errors errors, unused;
      ASSERT_NO_FATAL_FAILURE(Measure(codec, base, RealQueries(), &errors, &unused));
      EXPECT_LT(errors.worst, 5) << bits << " bits, reach " << reach;
      if (bits == 8 && reach == 4.0) {
        EXPECT_GT(errors.deviation(), 0.5);
        EXPECT_LT(errors.deviation(), 1.1);
      }
    }
  }
}

// One coordinate far beyond the grid, on either side or both: an error of one kind, not a random
// one.
TEST(CodecTest, L1KnowsWhatLiesBeyondItsGrid) {
  Gaussian gaussian(17);
  const size_t dims = 64;
  for (const float step : {0.05f, 0.0f}) {
    CodecParams params = Params(Metric::kL1, dims, 8, 0);
    params.l1_step = step;
    const TestCodec codec(params, Vector(dims));
    for (const float far_x : {0.0f, 1000.0f, -1000.0f}) {
      for (const float far_q : {0.0f, 1000.0f, -3000.0f}) {
        Vector x = gaussian.Make(dims), q = gaussian.Make(dims);
        x[5] += far_x, q[5] += far_q;
        const Coded coded = codec.Encode(x);
        const TestQuery query(codec, q);
        const Estimate e = codec->Coarse(*query, coded.code.data());
        EXPECT_LE(std::fabs(e.key - L1Distance(x, q)), 5 * e.sigma) << far_x << " " << far_q;
        if (step > 0 && far_x == 0) {
          EXPECT_NEAR(e.key, L1Distance(x, q), 2);
        }
      }
    }
  }
}

// --- numbers at the ends
// --------------------------------------------------------------------------

TEST(CodecTest, EqualVectorsAndZerosAreExact) {
  Gaussian gaussian(18);
  const size_t dims = 100;
  const Vector mean = gaussian.Make(dims);
  const TestCodec codec(Params(Metric::kL2, dims, 4, 4), mean);
  const Coded at_mean = codec.Encode(mean);
  const TestQuery from_mean(codec, mean);
  EXPECT_EQ(codec->Coarse(*from_mean, at_mean.code.data()).key, 0);
  EXPECT_EQ(codec->Coarse(*from_mean, at_mean.code.data()).sigma, 0);
  EXPECT_EQ(codec->Refined(*from_mean, at_mean.code.data(), at_mean.refinement.data()).key, 0);
  const Vector q = gaussian.Make(dims);
  const TestQuery query(codec, q);
  const Estimate e = codec->Refined(*query, at_mean.code.data(), at_mean.refinement.data());
  EXPECT_NEAR(e.key / SquaredDistance(mean, q), 1, 1e-5);
  EXPECT_EQ(CodeDistance(codec, at_mean, at_mean), 0);
}

// From denormal to the largest float: an estimate is within 5 sigma or says that it knows nothing.
TEST(CodecTest, AnyFiniteVectorIsCoded) {
  const size_t dims = 100;
  Gaussian gaussian(19);
  const float kLargest = std::numeric_limits<float>::max();
  std::vector<Vector> all = {Vector(dims), Vector(dims, kLargest), Vector(dims, -kLargest),
                             Vector(dims, 1e-45f), Vector(dims, -0.0f)};
  all.push_back(Vector(dims));
  all.back()[3] = kLargest;
  for (const float scale : {1e-42f, 1e-30f, 1e-20f, 1e-10f, 1.0f, 1e5f, 1e10f, 1e14f, 1e18f, 1e19f,
                            1e25f, 1e30f, 3e37f}) {
    all.push_back(gaussian.Make(dims, scale));
    all.push_back(gaussian.Make(dims, scale));
  }
  for (const Metric metric : {Metric::kL2, Metric::kCosine, Metric::kInnerProduct, Metric::kL1}) {
    SCOPED_TRACE(static_cast<int>(metric));
    CodecParams params = Params(metric, dims, 4, metric == Metric::kL1 ? 0 : 4);
    params.l1_step = 0.4f;
    const TestCodec codec(params, Vector(dims));
    std::vector<Vector> base;
    for (const Vector& x : all) {
      if (metric != Metric::kCosine || Dot(x, x) > 0) base.push_back(x);
    }
    std::vector<Coded> coded;
    for (const Vector& x : base) coded.push_back(codec.Encode(x));
    if (metric == Metric::kInnerProduct) {
      for (Coded& c : coded) codec->SetLift(c.code.data(), 1e18f);
    }
    int known = 0, tried = 0;
    for (size_t i = 0; i < base.size(); ++i) {
      for (size_t j = 0; j < base.size(); ++j) {
        ASSERT_FALSE(std::isnan(CodeDistance(codec, coded[i], coded[j]))) << i << " " << j;
      }
      const TestQuery query(codec, base[i]);
      for (size_t j = 0; j < base.size(); ++j) {
        const double truth = TrueKey(metric, base[j], base[i]);
        const double size = std::sqrt(Dot(base[i], base[i]) * Dot(base[j], base[j])) +
                            (metric == Metric::kL2   ? Dot(base[i], base[i]) + Dot(base[j], base[j])
                             : metric == Metric::kL1 ? L1Distance(base[i], base[j])
                                                     : 1e-30);
        std::vector<Estimate> estimates = {codec->Coarse(*query, coded[j].code.data())};
        if (metric != Metric::kL1) {
          estimates.push_back(
              codec->Refined(*query, coded[j].code.data(), coded[j].refinement.data()));
        }
        for (const Estimate& e : estimates) {
          ++tried;
          if (!std::isfinite(e.key) || !std::isfinite(e.sigma)) continue;
          ++known;
          // Squares of lengths below 1e-18 or so are no floats any more.
          const double lengths =
              std::sqrt(Dot(base[i], base[i])) + std::sqrt(Dot(base[j], base[j]));
          const double tiny = metric == Metric::kCosine ? 1e-5 : 1e-5 * size + 1e-18 * lengths;
          EXPECT_LE(std::fabs(e.key - truth), 5 * e.sigma + tiny) << i << " " << j << " " << truth;
        }
      }
    }
    EXPECT_GT(known, metric == Metric::kCosine ? tried * 9 / 10
                     : metric == Metric::kL1   ? tried * 3 / 4
                                               : tried / 4);
  }
}

TEST(CodecTest, CosineIsBlindToLength) {
  Gaussian gaussian(20);
  const Vector x = gaussian.Make(70);
  const TestCodec codec(Params(Metric::kCosine, 70, 4, 4), Vector(70, 0.01f));
  const Vector work = codec.Work(x);
  for (const float scale : {1e-37f, 1e-18f, 1e18f, 1e37f}) {
    Vector scaled = x;
    for (float& v : scaled) v *= scale;
    const Vector other = codec.Work(scaled);
    EXPECT_NEAR(SquaredDistance(work, other), 0, 1e-10) << scale;
  }
}

// --- the hash
// -------------------------------------------------------------------------------------

TEST(HashVectorTest, EqualVectorsAlikeOthersNot) {
  Gaussian gaussian(21);
  std::vector<uint64_t> hashes;
  for (int i = 0; i < 2000; ++i) {
    Vector x = gaussian.Make(2 + i % 40);
    x[0] = 0.0f;
    const uint64_t hash = quant::HashVector(x.data(), x.size(), 1);
    hashes.push_back(hash);
    EXPECT_NE(hash, quant::HashVector(x.data(), x.size(), 2));
    x[0] = -0.0f;
    EXPECT_EQ(hash, quant::HashVector(x.data(), x.size(), 1));
    x[0] = std::numeric_limits<float>::denorm_min();
    hashes.push_back(quant::HashVector(x.data(), x.size(), 1));
    x.push_back(0);
    hashes.push_back(quant::HashVector(x.data(), x.size(), 1));
    std::swap(x[0], x[1]);
    hashes.push_back(quant::HashVector(x.data(), x.size(), 1));
  }
  std::sort(hashes.begin(), hashes.end());
  EXPECT_EQ(std::adjacent_find(hashes.begin(), hashes.end()), hashes.end());
}

}  // namespace
