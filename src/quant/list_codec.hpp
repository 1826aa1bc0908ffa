// Codes of the rows of inverted lists, in blocks. README.md derives the formulas.
//
// A row's work vector w belongs to a list with centroid c, a vector of the same space. What is
// coded is the residual r = w - c. A code stands for a vector y that need not have r's length:
// stored beside it are factors by which any query's key follows from <y, q>, q the work query, so
// that what is made of a query once (tables of its products) serves all lists, and a list costs one
// distance.
//
//   quantizer  first stage, in blocks                         what a block's scan gives
//   rabitq     1 bit a dim: signs of r                        estimates with a probable bound
//   pq         segments of 4 or 8 bits, trained codebooks     estimates with a calibrated bound
//   sq8        8 bits a dim                                   close estimates
//   flat       the vector itself, float32                     keys
//   bits       the string of bits itself                      keys
//
// A second stage (rabitq and pq, `second_bits` > 0) is a row-major record a row of its own, read
// for the rows that the first one lets through.
//
// Blocks lie at addresses that are multiples of 4; codecs are not shared between threads (scratch).
//
// A caller that scans:
//   WorkQuery work = space.PrepareQuery(x, floats);
//   ListQuery query = codec.PrepareQuery(work, epsilon, memory);      // once a scan
//   ListContext list = codec.PrepareList(query, centroid);            // once a list
//   uint32_t rows = codec.ScanBlock(query, list, block, sealed, live, kth_key, &scores);
//   for each bit i of rows: codec.Refine(query, list, second stage of row i)
// Probe order over many lists: a codec of its own, rabitq over the same WorkSpace, whose rows are
// the centroids and whose list is PrepareList(query, nullptr) (a centroid of 0): keys are those of
// the centroids. Under rabitq one ListQuery serves both codecs. README.md, "Probe order".
#pragma once

#include <cstddef>
#include <cstdint>

#include "quant/cells.hpp"
#include "quant/work_space.hpp"
#include "simd/block.hpp"
#include "simd/code.hpp"

namespace ann::quant {

// kBits is for bits, coded as floats of 0 and 1 (their L2 keys are Hamming's distances), and all
// others are not.
enum class Quantizer : uint8_t { kRabitq = 1, kSq8 = 2, kPq = 3, kFlat = 4, kBits = 5 };

// Whether a code is the vector itself.
constexpr bool IsWhole(Quantizer quantizer) {
  return quantizer == Quantizer::kFlat || quantizer == Quantizer::kBits;
}

// Standard deviations of an estimate's error that the first stage's lower bound allows for: 2.9 %
// of the rows lie below such a bound, and of those only the ones near the k-th key are lost.
inline constexpr float kDefaultEpsilon = 1.9f;
// What is certain for all purposes (once in 1.7 million): for the order of what is emitted.
inline constexpr float kOrderEpsilon = 5.0f;

struct ListCodecParams {
  Quantizer quantizer;
  uint8_t second_bits;   // 0 (no second stage), 2, 4, 6 or 8; 0 with sq8, flat and bits
  uint8_t pq_bits;       // 4 or 8
  uint16_t pq_segments;  // 1 .. dims
  float pq_margin;       // CalibratePq's
};

// --- the layout of a block, on disk
//
// A block holds rows() rows. What lies in it, little-endian, R = rows(), C = code_bytes():
//
//   offset          bytes  field
//   0               4 R    add, float32      } not with flat and bits
//   4 R             4 R    scale, float32    }
//   8 R             2 R    error: the upper half of a float32, rounded up  }
//   code_offset()   R * C  codes
//
// code_offset() is 10 R rounded up to 64: 320 for 32 rows; 0 with flat and bits. C is a multiple of
// 2 (rabitq: dims rounded up to 16; pq of 4 bits: segments rounded up to 4), of 16 (sq8), 4 dims
// (flat), `pq_segments` (pq of 8 bits) or of 4 (bits).
//
// An *open* block has its codes row-major: row i at code_offset() + i * C. A *sealed* one differs
// only if fast_scan(): rabitq and pq of 4 bits. Their row-major code is M = 2 C nibbles, nibble m
// in byte m / 2, low half first; with rabitq nibble m holds dims 4m .. 4m + 3, lowest bit first, so
// that dim i is bit i % 8 of byte i / 8. In a sealed block nibble m of all 32 rows lies in the 16
// bytes at code_offset() + 16 m: byte p has row (p % 2) * 8 + p / 2 in its low half and that row +
// 16 in its high half. Rows that were never set are zeros: their sums mean nothing, the caller
// masks them.
inline constexpr uint32_t kBlockRows = 32;

// Precedes a row's code where a row travels alone (Encode, SetRow, ExtractRow). 12 bytes.
struct RowFactors {
  float add;
  float scale;
  uint16_t error;
  uint16_t unused;  // 0
};
static_assert(sizeof(RowFactors) == 12 && offsetof(RowFactors, error) == 8);

// Precedes the planes of a second-stage record (simd/code.hpp; 6 bits: one of 4, then one of 2).
struct SecondFactors {
  float add;
  float scale;
  float error;
};
static_assert(sizeof(SecondFactors) == 12);

// A query ready for scanning. Points into the memory given to PrepareQuery.
struct ListQuery {
  WorkQuery work;
  float epsilon;
  const uint8_t* table;        // 16 a nibble: <y, q> of every nibble, in steps of `step`
  const uint16_t* wide_table;  // pq of 8 bits: 256 a segment
  float step;                  // <y, q> = step * sum + bias
  float bias;
  float noise;     // deviation of the above through the tables' rounding
  FineQuery fine;  // sq8 and the second stage
  const uint8_t* bits;
};

// What a query makes of a list.
struct ListContext {
  float add;     // part of every key
  float weight;  // of the rows' `add`
  float across;  // length of what of the query meets a code's error
  float slack;   // what float arithmetic may add to a key's error
};

// Of the rows of one block; entries of rows outside the mask mean nothing.
struct alignas(64) BlockScores {
  float key[kBlockRows];    // estimate
  float lower[kBlockRows];  // the key is below this only if the error exceeds epsilon sigma
};

class ListCodec {
 public:
  // Bytes that the codec and its queries need; the caller owns them for as long.
  static size_t MemoryBytes(const ListCodecParams& params, uint32_t dims);
  static size_t QueryBytes(const ListCodecParams& params, uint32_t dims);
  // Rows that a block of at most `bytes` holds: 32, or with row-major codes fewer, 0 if none.
  static uint32_t RowsWithin(const ListCodecParams& params, uint32_t dims, size_t bytes);

