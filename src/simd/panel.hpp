// Rows against many centroids at once: the nearest of them by register tiles, as in a matrix
// product. Centroids lie in panels of kPanelLists: value d of centroid l in panel p at
// panels[(p * dims + d) * kPanelLists + l], so that a vector holds one dim of neighbouring
// centroids and meets a row's value broadcast. src/cluster packs them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ann::simd {

inline constexpr size_t kPanelLists = 32;
// Rows of one call at most: their running minima stay in L1.
inline constexpr size_t kPanelRows = 64;

// Some centroids in panels. Unused places of the last panel hold zeros and a half norm of infinity.
struct PanelSet {
  const float* values;      // count * dims * kPanelLists floats
  const float* half_norms;  // count * kPanelLists floats, |c|^2 / 2
  size_t count;
  uint32_t first_id;  // of the first centroid; the others follow
};

struct PanelKernels {
  // For each of n <= kPanelRows rows the least of keys[i] and |c|^2 / 2 - <x, c> over the centroids
  // c goes to keys[i] and its id to ids[i]; of equal keys the lower id wins. So several calls find
  // the nearest over several pieces. Keys that are NaN or +infinity change nothing. The inner
  // product is summed in order of dims, fused where the target fuses: keys are bitwise equal on
  // all targets with fused multiply-add, whatever n, and on all without.
  void (*nearest)(const float* const* rows, size_t n, size_t dims, const PanelSet& panels,
                  float* keys, uint32_t* ids);
  // The keys themselves: keys[i * panels.count * kPanelLists + l] of row i and centroid l.
  void (*all_keys)(const float* const* rows, size_t n, size_t dims, const PanelSet& panels,
                   float* keys);
  // The numbers of the `count` <= n smallest of n < 65,536 keys, in ascending order of numbers.
  // Keys nearer to each other than 2^-16 of their range count as equal, and of equal ones the first
  // are taken. Keys that are not finite come last.
  void (*smallest)(const float* keys, size_t n, size_t count, uint16_t* numbers);
  // sums_i += row_i.
  void (*accumulate)(double* sums, const float* row, size_t n);
  // The number of the column at the least squared distance from x, of equal ones the first; column
  // j has value d at columns[d * count + j]. `count` is a multiple of 16. Distances that are NaN or
  // +infinity are never the least; column 0 if all are.
  uint32_t (*nearest_column)(const float* columns, size_t count, const float* x, size_t dims);
};

}  // namespace ann::simd
