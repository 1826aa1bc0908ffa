// Filter kernels, compiled once per Highway target by re-inclusion.
#include "simd/hwy_targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "simd/filter_mask.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "simd/filter_mask.hpp"
#include "simd/kernel_tables.hpp"

HWY_BEFORE_NAMESPACE();
namespace ann::simd {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// The bits of `test(vector)`, a mask, over the values in their order.
template <class T, class Test>
HWY_INLINE uint32_t BitsOf(const void* values, Test&& test) {
  const hn::CappedTag<T, kMaskRows> tag;
  const size_t lanes = hn::Lanes(tag);
  const T* at = static_cast<const T*>(values);
  uint32_t bits = 0;
  for (size_t i = 0; i < kMaskRows; i += lanes) {
    // Lanes of a mask are stored in whole bytes, and 8 of these at most.
    uint8_t stored[8] = {};
    hn::StoreMaskBits(tag, test(hn::LoadU(tag, at + i)), stored);
    uint32_t part;
    hwy::CopyBytes<sizeof part>(stored, &part);
    const uint32_t used = lanes == kMaskRows ? ~uint32_t{0} : (uint32_t{1} << lanes) - 1;
    bits |= (part & used) << i;
  }
  return bits;
}

template <class T>
uint32_t Range(const void* values, uint64_t low, uint64_t span) {
  const hn::CappedTag<T, kMaskRows> tag;
  const auto from = hn::Set(tag, static_cast<T>(low));
  const auto most = hn::Set(tag, static_cast<T>(span));
  // What is below `low` wraps to more than any span.
  return BitsOf<T>(
      values, [&](auto value) HWY_ATTR { return hn::Not(hn::Gt(hn::Sub(value, from), most)); });
}

uint32_t AllBits(const void* values, uint64_t bits) {
  const hn::CappedTag<uint64_t, kMaskRows> tag;
  const auto wanted = hn::Set(tag, bits);
  return BitsOf<uint64_t>(
      values, [&](auto value) HWY_ATTR { return hn::Eq(hn::And(value, wanted), wanted); });
}

uint32_t AnyBits(const void* values, uint64_t bits) {
  const hn::CappedTag<uint64_t, kMaskRows> tag;
  const auto wanted = hn::Set(tag, bits);
  return BitsOf<uint64_t>(
      values, [&](auto value) HWY_ATTR { return hn::Ne(hn::And(value, wanted), hn::Zero(tag)); });
}

uint32_t AnyFlags(const void* values, uint8_t bits) {
  const hn::CappedTag<uint8_t, kMaskRows> tag;
  const auto wanted = hn::Set(tag, bits);
  return BitsOf<uint8_t>(
      values, [&](auto value) HWY_ATTR { return hn::Ne(hn::And(value, wanted), hn::Zero(tag)); });
}

constexpr FilterKernels kFilterKernels = {
    {Range<uint8_t>, Range<uint16_t>, Range<uint32_t>, Range<uint64_t>},
    AllBits,
    AnyBits,
    AnyFlags};
const FilterKernels* GetFilterKernels() { return &kFilterKernels; }

}  // namespace HWY_NAMESPACE
}  // namespace ann::simd
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ann::simd::internal {

const FilterKernels kBaselineFilters = HWY_STATIC_DISPATCH(kFilterKernels);

}  // namespace ann::simd::internal
namespace ann::simd {

HWY_EXPORT(GetFilterKernels);

const FilterKernels* internal::FilterTable(int64_t hwy_targets) {
  hwy::GetChosenTarget().Update(hwy_targets);
  return HWY_DYNAMIC_DISPATCH(GetFilterKernels)();
}

}  // namespace ann::simd
#endif
