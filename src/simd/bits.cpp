// Counting bits, compiled once per Highway target by re-inclusion. Highway counts 64-bit lanes by
// looking nibbles up; where there is an instruction, bits_avx512.cpp has it.
#include "simd/hwy_targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "simd/bits.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <bit>
#include <cstring>

#include "simd/bits.hpp"
#include "simd/kernel_tables.hpp"

HWY_BEFORE_NAMESPACE();
namespace ann::simd {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET == HWY_SCALAR

constexpr size_t kStep = sizeof(uint64_t);
using Word = uint64_t;

HWY_INLINE Word LoadWords(const uint8_t* at, size_t n) {
  uint64_t word = 0;
  std::memcpy(&word, at, n);
  return word;
}
HWY_INLINE Word LoadWords(const uint8_t* at) { return LoadWords(at, kStep); }
HWY_INLINE Word LastWords(const uint8_t* end, size_t n) { return LoadWords(end - n, n); }
HWY_INLINE Word Zero() { return 0; }
HWY_INLINE Word AddOnes(Word sum, Word bits) {
  return sum + static_cast<Word>(std::popcount(bits));
}
HWY_INLINE Word Xor(Word a, Word b) { return a ^ b; }
HWY_INLINE Word And(Word a, Word b) { return a & b; }
HWY_INLINE Word Or(Word a, Word b) { return a | b; }
HWY_INLINE uint64_t Total(Word sum) { return sum; }

#else

using Words = hn::ScalableTag<uint64_t>;
using Bytes = hn::Repartition<uint8_t, Words>;
using Word = hn::Vec<Words>;
constexpr Words kWords;
constexpr Bytes kBytes;
constexpr size_t kStep = hn::MaxLanes(kBytes);

HWY_INLINE Word LoadWords(const uint8_t* at) { return hn::BitCast(kWords, hn::LoadU(kBytes, at)); }
// Fewer than a vector: the rest reads as zeros.
HWY_INLINE Word LoadWords(const uint8_t* at, size_t n) {
  uint8_t rest[kStep] = {};
  std::memcpy(rest, at, n);
  return LoadWords(rest);
}
// The last n bytes before `end`, of a string of a vector and more: a whole load, without what comes
// before, is a third of the time of a copy.
HWY_INLINE Word LastWords(const uint8_t* end, size_t n) {
  const auto before = hn::FirstN(kBytes, kStep - n);
  return hn::BitCast(kWords, hn::IfThenZeroElse(before, hn::LoadU(kBytes, end - kStep)));
}
HWY_INLINE Word Zero() { return hn::Zero(kWords); }
HWY_INLINE Word AddOnes(Word sum, Word bits) { return hn::Add(sum, hn::PopulationCount(bits)); }
HWY_INLINE Word Xor(Word a, Word b) { return hn::Xor(a, b); }
HWY_INLINE Word And(Word a, Word b) { return hn::And(a, b); }
HWY_INLINE Word Or(Word a, Word b) { return hn::Or(a, b); }
HWY_INLINE uint64_t Total(Word sums) { return hn::GetLane(hn::SumOfLanes(kWords, sums)); }

#endif

// `add(a, b)` of each pair of vectors.
template <class Add>
HWY_INLINE void ForEachPair(const uint8_t* a, const uint8_t* b, size_t bytes, Add&& add) {
  size_t i = 0;
  for (; i + kStep <= bytes; i += kStep) add(LoadWords(a + i), LoadWords(b + i));
  if (i == bytes) return;
  if (bytes > kStep) {
    add(LastWords(a + bytes, bytes - i), LastWords(b + bytes, bytes - i));
  } else {
    add(LoadWords(a + i, bytes - i), LoadWords(b + i, bytes - i));
  }
}

uint64_t Hamming(const uint8_t* a, const uint8_t* b, size_t bytes) {
  Word ones = Zero();
  ForEachPair(a, b, bytes, [&](Word x, Word y) HWY_ATTR { ones = AddOnes(ones, Xor(x, y)); });
  return Total(ones);
}

uint64_t Common(const uint8_t* a, const uint8_t* b, size_t bytes) {
  Word ones = Zero();
  ForEachPair(a, b, bytes, [&](Word x, Word y) HWY_ATTR { ones = AddOnes(ones, And(x, y)); });
  return Total(ones);
}

BitCounts Counts(const uint8_t* a, const uint8_t* b, size_t bytes) {
  Word both = Zero(), either = Zero();
  ForEachPair(a, b, bytes, [&](Word x, Word y) HWY_ATTR {
    both = AddOnes(both, And(x, y));
    either = AddOnes(either, Or(x, y));
  });
  return {Total(both), Total(either)};
}

constexpr BitKernels kBitKernels = {Hamming, Common, Counts};
const BitKernels* GetBitKernels() { return &kBitKernels; }

}  // namespace HWY_NAMESPACE
}  // namespace ann::simd
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ann::simd::internal {

const BitKernels kBaselineBits = HWY_STATIC_DISPATCH(kBitKernels);

}  // namespace ann::simd::internal
namespace ann::simd {

HWY_EXPORT(GetBitKernels);

const BitKernels* internal::BitTable(int64_t hwy_targets) {
  hwy::GetChosenTarget().Update(hwy_targets);
  return HWY_DYNAMIC_DISPATCH(GetBitKernels)();
}

}  // namespace ann::simd
#endif
