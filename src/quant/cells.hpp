// What all codes of equal cells share: a value u of b bits stands for y = u - Centre(b), in cells.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "core/sizes.hpp"
#include "simd/code.hpp"

namespace ann::quant {

// Squared lengths above this count as infinite: sums of four of them, as distances make, stay
// finite.
inline constexpr double kLongest = 0x1p124;

// Estimate promises that the true key lies within so many sigma.
inline constexpr float kConfidence = 5;

// Cells per standard deviation of the uniform quantizer that is best for a Gaussian (Max 1960), for
// 2, 4, 6 and 8 bits.
constexpr float CellsPerSigma(int bits) {
  return bits == 2 ? 1.0044f : bits == 4 ? 2.9836f : bits == 6 ? 9.6089f : 32.51f;
}

constexpr float Centre(int bits) { return (static_cast<float>(1 << bits) - 1) / 2; }

// Work queries and unpacked codes are padded so that every plane may read its whole entries.
constexpr size_t PaddedDims(size_t dims) { return RoundUp(dims, 64); }

// 6 bits are a plane of 4 and one of 2: u = 4 * high + low.
constexpr int HighBits(int bits) { return bits == 6 ? 4 : bits; }

// Bytes of the planes of a code of 2, 4, 6 or 8 bits.
constexpr size_t CellBytes(int bits, size_t dims) {
  return simd::PlaneBytes(HighBits(bits), dims) + (bits == 6 ? simd::PlaneBytes(2, dims) : 0);
}

float LargestMagnitude(const float* x, size_t dims);

// 1 / step. Steps of 0 (all-zero or denormal vectors) code every value alike.
float InverseStep(float step);

// `u` rounded down to a code, by a cast: floor is a call where SSE2 is all there is. NaN, which a
// sum that left float's range may be, becomes `top`.
inline uint8_t CellOf(float u, float top) {
  return static_cast<uint8_t>(std::max(0.0f, std::min(top, u)));
}

// Values of `bits` bits for r in cells of `step`; returns the squared error that the best scale of
// them leaves.
float EncodeCells(const float* r, size_t dims, float step, int bits, uint8_t* values);

// Packs values into planes (CellBytes). `parts`: dims bytes of scratch, used by 6 bits.
void PackCells(int bits, const uint8_t* values, size_t dims, uint8_t* parts, uint8_t* planes);
// The inverse. `values` and `parts`: PaddedDims.
void UnpackCells(const simd::CodeKernels& kernels, int bits, const uint8_t* planes, size_t dims,
                 uint8_t* parts, uint8_t* values);

// A work query rounded to 16 bits, in steps of its largest coordinate. The arrays are padded with
// zeros to PaddedDims.
struct FineQuery {
  const int8_t* hi;  // 256 * hi + lo
  const int8_t* lo;
  float unit;
  float sum;  // of the values
};
FineQuery PrepareFine(const float* work, size_t dims, int8_t* hi, int8_t* lo);
// sum u * q over the planes of a code, in units.
float FineDot(const simd::CodeKernels& kernels, const uint8_t* planes, int bits, size_t dims,
              const FineQuery& query);

}  // namespace ann::quant