  ListCodec() = default;
  // `space` (not of L1) and, with pq, `codebook` (PqCodebookFloats) must outlive the codec. `rows`:
  // of a block, 32 unless codes are row-major. `memory`: MemoryBytes, 64-aligned.
  ListCodec(const ListCodecParams& params, const WorkSpace* space, const float* codebook,
            uint32_t rows, void* memory);

  const ListCodecParams& params() const { return params_; }
  const WorkSpace& space() const { return *space_; }
  uint32_t rows() const { return rows_; }
  // Of one row.
  uint32_t code_bytes() const { return code_bytes_; }
  // A row alone: factors (none with flat and bits) and code.
  uint32_t row_bytes() const { return factor_bytes_ + code_bytes_; }
  // Of a second-stage record; 0: there is none.
  uint32_t second_bytes() const { return second_bytes_; }
  uint32_t code_offset() const { return code_offset_; }
  uint32_t block_bytes() const { return code_offset_ + rows_ * code_bytes_; }
  // Whether sealing changes a block.
  bool fast_scan() const { return fast_scan_; }

  // Codes a row: `x` as the user gave it (all that flat and bits read, and only they), `work`
  // = Transform(x), `centroid` in the work space (null: 0). `row`: row_bytes; `second`:
  // second_bytes, or null. `prior`: of a vector that Reconstruct made, what it returned.
  void Encode(const float* x, const float* work, const float* centroid, uint8_t* row,
              uint8_t* second, float prior = 0) const;
  // What a row's codes say of its vector, for a code about another centroid: `x` (null: not wanted;
  // exact with flat and bits, else of length 1 under cosine) and `work`, as Encode takes them.
  // `second` null: there is none. Returns the squared length of the error, which points anywhere
  // across the residual; infinite: nothing is known, and x is the centroid's vector.
  float Reconstruct(const float* centroid, const uint8_t* row, const uint8_t* second, float* x,
                    float* work) const;

  // Row i of an open block. Bytes of other rows stay.
  void SetRow(uint8_t* block, uint32_t i, const uint8_t* row) const;
  // An open block into a sealed one and back; out of place, factors included. Rows are 32.
  void Seal(const uint8_t* open, uint8_t* sealed) const;
  void Unseal(const uint8_t* sealed, uint8_t* open) const;
  // The inverse of SetRow, byte for byte.
  void ExtractRow(const uint8_t* block, bool sealed, uint32_t i, uint8_t* row) const;

