// Block kernels, compiled once per Highway target by re-inclusion.
#include "simd/hwy_targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "simd/block.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <cstring>

#include "simd/block.hpp"
#include "simd/kernel_tables.hpp"

HWY_BEFORE_NAMESPACE();
namespace ann::simd {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::ScalableTag<float>;
constexpr size_t kLanes = hn::MaxLanes(Floats());
static_assert(kBlockRows % kLanes == 0);

#if HWY_TARGET == HWY_SCALAR

void ScanNibbles(const uint8_t* codes, const uint8_t* table, size_t nibbles, float* sums) {
  uint32_t totals[kBlockRows] = {};
  for (size_t m = 0; m < nibbles; ++m, codes += 16, table += 16) {
    for (size_t p = 0; p < 16; ++p) {
      const size_t row = p % 2 * 8 + p / 2;
      totals[row] += table[codes[p] & 15];
      totals[row + 16] += table[codes[p] >> 4];
    }
  }
  for (size_t r = 0; r < kBlockRows; ++r) sums[r] = static_cast<float>(totals[r]);
}

#else

using Bytes = hn::ScalableTag<uint8_t>;
using Shorts = hn::Repartition<uint16_t, Bytes>;
constexpr size_t kByteLanes = hn::MaxLanes(Bytes());
static_assert(64 % kByteLanes == 0);

// 16-bit sums hold 256 table entries of 255.
constexpr size_t kChunkBytes = 16 * 256;

// The sum of a vector's 128-bit blocks.
template <class D>
HWY_INLINE hn::Vec<hn::FixedTag<uint16_t, 8> > SumOfBlocks(D d, hn::Vec<D> x) {
  if constexpr (hn::MaxLanes(d) == 8) {
    return x;
  } else {
    const hn::Half<D> half;
    return SumOfBlocks(half, hn::Add(hn::LowerHalf(half, x), hn::UpperHalf(half, x)));
  }
}

HWY_INLINE void AddFour(hn::Vec<hn::FixedTag<uint16_t, 4> > x, bool first, float* sums) {
  const hn::FixedTag<float, 4> floats;
  const auto four = hn::ConvertTo(floats, hn::PromoteTo(hn::FixedTag<int32_t, 4>(), x));
  hn::StoreU(first ? four : hn::Add(four, hn::LoadU(floats, sums)), floats, sums);
}

HWY_INLINE void AddEight(hn::Vec<Shorts> x, bool first, float* sums) {
  const hn::FixedTag<uint16_t, 4> half;
  const auto eight = SumOfBlocks(Shorts(), x);
  AddFour(hn::LowerHalf(half, eight), first, sums);
  AddFour(hn::UpperHalf(half, eight), first, sums + 4);
}

// Adding bytes as 16-bit numbers sums the even bytes and 256 times the odd ones; the odd ones are
// summed apart as well and taken off at the end, which is right modulo 2^16.
HWY_INLINE void ScanChunk(const uint8_t* codes, const uint8_t* table, size_t bytes, bool first,
                          float* sums) {
  const Bytes tag;
  const Shorts shorts;
  const auto low_half = hn::Set(tag, 15);
  auto low_all = hn::Zero(shorts), low_odd = low_all, high_all = low_all, high_odd = low_all;
  for (size_t i = 0; i < bytes; i += kByteLanes) {
    const auto code = hn::LoadU(tag, codes + i);
    const auto entries = hn::LoadU(tag, table + i);
    const auto high_nibbles = hn::BitCast(tag, hn::ShiftRight<4>(hn::BitCast(shorts, code)));
    const auto low = hn::BitCast(shorts, hn::TableLookupBytes(entries, hn::And(code, low_half)));
    const auto high =
        hn::BitCast(shorts, hn::TableLookupBytes(entries, hn::And(high_nibbles, low_half)));
    low_all = hn::Add(low_all, low);
    low_odd = hn::Add(low_odd, hn::ShiftRight<8>(low));
    high_all = hn::Add(high_all, high);
    high_odd = hn::Add(high_odd, hn::ShiftRight<8>(high));
  }
  AddEight(hn::Sub(low_all, hn::ShiftLeft<8>(low_odd)), first, sums);
  AddEight(low_odd, first, sums + 8);
  AddEight(hn::Sub(high_all, hn::ShiftLeft<8>(high_odd)), first, sums + 16);
  AddEight(high_odd, first, sums + 24);
}

void ScanNibbles(const uint8_t* codes, const uint8_t* table, size_t nibbles, float* sums) {
  const size_t bytes = 16 * nibbles;
  ScanChunk(codes, table, HWY_MIN(bytes, kChunkBytes), true, sums);
  for (size_t i = kChunkBytes; i < bytes; i += kChunkBytes) {
    ScanChunk(codes + i, table + i, HWY_MIN(bytes - i, kChunkBytes), false, sums);
  }
}

#endif

uint32_t Score(const float* sums, const float* add, const float* scale, const uint16_t* error,
               const BlockTerms& terms, float threshold, float* keys, float* lower) {
  const Floats tag;
  const hn::Rebind<uint32_t, Floats> words;
  const hn::Rebind<uint16_t, Floats> halves;
  const auto step = hn::Set(tag, terms.step), bias = hn::Set(tag, terms.bias);
  const auto list_add = hn::Set(tag, terms.add), weight = hn::Set(tag, terms.weight);
  const auto spread = hn::Set(tag, terms.spread), noise = hn::Set(tag, terms.noise);
  const auto slack = hn::Set(tag, terms.slack), near = hn::Set(tag, terms.near);
  const auto limit = hn::Set(tag, threshold);
  const bool squared = terms.near > 0;
  uint32_t above = 0;
  for (size_t i = 0; i < kBlockRows; i += kLanes) {
    const auto scales = hn::LoadU(tag, scale + i);
    const auto dot = hn::MulAdd(hn::LoadU(tag, sums + i), step, bias);
    const auto key = hn::MulAdd(scales, dot, hn::MulAdd(weight, hn::LoadU(tag, add + i), list_add));
    hn::StoreU(key, tag, keys + i);
    const auto errors =
        hn::BitCast(tag, hn::ShiftLeft<16>(hn::PromoteTo(words, hn::LoadU(halves, error + i))));
    const auto base = hn::NegMulAdd(noise, hn::Abs(scales), hn::Sub(key, slack));
    auto bound = hn::NegMulAdd(spread, errors, base);
    if (squared) {
      const auto half = hn::Mul(near, errors);
      const auto root =
          hn::Sub(hn::Sqrt(hn::MulAdd(half, half, hn::Max(base, hn::Zero(tag)))), half);
      const auto nearer = hn::Mul(root, root);
      // Chosen by comparison: a NaN of either kind leaves the first bound.
      bound = hn::IfThenElse(hn::Gt(nearer, bound), nearer, bound);
    }
    hn::StoreU(bound, tag, lower + i);
    uint8_t bits[8] = {};
    hn::StoreMaskBits(tag, hn::Gt(bound, limit), bits);
    uint32_t mask;
    std::memcpy(&mask, bits, sizeof mask);
    above |= mask << i;
  }
  return ~above;
}

constexpr BlockKernels kBlockKernels = {ScanNibbles, Score};
const BlockKernels* GetBlockKernels() { return &kBlockKernels; }

}  // namespace HWY_NAMESPACE
}  // namespace ann::simd
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ann::simd::internal {

const BlockKernels kBaselineBlocks = HWY_STATIC_DISPATCH(kBlockKernels);

}  // namespace ann::simd::internal
namespace ann::simd {

HWY_EXPORT(GetBlockKernels);

const BlockKernels* internal::BlockTable(int64_t hwy_targets) {
  hwy::GetChosenTarget().Update(hwy_targets);
  return HWY_DYNAMIC_DISPATCH(GetBlockKernels)();
}

namespace {

constexpr uint64_t kLowNibbles = 0x0f0f0f0f0f0f0f0f;

// One step of a transposition of 8 x 8 bytes: exchanges the parts that `mask` selects.
inline void Exchange(uint64_t& a, uint64_t& b, int shift, uint64_t mask) {
  const uint64_t changed = (a >> shift ^ b) & mask;
  a ^= changed << shift;
  b ^= changed;
}

// Byte k of word j becomes byte j of word k (Warren 2012, "Hacker's Delight", 7-3).
inline void TransposeBytes(uint64_t* x) {
  for (int i = 0; i < 4; ++i) Exchange(x[i], x[i + 4], 32, 0x00000000ffffffff);
  for (int i : {0, 1, 4, 5}) Exchange(x[i], x[i + 2], 16, 0x0000ffff0000ffff);
  for (int i : {0, 2, 4, 6}) Exchange(x[i], x[i + 1], 8, 0x00ff00ff00ff00ff);
}

// The row in the low half of byte p of a sealed nibble.
constexpr size_t RowOfByte(size_t p) { return p % 2 * 8 + p / 2; }

}  // namespace

void SealNibbles(const uint8_t* rows, size_t bytes, uint8_t* sealed) {
  for (size_t j = 0; j < bytes; j += 8) {
    const size_t n = HWY_MIN(size_t{8}, bytes - j);
    for (size_t part = 0; part < 16; part += 8) {
      uint64_t low[8] = {}, high[8] = {};
      for (size_t p = 0; p < 8; ++p) {
        const size_t row = RowOfByte(part + p);
        std::memcpy(&low[p], rows + row * bytes + j, n);
        std::memcpy(&high[p], rows + (row + 16) * bytes + j, n);
      }
      TransposeBytes(low);
      TransposeBytes(high);
      for (size_t k = 0; k < n; ++k) {
        const uint64_t first = (low[k] & kLowNibbles) | (high[k] & kLowNibbles) << 4;
        const uint64_t second = (low[k] >> 4 & kLowNibbles) | (high[k] & ~kLowNibbles);
        std::memcpy(sealed + 32 * (j + k) + part, &first, 8);
        std::memcpy(sealed + 32 * (j + k) + 16 + part, &second, 8);
      }
    }
  }
}

void UnsealNibbles(const uint8_t* sealed, size_t bytes, uint8_t* rows) {
  for (size_t j = 0; j < bytes; j += 8) {
    const size_t n = HWY_MIN(size_t{8}, bytes - j);
    for (size_t part = 0; part < 16; part += 8) {
      uint64_t low[8] = {}, high[8] = {};
      for (size_t k = 0; k < n; ++k) {
        uint64_t first, second;
        std::memcpy(&first, sealed + 32 * (j + k) + part, 8);
        std::memcpy(&second, sealed + 32 * (j + k) + 16 + part, 8);
        low[k] = (first & kLowNibbles) | (second & kLowNibbles) << 4;
        high[k] = (first >> 4 & kLowNibbles) | (second & ~kLowNibbles);
      }
      TransposeBytes(low);
      TransposeBytes(high);
      for (size_t p = 0; p < 8; ++p) {
        const size_t row = RowOfByte(part + p);
        std::memcpy(rows + row * bytes + j, &low[p], n);
        std::memcpy(rows + (row + 16) * bytes + j, &high[p], n);
      }
    }
  }
}

void ExtractNibbles(const uint8_t* sealed, size_t bytes, size_t row, uint8_t* code) {
  const size_t place = row % 16;
  const uint8_t* const at = sealed + place % 8 * 2 + place / 8;
  const int shift = row < 16 ? 0 : 4;
  for (size_t j = 0; j < bytes; ++j) {
    const int low = at[32 * j] >> shift & 15, high = at[32 * j + 16] >> shift & 15;
    code[j] = static_cast<uint8_t>(low | high << 4);
  }
}

uint32_t SumBytes(const uint8_t* code, const uint16_t* table, size_t segments) {
  uint32_t sum = 0;
  for (size_t m = 0; m < segments; ++m) sum += table[256 * m + code[m]];
  return sum;
}

}  // namespace ann::simd
#endif
