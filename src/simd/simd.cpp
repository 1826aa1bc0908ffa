// Chooses the tables. A target joins a Highway target (f32 and transforms) with a set of code
// kernels (see README.md); everything here is constant-initialised, nothing runs at load time.
#include "simd/simd.hpp"

#include <cstring>
#include <iterator>

#include "simd/cpu_features.hpp"
#include "simd/hwy_targets.hpp"
#include "simd/kernel_tables.hpp"

#include <hwy/targets.h>

namespace ann::simd {
namespace {

using internal::CpuFeatures;

struct Target {
  const char* name;
  int64_t hwy_target;         // HWY_* bit the CPU must have
  bool CpuFeatures::*needed;  // or null: nothing beyond hwy_target
  const CodeKernels* codes;
};

// Worst first.
constexpr Target kTargets[] = {
#if defined(__x86_64__)
    {"portable", 0, nullptr, &internal::kPortableCodes},
    {"sse4", HWY_SSE4, nullptr, &internal::kPortableCodes},
    {"avx2", HWY_AVX2, &CpuFeatures::avx2, &internal::kAvx2Codes},
    {"avxvnni", HWY_AVX2, &CpuFeatures::avxvnni, &internal::kAvxVnniCodes},
    {"avx512", HWY_AVX3, &CpuFeatures::avx2, &internal::kAvx2Codes},
    {"avx512vnni", HWY_AVX3, &CpuFeatures::avx512vnni, &internal::kAvx512VnniCodes},
#elif defined(__aarch64__)
    {"portable", 0, nullptr, &internal::kPortableCodes},
    {"neon", 0, nullptr, &internal::kNeonCodes},
    {"neondot", 0, &CpuFeatures::neon_dot, &internal::kNeonDotCodes},
#else
    {"portable", 0, nullptr, &internal::kPortableCodes},
#endif
};
static_assert(std::size(kTargets) <= kMaxTargets);

constinit const Target* active_target = &kTargets[0];
constinit const char* target_names[kMaxTargets] = {};

bool IsAvailable(const Target& target, const CpuFeatures& cpu, int64_t hwy_targets) {
  return (target.hwy_target & ~hwy_targets) == 0 &&
         (target.needed == nullptr || cpu.*target.needed);
}

void Select(const Target& target, const CpuFeatures& cpu, int64_t hwy_supported) {
  if (target.hwy_target == 0) {
    internal::active_floats = &internal::kBaselineFloats;
    internal::active_halves = &internal::kBaselineHalves;
    internal::active_bits = &internal::kBaselineBits;
    internal::active_transforms = &internal::kBaselineTransforms;
    internal::active_panels = &internal::kBaselinePanels;
    internal::active_blocks = &internal::kBaselineBlocks;
    internal::active_filters = &internal::kBaselineFilters;
    internal::active_sparse = &internal::kBaselineSparse;
  } else {
    internal::active_floats = internal::FloatTable(target.hwy_target);
    internal::active_halves = internal::HalfTable(target.hwy_target);
    internal::active_bits = internal::BitTable(target.hwy_target);
    internal::active_transforms = internal::TransformTable(target.hwy_target);
    internal::active_panels = internal::PanelTable(target.hwy_target);
    internal::active_blocks = internal::BlockTable(target.hwy_target);
    internal::active_filters = internal::FilterTable(target.hwy_target);
    internal::active_sparse = internal::SparseTable(target.hwy_target);
  }
#if defined(__x86_64__)
  // Not all CPUs with the one have the other; a target of its own would be one more for all tests.
  if (target.codes == &internal::kAvx512VnniCodes && cpu.avx512vpopcntdq) {
    internal::active_bits = &internal::kAvx512Bits;
  }
#endif
  internal::active_codes = target.codes;
  active_target = &target;
  // Another library of this process may share Highway's choice.
  hwy::GetChosenTarget().Update(hwy_supported);
}

}  // namespace

namespace internal {
constinit const FloatKernels* active_floats = &kBaselineFloats;
constinit const HalfKernels* active_halves = &kBaselineHalves;
constinit const BitKernels* active_bits = &kBaselineBits;
constinit const CodeKernels* active_codes = &kPortableCodes;
constinit const TransformKernels* active_transforms = &kBaselineTransforms;
constinit const PanelKernels* active_panels = &kBaselinePanels;
constinit const BlockKernels* active_blocks = &kBaselineBlocks;
constinit const FilterKernels* active_filters = &kBaselineFilters;
constinit const SparseKernels* active_sparse = &kBaselineSparse;
}  // namespace internal

void InitKernels() {
  const std::span<const char* const> names = Targets();
  SetTarget(names.back());
}

bool SetTarget(const char* name) {
  const int64_t hwy_supported = hwy::SupportedTargets();
  const CpuFeatures cpu = internal::DetectCpu();
  for (const Target& target : kTargets) {
    if (std::strcmp(target.name, name) != 0) continue;
    if (!IsAvailable(target, cpu, hwy_supported)) return false;
    Select(target, cpu, hwy_supported);
    return true;
  }
  return false;
}

const char* TargetName() { return active_target->name; }

std::span<const char* const> Targets() {
  const int64_t hwy_supported = hwy::SupportedTargets();
  const CpuFeatures cpu = internal::DetectCpu();
  size_t count = 0;
  for (const Target& target : kTargets) {
    if (IsAvailable(target, cpu, hwy_supported)) target_names[count++] = target.name;
  }
  return {target_names, count};
}

}  // namespace ann::simd
