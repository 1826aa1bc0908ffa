// Rotation and quantization kernels, compiled once per Highway target by re-inclusion.
//
// Bitwise equal on all targets: the Hadamard stages run in ascending order of stride whatever the
// vector width, and the only multiplication of each kernel is its last float operation, so the
// compiler has nothing to contract into a fused multiply-add.
#include "simd/hwy_targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "simd/transform.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <cmath>

#include "simd/kernel_tables.hpp"
#include "simd/transform.hpp"

HWY_BEFORE_NAMESPACE();
namespace ann::simd {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::ScalableTag<float>;
using Ints = hn::Rebind<int32_t, Floats>;
using Words = hn::Rebind<uint32_t, Floats>;
using Bytes = hn::Rebind<int8_t, Floats>;
using Vec = hn::Vec<Floats>;
constexpr Floats kTag;
constexpr size_t kLanes = hn::MaxLanes(kTag);

HWY_ALIGN constexpr uint32_t kLaneNumbers[16] = {0, 1, 2,  3,  4,  5,  6,  7,
                                                 8, 9, 10, 11, 12, 13, 14, 15};
static_assert(kLanes <= 16 && 64 % kLanes == 0);

// One in-register stage: lane i meets lane i ^ stride, the upper one of a pair is subtracted from.
class LaneStage {
 public:
  explicit HWY_INLINE LaneStage(uint32_t stride) {
    const Words words;
    const auto lane = hn::Load(words, kLaneNumbers);
    const auto other = hn::Xor(lane, hn::Set(words, stride));
    partner_ = hn::IndicesFromVec(kTag, other);
    const auto upper = hn::TestBit(lane, hn::Set(words, stride));
    sign_ = hn::BitCast(
        kTag, hn::IfThenElseZero(hn::RebindMask(words, upper), hn::Set(words, 0x80000000u)));
  }
  HWY_INLINE Vec Apply(Vec x) const {
    return hn::Add(hn::TableLookupLanes(x, partner_), hn::Xor(x, sign_));
  }

 private:
  decltype(hn::IndicesFromVec(kTag, hn::Zero(Words()))) partner_;
  Vec sign_;
};

HWY_INLINE void Butterfly(Vec& a, Vec& b) {
  const Vec sum = hn::Add(a, b);
  b = hn::Sub(a, b);
  a = sum;
}

// The stages of stride kStride .. kLanes / 2 within one vector.
template <uint32_t kStride>
HWY_INLINE Vec LaneStages(Vec x) {
  if constexpr (kStride < kLanes) {
    return LaneStages<2 * kStride>(LaneStage(kStride).Apply(x));
  } else {
    return x;
  }
}

// Two stages on four vectors that lie a stride apart.
HWY_INLINE void ButterflyPair(Vec& v0, Vec& v1, Vec& v2, Vec& v3) {
  Butterfly(v0, v1);
  Butterfly(v2, v3);
  Butterfly(v0, v2);
  Butterfly(v1, v3);
}

// All stages below stride 4 * kLanes in one pass; n is a multiple of 4 * kLanes.
HWY_INLINE void FirstStages(float* x, size_t n) {
  for (float* const end = x + n; x < end; x += 4 * kLanes) {
    Vec v0 = LaneStages<1>(hn::LoadU(kTag, x));
    Vec v1 = LaneStages<1>(hn::LoadU(kTag, x + kLanes));
    Vec v2 = LaneStages<1>(hn::LoadU(kTag, x + 2 * kLanes));
    Vec v3 = LaneStages<1>(hn::LoadU(kTag, x + 3 * kLanes));
    ButterflyPair(v0, v1, v2, v3);
    hn::StoreU(v0, kTag, x);
    hn::StoreU(v1, kTag, x + kLanes);
    hn::StoreU(v2, kTag, x + 2 * kLanes);
    hn::StoreU(v3, kTag, x + 3 * kLanes);
  }
}

// Stages of `stride` and 2 * stride in one pass over x, stride >= kLanes: half the loads and stores
// of two passes.
HWY_INLINE void StagePair(float* x, size_t n, size_t stride) {
  for (size_t block = 0; block < n; block += 4 * stride) {
    for (size_t i = block; i < block + stride; i += kLanes) {
      Vec v0 = hn::LoadU(kTag, x + i);
      Vec v1 = hn::LoadU(kTag, x + i + stride);
      Vec v2 = hn::LoadU(kTag, x + i + 2 * stride);
      Vec v3 = hn::LoadU(kTag, x + i + 3 * stride);
      ButterflyPair(v0, v1, v2, v3);
      hn::StoreU(v0, kTag, x + i);
      hn::StoreU(v1, kTag, x + i + stride);
      hn::StoreU(v2, kTag, x + i + 2 * stride);
      hn::StoreU(v3, kTag, x + i + 3 * stride);
    }
  }
}

HWY_INLINE void Stage(float* x, size_t n, size_t stride) {
  for (size_t block = 0; block < n; block += 2 * stride) {
    for (size_t i = block; i < block + stride; i += kLanes) {
      Vec v0 = hn::LoadU(kTag, x + i);
      Vec v1 = hn::LoadU(kTag, x + i + stride);
      Butterfly(v0, v1);
      hn::StoreU(v0, kTag, x + i);
      hn::StoreU(v1, kTag, x + i + stride);
    }
  }
}

void Scale(const float* x, float factor, float* out, size_t n) {
  const Vec factors = hn::Set(kTag, factor);
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    hn::StoreU(hn::Mul(hn::LoadU(kTag, x + i), factors), kTag, out + i);
  }
  for (; i < n; ++i) out[i] = x[i] * factor;
}

