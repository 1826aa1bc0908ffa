// Half-precision kernels, compiled once per Highway target by re-inclusion: each vector of halves
// is widened (one instruction where the CPU has F16C or AVX-512) and summed as floats.
//
// Conversions limit them: vcvtph2ps issues once a cycle, so a pair of rows costs two cycles for 16
// (8) dims, against 1.5 for two rows of floats; from memory half the bytes make up for it.
#include "simd/hwy_targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "simd/half.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "simd/distance_sums.hpp"
#include "simd/half.hpp"
#include "simd/kernel_tables.hpp"

HWY_BEFORE_NAMESPACE();
namespace ann::simd {
namespace HWY_NAMESPACE {

template <class D>
using HalfTag = hn::Rebind<hwy::float16_t, D>;

template <class D>
HWY_INLINE hn::Vec<D> LoadHalves(D tag, const Half* at) {
  return hn::PromoteTo(tag, hn::LoadU(HalfTag<D>(), reinterpret_cast<const hwy::float16_t*>(at)));
}

// Fewer than a vector: the rest reads as zeros.
template <class D>
HWY_INLINE hn::Vec<D> LoadRest(D tag, const Half* at, size_t n) {
  Half rest[hn::MaxLanes(tag)] = {};
  for (size_t i = 0; i < n; ++i) rest[i] = at[i];
  return LoadHalves(tag, rest);
}

template <class Sums>
HWY_INLINE auto SumRows(const Half* HWY_RESTRICT a, const Half* HWY_RESTRICT b, size_t dims) {
  constexpr typename Sums::Tag tag;
  constexpr size_t kWidth = hn::MaxLanes(tag);
  Sums sums;
  constexpr size_t kStep = 4 * kWidth;
  for (; dims >= kStep; dims -= kStep, a += kStep, b += kStep) {
    sums.template Add<0>(LoadHalves(tag, a), LoadHalves(tag, b));
    sums.template Add<1>(LoadHalves(tag, a + kWidth), LoadHalves(tag, b + kWidth));
    sums.template Add<2>(LoadHalves(tag, a + 2 * kWidth), LoadHalves(tag, b + 2 * kWidth));
    sums.template Add<3>(LoadHalves(tag, a + 3 * kWidth), LoadHalves(tag, b + 3 * kWidth));
  }
  for (; dims >= kWidth; dims -= kWidth, a += kWidth, b += kWidth) {
    sums.template Add<0>(LoadHalves(tag, a), LoadHalves(tag, b));
  }
  if (dims > 0) sums.template Add<1>(LoadRest(tag, a, dims), LoadRest(tag, b, dims));
  return sums.Total();
}

// Below this the narrower vectors win by their shorter reduction: 25 ns instead of 34 a call in SQL
// at 384 dims (L2, Sapphire Rapids); from 768 on conversions decide, which Zen 5 does twice as fast
// with the wider.
constexpr size_t kShortHalves = 512;

template <template <class> class Sums>
HWY_INLINE auto SumOver(const Half* a, const Half* b, size_t dims) {
  if constexpr (hn::MaxLanes(ShortFloats()) < kLanes) {
    if (dims < kShortHalves) return SumRows<Sums<ShortFloats>>(a, b, dims);
  }
  return SumRows<Sums<Floats>>(a, b, dims);
}

float HalfL2Squared(const Half* a, const Half* b, size_t dims) {
  return SumOver<L2Sum>(a, b, dims);
}
float HalfInnerProduct(const Half* a, const Half* b, size_t dims) {
  return SumOver<ProductSum>(a, b, dims);
}
float HalfL1(const Half* a, const Half* b, size_t dims) { return SumOver<L1Sum>(a, b, dims); }
CosineParts HalfCosine(const Half* a, const Half* b, size_t dims) {
  return SumOver<CosineSum>(a, b, dims);
}

// A square of a half has 22 bits: exact in float, and so widened.
double HalfSquaredNorm(const Half* a, size_t dims) {
  constexpr hn::ScalableTag<double> kWide;
  constexpr hn::Rebind<float, decltype(kWide)> kNarrow;
  constexpr size_t kWideLanes = hn::MaxLanes(kWide);
  auto sum = hn::Zero(kWide);
  float values[kLanes];
  for (; dims > 0;) {
    const size_t n = dims < kLanes ? dims : kLanes;
    hn::StoreU(n < kLanes ? LoadRest(kTag, a, n) : LoadHalves(kTag, a), kTag, values);
    for (size_t i = 0; i < kLanes; i += kWideLanes) {
      const auto wide = hn::PromoteTo(kWide, hn::LoadU(kNarrow, values + i));
      sum = hn::MulAdd(wide, wide, sum);
    }
    a += n;
    dims -= n;
  }
  return hn::GetLane(hn::SumOfLanes(kWide, sum));
}

void HalfWiden(const Half* HWY_RESTRICT from, float* HWY_RESTRICT to, size_t dims) {
  size_t i = 0;
  for (; i + kLanes <= dims; i += kLanes) hn::StoreU(LoadHalves(kTag, from + i), kTag, to + i);
  for (; i < dims; ++i) to[i] = ToFloat(from[i]);
}

void HalfNarrow(const float* HWY_RESTRICT from, Half* HWY_RESTRICT to, size_t dims) {
  size_t i = 0;
  // Highway's narrowing without an instruction for it truncates.
  if constexpr (HWY_TARGET <= HWY_AVX2) {
    for (; i + kLanes <= dims; i += kLanes) {
      constexpr HalfTag<Floats> kHalfTag;
      hn::StoreU(hn::DemoteTo(kHalfTag, hn::LoadU(kTag, from + i)), kHalfTag,
                 reinterpret_cast<hwy::float16_t*>(to + i));
    }
  }
  for (; i < dims; ++i) to[i] = ToHalf(from[i]);
}

constexpr HalfKernels kHalfKernels = {HalfL2Squared,   HalfInnerProduct, HalfL1,    HalfCosine,
                                      HalfSquaredNorm, HalfWiden,        HalfNarrow};
const HalfKernels* GetHalfKernels() { return &kHalfKernels; }

}  // namespace HWY_NAMESPACE
}  // namespace ann::simd
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ann::simd::internal {

const HalfKernels kBaselineHalves = HWY_STATIC_DISPATCH(kHalfKernels);

}  // namespace ann::simd::internal
namespace ann::simd {

HWY_EXPORT(GetHalfKernels);

const HalfKernels* internal::HalfTable(int64_t hwy_targets) {
  hwy::GetChosenTarget().Update(hwy_targets);
  return HWY_DYNAMIC_DISPATCH(GetHalfKernels)();
}

}  // namespace ann::simd
#endif
