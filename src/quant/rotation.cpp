#include "quant/rotation.hpp"

#include <bit>

#include "core/rng.hpp"
#include "simd/simd.hpp"

namespace ann::quant {

void MakeRotation(uint64_t seed, size_t dims, uint64_t* signs) {
  Rng rng(seed);
  for (size_t i = 0; i < RotationWords(dims); ++i) signs[i] = rng.Next();
}

void Rotate(const uint64_t* signs, size_t dims, float* x) {
  const simd::TransformKernels& kernels = simd::Transforms();
  const size_t n = std::bit_floor(dims);
  const size_t words = (dims + 63) / 64;
  for (int round = 0; round < kRotationRounds; ++round) {
    kernels.flip_signs(x, signs + round * words, dims);
    kernels.hadamard(round % 2 == 0 ? x : x + (dims - n), n);
    if (n != dims) kernels.kac_step(x, dims);
  }
}

// Each step is its own inverse.
void RotateBack(const uint64_t* signs, size_t dims, float* x) {
  const simd::TransformKernels& kernels = simd::Transforms();
  const size_t n = std::bit_floor(dims);
  const size_t words = (dims + 63) / 64;
  for (int round = kRotationRounds - 1; round >= 0; --round) {
    if (n != dims) kernels.kac_step(x, dims);
    kernels.hadamard(round % 2 == 0 ? x : x + (dims - n), n);
    kernels.flip_signs(x, signs + round * words, dims);
  }
}

}  // namespace ann::quant
