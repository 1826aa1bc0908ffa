// Kernels over packed codes on every target: exact against plain integer arithmetic on unpacked
// values.
#include <cstdlib>

#include "simd_test_util.hpp"

namespace {

using ann::simd::CodeKernels;
using ann::simd::Codes;
using ann::simd::PackPlane;
using ann::simd::PlaneBytes;
using ann::simd::PlaneEntries;
using ann::simd::Targets;
using ann::simd::testing::DimsToTest;
using ann::simd::testing::EveryTarget;
using ann::simd::testing::Guarded;
using ann::simd::testing::NameOfTarget;
using ann::simd::testing::Random;

constexpr int kBitWidths[] = {2, 4, 8};

int32_t Dot(int bits, const uint8_t* code, const int8_t* q, size_t bytes) {
  const CodeKernels& k = Codes();
  return (bits == 2 ? k.dot2 : bits == 4 ? k.dot4 : k.dot8)(code, q, bytes);
}

uint32_t Sad(int bits, const uint8_t* code, const uint8_t* v, size_t bytes) {
  const CodeKernels& k = Codes();
  return (bits == 2 ? k.sad2 : bits == 4 ? k.sad4 : k.sad8)(code, v, bytes);
}

std::vector<uint8_t> Pack(int bits, const std::vector<uint8_t>& values) {
  std::vector<uint8_t> code(PlaneBytes(bits, values.size()), 0xff);
  PackPlane(bits, values.data(), values.size(), code.data());
  return code;
}

// `values` with zeros up to the entries that the kernels read.
template <class T>
std::vector<T> Padded(int bits, std::vector<T> values) {
  values.resize(PlaneEntries(bits, values.size()));
  return values;
}

void ExpectDot(int bits, const std::vector<uint8_t>& u, const std::vector<int8_t>& q) {
  int64_t expected = 0;
  for (size_t i = 0; i < u.size(); ++i) expected += int64_t{u[i]} * q[i];
  const Guarded<uint8_t> code(Pack(bits, u));
  const Guarded<int8_t> query(Padded(bits, q));
  EXPECT_EQ(Dot(bits, code.data(), query.data(), PlaneBytes(bits, u.size())), expected)
      << bits << " bits, " << u.size() << " dims";
}

void ExpectSad(int bits, const std::vector<uint8_t>& u, const std::vector<uint8_t>& v) {
  uint32_t expected = 0;
  for (size_t i = 0; i < u.size(); ++i) expected += static_cast<uint32_t>(std::abs(u[i] - v[i]));
  const Guarded<uint8_t> code(Pack(bits, u)), other(Padded(bits, v));
  EXPECT_EQ(Sad(bits, code.data(), other.data(), PlaneBytes(bits, u.size())), expected)
      << bits << " bits, " << u.size() << " dims";
}

template <class T>
std::vector<T> RandomIntegers(Random& random, size_t n, int low, int high) {
  std::vector<T> values(n);
  for (T& v : values) v = static_cast<T>(random.Between(low, high));
  return values;
}

class SimdCodeTest : public EveryTarget {};
INSTANTIATE_TEST_SUITE_P(Targets, SimdCodeTest, ::testing::ValuesIn(Targets()), NameOfTarget);

TEST_P(SimdCodeTest, DotIsExact) {
  Random random(1);
  for (const int bits : kBitWidths) {
    for (const size_t dims : DimsToTest()) {
      ExpectDot(bits, RandomIntegers<uint8_t>(random, dims, 0, (1 << bits) - 1),
                RandomIntegers<int8_t>(random, dims, -128, 127));
    }
  }
}

TEST_P(SimdCodeTest, DotIsExactAtTheExtremes) {
  for (const int bits : kBitWidths) {
    for (const size_t dims : DimsToTest()) {
      const std::vector<uint8_t> largest(dims, static_cast<uint8_t>((1 << bits) - 1));
      for (const int q : {127, -127, -128}) {
        ExpectDot(bits, largest, std::vector<int8_t>(dims, static_cast<int8_t>(q)));
      }
    }
  }
}

// Padding bits are written as zeros, but a kernel must also take every bit pattern as data.
TEST_P(SimdCodeTest, DotOfWholePlanesOfAnyBytes) {
  Random random(2);
  for (const int bits : kBitWidths) {
    const size_t groups = 8 / static_cast<size_t>(bits);
    for (size_t bytes = 16; bytes <= 400; bytes += 16) {
      const auto code = RandomIntegers<uint8_t>(random, bytes, 0, 255);
      const auto q = RandomIntegers<int8_t>(random, bytes * groups, -128, 127);
      int32_t expected = 0;
      for (size_t i = 0; i < bytes * groups; ++i) {
        const size_t shift = static_cast<size_t>(bits) * (i / bytes);
        expected += (code[i % bytes] >> shift & ((1 << bits) - 1)) * q[i];
      }
      EXPECT_EQ(Dot(bits, Guarded<uint8_t>(code).data(), Guarded<int8_t>(q).data(), bytes),
                expected)
          << bits << " bits, " << bytes << " bytes";
    }
  }
}

TEST_P(SimdCodeTest, SadIsExact) {
  Random random(3);
  for (const int bits : kBitWidths) {
    const int largest = (1 << bits) - 1;
    for (const size_t dims : DimsToTest()) {
      const auto u = RandomIntegers<uint8_t>(random, dims, 0, largest);
      ExpectSad(bits, u, RandomIntegers<uint8_t>(random, dims, 0, largest));
      ExpectSad(bits, u, RandomIntegers<uint8_t>(random, dims, 0, 255));
      ExpectSad(bits, std::vector<uint8_t>(dims, 0), std::vector<uint8_t>(dims, 255));
      ExpectSad(bits, std::vector<uint8_t>(dims, static_cast<uint8_t>(largest)),
                std::vector<uint8_t>(dims, 0));
    }
  }
}

TEST_P(SimdCodeTest, UnpackRestoresWhatPackPlaneWrote) {
  Random random(4);
  for (const int bits : {2, 4}) {
    for (const size_t dims : DimsToTest()) {
      const auto values = RandomIntegers<uint8_t>(random, dims, 0, (1 << bits) - 1);
      const Guarded<uint8_t> code(Pack(bits, values));
      const Guarded<uint8_t> out(std::vector<uint8_t>(PlaneEntries(bits, dims), 0xaa));
      (bits == 2 ? Codes().unpack2 : Codes().unpack4)(code.data(), out.data(),
                                                      PlaneBytes(bits, dims));
      EXPECT_EQ(out.Values(), Padded(bits, values)) << bits << " bits, " << dims << " dims";
    }
  }
}

TEST_P(SimdCodeTest, AnyAlignment) {
  Random random(5);
  for (const int bits : kBitWidths) {
    const size_t bytes = 112, entries = bytes * (8 / static_cast<size_t>(bits));
    const auto u = RandomIntegers<uint8_t>(random, entries, 0, (1 << bits) - 1);
    const auto q = RandomIntegers<int8_t>(random, entries, -128, 127);
    int32_t expected = 0;
    for (size_t i = 0; i < entries; ++i) expected += u[i] * q[i];
    for (size_t shift = 0; shift < 65; ++shift) {
      std::vector<uint8_t> code(bytes + 65);
      std::vector<int8_t> query(entries + 65);
      PackPlane(bits, u.data(), entries, &code[shift]);
      std::memcpy(&query[64 - shift], q.data(), entries);
      EXPECT_EQ(Dot(bits, &code[shift], &query[64 - shift], bytes), expected);
    }
  }
}

TEST_P(SimdCodeTest, EmptyPlaneGivesZero) {
  const Guarded<uint8_t> code({});
  const Guarded<int8_t> query({});
  for (const int bits : kBitWidths) {
    EXPECT_EQ(Dot(bits, code.data(), query.data(), 0), 0);
    EXPECT_EQ(Sad(bits, code.data(), code.data(), 0), 0u);
  }
}

TEST(SimdPlaneTest, BytesAreSixteensThatHoldAllDims) {
  EXPECT_EQ(PlaneBytes(2, 1), 16u);
  EXPECT_EQ(PlaneBytes(2, 64), 16u);
  EXPECT_EQ(PlaneBytes(2, 65), 32u);
  EXPECT_EQ(PlaneBytes(2, 384), 96u);
  EXPECT_EQ(PlaneBytes(4, 128), 64u);
  EXPECT_EQ(PlaneBytes(4, 129), 80u);
  EXPECT_EQ(PlaneBytes(8, 100), 112u);
  EXPECT_EQ(PlaneBytes(8, 0), 0u);
  EXPECT_EQ(PlaneEntries(2, 384), 384u);
  EXPECT_EQ(PlaneEntries(4, 100), 128u);
}

TEST(SimdPlaneTest, LayoutIsPlanarAndPaddedWithZeros) {
  std::vector<uint8_t> values(70, 0);
  values[0] = 1;
  values[31] = 2;
  values[32] = 3;
  values[69] = 1;
  const std::vector<uint8_t> code = Pack(2, values);
  ASSERT_EQ(code.size(), 32u);
  std::vector<uint8_t> expected(32, 0);
  expected[0] = 1 | 3 << 2;
  expected[31] = 2;
  expected[5] = 1 << 4;
  EXPECT_EQ(code, expected);
}

}  // namespace
