// Entry to the kernels: tables of function pointers, chosen once for the CPU. Before InitKernels()
// the tables hold the build's baseline, which runs everywhere. Not thread-safe: a process selects
// at load, then only reads.
#pragma once

#include <span>

#include "simd/bits.hpp"
#include "simd/block.hpp"
#include "simd/code.hpp"
#include "simd/distance.hpp"
#include "simd/filter_mask.hpp"
#include "simd/half.hpp"
#include "simd/panel.hpp"
#include "simd/sparse_table.hpp"
#include "simd/transform.hpp"

namespace ann::simd {

// Detects the CPU and selects its best target.
void InitKernels();

// Selects a target by name, for tests and a developer setting. Returns false, changing nothing,
// when this CPU (or this build) does not have it. Pointers taken from a table before stay valid.
bool SetTarget(const char* name);

// Name of the selected target.
const char* TargetName();

// Targets that this CPU and build have, worst first, the last being InitKernels()'s choice. At
// most kMaxTargets; the span's memory is static.
inline constexpr size_t kMaxTargets = 8;
std::span<const char* const> Targets();

namespace internal {
extern const FloatKernels* active_floats;
extern const HalfKernels* active_halves;
extern const BitKernels* active_bits;
extern const CodeKernels* active_codes;
extern const TransformKernels* active_transforms;
extern const PanelKernels* active_panels;
extern const BlockKernels* active_blocks;
extern const FilterKernels* active_filters;
extern const SparseKernels* active_sparse;
}  // namespace internal

inline const FloatKernels& Floats() { return *internal::active_floats; }
inline const HalfKernels& Halves() { return *internal::active_halves; }
inline const BitKernels& Bits() { return *internal::active_bits; }
inline const CodeKernels& Codes() { return *internal::active_codes; }
inline const TransformKernels& Transforms() { return *internal::active_transforms; }
inline const PanelKernels& Panels() { return *internal::active_panels; }
inline const BlockKernels& Blocks() { return *internal::active_blocks; }
inline const FilterKernels& Filters() { return *internal::active_filters; }
inline const SparseKernels& SparseCodes() { return *internal::active_sparse; }

}  // namespace ann::simd
