// Included before any Highway header. Left out: AVX3_DL (1.0.3 compiles it with avxvnni, a CPU bit
// of its own, so plain loops inside could fault on CPUs that have only avx512vnni), SSSE3 (no CPU
// of interest lacks SSE4), SVE (sizeless types cannot be held in arrays).
#pragma once

#define HWY_DISABLED_TARGETS \
  (HWY_AVX3_DL | HWY_SSSE3 | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
