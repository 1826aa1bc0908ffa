// Codes of sparse vectors: their largest elements, each as a number of 16 bits for its dimension
// and a value of 16 bits. README.md, "Sparse vectors", has the bounds.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/sizes.hpp"
#include "core/sparse.hpp"
#include "quant/work_space.hpp"
#include "simd/sparse_table.hpp"

namespace ann::quant {

// Up to so many dimensions an entry names its dimension, else a hash of it.
inline constexpr uint32_t kNamedDims = 1 << 16;
// A code has room for a multiple of so many entries, at most 127 times that.
inline constexpr uint32_t kEntryUnit = simd::kSparseStep;

// Stored before the entries. Under cosine all of it is of the vector of length 1. Lengths are
// squared; under L1 they are sums of magnitudes.
struct SparseFactors {
  float step;     // of the values
  float norm;     // length of the vector; infinity: beyond float's range, then there are no entries
  float decoded;  // length of the entries
  float rest;     // Euclidean length, not squared, of what is left out; under L1 as the others
  uint32_t count;
};
static_assert(sizeof(SparseFactors) == 20);

// One side of a distance, ready to meet codes.
struct SparseQuery {
  const uint32_t* table;
  const uint32_t* others;  // entries whose place in the table was taken
  uint32_t mask;
  uint32_t other_count;
  uint32_t count;
  float step;
  float norm;       // as SparseFactors has it
  float magnitude;  // sum of the magnitudes
  float rest;       // as SparseFactors has it
};

struct SparseShape {
  Metric metric;
  uint32_t dims;
  uint32_t entries;  // room in a code
};
constexpr bool IsHashed(const SparseShape& shape) { return shape.dims > kNamedDims; }

// Scratch of CodeSparse.
constexpr size_t SparseScratchBytes(uint32_t entries) { return 8 * size_t{entries}; }
// Memory of a prepared code, and of a query of any number of elements.
size_t SparseCodeBytes(uint32_t entries);
size_t SparseQueryBytes();

// `coded`: SparseFactors and 4 bytes an entry, 4-aligned. The same vector gives the same bytes.
void CodeSparse(const SparseShape& shape, const SparseView& x, void* scratch, uint8_t* coded);
// Whether a vector has such a code.
bool IsSparseCode(const SparseShape& shape, const uint8_t* coded);

SparseQuery PrepareSparse(const SparseShape& shape, const SparseView& x, void* memory);
SparseQuery PrepareSparseCode(const SparseShape& shape, const uint8_t* coded, void* memory);

float SparseKey(const simd::SparseKernels& kernels, const SparseShape& shape,
                const SparseQuery& query, const uint8_t* coded);
Estimate SparseEstimate(const simd::SparseKernels& kernels, const SparseShape& shape,
                        const SparseQuery& query, const uint8_t* coded);
float SparseCodeDistance(const simd::SparseKernels& kernels, const SparseShape& shape,
                         const SparseQuery& query, const uint8_t* coded);

}  // namespace ann::quant
