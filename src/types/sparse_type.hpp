// The stored form of `sparsevec` and arguments of that type. README.md has the layout and the
// rules.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "core/sparse.hpp"
#include "types/type_errors.hpp"

#include "pg/pg.hpp"

namespace ann::types {

inline constexpr int kMaxSparseDims = 1'000'000'000;
inline constexpr int kMaxNonZeros = 16000;
inline constexpr const char* kSparseName = "sparsevec";

// Equal to pgvector's. Behind the indices come the values.
struct SparseVector {
  int32_t vl_len;                          // written by SET_VARSIZE only
  int32_t dims;                            // 1 .. kMaxSparseDims
  int32_t nonzeros;                        // 0 .. kMaxNonZeros
  int32_t unused;                          // 0
  int32_t indices[FLEXIBLE_ARRAY_MEMBER];  // from 0, ascending, below dims

  float* values() { return reinterpret_cast<float*>(indices + nonzeros); }  // finite, not 0
  const float* values() const { return const_cast<SparseVector*>(this)->values(); }
};
static_assert(std::is_trivially_copyable_v<SparseVector>);
static_assert(sizeof(SparseVector) == 16 && offsetof(SparseVector, indices) == 16);

constexpr size_t SparseBytes(int nonzeros) {
  return sizeof(SparseVector) + (sizeof(int32_t) + sizeof(float)) * static_cast<size_t>(nonzeros);
}

// A vector with its header set, in the current memory context; the caller writes indices and
// values.
SparseVector* MakeSparse(int dims, int nonzeros);

inline Datum SparseDatum(const SparseVector* vector) { return PointerGetDatum(vector); }

inline void CheckSparseDims(int64_t dims) {
  if (dims < 1 || dims > kMaxSparseDims) ReportDimsOutOfRange(kSparseName, dims, kMaxSparseDims);
}
inline void CheckExpectedSparseDims(int expected, int dims) {
  if (expected != -1 && expected != dims) ReportUnexpectedDims(kSparseName, expected, dims);
}
// `count`: numbers that are not 0, or elements of an input.
void CheckNonZeros(int64_t count);

// A sparsevec argument, plain (DenseArg in dense_type.hpp says how).
class SparseArg {
 public:
  SparseArg(FunctionCallInfo fcinfo, int n) : SparseArg(fcinfo->args[n].value) {}
  explicit SparseArg(Datum datum) {
    auto* stored = reinterpret_cast<struct varlena*>(DatumGetPointer(datum));
    if (VARATT_IS_EXTENDED(stored)) [[unlikely]] {
      stored = pg_detoast_datum(stored);
      copied_ = true;
    }
    vector_ = reinterpret_cast<SparseVector*>(stored);
    const size_t bytes = VARSIZE(stored);
    if (bytes < sizeof(SparseVector) || vector_->nonzeros < 0 || vector_->nonzeros > kMaxNonZeros ||
        bytes != SparseBytes(vector_->nonzeros)) [[unlikely]] {
      ReportDamaged(kSparseName, bytes);
    }
  }
  ~SparseArg() {
    if (copied_) [[unlikely]]
      pfree(vector_);
  }
  SparseArg(const SparseArg&) = delete;
  SparseArg& operator=(const SparseArg&) = delete;

  int dims() const { return vector_->dims; }
  int nonzeros() const { return vector_->nonzeros; }
  const int32_t* indices() const { return vector_->indices; }
  const float* values() const { return vector_->values(); }
  // All but the length word: what tells the value from others.
  const unsigned char* bytes() const {
    return reinterpret_cast<const unsigned char*>(&vector_->dims);
  }
  int byte_count() const {
    return static_cast<int>(SparseBytes(vector_->nonzeros) - offsetof(SparseVector, dims));
  }
  SparseView view() const {
    return {indices(), values(), static_cast<uint32_t>(vector_->nonzeros)};
  }

 private:
  SparseVector* vector_;
  bool copied_ = false;
};

// Two arguments that must have the same dimensions.
class SparsePair {
 public:
  explicit SparsePair(FunctionCallInfo fcinfo) : a_(fcinfo, 0), b_(fcinfo, 1) {
    if (a_.dims() != b_.dims()) [[unlikely]]
      ReportDifferentDims(kSparseName, a_.dims(), b_.dims());
  }
  SparseView a() const { return a_.view(); }
  SparseView b() const { return b_.view(); }

 private:
  SparseArg a_;
  SparseArg b_;
};

}  // namespace ann::types
