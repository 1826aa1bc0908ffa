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

constexpr hn::Rebind<hwy::float16_t, Floats> kHalfTag;

HWY_INLINE Vec LoadHalves(const Half* at) {
  return hn::PromoteTo(kTag, hn::LoadU(kHalfTag, reinterpret_cast<const hwy::float16_t*>(at)));
}

// Fewer than a vector: the rest reads as zeros.
HWY_INLINE Vec LoadRest(const Half* at, size_t n) {
  Half rest[kLanes] = {};
  for (size_t i = 0; i < n; ++i) rest[i] = at[i];
  return LoadHalves(rest);
}

template <class Sums>
HWY_INLINE auto SumHalves(const Half* HWY_RESTRICT a, const Half* HWY_RESTRICT b, size_t dims) {
  Sums sums;
  constexpr size_t kStep = 4 * kLanes;
  for (; dims >= kStep; dims -= kStep, a += kStep, b += kStep) {
    sums.template Add<0>(LoadHalves(a), LoadHalves(b));
    sums.template Add<1>(LoadHalves(a + kLanes), LoadHalves(b + kLanes));
    sums.template Add<2>(LoadHalves(a + 2 * kLanes), LoadHalves(b + 2 * kLanes));
    sums.template Add<3>(LoadHalves(a + 3 * kLanes), LoadHalves(b + 3 * kLanes));
  }
  for (; dims >= kLanes; dims -= kLanes, a += kLanes, b += kLanes) {
    sums.template Add<0>(LoadHalves(a), LoadHalves(b));
  }
  if (dims > 0) sums.template Add<1>(LoadRest(a, dims), LoadRest(b, dims));
  return sums.Total();
}

float HalfL2Squared(const Half* a, const Half* b, size_t dims) {
  return SumHalves<Sum<L2Terms>>(a, b, dims);
}
float HalfInnerProduct(const Half* a, const Half* b, size_t dims) {
  return SumHalves<Sum<ProductTerms>>(a, b, dims);
}
float HalfL1(const Half* a, const Half* b, size_t dims) {
  return SumHalves<Sum<L1Terms>>(a, b, dims);
}
CosineParts HalfCosine(const Half* a, const Half* b, size_t dims) {
  return SumHalves<CosineSum>(a, b, dims);
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
    hn::StoreU(n < kLanes ? LoadRest(a, n) : LoadHalves(a), kTag, values);
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
  for (; i + kLanes <= dims; i += kLanes) hn::StoreU(LoadHalves(from + i), kTag, to + i);
  for (; i < dims; ++i) to[i] = ToFloat(from[i]);
}

void HalfNarrow(const float* HWY_RESTRICT from, Half* HWY_RESTRICT to, size_t dims) {
  size_t i = 0;
  // Highway's narrowing without an instruction for it truncates.
  if constexpr (HWY_TARGET <= HWY_AVX2) {
    for (; i + kLanes <= dims; i += kLanes) {
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
