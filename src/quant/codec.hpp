// Codes of vectors, and distances estimated from them. README.md derives the formulas.
//
// A vector becomes a work vector (work_space.hpp), then a traversal code of 2 or 4 bits a dimension
// and, for rotated metrics, a refinement code of what the first one left over. L1 keeps its axes:
// no rotation, one grid for the whole index, no refinement. Strings of bits are their own codes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "quant/bit_codec.hpp"
#include "quant/cells.hpp"
#include "quant/sparse_codec.hpp"
#include "quant/vector_ref.hpp"
#include "quant/work_space.hpp"
#include "simd/code.hpp"

namespace ann::quant {

struct CodecParams {
  Metric metric;
  uint32_t dims;
  uint8_t traversal_bits;   // 2 or 4; under L1 2, 4 or 8; of bits 1; sparse: entries / kEntryUnit
  uint8_t refinement_bits;  // 0, 2, 4 or 6; under L1 and of bits 0
  uint64_t seed;
  float l1_step;  // grid step, L1 only
  // Inner product: what lifts are made with.
  float max_norm;
  // Whether codes may have been made by Recode.
  bool recoded;
  bool sparse;
};

// Stored before the traversal code of a rotated metric. r: work vector, r^ = d*y its decoded code.
struct Factors {
  float slope;    // |r|^2 / <y, r>: <r, q> is estimated, unbiased, by slope * <y, q>
  float norm;     // |r|^2
  float decoded;  // |r^|^2
};
static_assert(sizeof(Factors) == 12);
// L1 stores one float instead: the sum of |x_i - x^_i| over the dims that lie beyond the grid.
// Inner product appends one float, the lift sqrt(max|x|^2 - |x|^2): with it as a further coordinate
// the L2 neighbours are those of largest inner product (Bachrach et al. 2014, section 4).

// Stored before the refinement planes: <r, q> is estimated by first * <y, q> + second * <y2, q>,
// whose error is <e, q> for a vector e that is orthogonal to r.
struct RefinementFactors {
  float first;
  float second;
  float error;  // |e|
};
static_assert(sizeof(RefinementFactors) == 12);

// A query ready for scoring. Points into the memory given to PrepareQuery.
struct SearchQuery {
  const int8_t* coarse;  // work query in steps of `unit`
  FineQuery fine;
  const uint8_t* grid;  // L1: the query on the index's grid
  BitQuery bits;
  SparseQuery sparse;
  float unit;
  float sum;   // of the coarse values
  float norm;  // |q|^2 of the work query
  float add;   // constant part of the key
};

// A node's own code, ready to be compared with others'.
struct CodeQuery {
  const int8_t* values;  // 2u - (2^bits - 1)
  const uint8_t* grid;   // L1: the codes
  BitQuery bits;
  SparseQuery sparse;
  float scale;  // d, the decoded vector's length in steps
  float sum;
  float decoded;
  float lift;
};

class Codec {
 public:
  // Bytes that the codec and its query preparations need; the caller owns them for as long.
  static size_t MemoryBytes(const CodecParams& params);
  static size_t QueryBytes(const CodecParams& params);
  static size_t PreparedCodeBytes(const CodecParams& params);

  Codec() = default;
  // `mean`: dims floats, which must outlive the codec, or null where codes have no mean. `memory`:
  // MemoryBytes, 8-aligned.
  Codec(const CodecParams& params, const float* mean, void* memory);

  const CodecParams& params() const { return params_; }
  Form form() const { return is_bits() ? Form::kBits : is_sparse() ? Form::kSparse : Form::kDense; }
  // Whether codes are made about a mean; else they belong to no epoch but the first, and what is
  // about work vectors and re-coding is not for them.
  bool has_mean() const { return form() == Form::kDense; }
  // Whether codes end their factors with a lift, which makes inner product a distance.
  bool has_lift() const { return has_mean() && params_.metric == Metric::kInnerProduct; }
  uint32_t factor_bytes() const { return factor_bytes_; }
  uint32_t code_bytes() const { return code_bytes_; }
  // Factors and code together.
  uint32_t coded_bytes() const { return factor_bytes_ + code_bytes_; }
  // Factors and planes together; 0: there is no refinement.
  uint32_t refinement_bytes() const { return refinement_bytes_; }