  // `memory`: QueryBytes, 64-aligned. `epsilon`: for BlockScores::lower.
  ListQuery PrepareQuery(const WorkQuery& work, float epsilon, void* memory) const;
  ListContext PrepareList(const ListQuery& query, const float* centroid) const;

  // Scores the rows in `mask` and returns those of them whose lower bound is at most `threshold`
  // (or not a number). An open block of a fast-scan codec is transposed into the codec's scratch
  // first.
  uint32_t ScanBlock(const ListQuery& query, const ListContext& list, const uint8_t* block,
                     bool sealed, uint32_t mask, float threshold, BlockScores* scores) const;
  // What ScanBlock estimated of row i, with its error.
  Estimate WithError(const ListQuery& query, const ListContext& list, const uint8_t* block,
                     uint32_t i, float key) const;
  // From a second-stage record alone.
  Estimate Refine(const ListQuery& query, const ListContext& list, const uint8_t* second) const;

 private:
  friend float CalibratePq(const ListCodec& codec, const float* residuals, size_t count);

  bool is_product() const { return space_->metric() == Metric::kInnerProduct; }
  void EncodeSigns(uint8_t* code) const;
  void EncodeSegments(uint8_t* code) const;
  void EncodeEqualCells(int bits, uint8_t* planes) const;
  SecondFactors FactorsOf(const float* centroid, float margin, float prior) const;
  void DecodeSigns(const uint8_t* code) const;
  void DecodeSegments(const uint8_t* code) const;
  void DecodeEqualCells(int bits, const uint8_t* planes) const;
  void FillSignTable(const float* q) const;
  void FillSegmentTable(const float* q) const;
  template <class Entry>
  void RoundTable(ListQuery* query, Entry* out) const;
  float FineNoise(const ListQuery& query, int bits) const;
  float WholeKey(const ListQuery& query, const uint8_t* row) const;
  void SumRows(const ListQuery& query, const uint8_t* codes, uint32_t mask, float* sums) const;
  uint32_t ScanWhole(const ListQuery& query, const uint8_t* codes, uint32_t mask, float threshold,
                     BlockScores* scores) const;
  Estimate Finish(const ListContext& list, float key, float error, float noise) const;

  ListCodecParams params_;
  const WorkSpace* space_;
  const float* codebook_;
  uint32_t dims_;
  uint32_t rows_;
  uint32_t factor_bytes_;
  uint32_t code_bytes_;
  uint32_t second_bytes_;
  uint32_t code_offset_;
  uint32_t table_rows_;     // nibbles or segments of a query's table
  uint32_t table_entries_;  // 16 or 256
  bool fast_scan_;
  float spread_;     // sqrt(dims - 1)
  float* residual_;  // scratch
  float* decoded_;   // y
  float* table_;     // of a query, before it is rounded
  uint8_t* values_;  // 2 * PaddedDims
  uint8_t* sealed_;  // codes of a block
  simd::CodeKernels codes_;
  simd::BlockKernels blocks_;
};

// --- product quantization
// Segment m of D dims holds dims m D / M .. (m + 1) D / M - 1 and has K = 2^pq_bits centroids. In
// the codebook coordinate i of centroid j of i's segment is float K i + j.
size_t PqCodebookFloats(const ListCodecParams& params, uint32_t dims);

// Finds `clusters` centroids of `count` rows of `dims` floats, contiguous, and writes them to
// `centroids`, row-major. There may be fewer rows than clusters.
using SegmentClustering = void (*)(void* context, const float* rows, size_t count, uint32_t dims,
                                   uint32_t clusters, float* centroids);

// Floats of scratch that TrainPqSegment needs.
size_t PqTrainingFloats(const ListCodecParams& params, uint32_t dims, size_t count);

// Trains segment `segment` of `codebook`, and touches no other, on a sample of residuals w - c,
// `count` >= 1 rows of dims floats (256 a centroid suffice).
void TrainPqSegment(const ListCodecParams& params, uint32_t dims, const float* residuals,
                    size_t count, uint32_t segment, SegmentClustering cluster, void* context,
                    float* scratch, float* codebook);

// The factor by which the errors of pq's estimates exceed those of codes whose errors point
// anywhere: measured between pairs of the sample's residuals, for ListCodecParams::pq_margin.
// `codec` has the trained codebook.
float CalibratePq(const ListCodec& codec, const float* residuals, size_t count);

}  // namespace ann::quant
