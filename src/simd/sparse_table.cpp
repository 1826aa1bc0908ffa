// Sparse codes against a table, compiled once per Highway target by re-inclusion. The table is read
// by gathers.
#include "simd/hwy_targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "simd/sparse_table.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "simd/kernel_tables.hpp"
#include "simd/sparse_table.hpp"

HWY_BEFORE_NAMESPACE();
namespace ann::simd {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Ints = hn::CappedTag<int32_t, kSparseStep>;
using Floats = hn::RebindToFloat<Ints>;
using Int = hn::Vec<Ints>;
using Float = hn::Vec<Floats>;
constexpr Ints kInts;
constexpr hn::RebindToUnsigned<Ints> kUnsigned;
constexpr Floats kFloats;

// The values of entries, as floats.
HWY_INLINE Float Values(Int entries) {
  return hn::ConvertTo(kFloats, hn::ShiftRight<16>(hn::ShiftLeft<16>(entries)));
}

// `add(a, b)`: the values of a vector of entries and of those in the table, 0 where it has none.
template <class Add>
HWY_INLINE void ForEachVector(const uint32_t* entries, size_t count, const uint32_t* table,
                              uint32_t mask, Add&& add) {
  const auto wanted = hn::Set(kUnsigned, mask);
  const auto* base = reinterpret_cast<const int32_t*>(table);
  for (size_t i = 0; i < count; i += hn::Lanes(kInts)) {
    const auto entry = hn::LoadU(kUnsigned, entries + i);
    const auto at = hn::And(hn::ShiftRight<16>(entry), wanted);
    const Int own = hn::BitCast(kInts, entry);
    const Int other = hn::GatherIndex(kInts, base, hn::BitCast(kInts, at));
    const auto apart = hn::ShiftRight<16>(hn::BitCast(kUnsigned, hn::Xor(own, other)));
    const auto same = hn::Eq(hn::BitCast(kInts, apart), hn::Zero(kInts));
    add(Values(own), Values(hn::IfThenElseZero(same, other)));
  }
}

float Dot(const uint32_t* entries, size_t count, const uint32_t* table, uint32_t mask) {
  Float sum = hn::Zero(kFloats);
  ForEachVector(entries, count, table, mask,
                [&](Float a, Float b) HWY_ATTR { sum = hn::MulAdd(a, b, sum); });
  return hn::GetLane(hn::SumOfLanes(kFloats, sum));
}

float L1Shared(const uint32_t* entries, size_t count, float step, const uint32_t* table,
               uint32_t mask, float table_step) {
  const Float a_step = hn::Set(kFloats, step), b_step = hn::Set(kFloats, table_step);
  Float sum = hn::Zero(kFloats);
  ForEachVector(entries, count, table, mask, [&](Float a, Float b) HWY_ATTR {
    a = hn::Mul(a, a_step), b = hn::Mul(b, b_step);
    const Float apart = hn::Abs(hn::Sub(a, b));
    sum = hn::Add(sum, hn::Sub(hn::Sub(apart, hn::Abs(a)), hn::Abs(b)));
  });
  return hn::GetLane(hn::SumOfLanes(kFloats, sum));
}

constexpr SparseKernels kSparseKernels = {Dot, L1Shared};
const SparseKernels* GetSparseKernels() { return &kSparseKernels; }

}  // namespace HWY_NAMESPACE
}  // namespace ann::simd
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ann::simd::internal {

const SparseKernels kBaselineSparse = HWY_STATIC_DISPATCH(kSparseKernels);

}  // namespace ann::simd::internal
namespace ann::simd {

HWY_EXPORT(GetSparseKernels);

const SparseKernels* internal::SparseTable(int64_t hwy_targets) {
  hwy::GetChosenTarget().Update(hwy_targets);
  return HWY_DYNAMIC_DISPATCH(GetSparseKernels)();
}

}  // namespace ann::simd
#endif
