#include "quant/list_codec.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "core/bytes.hpp"
#include "core/sizes.hpp"
#include "quant/bit_codec.hpp"
#include "simd/simd.hpp"

namespace ann::quant {

static_assert(kBlockRows == simd::kBlockRows);

namespace {

bool ScansNibbles(const ListCodecParams& params) {
  return params.quantizer == Quantizer::kRabitq ||
         (params.quantizer == Quantizer::kPq && params.pq_bits == 4);
}

uint32_t CodeBytes(const ListCodecParams& params, uint32_t dims) {
  switch (params.quantizer) {
    case Quantizer::kRabitq:
      return static_cast<uint32_t>(RoundUp(dims, 16) / 8);
    case Quantizer::kPq:
      return params.pq_bits == 4 ? static_cast<uint32_t>(RoundUp(params.pq_segments, 4) / 2)
                                 : params.pq_segments;
    case Quantizer::kSq8:
      return static_cast<uint32_t>(CellBytes(8, dims));
    case Quantizer::kBits:
      return BitCodeBytes(dims);
    case Quantizer::kFlat:
      break;
  }
  return static_cast<uint32_t>(dims * sizeof(float));
}

uint32_t FactorBytesInBlock(const ListCodecParams& params, uint32_t rows) {
  if (IsWhole(params.quantizer)) return 0;
  return static_cast<uint32_t>(RoundUp(rows * (2 * sizeof(float) + sizeof(uint16_t)), 64));
}

// Rows and entries of the table of products that a query brings.
uint32_t TableRows(const ListCodecParams& params, uint32_t dims) {
  if (ScansNibbles(params)) return 2 * CodeBytes(params, dims);
  return params.quantizer == Quantizer::kPq ? params.pq_segments : 0;
}
uint32_t TableEntries(const ListCodecParams& params) { return ScansNibbles(params) ? 16 : 256; }

bool NeedsFine(const ListCodecParams& params) {
  return params.quantizer == Quantizer::kSq8 || params.second_bits > 0;
}

// The upper half of a float not below `x`.
uint16_t UpperHalf(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  return static_cast<uint16_t>((bits >> 16) + ((bits & 0xffff) != 0));
}
float FromUpperHalf(uint16_t half) { return std::bit_cast<float>(uint32_t{half} << 16); }

// 2^-22 of |r|^2 is what sums of floats leave of |e|^2 when it should be 0.
constexpr double kLeastError = 0x1p-22;

// An error that a vector came with must be smaller than this part of |r|^2: one of coarse cells is
// no accident to a second code, which lies in the same cell (4 bits have .012, 2 bits .13, signs
// .57).
constexpr double kMostPrior = 0.03;

// Of the sizes of the terms that a key is the sum of.
constexpr float kFloatSlack = 1e-6f;

// |y| of a code of equal cells is that of a Gaussian in cells, if less regular vectors are allowed
// for by a fifth.
float CellsLength(int bits, uint32_t dims) {
  return 1.2f * CellsPerSigma(bits) * std::sqrt(static_cast<float>(dims));
}

}  // namespace

size_t ListCodec::MemoryBytes(const ListCodecParams& params, uint32_t dims) {
  const size_t floats = 2 * size_t{dims} + TableRows(params, dims) * TableEntries(params);
  return RoundUp(floats * sizeof(float), 64) + 2 * PaddedDims(dims) +
         (IsWhole(params.quantizer) ? 0 : kBlockRows * CodeBytes(params, dims));
}

size_t ListCodec::QueryBytes(const ListCodecParams& params, uint32_t dims) {
  if (params.quantizer == Quantizer::kBits) return BitCodeBytes(dims);
  const size_t entries = TableRows(params, dims) * TableEntries(params);
  return RoundUp(entries * (ScansNibbles(params) ? sizeof(uint8_t) : sizeof(uint16_t)), 64) +
         (NeedsFine(params) ? 2 * PaddedDims(dims) : 0);
}

uint32_t ListCodec::RowsWithin(const ListCodecParams& params, uint32_t dims, size_t bytes) {
  const size_t code = CodeBytes(params, dims);
  for (uint32_t rows = kBlockRows; rows > 0; --rows) {
    if (FactorBytesInBlock(params, rows) + rows * code <= bytes) return rows;
    if (ScansNibbles(params)) break;
  }
  return 0;
}

ListCodec::ListCodec(const ListCodecParams& params, const WorkSpace* space, const float* codebook,
                     uint32_t rows, void* memory)
    : params_(params),
      space_(space),
      codebook_(codebook),
      dims_(space->dims()),
      rows_(rows),
      factor_bytes_(IsWhole(params.quantizer) ? 0 : sizeof(RowFactors)),
      code_bytes_(CodeBytes(params, space->dims())),
      second_bytes_(params.second_bits == 0
                        ? 0
                        : static_cast<uint32_t>(sizeof(SecondFactors) +
                                                CellBytes(params.second_bits, space->dims()))),
      code_offset_(FactorBytesInBlock(params, rows)),
      table_rows_(TableRows(params, space->dims())),
      table_entries_(TableEntries(params)),
      fast_scan_(ScansNibbles(params)),
      spread_(std::sqrt(static_cast<float>(std::max(space->dims(), 2u) - 1))),
      codes_(simd::Codes()),
      blocks_(simd::Blocks()) {
  residual_ = static_cast<float*>(memory);
  decoded_ = residual_ + dims_;
  table_ = decoded_ + dims_;
  const size_t floats = 2 * size_t{dims_} + table_rows_ * table_entries_;
  values_ = static_cast<uint8_t*>(memory) + RoundUp(floats * sizeof(float), 64);
  sealed_ = values_ + 2 * PaddedDims(dims_);
}

// --- coding
// -------------------------------------------------------------------------------------------------

// The residual's signs: y is 1 or -1.
void ListCodec::EncodeSigns(uint8_t* code) const {
  std::memset(code, 0, code_bytes_);
  for (size_t i = 0; i < dims_; ++i) {
    const bool positive = residual_[i] > 0;
    decoded_[i] = positive ? 1.0f : -1.0f;
    code[i / 8] = static_cast<uint8_t>(code[i / 8] | int{positive} << (i % 8));
  }
}

// The nearest centroid of each segment.
void ListCodec::EncodeSegments(uint8_t* code) const {
  const size_t clusters = size_t{1} << params_.pq_bits, segments = params_.pq_segments;
  std::memset(code, 0, code_bytes_);
  for (size_t m = 0; m < segments; ++m) {
    const size_t begin = m * dims_ / segments, end = (m + 1) * dims_ / segments;
    const size_t best = simd::Panels().nearest_column(codebook_ + clusters * begin, clusters,
                                                      residual_ + begin, end - begin);
    for (size_t i = begin; i < end; ++i) decoded_[i] = codebook_[clusters * i + best];
    if (params_.pq_bits == 8) {
      code[m] = static_cast<uint8_t>(best);
    } else {
      code[m / 2] = static_cast<uint8_t>(code[m / 2] | best << (m % 2 * 4));
    }
  }
}

// Cells of the width that suits a Gaussian, or narrower ones where they hold all: of few dims none
// lies far out.
void ListCodec::EncodeEqualCells(int bits, uint8_t* planes) const {
  double squared = 0;
  for (size_t i = 0; i < dims_; ++i) squared += double(residual_[i]) * residual_[i];
  const float usual = static_cast<float>(std::sqrt(squared / dims_)) / CellsPerSigma(bits);
  const float widest = LargestMagnitude(residual_, dims_) / static_cast<float>(1 << (bits - 1));
  EncodeCells(residual_, dims_, std::min(usual, widest), bits, values_);
  const float centre = Centre(bits);
  for (size_t i = 0; i < dims_; ++i) decoded_[i] = values_[i] - centre;
  PackCells(bits, values_, dims_, values_ + PaddedDims(dims_), planes);
}

// Of residual_ and decoded_, which stands for it. An error of squared length `prior` is in
// residual_ already (README, "Another centroid").
SecondFactors ListCodec::FactorsOf(const float* centroid, float margin, float prior) const {
  const float* const mean = is_product() ? space_->work_mean() : nullptr;
  double yr = 0, yy = 0, rr = 0, yc = 0, rc = 0;
  for (size_t i = 0; i < dims_; ++i) {
    const double y = decoded_[i], r = residual_[i];
    const double c = (centroid != nullptr ? centroid[i] : 0.0) + (mean != nullptr ? mean[i] : 0.0);
    yr += y * r, yy += y * y, rr += r * r, yc += y * c, rc += r * c;
  }
  if (rr == 0 && prior == 0) return {0, 0, 0};
  const double slope = rr / yr;
  const double own = std::max(slope * slope * yy - rr, kLeastError * rr);
  const double error = std::sqrt(own + prior) / spread_;
  const SecondFactors factors =
      is_product()
          ? SecondFactors{static_cast<float>(slope * yc - rc), static_cast<float>(-slope),
                          static_cast<float>(margin * error)}
          : SecondFactors{static_cast<float>(rr - prior + 2 * slope * yc),
                          static_cast<float>(-2 * slope), static_cast<float>(2 * margin * error)};
  const bool known = rr <= kLongest && prior <= kMostPrior * rr && std::isfinite(factors.add) &&
                     std::isfinite(factors.scale) && std::isfinite(factors.error);
  return known ? factors : SecondFactors{0, 0, INFINITY};
}

void ListCodec::Encode(const float* x, const float* work, const float* centroid, uint8_t* row,
                       uint8_t* second, float prior) const {
  if (params_.quantizer == Quantizer::kFlat) {
    std::memcpy(row, x, code_bytes_);
    return;
  }
  if (params_.quantizer == Quantizer::kBits) return PackBits(x, dims_, row);
  for (size_t i = 0; i < dims_; ++i) {
    residual_[i] = centroid != nullptr ? work[i] - centroid[i] : work[i];
  }
  uint8_t* const code = row + sizeof(RowFactors);
  float margin = 1;
  if (params_.quantizer == Quantizer::kRabitq) {
    EncodeSigns(code);
  } else if (params_.quantizer == Quantizer::kSq8) {
    EncodeEqualCells(8, code);
  } else {
    EncodeSegments(code);
    margin = params_.pq_margin;
  }
  const SecondFactors factors = FactorsOf(centroid, margin, prior);
  const RowFactors stored{factors.add, factors.scale, UpperHalf(factors.error), 0};
  std::memcpy(row, &stored, sizeof stored);
  if (second == nullptr || second_bytes_ == 0) return;
  EncodeEqualCells(params_.second_bits, second + sizeof(SecondFactors));
  const SecondFactors fine = FactorsOf(centroid, 1, prior);
  std::memcpy(second, &fine, sizeof fine);
}

// --- what a code stands for
// -------------------------------------------------------------------------------------------------

void ListCodec::DecodeSigns(const uint8_t* code) const {
  for (size_t i = 0; i < dims_; ++i) decoded_[i] = (code[i / 8] >> (i % 8) & 1) != 0 ? 1.0f : -1.0f;
}

void ListCodec::DecodeSegments(const uint8_t* code) const {
  const size_t clusters = size_t{1} << params_.pq_bits, segments = params_.pq_segments;
  for (size_t m = 0; m < segments; ++m) {
    const size_t best = params_.pq_bits == 8 ? code[m] : code[m / 2] >> (m % 2 * 4) & 15;
    for (size_t i = m * dims_ / segments; i < (m + 1) * dims_ / segments; ++i) {
      decoded_[i] = codebook_[clusters * i + best];
    }
  }
}

void ListCodec::DecodeEqualCells(int bits, const uint8_t* planes) const {
  UnpackCells(codes_, bits, planes, dims_, values_ + PaddedDims(dims_), values_);
  const float centre = Centre(bits);
  for (size_t i = 0; i < dims_; ++i) decoded_[i] = values_[i] - centre;
}

float ListCodec::Reconstruct(const float* centroid, const uint8_t* row, const uint8_t* second,
                             float* x, float* work) const {
  if (IsWhole(params_.quantizer)) {
    const float* stored = reinterpret_cast<const float*>(row);
    if (params_.quantizer == Quantizer::kBits) {
      UnpackBits(row, dims_, decoded_);
      stored = decoded_;
    }
    space_->Transform(stored, work);
    if (x != nullptr) std::memcpy(x, stored, dims_ * sizeof(float));
    return 0;
  }
  float scale, error, margin = 1;
  if (second != nullptr) {
    const SecondFactors factors = LoadAs<SecondFactors>(second);
    scale = factors.scale, error = factors.error;
    DecodeEqualCells(params_.second_bits, second + sizeof factors);
  } else {
    const RowFactors factors = LoadAs<RowFactors>(row);
    const uint8_t* const code = row + sizeof factors;
    scale = factors.scale, error = FromUpperHalf(factors.error);
    if (params_.quantizer == Quantizer::kRabitq) {
      DecodeSigns(code);
    } else if (params_.quantizer == Quantizer::kSq8) {
      DecodeEqualCells(8, code);
    } else {
      DecodeSegments(code);
      margin = params_.pq_margin;
    }
  }
  // Under inner product a key has the product once, else twice.
  const float times = is_product() ? 1 : 2, slope = -scale / times;
  for (size_t i = 0; i < dims_; ++i) {
    work[i] = (centroid != nullptr ? centroid[i] : 0) + slope * decoded_[i];
  }
  if (x != nullptr) {
    std::memcpy(x, work, dims_ * sizeof(float));
    space_->Restore(x);
  }
  const float length = error * spread_ / (times * margin);
  return length * length;
}

// --- blocks
// -------------------------------------------------------------------------------------------------

void ListCodec::SetRow(uint8_t* block, uint32_t i, const uint8_t* row) const {
  std::memcpy(block + code_offset_ + i * code_bytes_, row + factor_bytes_, code_bytes_);
  if (factor_bytes_ == 0) return;
  const RowFactors factors = LoadAs<RowFactors>(row);
  std::memcpy(block + i * sizeof(float), &factors.add, sizeof(float));
  std::memcpy(block + (rows_ + i) * sizeof(float), &factors.scale, sizeof(float));
  std::memcpy(block + 2 * rows_ * sizeof(float) + i * sizeof(uint16_t), &factors.error,
              sizeof(uint16_t));
}

void ListCodec::ExtractRow(const uint8_t* block, bool sealed, uint32_t i, uint8_t* row) const {
  if (fast_scan_ && sealed) {
    simd::ExtractNibbles(block + code_offset_, code_bytes_, i, row + factor_bytes_);
  } else {
    std::memcpy(row + factor_bytes_, block + code_offset_ + i * code_bytes_, code_bytes_);
  }
  if (factor_bytes_ == 0) return;
  const RowFactors factors{
      LoadAs<float>(block + i * sizeof(float)), LoadAs<float>(block + (rows_ + i) * sizeof(float)),
      LoadAs<uint16_t>(block + 2 * rows_ * sizeof(float) + i * sizeof(uint16_t)), 0};
  std::memcpy(row, &factors, sizeof factors);
}

void ListCodec::Seal(const uint8_t* open, uint8_t* sealed) const {
  std::memcpy(sealed, open, fast_scan_ ? code_offset_ : block_bytes());
  if (fast_scan_) simd::SealNibbles(open + code_offset_, code_bytes_, sealed + code_offset_);
}

void ListCodec::Unseal(const uint8_t* sealed, uint8_t* open) const {
  std::memcpy(open, sealed, fast_scan_ ? code_offset_ : block_bytes());
  if (fast_scan_) simd::UnsealNibbles(sealed + code_offset_, code_bytes_, open + code_offset_);
}

// --- queries
// -------------------------------------------------------------------------------------------------

// Entry s of nibble m: the sum of the query's dims 4m .. 4m + 3, negated where the bit of s is 0.
void ListCodec::FillSignTable(const float* q) const {
  for (size_t m = 0; m < table_rows_; ++m) {
    float* const entries = table_ + 16 * m;
    entries[0] = 0;
    for (size_t k = 0; k < 4; ++k) {
      const float x = 4 * m + k < dims_ ? q[4 * m + k] : 0;
      const size_t bit = size_t{1} << k;
      for (size_t s = 0; s < bit; ++s) {
        entries[bit + s] = entries[s] + x;
        entries[s] -= x;
      }
    }
  }
}

void ListCodec::FillSegmentTable(const float* q) const {
  const size_t segments = params_.pq_segments, clusters = table_entries_;
  std::fill_n(table_, table_rows_ * clusters, 0.0f);
  for (size_t m = 0; m < segments; ++m) {
    float* const entries = table_ + clusters * m;
    for (size_t i = m * dims_ / segments; i < (m + 1) * dims_ / segments; ++i) {
      const float* const coordinates = codebook_ + clusters * i;
      for (size_t j = 0; j < clusters; ++j) entries[j] += q[i] * coordinates[j];
    }
  }
}

// Rounds the table to whole steps from each row's smallest entry on, one step for all.
template <class Entry>
void ListCodec::RoundTable(ListQuery* query, Entry* out) const {
  float widest = 0;
  double bias = 0;
  for (size_t m = 0; m < table_rows_; ++m) {
    const float* const entries = table_ + table_entries_ * m;
    const auto [least, most] = std::minmax_element(entries, entries + table_entries_);
    bias += *least;
    widest = std::max(widest, *most - *least);
  }
  constexpr float kTop = static_cast<Entry>(-1);
  query->step = widest / kTop;
  query->bias = static_cast<float>(bias);
  // A rounded entry is off by a uniform part of a step.
  query->noise = query->step * std::sqrt(static_cast<float>(table_rows_) / 12);
  const float inverse = InverseStep(query->step);
  for (size_t m = 0; m < table_rows_; ++m) {
    const float* const entries = table_ + table_entries_ * m;
    const float least = *std::min_element(entries, entries + table_entries_);
    for (size_t j = 0; j < table_entries_; ++j) {
      const float level = (entries[j] - least) * inverse + 0.5f;
      out[table_entries_ * m + j] = static_cast<Entry>(std::max(0.0f, std::min(kTop, level)));
    }
  }
}

ListQuery ListCodec::PrepareQuery(const WorkQuery& work, float epsilon, void* memory) const {
  ListQuery query{};
  query.work = work;
  query.epsilon = epsilon;
  uint8_t* at = static_cast<uint8_t*>(memory);
  if (params_.quantizer == Quantizer::kBits) {
    PackBits(work.vector, dims_, at);
    query.bits = at;
  }
  if (table_rows_ > 0) {
    if (params_.quantizer == Quantizer::kRabitq) {
      FillSignTable(work.work);
    } else {
      FillSegmentTable(work.work);
    }
    const size_t entries = table_rows_ * table_entries_;
    if (fast_scan_) {
      query.table = at;
      RoundTable(&query, at);
      at += RoundUp(entries, 64);
    } else {
      query.wide_table = reinterpret_cast<uint16_t*>(at);
      RoundTable(&query, reinterpret_cast<uint16_t*>(at));
      at += RoundUp(entries * sizeof(uint16_t), 64);
    }
  }
  if (NeedsFine(params_)) {
    int8_t* const hi = reinterpret_cast<int8_t*>(at);
    query.fine = PrepareFine(work.work, dims_, hi, hi + PaddedDims(dims_));
  }
  if (params_.quantizer == Quantizer::kSq8) {
    query.step = query.fine.unit;
    query.bias = -query.fine.unit * query.fine.sum * Centre(8);
    query.noise = FineNoise(query, 8);
  }
  return query;
}

// The deviation of <y, q> by the rounding of q: a coordinate is off by a uniform part of a step.
float ListCodec::FineNoise(const ListQuery& query, int bits) const {
  return query.fine.unit / std::sqrt(12.0f) * CellsLength(bits, dims_);
}

ListContext ListCodec::PrepareList(const ListQuery& query, const float* centroid) const {
  const simd::FloatKernels& floats = simd::Floats();
  const float* const q = query.work.work;
  if (!is_product()) {
    const float squared =
        centroid == nullptr ? query.work.norm : floats.l2_squared(q, centroid, dims_);
    const float length = centroid == nullptr ? 0 : floats.inner_product(centroid, centroid, dims_);
    return {squared, 1, std::sqrt(squared), kFloatSlack * (query.work.norm + length)};
  }
  // With C = c + the mean, <x, v> = <C, q> + <r, q>; and <r, q> = <r, q - a C> + a <r, C>, whose
  // last product is known: a code's error meets q - a C only, which the best a makes orthogonal to
  // C.
  float along = -query.work.add, length = space_->mean_norm();
  if (centroid != nullptr) {
    along += floats.inner_product(q, centroid, dims_);
    length += floats.inner_product(centroid, centroid, dims_) +
              2 * floats.inner_product(centroid, space_->work_mean(), dims_);
  }
  const float weight = length > 0 ? along / length : 0;
  const float across = query.work.norm - along * weight;
  return {-along, weight, std::sqrt(std::max(across, kFloatSlack * query.work.norm)),
          kFloatSlack * std::sqrt(query.work.norm * std::max(length, 0.0f))};
}

// --- scores
// -------------------------------------------------------------------------------------------------

float ListCodec::WholeKey(const ListQuery& query, const uint8_t* row) const {
  if (params_.quantizer == Quantizer::kBits) {
    return static_cast<float>(simd::Bits().hamming(query.bits, row, code_bytes_));
  }
  const simd::FloatKernels& floats = simd::Floats();
  const float* const x = reinterpret_cast<const float*>(row);
  const float* const v = query.work.vector;
  switch (space_->metric()) {
    case Metric::kInnerProduct:
      return -floats.inner_product(x, v, dims_);
    case Metric::kCosine: {
      const simd::CosineParts parts = floats.cosine_parts(x, v, dims_);
      const double lengths = std::sqrt(double(parts.aa) * parts.bb);
      return static_cast<float>(2 - 2 * std::clamp(parts.ab / lengths, -1.0, 1.0));
    }
    default:
      return floats.l2_squared(x, v, dims_);
  }
}

uint32_t ListCodec::ScanWhole(const ListQuery& query, const uint8_t* block, uint32_t mask,
                              float threshold, BlockScores* scores) const {
  uint32_t passing = 0;
  for (uint32_t rest = mask; rest != 0; rest &= rest - 1) {
    const uint32_t i = static_cast<uint32_t>(std::countr_zero(rest));
    const float key = WholeKey(query, block + code_offset_ + i * code_bytes_);
    scores->key[i] = scores->lower[i] = key;
    if (!(key > threshold)) passing |= uint32_t{1} << i;
  }
  return passing;
}

// What of row-major codes a query's table or fine query makes.
void ListCodec::SumRows(const ListQuery& query, const uint8_t* codes, uint32_t mask,
                        float* sums) const {
  for (uint32_t rest = mask; rest != 0; rest &= rest - 1) {
    const uint32_t i = static_cast<uint32_t>(std::countr_zero(rest));
    const uint8_t* const code = codes + i * code_bytes_;
    sums[i] = params_.quantizer == Quantizer::kSq8
                  ? FineDot(codes_, code, 8, dims_, query.fine)
                  : static_cast<float>(simd::SumBytes(code, query.wide_table, table_rows_));
  }
}

uint32_t ListCodec::ScanBlock(const ListQuery& query, const ListContext& list, const uint8_t* block,
                              bool sealed, uint32_t mask, float threshold,
                              BlockScores* scores) const {
  if (mask == 0) return 0;
  if (IsWhole(params_.quantizer)) {
    return ScanWhole(query, block, mask, threshold, scores);
  }
  alignas(64) float sums[kBlockRows] = {};
  const uint8_t* codes = block + code_offset_;
  if (fast_scan_) {
    if (!sealed) {
      simd::SealNibbles(codes, code_bytes_, sealed_);
      codes = sealed_;
    }
    blocks_.scan_nibbles(codes, query.table, table_rows_, sums);
  } else {
    SumRows(query, codes, mask, sums);
  }
  const simd::BlockTerms terms = {query.step,
                                  query.bias,
                                  list.add,
                                  list.weight,
                                  query.epsilon * list.across,
                                  query.epsilon * query.noise,
                                  list.slack,
                                  is_product() ? 0 : query.epsilon / 2};
  // The kernel takes the factors of 32 rows.
  alignas(64) uint8_t factors[kBlockRows * 10] = {};
  const uint8_t* at = block;
  if (rows_ < kBlockRows) {
    std::memcpy(factors, block, rows_ * sizeof(float));
    std::memcpy(factors + 4 * kBlockRows, block + 4 * rows_, rows_ * sizeof(float));
    std::memcpy(factors + 8 * kBlockRows, block + 8 * rows_, rows_ * sizeof(uint16_t));
    at = factors;
  }
  return mask & blocks_.score(sums, reinterpret_cast<const float*>(at),
                              reinterpret_cast<const float*>(at + 4 * kBlockRows),
                              reinterpret_cast<const uint16_t*>(at + 8 * kBlockRows), terms,
                              threshold, scores->key, scores->lower);
}

// Only the part of the query that is orthogonal to r meets a code's error, and it is no longer than
// the root of the true key, which an error of kConfidence sigma could have turned into `key`.
Estimate ListCodec::Finish(const ListContext& list, float key, float error, float noise) const {
  float across = list.across;
  if (!is_product()) {
    const float half = kConfidence / 2 * error;
    across = std::min(across, half + std::sqrt(half * half + std::max(key, 0.0f)));
  }
  const float sigma = std::sqrt(error * across * error * across + noise * noise);
  return {key, sigma + list.slack / kConfidence};
}

Estimate ListCodec::WithError(const ListQuery& query, const ListContext& list, const uint8_t* block,
                              uint32_t i, float key) const {
  if (IsWhole(params_.quantizer)) return {key, 0};
  const float scale = LoadAs<float>(block + (rows_ + i) * sizeof(float));
  const uint16_t error = LoadAs<uint16_t>(block + 2 * rows_ * sizeof(float) + i * sizeof(uint16_t));
  return Finish(list, key, FromUpperHalf(error), query.noise * std::fabs(scale));
}

Estimate ListCodec::Refine(const ListQuery& query, const ListContext& list,
                           const uint8_t* second) const {
  const SecondFactors factors = LoadAs<SecondFactors>(second);
  const int bits = params_.second_bits;
  const float sum = FineDot(codes_, second + sizeof factors, bits, dims_, query.fine);
  const float dot = query.fine.unit * (sum - Centre(bits) * query.fine.sum);
  const float key = list.add + list.weight * factors.add + factors.scale * dot;
  return Finish(list, key, factors.error, FineNoise(query, bits) * std::fabs(factors.scale));
}

}  // namespace ann::quant
