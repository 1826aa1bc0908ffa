// Kernels that rotate, centre and quantize one vector. The float results are bitwise equal on every
// target (same order of additions, no fused multiply-add): codes made on one machine serve queries
// rotated on another, a standby for example.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ann::simd {

// Quantized values of 16 bits reach at most this: the high byte and the low byte both fit int8.
inline constexpr int kMaxInt16Level = 127 * 256 + 127;

struct TransformKernels {
  // Walsh-Hadamard transform in place, times 1/sqrt(n); its own inverse. n is a power of two >= 1.
  void (*hadamard)(float* x, size_t n);
  // Negates x_i where bit i % 64 of bits[i / 64] is set.
  void (*flip_signs)(float* x, const uint64_t* bits, size_t n);
  // For i < dims / 2 and j = i + (dims + 1) / 2: (x_i, x_j) <- (x_i + x_j, x_i - x_j) / sqrt(2).
  // Its own inverse; the middle element of an odd dims stays.
  void (*kac_step)(float* x, size_t dims);
  // out_i = a_i - b_i; out may be a or b.
  void (*subtract)(const float* a, const float* b, float* out, size_t n);
  // out_i = x_i * factor; out may be x.
  void (*scale)(const float* x, float factor, float* out, size_t n);
  // out_i = x_i * inv_step to the nearest integer (ties to even), clamped to +-127. A NaN gives
  // some value in that range.
  void (*quantize_i8)(const float* x, float inv_step, int8_t* out, size_t n);
  // As above, clamped to +-kMaxInt16Level and split: value = 256 * hi + lo, lo in [-128, 127]. A
  // product with a 16-bit query is 256 * dot(code, hi) + dot(code, lo).
  void (*quantize_i16)(const float* x, float inv_step, int8_t* hi, int8_t* lo, size_t n);
};

}  // namespace ann::simd
