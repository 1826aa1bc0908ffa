// Which of 32 values in a row pass a test, a bit each: the columns of attributes (src/filter).
#pragma once

#include <cstdint>

namespace ann::simd {

inline constexpr uint32_t kMaskRows = 32;

// `values`: kMaskRows unsigned little-endian integers, of any alignment.
struct FilterKernels {
  // Bit i: low <= value i <= low + span; low + span must not overflow. By width: 1, 2, 4, 8 bytes.
  uint32_t (*range[4])(const void* values, uint64_t low, uint64_t span);
  // Of 8-byte values: all of `bits` are set; any is.
  uint32_t (*all_bits)(const void* values, uint64_t bits);
  uint32_t (*any_bits)(const void* values, uint64_t bits);
  // Of 1-byte values: any of `bits` is set.
  uint32_t (*any_flags)(const void* values, uint8_t bits);
};

}  // namespace ann::simd
