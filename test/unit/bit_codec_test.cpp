// Codes of strings of bits: exact keys, in graphs and in lists.
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "codec_test_util.hpp"
#include "list_codec_test_util.hpp"
#include "quant/bit_codec.hpp"

namespace ann::testing {
namespace {

using quant::Metric;
using quant::VectorRef;

std::vector<bool> RandomBits(std::mt19937& random, size_t dims) {
  std::vector<bool> bits(dims);
  for (size_t i = 0; i < dims; ++i) bits[i] = random() % 3 == 0;
  return bits;
}

std::vector<uint8_t> Packed(const std::vector<bool>& bits) {
  std::vector<uint8_t> packed((bits.size() + 7) / 8);
  for (size_t i = 0; i < bits.size(); ++i) {
    if (bits[i]) packed[i / 8] = static_cast<uint8_t>(packed[i / 8] | 128 >> i % 8);
  }
  return packed;
}

float Distance(Metric metric, const std::vector<bool>& a, const std::vector<bool>& b) {
  int differ = 0, both = 0, either = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    differ += a[i] != b[i], both += a[i] && b[i], either += a[i] || b[i];
  }
  if (metric == Metric::kHamming) return static_cast<float>(differ);
  return both == 0 ? 1 : static_cast<float>(1 - double(both) / either);
}

class BitCodecTest : public ::testing::TestWithParam<Metric> {};
INSTANTIATE_TEST_SUITE_P(Metrics, BitCodecTest,
                         ::testing::Values(Metric::kHamming, Metric::kJaccard));

TEST_P(BitCodecTest, KeysAreDistances) {
  std::mt19937 random(1);
  for (size_t dims : {1, 7, 8, 31, 32, 33, 100, 384, 1000, 64000}) {
    const quant::CodecParams params = Params(GetParam(), dims, 1, 0);
    const quant::Codec codec(params, nullptr, nullptr);
    EXPECT_FALSE(codec.has_mean());
    EXPECT_EQ(codec.refinement_bytes(), 0u);
    const std::vector<bool> x = RandomBits(random, dims), q = RandomBits(random, dims);
    const std::vector<uint8_t> packed = Packed(x), query = Packed(q);
    // What lies behind a code is another's.
    std::vector<uint8_t> coded(codec.coded_bytes() + 8, 0xAB), other = coded;
    codec.Code(VectorRef::Bits(packed.data()), coded.data(), nullptr);
    codec.Code(VectorRef::Bits(query.data()), other.data(), nullptr);
    EXPECT_EQ(coded[codec.coded_bytes()], 0xAB) << dims;
    EXPECT_TRUE(quant::IsBitCode(GetParam(), coded.data(), params.dims));
    std::vector<uint64_t> memory(quant::Codec::QueryBytes(params) / 8 + 1);
    const quant::SearchQuery prepared =
        codec.PrepareQuery(VectorRef::Bits(query.data()), memory.data());
    const float key = Distance(GetParam(), x, q);
    EXPECT_FLOAT_EQ(codec.Key(prepared, coded.data()), key) << dims;
    EXPECT_FLOAT_EQ(codec.Coarse(prepared, coded.data()).key, key);
    EXPECT_EQ(codec.Coarse(prepared, coded.data()).sigma, 0);
    EXPECT_FLOAT_EQ(quant::BitDistance(GetParam(), packed.data(), query.data(), packed.size()),
                    key);
    const quant::CodeQuery code = codec.PrepareCode(other.data(), nullptr);
    EXPECT_FLOAT_EQ(codec.CodeDistance(code, coded.data()),
                    GetParam() == Metric::kJaccard && x == q ? 0 : key);
    EXPECT_EQ(codec.MayBeEqual(code, other.data(), coded.data()), x == q);
    EXPECT_TRUE(codec.MayBeEqual(code, other.data(), other.data()));
  }
}

TEST_P(BitCodecTest, EqualCodesHaveNoDistance) {
  const quant::Codec codec(Params(GetParam(), 40, 1, 0), nullptr, nullptr);
  const std::vector<uint8_t> zeros(5, 0), ones(5, 255);
  std::vector<uint8_t> empty(codec.coded_bytes()), full = empty;
  codec.Code(VectorRef::Bits(zeros.data()), empty.data(), nullptr);
  codec.Code(VectorRef::Bits(ones.data()), full.data(), nullptr);
  const quant::CodeQuery query = codec.PrepareCode(empty.data(), nullptr);
  EXPECT_EQ(codec.CodeDistance(query, empty.data()), 0);
  EXPECT_EQ(codec.CodeDistance(query, full.data()), GetParam() == Metric::kJaccard ? 1 : 40);
  // To a query all strings of zeros are as far as can be under Jaccard's distance.
  std::vector<uint64_t> memory(quant::Codec::QueryBytes(codec.params()) / 8 + 1);
  EXPECT_EQ(
      codec.Key(codec.PrepareQuery(VectorRef::Bits(zeros.data()), memory.data()), empty.data()),
      GetParam() == Metric::kJaccard ? 1 : 0);
}

TEST_P(BitCodecTest, DamageIsSeen) {
  const uint32_t dims = 43;
  const quant::Codec codec(Params(GetParam(), dims, 1, 0), nullptr, nullptr);
  const std::vector<uint8_t> ones{255, 255, 255, 255, 255, 0xE0};
  std::vector<uint8_t> coded(codec.coded_bytes());
  codec.Code(VectorRef::Bits(ones.data()), coded.data(), nullptr);
  ASSERT_TRUE(quant::IsBitCode(GetParam(), coded.data(), dims));
  for (size_t bit = 0; bit < 8 * coded.size(); ++bit) {
    coded[bit / 8] = static_cast<uint8_t>(coded[bit / 8] ^ 128 >> bit % 8);
    const bool behind = bit >= 8 * quant::BitFactorBytes(GetParam()) + dims;
    EXPECT_EQ(quant::IsBitCode(GetParam(), coded.data(), dims),
              GetParam() == Metric::kHamming && !behind)
        << bit;
    coded[bit / 8] = static_cast<uint8_t>(coded[bit / 8] ^ 128 >> bit % 8);
  }
}

// Distances that differ by as little as they can have different keys, in their order.
TEST(BitCodecJaccardTest, NearDistancesAreToldApart) {
  const size_t dims = 2000;
  float before = -1;
  for (size_t common : {1999, 1998, 1997, 1001, 1000}) {
    std::vector<bool> all(dims, true), some(dims, false);
    for (size_t i = 0; i < common; ++i) some[i] = true;
    const std::vector<uint8_t> a = Packed(all), b = Packed(some);
    const float key = quant::BitDistance(Metric::kJaccard, a.data(), b.data(), a.size());
    EXPECT_GT(key, before);
    before = key;
  }
}

TEST(BitCodecHashTest, HashesDependOnEveryBit) {
  std::vector<uint8_t> bits(9, 0);
  const uint64_t hash = quant::HashVector(VectorRef::Bits(bits.data()), 70, 5);
  for (size_t i = 0; i < 70; ++i) {
    bits[i / 8] = static_cast<uint8_t>(128 >> i % 8);
    EXPECT_NE(quant::HashVector(VectorRef::Bits(bits.data()), 70, 5), hash) << i;
    bits[i / 8] = 0;
  }
  EXPECT_NE(quant::HashVector(VectorRef::Bits(bits.data()), 69, 5), hash);
}

TEST(BitListTest, BlocksGiveDistances) {
  std::mt19937 random(2);
  constexpr uint32_t kDims = 77, kRows = 32;
  const quant::ListCodecParams params{quant::Quantizer::kBits, 0, 0, 0, 1};
  const Vector mean(kDims, 0.25f);
  std::vector<uint64_t> space_memory(quant::WorkSpace::MemoryBytes(kDims) / 8 + 1);
  const quant::WorkSpace space(Metric::kHamming, kDims, 3, mean.data(), space_memory.data());
  std::vector<uint64_t> memory(quant::ListCodec::MemoryBytes(params, kDims) / 8 + 1);
  const quant::ListCodec codec(params, &space, nullptr, kRows, memory.data());
  std::vector<uint8_t> block(codec.block_bytes());
  std::vector<std::vector<bool>> rows;
  Vector x(kDims), work(kDims), back(kDims);
  std::vector<uint8_t> row(codec.row_bytes());
  for (uint32_t i = 0; i < kRows; ++i) {
    rows.push_back(RandomBits(random, kDims));
    x.assign(rows[i].begin(), rows[i].end());
    space.Transform(x.data(), work.data());
    codec.Encode(x.data(), work.data(), nullptr, row.data(), nullptr);
    codec.SetRow(block.data(), i, row.data());
    // The row comes back whole.
    EXPECT_EQ(codec.Reconstruct(nullptr, row.data(), nullptr, back.data(), work.data()), 0);
    EXPECT_EQ(back, x);
  }
  x.assign(rows[9].begin(), rows[9].end());
  std::vector<uint8_t> query_memory(quant::ListCodec::QueryBytes(params, kDims));
  const quant::WorkQuery prepared = space.PrepareQuery(x.data(), work.data());
  const quant::ListQuery query = codec.PrepareQuery(prepared, 1.9f, query_memory.data());
  const quant::ListContext list = codec.PrepareList(query, nullptr);
  quant::BlockScores scores;
  const uint32_t passing =
      codec.ScanBlock(query, list, block.data(), false, 0xFFFFFFFE, 25, &scores);
  for (uint32_t i = 1; i < kRows; ++i) {
    const float key = Distance(Metric::kHamming, rows[9], rows[i]);
    EXPECT_EQ(scores.key[i], key) << i;
    EXPECT_EQ(scores.lower[i], key) << i;
    EXPECT_EQ(passing >> i & 1, key <= 25) << i;
    EXPECT_EQ(codec.WithError(query, list, block.data(), i, key).sigma, 0);
    // The work space keeps distances.
    x.assign(rows[i].begin(), rows[i].end());
    space.Transform(x.data(), back.data());
    double squared = 0;
    for (uint32_t d = 0; d < kDims; ++d) {
      squared += double(back[d] - work[d]) * (back[d] - work[d]);
    }
    EXPECT_NEAR(squared, key, 1e-3);
  }
}

}  // namespace
}  // namespace ann::testing