// For n below four vectors, 32 at most.
void SmallHadamard(float* x, size_t n) {
  for (size_t stride = 1; stride < n; stride *= 2) {
    for (size_t i = 0; i < n; ++i) {
      if ((i & stride) != 0) continue;
      const float sum = x[i] + x[i + stride];
      x[i + stride] = x[i] - x[i + stride];
      x[i] = sum;
    }
  }
}

void Hadamard(float* x, size_t n) {
  if (n < 4 * kLanes) {
    SmallHadamard(x, n);
  } else {
    FirstStages(x, n);
    size_t stride = 4 * kLanes;
    for (; 4 * stride <= n; stride *= 4) StagePair(x, n, stride);
    if (stride < n) Stage(x, n, stride);
  }
  // The factor is exact for even powers of two, correctly rounded for odd ones.
  Scale(x, static_cast<float>(1 / std::sqrt(static_cast<double>(n))), x, n);
}

void FlipSigns(float* x, const uint64_t* bits, size_t n) {
  const Words words;
  const auto one = hn::Set(words, 1);
  const auto lane_bit = hn::Shl(one, hn::Load(words, kLaneNumbers));
  const auto sign = hn::Set(words, 0x80000000u);
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const auto piece = hn::Set(words, static_cast<uint32_t>(bits[i / 64] >> (i % 64)));
    const auto flips = hn::IfThenElseZero(hn::TestBit(piece, lane_bit), sign);
    hn::StoreU(hn::Xor(hn::LoadU(kTag, x + i), hn::BitCast(kTag, flips)), kTag, x + i);
  }
  for (; i < n; ++i) {
    if ((bits[i / 64] >> (i % 64) & 1) != 0) x[i] = -x[i];
  }
}

constexpr float kInvSqrt2 = 0.70710678f;

