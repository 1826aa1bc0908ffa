// Sums over sparse codes. An entry is a number of 16 bits that stands for a dimension, above a
// value of 16 bits, signed. The other side is a table of 2^b such entries, in which that of
// dimension d stands at d mod 2^b; an entry of value 0 stands where there is none.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ann::simd {

constexpr uint32_t SparseEntry(uint32_t dimension, int32_t value) {
  return dimension << 16 | static_cast<uint16_t>(value);
}
constexpr uint32_t DimensionOf(uint32_t entry) { return entry >> 16; }
constexpr int32_t ValueOf(uint32_t entry) { return static_cast<int16_t>(entry); }

// Entries are read in steps of so many.
inline constexpr uint32_t kSparseStep = 16;

// `count`: a multiple of kSparseStep. `mask`: 2^b - 1.
struct SparseKernels {
  // Sum a * b of the values a of the entries and b of the same dimensions in the table.
  float (*dot)(const uint32_t* entries, size_t count, const uint32_t* table, uint32_t mask);
  // Sum |a - b| - |a| - |b| of them, a in steps of `step`, b in steps of `table_step`.
  float (*l1_shared)(const uint32_t* entries, size_t count, float step, const uint32_t* table,
                     uint32_t mask, float table_step);
};

}  // namespace ann::simd
