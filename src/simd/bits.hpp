// Kernels over strings of bits, packed in bytes of any alignment; what lies behind the last bit of
// the last byte is 0.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ann::simd {

struct BitCounts {
  uint64_t both, either;  // ones of a & b, of a | b
};

struct BitKernels {
  // Ones of a ^ b.
  uint64_t (*hamming)(const uint8_t* a, const uint8_t* b, size_t bytes);
  // Ones of a & b.
  uint64_t (*common)(const uint8_t* a, const uint8_t* b, size_t bytes);
  BitCounts (*counts)(const uint8_t* a, const uint8_t* b, size_t bytes);
};

}  // namespace ann::simd
