// f32 distance kernels, compiled once per Highway target by re-inclusion.
//
// Four accumulators: FMA latency 4 cycles x 2 ports would want eight, but a row that is not
// 64-aligned costs two cycles a load pair, which four already hide; eight only lengthen the
// reduction, and rows of 128 dims are eight vectors in all.
#include "simd/hwy_targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "simd/distance.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "simd/distance.hpp"
#include "simd/kernel_tables.hpp"

HWY_BEFORE_NAMESPACE();
namespace ann::simd {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::ScalableTag<float>;
using Vec = hn::Vec<Floats>;
constexpr Floats kTag;
constexpr size_t kLanes = hn::MaxLanes(kTag);

// AVX2's masked load of floats does not fault although Highway says so for its other types.
constexpr bool kMaskedTail = !HWY_MEM_OPS_MIGHT_FAULT || HWY_TARGET == HWY_AVX2;

struct L2Step {
  static HWY_INLINE Vec Add(Vec sum, Vec a, Vec b) {
    const Vec diff = hn::Sub(a, b);
    return hn::MulAdd(diff, diff, sum);
  }
  static HWY_INLINE float AddOne(float a, float b) { return (a - b) * (a - b); }
};

struct InnerProductStep {
  static HWY_INLINE Vec Add(Vec sum, Vec a, Vec b) { return hn::MulAdd(a, b, sum); }
  static HWY_INLINE float AddOne(float a, float b) { return a * b; }
};

struct L1Step {
  static HWY_INLINE Vec Add(Vec sum, Vec a, Vec b) { return hn::Add(sum, hn::Abs(hn::Sub(a, b))); }
  static HWY_INLINE float AddOne(float a, float b) { return a > b ? a - b : -(a - b); }
};

template <class Step>
HWY_INLINE float Accumulate(const float* HWY_RESTRICT a, const float* HWY_RESTRICT b, size_t dims) {
  Vec sum0 = hn::Zero(kTag), sum1 = sum0, sum2 = sum0, sum3 = sum0;
  const auto add = [a, b](Vec sum, size_t i) HWY_ATTR {
    return Step::Add(sum, hn::LoadU(kTag, a + i), hn::LoadU(kTag, b + i));
  };
  size_t i = 0;
  for (; i + 4 * kLanes <= dims; i += 4 * kLanes) {
    sum0 = add(sum0, i);
    sum1 = add(sum1, i + kLanes);
    sum2 = add(sum2, i + 2 * kLanes);
    sum3 = add(sum3, i + 3 * kLanes);
  }
  const size_t whole = (dims - i) / kLanes;
  if (whole > 0) sum0 = add(sum0, i);
  if (whole > 1) sum1 = add(sum1, i + kLanes);
  if (whole > 2) sum2 = add(sum2, i + 2 * kLanes);
  i += whole * kLanes;
  float rest = 0;
  if constexpr (kMaskedTail) {
    if (i < dims) {
      const auto mask = hn::FirstN(kTag, dims - i);
      sum3 = Step::Add(sum3, hn::MaskedLoad(mask, kTag, a + i), hn::MaskedLoad(mask, kTag, b + i));
    }
  } else {
    for (; i < dims; ++i) rest += Step::AddOne(a[i], b[i]);
  }
  const Vec sum = hn::Add(hn::Add(sum0, sum1), hn::Add(sum2, sum3));
  return hn::GetLane(hn::SumOfLanes(kTag, sum)) + rest;
}

float L2Squared(const float* a, const float* b, size_t dims) {
  return Accumulate<L2Step>(a, b, dims);
}
float InnerProduct(const float* a, const float* b, size_t dims) {
  return Accumulate<InnerProductStep>(a, b, dims);
}
float L1(const float* a, const float* b, size_t dims) { return Accumulate<L1Step>(a, b, dims); }

struct CosineSums {
  Vec ab, aa, bb;
};

HWY_INLINE void AddCosine(CosineSums& sums, Vec a, Vec b) {
  sums.ab = hn::MulAdd(a, b, sums.ab);
  sums.aa = hn::MulAdd(a, a, sums.aa);
  sums.bb = hn::MulAdd(b, b, sums.bb);
}

// Two accumulators of each sum are six independent chains: enough for two FMA ports of latency 4
// less the loads, and they leave AVX2 its registers.
CosineParts Cosine(const float* HWY_RESTRICT a, const float* HWY_RESTRICT b, size_t dims) {
  const Vec zero = hn::Zero(kTag);
  CosineSums even{zero, zero, zero}, odd{zero, zero, zero};
  size_t i = 0;
  for (; i + 2 * kLanes <= dims; i += 2 * kLanes) {
    AddCosine(even, hn::LoadU(kTag, a + i), hn::LoadU(kTag, b + i));
    AddCosine(odd, hn::LoadU(kTag, a + i + kLanes), hn::LoadU(kTag, b + i + kLanes));
  }
  if (i + kLanes <= dims) {
    AddCosine(even, hn::LoadU(kTag, a + i), hn::LoadU(kTag, b + i));
    i += kLanes;
  }
  CosineParts rest{0, 0, 0};
  if constexpr (kMaskedTail) {
    if (i < dims) {
      const auto mask = hn::FirstN(kTag, dims - i);
      AddCosine(odd, hn::MaskedLoad(mask, kTag, a + i), hn::MaskedLoad(mask, kTag, b + i));
    }
  } else {
    for (; i < dims; ++i) {
      rest.ab += a[i] * b[i];
      rest.aa += a[i] * a[i];
      rest.bb += b[i] * b[i];
    }
  }
  const auto total = [](Vec x, Vec y)
                         HWY_ATTR { return hn::GetLane(hn::SumOfLanes(kTag, hn::Add(x, y))); };
  return {total(even.ab, odd.ab) + rest.ab, total(even.aa, odd.aa) + rest.aa,
          total(even.bb, odd.bb) + rest.bb};
}

constexpr FloatKernels kFloatKernels = {L2Squared, InnerProduct, L1, Cosine};
const FloatKernels* GetFloatKernels() { return &kFloatKernels; }

}  // namespace HWY_NAMESPACE
}  // namespace ann::simd
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ann::simd::internal {

const FloatKernels kBaselineFloats = HWY_STATIC_DISPATCH(kFloatKernels);

}  // namespace ann::simd::internal
namespace ann::simd {

HWY_EXPORT(GetFloatKernels);

const FloatKernels* internal::FloatTable(int64_t hwy_targets) {
  hwy::GetChosenTarget().Update(hwy_targets);
  return HWY_DYNAMIC_DISPATCH(GetFloatKernels)();
}

}  // namespace ann::simd
#endif
