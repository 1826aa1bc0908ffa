#include "quant/codec.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "core/bytes.hpp"
#include "core/rng.hpp"
#include "core/sizes.hpp"
#include "quant/cells.hpp"
#include "simd/simd.hpp"

namespace ann::quant {

namespace {

// d, by which a decoded vector is d * y. The ratio first: slope * decoded may leave float's range.
float DecodedScale(const Factors& factors) {
  return factors.decoded > 0 ? factors.slope * (factors.decoded / factors.norm) : 0;
}

}  // namespace

size_t Codec::MemoryBytes(const CodecParams& params) {
  if (params.sparse) return SparseScratchBytes(params.traversal_bits * kEntryUnit);
  if (IsOfBits(params.metric)) return 0;
  return WorkSpace::MemoryBytes(params.dims) + RoundUp(2 * params.dims * sizeof(float), 8) +
         2 * PaddedDims(params.dims);
}

size_t Codec::PreparedCodeBytes(const CodecParams& params) {
  if (params.sparse) return SparseCodeBytes(params.traversal_bits * kEntryUnit);
  return IsOfBits(params.metric) ? 0 : PaddedDims(params.dims);
}

size_t Codec::QueryBytes(const CodecParams& params) {
  if (params.sparse) return SparseQueryBytes();
  if (IsOfBits(params.metric)) return BitFactorBytes(params.metric) + BitCodeBytes(params.dims);
  return RoundUp(params.dims * sizeof(float), 8) + 3 * PaddedDims(params.dims);
}

Codec::Codec(const CodecParams& params, const float* mean, void* memory)
    : params_(params),
      kernels_(simd::Codes()),
      bit_kernels_(simd::Bits()),
      sparse_kernels_(simd::SparseCodes()) {
  const size_t dims = params.dims;
  high_bytes_ = low_bytes_ = refinement_bytes_ = 0;
  if (is_bits()) {
    factor_bytes_ = BitFactorBytes(params.metric);
    code_bytes_ = BitCodeBytes(params.dims);
    return;
  }
  if (is_sparse()) {
    scratch_ = static_cast<float*>(memory);
    factor_bytes_ = sizeof(SparseFactors);
    code_bytes_ = shape().entries * sizeof(uint32_t);
    return;
  }
  space_ = WorkSpace(params.metric, params.dims, params.seed, mean, memory);
  char* at = static_cast<char*>(memory) + WorkSpace::MemoryBytes(params.dims);
  scratch_ = Carve<float>(at, 2 * dims);
  values_ = Carve<uint8_t>(at, 2 * PaddedDims(dims));

  const int bits = params.traversal_bits;
  code_bytes_ = static_cast<uint32_t>(simd::PlaneBytes(bits, dims));
  factor_bytes_ = is_l1()                                  ? sizeof(float)
                  : params.metric == Metric::kInnerProduct ? sizeof(Factors) + sizeof(float)
                                                           : sizeof(Factors);
  dot_ = bits == 2 ? kernels_.dot2 : kernels_.dot4;
  sad_ = bits == 2 ? kernels_.sad2 : bits == 4 ? kernels_.sad4 : kernels_.sad8;
  if (params.refinement_bits > 0) {
    high_bytes_ = static_cast<uint32_t>(simd::PlaneBytes(HighBits(params.refinement_bits), dims));
    if (params.refinement_bits == 6) low_bytes_ = static_cast<uint32_t>(simd::PlaneBytes(2, dims));
    refinement_bytes_ = static_cast<uint32_t>(sizeof(RefinementFactors)) + high_bytes_ + low_bytes_;
  }
}

float Codec::EncodeGrid(const float* work, uint8_t* values) const {
  const float step = params_.l1_step, inverse = InverseStep(step);
  const float half = static_cast<float>(1 << (params_.traversal_bits - 1));
  double beyond = 0;
  for (size_t i = 0; i < params_.dims; ++i) {
    values[i] = CellOf(work[i] * inverse + (half + 0.5f), 2 * half - 1);
    const float rest = std::fabs(work[i] - (values[i] - half) * step);
    // 1/2 and what the rounding of a float may add.
    if (!(rest <= 0.501f * step)) beyond += rest;
  }
  return static_cast<float>(std::min<double>(beyond, INFINITY));
}

void Codec::Code(VectorRef x, uint8_t* coded, uint8_t* refinement) const {
  if (is_bits()) return CodeBits(params_.metric, x.bits(), params_.dims, coded);
  if (is_sparse()) return CodeSparse(shape(), x.sparse(), scratch_, coded);
  float* work = scratch_ + params_.dims;  // the other half is EncodeRefinement's
  Transform(x.floats(), work);
  Encode(work, coded, refinement);
}

void Codec::Encode(const float* work, uint8_t* coded, uint8_t* refinement) const {
  EncodeWith(work, 0, coded, refinement);
}

// A decoded vector `work` is r + f, f of squared length `prior` in a direction of no account: |r|^2
// is |work|^2 less that, and slope * y, made to suit `work`, is r + f + e.
void Codec::EncodeWith(const float* work, float prior, uint8_t* coded, uint8_t* refinement) const {
  const int bits = params_.traversal_bits;
  const size_t dims = params_.dims;
  uint8_t* values = values_;
  if (is_l1()) {
    const float beyond = EncodeGrid(work, values) + prior;
    std::memcpy(coded, &beyond, sizeof(float));
    simd::PackPlane(bits, values, dims, coded + factor_bytes_);
    return;
  }

  double whole = 0;
  for (size_t i = 0; i < dims; ++i) whole += double(work[i]) * work[i];
  const float sigma = static_cast<float>(std::sqrt(whole / static_cast<double>(dims)));
  EncodeCells(work, dims, sigma / CellsPerSigma(bits), bits, values);
  double yr = 0, yy = 0;
  for (size_t i = 0; i < dims; ++i) {
    double y = values[i] - Centre(bits);
    yr += y * work[i], yy += y * y;
  }
  const double norm = whole - prior;
  // Of a decoded vector no longer than its error nothing is known; not that it is the mean.
  const bool known = prior == 0 ? whole <= kLongest : whole <= kLongest && norm > 0;
  Factors factors{0, known ? static_cast<float>(norm) : INFINITY, 0};
  if (yr > 0 && std::isfinite(factors.norm) && factors.norm > 0) {
    const double share = norm / whole;
    factors.slope = static_cast<float>(whole / yr);
    factors.decoded = static_cast<float>(share * share * (yr * yr / yy));
  }
  std::memcpy(coded, &factors, sizeof factors);
  if (params_.metric == Metric::kInnerProduct) {
    float squared = factors.norm +
                    2 * simd::Floats().inner_product(work, space_.work_mean(), dims) +
                    space_.mean_norm();
    std::memcpy(coded + sizeof factors, &squared, sizeof(float));
  }
  simd::PackPlane(bits, values, dims, coded + factor_bytes_);
  if (refinement != nullptr && refinement_bytes_ > 0) {
    EncodeRefinement(work, prior, factors, values, refinement);
  }
}

void Codec::EncodeRefinement(const float* work, float prior, const Factors& factors,
                             const uint8_t* values, uint8_t* refinement) const {
  const int bits = params_.refinement_bits;
  const size_t dims = params_.dims;
  const float centre = Centre(params_.traversal_bits);
  // A double: |e|^2 is a small difference of its squares.
  const double scale = DecodedScale(factors);
  float* rest = scratch_;
  for (size_t i = 0; i < dims; ++i)
    rest[i] = static_cast<float>(work[i] - scale * (values[i] - centre));

  // The rest is nearly uniform within a cell but has the tails that the first plane cut off: the
  // best of a few steps between "covers all" and "covers half" is taken.
  uint8_t* best = values_ + PaddedDims(dims);
  const float widest = LargestMagnitude(rest, dims) / static_cast<float>(1 << (bits - 1));
  float step = widest, least = INFINITY;
  for (float part : {1.0f, 0.8f, 0.65f, 0.5f}) {
    float error = EncodeCells(rest, dims, widest * part, bits, best);
    if (error < least) least = error, step = widest * part;
  }
  EncodeCells(rest, dims, step, bits, best);

  const float centre2 = Centre(bits);
  double y2e = 0, y2y2 = 0, yr = 0, y2r = 0, yy = 0, yy2 = 0, rr = 0;
  for (size_t i = 0; i < dims; ++i) {
    double y = values[i] - centre, y2 = best[i] - centre2, r = work[i];
    y2e += y2 * rest[i], y2y2 += y2 * y2, yr += y * r, y2r += y2 * r;
    yy += y * y, yy2 += y * y2, rr += r * r;
  }
  const double second = y2e / y2y2;
  const double along = scale * yr + second * y2r;  // <r^^, r>
  RefinementFactors out{0, 0, 0};
  if (along > 0 && std::isfinite(factors.norm)) {
    const double rho = rr / along;
    const double length = scale * scale * yy + second * second * y2y2 + 2 * scale * second * yy2;
    out.first = static_cast<float>(rho * scale);
    out.second = static_cast<float>(rho * second);
    out.error = static_cast<float>(std::sqrt(std::max(0.0, rho * rho * length - rr) + prior));
  }
  std::memcpy(refinement, &out, sizeof out);
  // The traversal values are not needed any more.
  PackCells(bits, best, dims, values_, refinement + sizeof out);
}

float Codec::SquaredNorm(const uint8_t* coded) const {
  return LoadAs<float>(coded + sizeof(Factors));
}

void Codec::SetLift(uint8_t* coded, float max_norm) const {
  const double squared = double(max_norm) * max_norm - SquaredNorm(coded);
  const float lift = static_cast<float>(std::sqrt(std::max(0.0, squared)));
  std::memcpy(coded + sizeof(Factors), &lift, sizeof lift);
}

void Codec::UnpackTraversal(const uint8_t* coded, uint8_t* values) const {
  const uint8_t* code = coded + factor_bytes_;
  if (params_.traversal_bits == 8) {
    std::memcpy(values, code, code_bytes_);
  } else {
    (params_.traversal_bits == 2 ? kernels_.unpack2 : kernels_.unpack4)(code, values, code_bytes_);
  }
}

float Codec::DecodeGrid(const uint8_t* coded, float* work) const {
  UnpackTraversal(coded, values_);
  const float half = static_cast<float>(1 << (params_.traversal_bits - 1));
  for (size_t i = 0; i < params_.dims; ++i) work[i] = (values_[i] - half) * params_.l1_step;
  return LoadAs<float>(coded);
}

float Codec::Decode(const uint8_t* coded, const uint8_t* refinement, float* work) const {
  if (is_l1()) return DecodeGrid(coded, work);
  const size_t dims = params_.dims;
  const Factors factors = LoadAs<Factors>(coded);
  if (!(factors.decoded > 0)) {
    std::fill_n(work, dims, 0.0f);
    return factors.norm;
  }
  UnpackTraversal(coded, values_);
  const float centre = Centre(params_.traversal_bits);
  if (refinement == nullptr) {
    for (size_t i = 0; i < dims; ++i) work[i] = factors.slope * (values_[i] - centre);
    return factors.norm * std::max(0.0f, factors.norm / factors.decoded - 1);
  }
  const RefinementFactors fine = LoadAs<RefinementFactors>(refinement);
  const uint8_t* planes = refinement + sizeof fine;
  for (size_t i = 0; i < dims; ++i) work[i] = fine.first * (values_[i] - centre);
  const int bits = params_.refinement_bits;
  const auto unpack = HighBits(bits) == 2 ? kernels_.unpack2 : kernels_.unpack4;
  unpack(planes, values_, high_bytes_);
  const float weight = fine.second * (bits == 6 ? 4.0f : 1.0f);
  for (size_t i = 0; i < dims; ++i) work[i] += weight * values_[i] - fine.second * Centre(bits);
  if (bits == 6) {
    kernels_.unpack2(planes + high_bytes_, values_, low_bytes_);
    for (size_t i = 0; i < dims; ++i) work[i] += fine.second * values_[i];
  }
  return fine.error * fine.error;
}

void Codec::Recode(const Codec& from, const uint8_t* coded, const uint8_t* refinement,
                   uint8_t* out_coded, uint8_t* out_refinement) const {
  float* work = scratch_ + params_.dims;  // the other half is EncodeRefinement's
  float prior = from.Decode(coded, refinement, work);
  const float* old_mean = from.space_.work_mean();
  const float* new_mean = space_.work_mean();
  const bool product = params_.metric == Metric::kInnerProduct;
  const float squared = product ? from.RowNorm(coded, work, prior) : 0;
  for (size_t i = 0; i < params_.dims; ++i) work[i] += old_mean[i] - new_mean[i];
  if (is_l1() && from.params_.l1_step != params_.l1_step) prior += from.L1Blur();
  EncodeWith(work, prior, out_coded, out_refinement);
  if (product) {
    std::memcpy(out_coded + sizeof(Factors), &squared, sizeof squared);
    SetLift(out_coded, params_.max_norm);
  }
}

float Codec::RowNorm(const uint8_t* coded, const float* work, float prior) const {
  // The lift tells, unless the row was too long for it.
  const float lift = LoadAs<float>(coded + sizeof(Factors)), longest = params_.max_norm;
  if (lift > 0) return longest * longest - lift * lift;
  double squared = 0;
  for (size_t i = 0; i < params_.dims; ++i) {
    const double x = double(work[i]) + space_.work_mean()[i];
    squared += x * x;
  }
  return static_cast<float>(std::max(0.0, squared - prior));
}

// What a sum of D absolute differences to the centres of one grid's cells is off by when the other
// side is not on that grid: for a difference smaller than half a step up to a quarter, and else by
// chance, with the deviation 1/sqrt(12) of a uniform place in a cell.
float Codec::L1Blur() const {
  const float dims = static_cast<float>(params_.dims);
  return params_.l1_step * (dims / 4 + kConfidence * std::sqrt(dims / 12));
}

bool Codec::MayBeEqual(const CodeQuery& query, const uint8_t* query_coded,
                       const uint8_t* coded) const {
  if (is_bits() || is_sparse()) return std::memcmp(query_coded, coded, coded_bytes()) == 0;
  const float distance = CodeDistance(query, coded);
  if (is_l1()) {
    // A cell apart in each dim, by rounding, and what lies beyond the grid.
    const float apart = params_.l1_step * static_cast<float>(params_.dims);
    return distance <= apart + LoadAs<float>(query_coded) + LoadAs<float>(coded);
  }
  // |r - r^| of each: what a decoded vector lacks.
  const auto lacks = [](const Factors& f) { return std::sqrt(std::max(0.0f, f.norm - f.decoded)); };
  const float apart = lacks(LoadAs<Factors>(query_coded)) + lacks(LoadAs<Factors>(coded));
  // The lengths of recoded vectors are estimates.
  constexpr float kSlack = 1.2f;
  return std::memcmp(query_coded, coded, coded_bytes()) == 0 || distance <= kSlack * apart * apart;
}

SearchQuery Codec::PrepareQuery(VectorRef x, void* memory) const {
  SearchQuery query{};
  if (is_bits()) {
    uint8_t* coded = static_cast<uint8_t*>(memory);
    CodeBits(params_.metric, x.bits(), params_.dims, coded);
    query.bits = AsBitQuery(params_.metric, coded);
    return query;
  }
  if (is_sparse()) {
    query.sparse = PrepareSparse(shape(), x.sparse(), memory);
    return query;
  }
  char* at = static_cast<char*>(memory);
  const size_t dims = params_.dims, padded = PaddedDims(dims);
  float* work = Carve<float>(at, dims);
  int8_t* coarse = Carve<int8_t>(at, padded);
  int8_t* hi = Carve<int8_t>(at, padded);
  int8_t* lo = Carve<int8_t>(at, padded);
  std::memset(coarse, 0, padded);

  const WorkQuery prepared = space_.PrepareQuery(x.floats(), work);
  query.add = prepared.add;
  if (is_l1()) {
    uint8_t* grid = reinterpret_cast<uint8_t*>(coarse);
    query.add = EncodeGrid(work, grid);
    query.grid = grid;
    return query;
  }

  const simd::TransformKernels& kernels = simd::Transforms();
  const float largest = LargestMagnitude(work, dims);
  query.unit = largest / 127;
  kernels.quantize_i8(work, InverseStep(query.unit), coarse, dims);
  int64_t sum = 0;
  for (size_t i = 0; i < dims; ++i) sum += coarse[i];
  query.sum = static_cast<float>(sum);
  query.coarse = coarse;
  query.fine = PrepareFine(work, dims, hi, lo);
  query.norm = prepared.norm;
  if (params_.metric != Metric::kInnerProduct) query.add = query.norm;
  return query;
}

CodeQuery Codec::PrepareCode(const uint8_t* coded, void* memory) const {
  CodeQuery query{};
  if (is_bits()) {
    query.bits = AsBitQuery(params_.metric, coded);
    return query;
  }
  if (is_sparse()) {
    query.sparse = PrepareSparseCode(shape(), coded, memory);
    return query;
  }
  uint8_t* values = static_cast<uint8_t*>(memory);
  const size_t dims = params_.dims;
  const int bits = params_.traversal_bits;
  UnpackTraversal(coded, values);
  if (is_l1()) {
    query.grid = values;
    return query;
  }
  int8_t* centred = reinterpret_cast<int8_t*>(values);
  const int offset = (1 << bits) - 1;
  int32_t sum = 0;
  for (size_t i = 0; i < dims; ++i) {
    centred[i] = static_cast<int8_t>(2 * values[i] - offset);
    sum += centred[i];
  }
  // The padding must meet zeros: what is stored there is code 0, whose product is 0 with any value.
  const Factors factors = LoadAs<Factors>(coded);
  query.values = centred;
  query.sum = static_cast<float>(sum);
  query.decoded = factors.decoded;
  query.scale = DecodedScale(factors);
  if (params_.metric == Metric::kInnerProduct) query.lift = LoadAs<float>(coded + sizeof(Factors));
  return query;
}

// <y, q> of the traversal code and the coarse query.
float Codec::Dot(const SearchQuery& query, const uint8_t* coded) const {
  int32_t dot = dot_(coded + factor_bytes_, query.coarse, code_bytes_);
  return query.unit * (static_cast<float>(dot) - Centre(params_.traversal_bits) * query.sum);
}

float Codec::Key(const SearchQuery& query, const uint8_t* coded) const {
  if (is_sparse()) return SparseKey(sparse_kernels_, shape(), query.sparse, coded);
  if (is_bits()) return BitKey(bit_kernels_, params_.metric, query.bits, coded, code_bytes_);
  if (is_l1()) {
    return query.add + params_.l1_step *
                           static_cast<float>(sad_(coded + factor_bytes_, query.grid, code_bytes_));
  }
  const Factors factors = LoadAs<Factors>(coded);
  const float product = factors.slope * Dot(query, coded);
  return params_.metric == Metric::kInnerProduct ? query.add - product
                                                 : query.add + factors.norm - 2 * product;
}

// `dot`: the estimate of <r, q>; `error`: the length of e, the part of the decoded vector that is
// orthogonal to r; `rounding`: one step of the rounded query. Only the part of q that is orthogonal
// to r meets e, and in a random direction, so the spread is error * |q_orthogonal| / sqrt(D - 1):
// for near neighbours far below RaBitQ's error * |q|, because |q_orthogonal| <= |q - r|.
//
// |q_orthogonal|^2 = |q|^2 - <r, q>^2 / |r|^2 is itself estimated, and for near duplicates its
// error is larger than its value: the largest |q_orthogonal| is taken that an error of kConfidence
// sigma could have turned into the estimate. At 45 degrees between q and r that widens sigma by
// 0.4 % with 2 + 6 bits and 384 dims.
Estimate Codec::WithError(const SearchQuery& query, float key, float dot, float norm, float error,
                          float rounding) const {
  if (norm == 0) return {key, 0};
  const bool product = params_.metric == Metric::kInnerProduct;
  const float weight = product ? 1.0f : 2.0f;
  const float spread = std::sqrt(static_cast<float>(std::max<uint32_t>(params_.dims, 2) - 1));
  const float along = dot / norm;
  float rest = query.norm - dot * along;
  float doubt = kConfidence * std::fabs(along) * error / spread;
  if (params_.recoded) {
    // An error made about another mean is orthogonal to r from there: it meets all of q - r.
    rest = product ? query.norm : key;
    doubt = product ? 0 : kConfidence * error / spread;
  }
  // Not std::max: a NaN, of numbers that left float's range, must stay one.
  const float across = doubt + std::sqrt(doubt * doubt + (rest <= 0 ? 0 : rest));
  // A rounded coordinate is off by a uniform part of a step, which the decoded vector meets.
  const float rounded = rounding * std::sqrt((norm + error * error) / 12);
  return {key, weight * std::hypot(error * across / spread, rounded)};
}

Estimate Codec::Coarse(const SearchQuery& query, const uint8_t* coded) const {
  if (is_sparse()) return SparseEstimate(sparse_kernels_, shape(), query.sparse, coded);
  const float key = Key(query, coded);
  if (is_bits()) return {key, 0};
  if (is_l1()) {
    // On one grid |x_i - q_i| of f steps beyond a whole number is rounded up with probability f:
    // right in the mean, with a variance of f (1 - f) <= 1/4 steps. What of x lies beyond the grid
    // is an error of at most its length, whichever way (what of q does is in the key already).
    const float rounded = params_.l1_step * std::sqrt(static_cast<float>(params_.dims)) / 2;
    return {key, rounded + LoadAs<float>(coded) / kConfidence};
  }
  const Factors factors = LoadAs<Factors>(coded);
  const float dot = params_.metric == Metric::kInnerProduct ? query.add - key
                                                            : (query.add + factors.norm - key) / 2;
  // |slope * y|^2 = |r|^4 / |r^|^2 = |r|^2 + |e|^2
  const float excess = factors.norm / factors.decoded - 1;
  const float error = std::sqrt(factors.norm * (excess < 0 ? 0 : excess));
  return WithError(query, key, dot, factors.norm, error, query.unit);
}

Estimate Codec::Refined(const SearchQuery& query, const uint8_t* coded,
                        const uint8_t* refinement) const {
  const Factors factors = LoadAs<Factors>(coded);
  const RefinementFactors fine = LoadAs<RefinementFactors>(refinement);
  const auto product = [&](const uint8_t* code, int plane_bits) {
    return FineDot(kernels_, code, plane_bits, params_.dims, query.fine) -
           Centre(plane_bits) * query.fine.sum;
  };
  const float first = product(coded + factor_bytes_, params_.traversal_bits);
  const float second = product(refinement + sizeof fine, params_.refinement_bits);
  const float dot = query.fine.unit * (fine.first * first + fine.second * second);
  const float key = params_.metric == Metric::kInnerProduct ? query.add - dot
                                                            : query.add + factors.norm - 2 * dot;
  return WithError(query, key, dot, factors.norm, fine.error, query.fine.unit);
}

float Codec::CodeDistance(const CodeQuery& query, const uint8_t* coded) const {
  if (is_sparse()) return SparseCodeDistance(sparse_kernels_, shape(), query.sparse, coded);
  if (is_bits()) {
    return BitCodeDistance(bit_kernels_, params_.metric, query.bits, coded, code_bytes_);
  }
  if (is_l1()) {
    return params_.l1_step *
           static_cast<float>(sad_(coded + factor_bytes_, query.grid, code_bytes_));
  }
  const Factors factors = LoadAs<Factors>(coded);
  const int32_t dot = dot_(coded + factor_bytes_, query.values, code_bytes_);
  const float product = (static_cast<float>(dot) - Centre(params_.traversal_bits) * query.sum) / 2;
  const float scale = DecodedScale(factors);
  float distance = query.decoded + factors.decoded - 2 * query.scale * scale * product;
  if (params_.metric == Metric::kInnerProduct) {
    const float lift = query.lift - LoadAs<float>(coded + sizeof(Factors));
    distance += lift * lift;
  }
  return std::max(distance, 0.0f);
}

uint64_t HashVector(VectorRef x, size_t dims, uint64_t seed) {
  uint64_t hash = Mix64(seed + dims);
  const auto add = [&hash](uint32_t value) {
    hash = (hash ^ value) * 0x9fb21c651e98df25ULL;
    hash ^= hash >> 32;
  };
  if (x.form() == Form::kBits) {
    const size_t bytes = DivUp(dims, 8);
    for (size_t i = 0; i < bytes; i += sizeof(uint32_t)) {
      uint32_t word = 0;
      std::memcpy(&word, x.bits() + i, std::min(sizeof word, bytes - i));
      add(word);
    }
  } else if (x.form() == Form::kSparse) {
    const SparseView& elements = x.sparse();
    for (uint32_t i = 0; i < elements.count; ++i) {
      add(static_cast<uint32_t>(elements.indices[i]));
      add(std::bit_cast<uint32_t>(elements.values[i]));
    }
  } else {
    for (size_t i = 0; i < dims; ++i) add(std::bit_cast<uint32_t>(x.floats()[i] + 0.0f));
  }
  return Mix64(hash);
}

}  // namespace ann::quant
