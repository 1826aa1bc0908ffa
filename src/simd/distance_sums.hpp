// Sums over pairs of f32 vectors, compiled for each Highway target by the files that include this
// one behind <hwy/highway.h>. The guard toggles with Highway's, so that every target gets its own.
#if defined(ANN_SIMD_DISTANCE_SUMS_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef ANN_SIMD_DISTANCE_SUMS_HPP
#undef ANN_SIMD_DISTANCE_SUMS_HPP
#else
#define ANN_SIMD_DISTANCE_SUMS_HPP
#endif

#include <hwy/highway.h>

#include "simd/distance.hpp"

HWY_BEFORE_NAMESPACE();
namespace ann::simd {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::ScalableTag<float>;
using Vec = hn::Vec<Floats>;
constexpr Floats kTag;
constexpr size_t kLanes = hn::MaxLanes(kTag);

// AVX2's masked load of floats does not fault although Highway says so for its other types.
constexpr bool kMasks = !HWY_MEM_OPS_MIGHT_FAULT || HWY_TARGET == HWY_AVX2;

// Vectors of short rows. A row of few vectors of 64 bytes waits for the longer reduction and for
// loads that all cross cache lines: with vectors of 32 bytes a call in SQL at 128 dims takes 12 ns
// instead of 19 on an Intel Xeon (Sapphire Rapids), and what it took before on a Zen 5.
using ShortFloats = hn::CappedTag<float, 8>;

struct L2Terms {
  template <class V>
  HWY_INLINE V Add(V sum, V a, V b) const {
    const V diff = hn::Sub(a, b);
    return hn::MulAdd(diff, diff, sum);
  }
  HWY_INLINE float One(float a, float b) const { return (a - b) * (a - b); }
};

struct ProductTerms {
  template <class V>
  HWY_INLINE V Add(V sum, V a, V b) const {
    return hn::MulAdd(a, b, sum);
  }
  HWY_INLINE float One(float a, float b) const { return a * b; }
};

struct L1Terms {
  template <class V>
  HWY_INLINE V Add(V sum, V a, V b) const {
    return hn::Add(sum, hn::Abs(hn::Sub(a, b)));
  }
  HWY_INLINE float One(float a, float b) const { return a > b ? a - b : -(a - b); }
};

// One sum over both rows, in four vectors of D and a scalar for the tail of targets without masks.
// Named members, not an array: GCC 12 keeps an array in memory.
template <class Terms, class D>
class Sum {
 public:
  using Tag = D;
  using V = hn::Vec<D>;
  HWY_INLINE Sum()
      : s0_(hn::Zero(D())), s1_(hn::Zero(D())), s2_(hn::Zero(D())), s3_(hn::Zero(D())) {}
  template <int kWay>
  HWY_INLINE void Add(V a, V b) {
    if constexpr (kWay == 0) s0_ = Terms().Add(s0_, a, b);
    if constexpr (kWay == 1) s1_ = Terms().Add(s1_, a, b);
    if constexpr (kWay == 2) s2_ = Terms().Add(s2_, a, b);
    if constexpr (kWay == 3) s3_ = Terms().Add(s3_, a, b);
  }
  HWY_INLINE void AddOne(float a, float b) { rest_ += Terms().One(a, b); }
  HWY_INLINE float Total() const {
    const V total = hn::Add(hn::Add(s0_, s1_), hn::Add(s2_, s3_));
    const float sum = hn::GetLane(hn::SumOfLanes(D(), total));
    return kMasks ? sum : sum + rest_;
  }

 private:
  V s0_, s1_, s2_, s3_;
  float rest_ = 0;
};

template <class D>
using L2Sum = Sum<L2Terms, D>;
template <class D>
using ProductSum = Sum<ProductTerms, D>;
template <class D>
using L1Sum = Sum<L1Terms, D>;

// The three sums of the cosine are products: a with b, a with a, b with b.
template <class D>
class CosineSum {
 public:
  using Tag = D;
  // Written out: an implicit constructor would be compiled without the target's instructions.
  HWY_INLINE CosineSum() {}
  template <int kWay>
  HWY_INLINE void Add(hn::Vec<D> a, hn::Vec<D> b) {
    ab_.template Add<kWay>(a, b);
    aa_.template Add<kWay>(a, a);
    bb_.template Add<kWay>(b, b);
  }
  HWY_INLINE void AddOne(float a, float b) {
    ab_.AddOne(a, b);
    aa_.AddOne(a, a);
    bb_.AddOne(b, b);
  }
  HWY_INLINE CosineParts Total() const { return {ab_.Total(), aa_.Total(), bb_.Total()}; }

 private:
  ProductSum<D> ab_, aa_, bb_;
};

}  // namespace HWY_NAMESPACE
}  // namespace ann::simd
HWY_AFTER_NAMESPACE();

#endif
