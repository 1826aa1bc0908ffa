// Kernels over blocks of 32 codes (FastScan: Andre, Kermarrec, Le Scouarnec 2015, "Cache locality
// is not enough"). A *sealed* block holds codes of `nibbles` 4-bit values a row, a multiple of 4,
// nibble m of all rows in bytes 16m .. 16m + 15: byte p has row (p % 2) * 8 + p / 2 in its low half
// and that row + 16 in its high half. One byte shuffle so looks up a nibble of 16 rows, and even
// and odd bytes of 16-bit sums come out in the order of rows.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ann::simd {

inline constexpr size_t kBlockRows = 32;

// What turns a row's sum and factors into its key:
//   dot = step * sum + bias,  key = add + weight * its add + scale * dot
// and into a lower bound of it, that less slack, noise * |scale| and spread * error.
struct BlockTerms {
  float step;
  float bias;
  float add;
  float weight;
  float spread;
  float noise;
  float slack;
  // > 0: keys are squared distances, and an error is also bounded by 2 * near * error * sqrt(key),
  // which makes the lower bound of the key, with b = key less slack and noise and h = near * error,
  // (sqrt(h^2 + max(b, 0)) - h)^2; the larger of the two is taken.
  float near;
};

struct BlockKernels {
  // sums[r] = sum over m of table[16m + nibble m of row r], exact below 2^24. `codes` and `table`
  // have 16 * nibbles bytes each.
  void (*scan_nibbles)(const uint8_t* codes, const uint8_t* table, size_t nibbles, float* sums);
  // Keys and lower bounds of 32 rows from their sums, `add` and `scale` (floats) and `error` (upper
  // halves of floats). Returns the rows whose lower bound is not above `threshold`: a NaN is not.
  // Floats differ between targets in the last bits.
  uint32_t (*score)(const float* sums, const float* add, const float* scale, const uint16_t* error,
                    const BlockTerms& terms, float threshold, float* keys, float* lower);
};

// 32 row-major codes of `bytes` (2 nibbles each, low half first; a multiple of 2) into a sealed
// block of as many bytes, and back.
void SealNibbles(const uint8_t* rows, size_t bytes, uint8_t* sealed);
void UnsealNibbles(const uint8_t* sealed, size_t bytes, uint8_t* rows);
// The code of one row of a sealed block.
void ExtractNibbles(const uint8_t* sealed, size_t bytes, size_t row, uint8_t* code);

// Sum over m of table[256m + code[m]]: exact, to 65 536 segments.
uint32_t SumBytes(const uint8_t* code, const uint16_t* table, size_t segments);

}  // namespace ann::simd
