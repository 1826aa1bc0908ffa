// Codes of bit strings: the bits, and for Jaccard's distance how many of them are 1. Keys are
// the distances themselves.
#pragma once

#include <cstdint>

#include "core/sizes.hpp"
#include "quant/work_space.hpp"
#include "simd/simd.hpp"

namespace ann::quant {

// Padded with zeros, so that factors and links that follow are aligned.
constexpr uint32_t BitCodeBytes(uint32_t dims) {
  return static_cast<uint32_t>(RoundUp(DivUp(dims, 8), sizeof(uint32_t)));
}
// Of the number of ones, before the bits.
constexpr uint32_t BitFactorBytes(Metric metric) {
  return metric == Metric::kJaccard ? sizeof(uint32_t) : 0;
}

struct BitQuery {
  const uint8_t* bits;
  uint32_t ones;  // Jaccard only
};

// Between bits and the numbers 0 and 1.
void UnpackBits(const uint8_t* bits, uint32_t dims, float* values);
// Writes BitCodeBytes.
void PackBits(const float* values, uint32_t dims, uint8_t* bits);

// Codes `bits`, of which as many bytes are read as dims fill.
void CodeBits(Metric metric, const uint8_t* bits, uint32_t dims, uint8_t* coded);
// Whether CodeBits makes such a code.
bool IsBitCode(Metric metric, const uint8_t* coded, uint32_t dims);
// A code as a query; it must outlive that.
BitQuery AsBitQuery(Metric metric, const uint8_t* coded);
float BitKey(const simd::BitKernels& kernels, Metric metric, const BitQuery& query,
             const uint8_t* coded, uint32_t code_bytes);
// The key between two codes, of equal ones 0: Jaccard's distance, else, is 1 between strings of
// zeros.
float BitCodeDistance(const simd::BitKernels& kernels, Metric metric, const BitQuery& query,
                      const uint8_t* coded, uint32_t code_bytes);
// The key between two strings of as many bytes.
float BitDistance(Metric metric, const uint8_t* a, const uint8_t* b, size_t bytes);

}  // namespace ann::quant
