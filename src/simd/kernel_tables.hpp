// The tables behind simd.hpp. Inside src/simd only.
#pragma once

#include <cstdint>

#include "simd/bits.hpp"
#include "simd/block.hpp"
#include "simd/code.hpp"
#include "simd/distance.hpp"
#include "simd/filter_mask.hpp"
#include "simd/half.hpp"
#include "simd/panel.hpp"
#include "simd/sparse_table.hpp"
#include "simd/transform.hpp"

namespace ann::simd::internal {

// Compiled for the build's baseline: the tables' state before InitKernels().
extern const FloatKernels kBaselineFloats;
extern const HalfKernels kBaselineHalves;
extern const BitKernels kBaselineBits;
extern const TransformKernels kBaselineTransforms;
extern const PanelKernels kBaselinePanels;
extern const BlockKernels kBaselineBlocks;
extern const FilterKernels kBaselineFilters;
extern const SparseKernels kBaselineSparse;
extern const CodeKernels kPortableCodes;

#if defined(__x86_64__)
extern const CodeKernels kAvx2Codes;
extern const CodeKernels kAvxVnniCodes;
extern const CodeKernels kAvx512VnniCodes;
extern const BitKernels kAvx512Bits;
#elif defined(__aarch64__)
extern const CodeKernels kNeonCodes;
extern const CodeKernels kNeonDotCodes;
#endif

// The tables of the best Highway target that is in `hwy_targets` (HWY_* bits).
const FloatKernels* FloatTable(int64_t hwy_targets);
const HalfKernels* HalfTable(int64_t hwy_targets);
const BitKernels* BitTable(int64_t hwy_targets);
const TransformKernels* TransformTable(int64_t hwy_targets);
const PanelKernels* PanelTable(int64_t hwy_targets);
const BlockKernels* BlockTable(int64_t hwy_targets);
const FilterKernels* FilterTable(int64_t hwy_targets);
const SparseKernels* SparseTable(int64_t hwy_targets);

}  // namespace ann::simd::internal