void KacStep(float* x, size_t dims) {
  const size_t half = dims / 2;
  float* const upper = x + (dims + 1) / 2;
  const Vec factor = hn::Set(kTag, kInvSqrt2);
  size_t i = 0;
  for (; i + kLanes <= half; i += kLanes) {
    const Vec a = hn::LoadU(kTag, x + i);
    const Vec b = hn::LoadU(kTag, upper + i);
    hn::StoreU(hn::Mul(hn::Add(a, b), factor), kTag, x + i);
    hn::StoreU(hn::Mul(hn::Sub(a, b), factor), kTag, upper + i);
  }
  for (; i < half; ++i) {
    const float sum = x[i] + upper[i];
    upper[i] = (x[i] - upper[i]) * kInvSqrt2;
    x[i] = sum * kInvSqrt2;
  }
}

void Subtract(const float* a, const float* b, float* out, size_t n) {
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    hn::StoreU(hn::Sub(hn::LoadU(kTag, a + i), hn::LoadU(kTag, b + i)), kTag, out + i);
  }
  for (; i < n; ++i) out[i] = a[i] - b[i];
}

// Clamped before rounding, so that the conversion to int is defined for every input.
HWY_INLINE hn::Vec<Ints> RoundClamped(Vec x, Vec inv_step, Vec limit) {
  const Vec scaled = hn::Mul(x, inv_step);
  return hn::NearestInt(hn::Min(hn::Max(scaled, hn::Neg(limit)), limit));
}

HWY_INLINE int RoundOneClamped(float x, float inv_step, float limit) {
  const float scaled = x * inv_step;
  const float above = scaled > -limit ? scaled : -limit;
  return static_cast<int>(std::nearbyint(above < limit ? above : limit));
}

void QuantizeI8(const float* x, float inv_step, int8_t* out, size_t n) {
  const Vec factor = hn::Set(kTag, inv_step);
  const Vec limit = hn::Set(kTag, 127.0f);
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const auto level = RoundClamped(hn::LoadU(kTag, x + i), factor, limit);
    hn::StoreU(hn::DemoteTo(Bytes(), level), Bytes(), out + i);
  }
  for (; i < n; ++i) out[i] = static_cast<int8_t>(RoundOneClamped(x[i], inv_step, 127.0f));
}

void QuantizeI16(const float* x, float inv_step, int8_t* hi, int8_t* lo, size_t n) {
  const Ints ints;
  const Vec factor = hn::Set(kTag, inv_step);
  const Vec limit = hn::Set(kTag, static_cast<float>(kMaxInt16Level));
  const auto rounding = hn::Set(ints, 128);
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const auto level = RoundClamped(hn::LoadU(kTag, x + i), factor, limit);
    const auto high = hn::ShiftRight<8>(hn::Add(level, rounding));
    hn::StoreU(hn::DemoteTo(Bytes(), high), Bytes(), hi + i);
    hn::StoreU(hn::DemoteTo(Bytes(), hn::Sub(level, hn::ShiftLeft<8>(high))), Bytes(), lo + i);
  }
  for (; i < n; ++i) {
    const int level = RoundOneClamped(x[i], inv_step, static_cast<float>(kMaxInt16Level));
    const int high = (level + 128) >> 8;
    hi[i] = static_cast<int8_t>(high);
    lo[i] = static_cast<int8_t>(level - 256 * high);
  }
}

constexpr TransformKernels kTransformKernels = {Hadamard, FlipSigns,  KacStep,    Subtract,
                                                Scale,    QuantizeI8, QuantizeI16};
const TransformKernels* GetTransformKernels() { return &kTransformKernels; }

}  // namespace HWY_NAMESPACE
}  // namespace ann::simd
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ann::simd::internal {

const TransformKernels kBaselineTransforms = HWY_STATIC_DISPATCH(kTransformKernels);

}  // namespace ann::simd::internal
namespace ann::simd {

HWY_EXPORT(GetTransformKernels);

const TransformKernels* internal::TransformTable(int64_t hwy_targets) {
  hwy::GetChosenTarget().Update(hwy_targets);
  return HWY_DYNAMIC_DISPATCH(GetTransformKernels)();
}

}  // namespace ann::simd
#endif
