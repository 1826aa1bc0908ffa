// Codes of sparse vectors: what their bounds promise, and what a damaged code shows.
#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstring>
#include <map>
#include <random>
#include <vector>

#include "codec_test_util.hpp"
#include "quant/sparse_codec.hpp"
#include "simd/simd.hpp"

namespace ann::testing {
namespace {

using quant::Metric;
using quant::SparseFactors;

using Elements = std::map<int32_t, float>;

class Sparse {
 public:
  explicit Sparse(const Elements& elements) {
    for (const auto& [index, value] : elements) indices_.push_back(index), values_.push_back(value);
    view_ = {indices_.data(), values_.data(), static_cast<uint32_t>(indices_.size())};
  }
  Sparse(const Sparse&) = delete;
  Sparse& operator=(const Sparse&) = delete;
  const SparseView& view() const { return view_; }

 private:
  std::vector<int32_t> indices_;
  std::vector<float> values_;
  SparseView view_;
};

// Low dimensions are frequent, as words are; `sign`: both signs.
Elements RandomElements(std::mt19937& random, uint32_t dims, uint32_t count, bool sign) {
  std::exponential_distribution<double> size(1);
  std::uniform_real_distribution<double> unit(0, 1);
  Elements elements;
  while (elements.size() < count) {
    const double at = std::pow(unit(random), 3) * dims;
    const auto value = static_cast<float>(size(random) + 1e-3);
    elements[static_cast<int32_t>(at)] = sign && random() % 2 == 0 ? -value : value;
  }
  return elements;
}

double ExactKey(Metric metric, const Elements& q, const Elements& x) {
  double qq = 0, xx = 0, qx = 0, l1 = 0;
  for (const auto& [index, value] : q) {
    const auto met = x.find(index);
    const double other = met == x.end() ? 0 : met->second;
    qq += double(value) * value, qx += value * other, l1 += std::fabs(value - other);
  }
  for (const auto& [index, value] : x) {
    xx += double(value) * value;
    if (q.count(index) == 0) l1 += std::fabs(value);
  }
  switch (metric) {
    case Metric::kL1:
      return l1;
    case Metric::kInnerProduct:
      return -qx;
    case Metric::kCosine:
      return 2 - 2 * qx / std::sqrt(qq * xx);
    default:
      return qq + xx - 2 * qx;
  }
}

quant::CodecParams SparseParams(Metric metric, uint32_t dims, uint32_t entries) {
  quant::CodecParams params{};
  params.metric = metric, params.dims = dims, params.sparse = true;
  params.traversal_bits = static_cast<uint8_t>(entries / quant::kEntryUnit);
  return params;
}

class SparseCodec {
 public:
  explicit SparseCodec(const quant::CodecParams& params)
      : memory_(quant::Codec::MemoryBytes(params) / 8 + 1),
        codec_(params, nullptr, memory_.data()) {}
  SparseCodec(const SparseCodec&) = delete;
  SparseCodec& operator=(const SparseCodec&) = delete;
  const quant::Codec* operator->() const { return &codec_; }

  std::vector<uint8_t> Encode(const Elements& elements) const {
    const Sparse x(elements);
    // What lies behind a code is another's.
    std::vector<uint8_t> coded(codec_.coded_bytes() + 8, 0xAB);
    codec_.Code(quant::VectorRef::Sparse(&x.view()), coded.data(), nullptr);
    EXPECT_EQ(coded[codec_.coded_bytes()], 0xAB);
    coded.resize(codec_.coded_bytes());
    return coded;
  }

