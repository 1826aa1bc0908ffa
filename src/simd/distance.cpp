// f32 distance kernels, compiled once per Highway target by re-inclusion.
//
// Loads limit them, not arithmetic: a CPU reads two vectors of 64 bytes a cycle when they lie
// within cache lines, but one when it crosses a line, as every load of an 8-aligned row does. So
// with 64-byte vectors the walk first takes the part of row a up to a line boundary, under a mask,
// and reads a by whole lines from there: 1.5 cycles for 16 dims of two rows instead of 2 (1 if b is
// aligned alike). Measured on Zen 5: 1.2 x at 384 and 768 dims, 1.25 x at 1536. Narrower vectors
// cross on every second load only and would lose more by the masks.
//
// Four accumulators: FMA latency 4 cycles x 2 ports could want eight, but at 1.5 cycles a step four
// suffice, and eight lengthen the reduction of rows that are only eight vectors long.
#include "simd/hwy_targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "simd/distance.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "simd/distance.hpp"
#include "simd/distance_sums.hpp"
#include "simd/kernel_tables.hpp"

HWY_BEFORE_NAMESPACE();
namespace ann::simd {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <int kWay, class Sums>
HWY_INLINE void AddMasked(Sums& sums, const float* a, const float* b, size_t n) {
  const typename Sums::Tag tag;
  const auto mask = hn::FirstN(tag, n);
  sums.template Add<kWay>(hn::MaskedLoad(mask, tag, a), hn::MaskedLoad(mask, tag, b));
}

// The vector that lies kWay vectors on.
template <int kWay, class Sums>
HWY_INLINE void AddWhole(Sums& sums, const float* a, const float* b) {
  const typename Sums::Tag tag;
  constexpr size_t at = kWay * hn::MaxLanes(tag);
  sums.template Add<kWay>(hn::LoadU(tag, a + at), hn::LoadU(tag, b + at));
}

template <class Sums>
HWY_INLINE auto SumRows(const float* HWY_RESTRICT a, const float* HWY_RESTRICT b, size_t dims) {
  constexpr size_t kWidth = hn::MaxLanes(typename Sums::Tag());
  constexpr bool kAlignsRows = kMasks && kWidth * sizeof(float) == 64;
  Sums sums;
  if constexpr (kAlignsRows) {
    // 1 .. kWidth: an aligned row takes a whole vector here, so that rows of one length take one
    // path, whatever their alignment, when dims is a multiple of kWidth.
    const size_t to_boundary = kWidth - reinterpret_cast<uintptr_t>(a) / sizeof(float) % kWidth;
    const size_t head = to_boundary < dims ? to_boundary : dims;
    AddMasked<3>(sums, a, b, head);
    a += head;
    b += head;
    dims -= head;
  }
  constexpr size_t kStep = 4 * kWidth;
  for (; dims >= kStep; dims -= kStep, a += kStep, b += kStep) {
    AddWhole<0>(sums, a, b);
    AddWhole<1>(sums, a, b);
    AddWhole<2>(sums, a, b);
    AddWhole<3>(sums, a, b);
  }
  if (dims >= kWidth) AddWhole<0>(sums, a, b);
  if (dims >= 2 * kWidth) AddWhole<1>(sums, a, b);
  if (dims >= 3 * kWidth) AddWhole<2>(sums, a, b);
  const size_t rest = dims % kWidth;
  a += dims - rest;
  b += dims - rest;
  if constexpr (kMasks) {
    // Unconditional where rows are aligned: whether anything is left then hangs on each row's
    // address, which no branch predictor knows.
    if (kAlignsRows || rest > 0) AddMasked<3>(sums, a, b, rest);
  } else {
    for (size_t i = 0; i < rest; ++i) sums.AddOne(a[i], b[i]);
  }
  return sums.Total();
}

// Below this vectors of 64 bytes, and the walk by whole lines, cost more than they save.
constexpr size_t kShortDims = 256;

template <template <class> class Sums>
HWY_INLINE auto SumOver(const float* a, const float* b, size_t dims) {
  if constexpr (hn::MaxLanes(ShortFloats()) < kLanes) {
    if (dims < kShortDims) return SumRows<Sums<ShortFloats>>(a, b, dims);
  }
  return SumRows<Sums<Floats>>(a, b, dims);
}

float L2Squared(const float* a, const float* b, size_t dims) { return SumOver<L2Sum>(a, b, dims); }
float InnerProduct(const float* a, const float* b, size_t dims) {
  return SumOver<ProductSum>(a, b, dims);
}
float L1(const float* a, const float* b, size_t dims) { return SumOver<L1Sum>(a, b, dims); }
CosineParts Cosine(const float* a, const float* b, size_t dims) {
  return SumOver<CosineSum>(a, b, dims);
}

// Squares of floats are exact in double, so only the order of the sums differs between targets.
double SquaredNorm(const float* a, size_t dims) {
  constexpr hn::ScalableTag<double> kWide;
  constexpr hn::Rebind<float, decltype(kWide)> kNarrow;
  constexpr size_t kWideLanes = hn::MaxLanes(kWide);
  constexpr size_t kStep = 4 * kWideLanes;
  auto sum0 = hn::Zero(kWide), sum1 = sum0, sum2 = sum0, sum3 = sum0;
  const auto add = [&](auto sum, size_t way) HWY_ATTR {
    const auto wide = hn::PromoteTo(kWide, hn::LoadU(kNarrow, a + way * kWideLanes));
    return hn::MulAdd(wide, wide, sum);
  };
  for (; dims >= kStep; dims -= kStep, a += kStep) {
    sum0 = add(sum0, 0);
    sum1 = add(sum1, 1);
    sum2 = add(sum2, 2);
    sum3 = add(sum3, 3);
  }
  for (; dims >= kWideLanes; dims -= kWideLanes, a += kWideLanes) sum0 = add(sum0, 0);
  const auto sums = hn::Add(hn::Add(sum0, sum1), hn::Add(sum2, sum3));
  double total = hn::GetLane(hn::SumOfLanes(kWide, sums));
  for (size_t i = 0; i < dims; ++i) total += static_cast<double>(a[i]) * a[i];
  return total;
}

constexpr FloatKernels kFloatKernels = {L2Squared, InnerProduct, L1, Cosine, SquaredNorm};
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