  // Codes a vector, all finite. `coded`, `refinement` and the lift as for Encode.
  void Code(VectorRef x, uint8_t* coded, uint8_t* refinement) const;
  // `x` (dims floats, finite) as a work vector.
  void Transform(const float* x, float* work) const { space_.Transform(x, work); }
  // Codes a work vector. `coded`: coded_bytes; `refinement`: refinement_bytes, or null. Under inner
  // product the lift is made with `max_norm` (0: not known yet, the square of x's norm stands in
  // its place until SetLift).
  void Encode(const float* work, uint8_t* coded, uint8_t* refinement) const;
  // Inner product: |x|^2, recovered from what Encode kept, and the final lift.
  float SquaredNorm(const uint8_t* coded) const;
  void SetLift(uint8_t* coded, float max_norm) const;

  // The work vector that a code stands for, from both planes or (`refinement` null) the first; the
  // squared length of what it is off by. L1: the cells' centres, and the distance beyond the grid.
  float Decode(const uint8_t* coded, const uint8_t* refinement, float* work) const;
  // Codes what `from`, which has another mean, has coded; one that differs in nothing but mean,
  // l1_step and max_norm. The same input gives the same bytes, and may be the output. Nulls as for
  // Decode and Encode.
  void Recode(const Codec& from, const uint8_t* coded, const uint8_t* refinement,
              uint8_t* out_coded, uint8_t* out_refinement) const;
  // Inner product: |x|^2 of a row, given what Decode made of its code, which it returned `prior`
  // for.
  float RowNorm(const uint8_t* coded, const float* work, float prior) const;
  // The place of a work vector among the vectors that Transform takes (cosine: normalised): in
  // place.
  void Restore(float* work) const { space_.Restore(work); }
  // Whether two codes may be of one vector: they are as near as two codings of one can be. Says
  // nothing about vectors that leave float's range.
  bool MayBeEqual(const CodeQuery& query, const uint8_t* query_coded, const uint8_t* coded) const;

  // `memory`: QueryBytes, 8-aligned.
  SearchQuery PrepareQuery(VectorRef x, void* memory) const;
  // `memory`: PreparedCodeBytes. Both must outlive the result.
  CodeQuery PrepareCode(const uint8_t* coded, void* memory) const;

  // The key from the traversal code alone: all that walking the graph computes.
  float Key(const SearchQuery& query, const uint8_t* coded) const;
  // The key from the traversal code, with its error.
  Estimate Coarse(const SearchQuery& query, const uint8_t* coded) const;
  // The key from both codes.
  Estimate Refined(const SearchQuery& query, const uint8_t* coded, const uint8_t* refinement) const;
  // The key between two coded vectors, as decoded: a metric (never negative), for building.
  float CodeDistance(const CodeQuery& query, const uint8_t* coded) const;

 private:
  bool is_l1() const { return params_.metric == Metric::kL1; }
  bool is_bits() const { return IsOfBits(params_.metric); }
  bool is_sparse() const { return params_.sparse; }
  SparseShape shape() const {
    return {params_.metric, params_.dims, params_.traversal_bits * kEntryUnit};
  }
  float Dot(const SearchQuery& query, const uint8_t* coded) const;
  // `prior`: of a vector that was decoded, what Decode returned; else 0.
  void EncodeWith(const float* work, float prior, uint8_t* coded, uint8_t* refinement) const;
  void EncodeRefinement(const float* work, float prior, const Factors& factors,
                        const uint8_t* values, uint8_t* refinement) const;
  void UnpackTraversal(const uint8_t* coded, uint8_t* values) const;
  float DecodeGrid(const uint8_t* coded, float* work) const;
  float L1Blur() const;
  float EncodeGrid(const float* work, uint8_t* values) const;
  Estimate WithError(const SearchQuery& query, float key, float dot, float norm, float error,
                     float rounding) const;

  CodecParams params_;
  WorkSpace space_;
  float* scratch_;   // 2 * dims
  uint8_t* values_;  // 2 * dims
  uint32_t factor_bytes_;
  uint32_t code_bytes_;
  uint32_t refinement_bytes_;
  uint32_t high_bytes_;  // refinement plane of 4 bits (or 2 when that is all), then 2 more bits
  uint32_t low_bytes_;
  simd::CodeKernels kernels_;
  simd::BitKernels bit_kernels_;
  simd::SparseKernels sparse_kernels_;
  int32_t (*dot_)(const uint8_t*, const int8_t*, size_t);
  uint32_t (*sad_)(const uint8_t*, const uint8_t*, size_t);
};

// A 64-bit hash of a vector's bits by which equal rows are found; -0 and 0 hash alike.
uint64_t HashVector(VectorRef x, size_t dims, uint64_t seed);

}  // namespace ann::quant