 private:
  std::vector<uint64_t> memory_;
  quant::Codec codec_;
};

class SparseCodecTest : public ::testing::TestWithParam<Metric> {};
INSTANTIATE_TEST_SUITE_P(Metrics, SparseCodecTest,
                         ::testing::Values(Metric::kL2, Metric::kInnerProduct, Metric::kCosine,
                                           Metric::kL1));

// Dimensions with names and with hashes, some of them so few that hashes meet; rows that fit their
// codes and rows many times as long; queries of one element and of 16,000.
TEST_P(SparseCodecTest, BoundsAreCertain) {
  std::mt19937 random(1);
  for (uint32_t dims : {300u, 30522u, 65536u, 70000u, 1000000u}) {
    for (uint32_t entries : {16u, 128u, 2000u}) {
      const quant::CodecParams params = SparseParams(GetParam(), dims, entries);
      const SparseCodec codec(params);
      std::vector<uint64_t> memory(quant::Codec::QueryBytes(params) / 8 + 1);
      for (uint32_t asked : {1u, 40u, 200u, 16000u}) {
        if (asked >= dims) continue;
        const bool sign = random() % 2 == 0;
        const Elements q = RandomElements(random, dims, asked, sign);
        const Sparse query(q);
        const quant::SearchQuery prepared =
            codec->PrepareQuery(quant::VectorRef::Sparse(&query.view()), memory.data());
        for (uint32_t count : {1u, 14u, 120u, 250u, 6000u}) {
          if (count >= dims) continue;
          for (int i = 0; i < 4; ++i) {
            // The query itself, too.
            const Elements x = i == 0 ? q : RandomElements(random, dims, count, sign);
            const std::vector<uint8_t> coded = codec.Encode(x);
            EXPECT_TRUE(quant::IsSparseCode({GetParam(), dims, entries}, coded.data()));
            const quant::Estimate estimate = codec->Coarse(prepared, coded.data());
            const double exact = ExactKey(GetParam(), q, x);
            EXPECT_LE(std::fabs(estimate.key - exact), 5 * estimate.sigma)
                << dims << " dims, " << entries << " entries, query " << asked << ", row " << count;
          }
        }
      }
    }
  }
}

// Rows with more elements than their codes have room for are as far from others as they are long: a
// build would link every node to codes that came out too short.
TEST_P(SparseCodecTest, CutRowsKeepTheirLength) {
  std::mt19937 random(3);
  const quant::CodecParams params = SparseParams(GetParam(), 5000, 16);
  const SparseCodec codec(params);
  std::vector<uint64_t> memory(quant::Codec::PreparedCodeBytes(params) / 8 + 1);
  const Elements x = RandomElements(random, 2000, 200, true);
  Elements apart;
  for (const auto& [index, value] : RandomElements(random, 2000, 200, true)) {
    apart[index + 2500] = value;
  }
  const std::vector<uint8_t> coded = codec.Encode(x), other = codec.Encode(apart);
  const quant::CodeQuery prepared = codec->PrepareCode(coded.data(), memory.data());
  const double exact = ExactKey(GetParam(), x, apart);
  EXPECT_NEAR(codec->CodeDistance(prepared, other.data()), exact, 1e-5 * exact + 1e-6);
  const double same = GetParam() == Metric::kInnerProduct ? ExactKey(GetParam(), x, x) : 0;
  EXPECT_NEAR(codec->CodeDistance(prepared, coded.data()), same,
              1e-3 * std::fabs(exact) + 1e-4 * std::fabs(same) + 1e-4);
}

TEST_P(SparseCodecTest, ShowsWhatNoVectorHas) {
  std::mt19937 random(2);
  const uint32_t room = 64;
  const SparseCodec codec(SparseParams(GetParam(), 30000, room));
  const auto is_sound = [&](const std::vector<uint8_t>& coded) {
    return quant::IsSparseCode({GetParam(), 30000, room}, coded.data());
  };
  const std::vector<uint8_t> coded = codec.Encode(RandomElements(random, 30000, 40, true));
  ASSERT_EQ(coded, codec.Encode(RandomElements(random = std::mt19937(2), 30000, 40, true)));
  const auto with = [&](size_t at, uint32_t word) {
    std::vector<uint8_t> damaged = coded;
    std::memcpy(damaged.data() + at, &word, sizeof word);
    return damaged;
  };
  uint32_t first, second;
  std::memcpy(&first, coded.data() + sizeof(SparseFactors), sizeof first);
  std::memcpy(&second, coded.data() + sizeof(SparseFactors) + 4, sizeof second);
  const size_t entries = sizeof(SparseFactors), last = coded.size() - 4;
  const uint32_t nan = 0x7FC00000, minus = 0xBF800000;
  ASSERT_TRUE(is_sound(coded));
  for (size_t at : {offsetof(SparseFactors, step), offsetof(SparseFactors, norm),
                    offsetof(SparseFactors, decoded), offsetof(SparseFactors, rest)}) {
    EXPECT_FALSE(is_sound(with(at, nan))) << at;
    EXPECT_FALSE(is_sound(with(at, minus))) << at;
  }
  const size_t count = offsetof(SparseFactors, count);
  for (uint32_t wrong : {0u, 39u, 41u, room + 1, 0xFFFFFFFF}) {
    EXPECT_FALSE(is_sound(with(count, wrong))) << wrong;
  }
  EXPECT_FALSE(is_sound(with(entries, first & 0xFFFF0000))) << "a value of 0";
  EXPECT_FALSE(is_sound(with(entries, second))) << "a dimension twice";
  EXPECT_FALSE(is_sound(with(entries, second + 0x10000))) << "out of order";
  EXPECT_FALSE(is_sound(with(last, 1))) << "behind the last entry";
}

// Vectors beyond float's range have bounds that bound nothing; empty ones are exact.
TEST_P(SparseCodecTest, ExtremesHaveBounds) {
  const quant::CodecParams params = SparseParams(GetParam(), 100, 16);
  const SparseCodec codec(params);
  std::vector<uint64_t> memory(quant::Codec::QueryBytes(params) / 8 + 1);
  const Elements q = {{3, 1.0f}, {90, -2.0f}};
  const Sparse query(q);
  const quant::SearchQuery prepared =
      codec->PrepareQuery(quant::VectorRef::Sparse(&query.view()), memory.data());
  const std::vector<uint8_t> huge = codec.Encode({{3, 3e38f}, {5, 3e38f}});
  EXPECT_TRUE(quant::IsSparseCode({GetParam(), 100, 16}, huge.data()));
  EXPECT_FALSE(std::isfinite(codec->Coarse(prepared, huge.data()).sigma));
  if (GetParam() == Metric::kCosine) return;
  const std::vector<uint8_t> none = codec.Encode({});
  const quant::Estimate estimate = codec->Coarse(prepared, none.data());
  EXPECT_NEAR(estimate.key, ExactKey(GetParam(), q, {}), 1e-6);
  EXPECT_LT(5 * estimate.sigma, 1e-3);
}

}  // namespace
}  // namespace ann::testing
