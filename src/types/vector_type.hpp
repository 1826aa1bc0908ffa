// The stored form of `vector`, access to arguments of that type, and the checks that all its
// functions share. README.md in this folder has the layout and the rules.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "pg/pg.hpp"

namespace ann::types {

inline constexpr int kMaxVectorDims = 16000;

// Equal to pgvector's, so that a table's files and binary dumps mean the same to both.
struct Vector {
  int32_t vl_len;                       // written by SET_VARSIZE only
  int16_t dims;                         // 1 .. kMaxVectorDims
  int16_t unused;                       // 0
  float values[FLEXIBLE_ARRAY_MEMBER];  // all finite
};
static_assert(std::is_trivially_copyable_v<Vector> && std::is_standard_layout_v<Vector>);
static_assert(sizeof(Vector) == 8 && offsetof(Vector, dims) == 4 && offsetof(Vector, values) == 8);

inline constexpr size_t VectorBytes(int dims) {
  return sizeof(Vector) + sizeof(float) * static_cast<size_t>(dims);
}

// A vector with its header set, in the current memory context; the caller writes every value.
Vector* MakeVector(int dims);

inline Datum VectorDatum(const Vector* vector) { return PointerGetDatum(vector); }

// --- checks; each raises the error that the README's table names ---

[[noreturn]] void ReportDimsOutOfRange(int64_t dims);
[[noreturn]] void ReportUnexpectedDims(int expected, int dims);
[[noreturn]] void ReportDifferentDims(int a, int b);
[[noreturn]] void ReportNonFinite(const float* values, int dims);
[[noreturn]] void ReportDamagedVector(size_t bytes);

inline void CheckDims(int64_t dims) {
  if (dims < 1 || dims > kMaxVectorDims) ReportDimsOutOfRange(dims);
}

// `expected` is a type modifier: -1 accepts all.
inline void CheckExpectedDims(int expected, int dims) {
  if (expected != -1 && expected != dims) ReportUnexpectedDims(expected, dims);
}

// Whether no value is NaN or infinite.
bool AllFinite(const float* values, int dims);

inline void CheckFinite(const float* values, int dims) {
  if (!AllFinite(values, dims)) ReportNonFinite(values, dims);
}

// --- arguments ---

// A vector argument, plain: used where it lies when it lies uncompressed in line behind a 4-byte
// header, else a copy that lives as long as this object (comparison functions run for hours in one
// memory context). Values are aligned to 4 bytes. Errors: a stored value whose length does not fit
// its dimensions.
class VectorArg {
 public:
  VectorArg(FunctionCallInfo fcinfo, int n) : VectorArg(fcinfo->args[n].value) {}
  explicit VectorArg(Datum datum) {
    auto* stored = reinterpret_cast<struct varlena*>(DatumGetPointer(datum));
    if (VARATT_IS_EXTENDED(stored)) [[unlikely]] {
      stored = pg_detoast_datum(stored);
      copied_ = true;
    }
    vector_ = reinterpret_cast<Vector*>(stored);
    const size_t bytes = VARSIZE(stored);
    if (bytes <= sizeof(Vector) || vector_->dims < 1 || bytes != VectorBytes(vector_->dims))
        [[unlikely]] {
      ReportDamagedVector(bytes);
    }
  }
  ~VectorArg() {
    if (copied_) [[unlikely]]
      pfree(vector_);
  }
  VectorArg(const VectorArg&) = delete;
  VectorArg& operator=(const VectorArg&) = delete;

  int dims() const { return vector_->dims; }
  const float* values() const { return vector_->values; }
  size_t value_bytes() const { return sizeof(float) * static_cast<size_t>(vector_->dims); }
  // The argument itself, for a transition function that changes its own state; nullptr for a copy,
  // which dies with this object (an aggregate's first state is its first input, toasted or not).
  Vector* state() const { return copied_ ? nullptr : vector_; }

 private:
  Vector* vector_;
  bool copied_ = false;
};

// Two vector arguments that must have the same dimensions.
class VectorPair {
 public:
  explicit VectorPair(FunctionCallInfo fcinfo)
      : VectorPair(fcinfo->args[0].value, fcinfo->args[1].value) {}
  VectorPair(Datum a, Datum b) : a_(a), b_(b) {
    if (a_.dims() != b_.dims()) [[unlikely]]
      ReportDifferentDims(a_.dims(), b_.dims());
  }
  int dims() const { return a_.dims(); }
  const float* a() const { return a_.values(); }
  const float* b() const { return b_.values(); }
  Vector* state() const { return a_.state(); }

 private:
  VectorArg a_;
  VectorArg b_;
};

// The dimensions alone; of a value stored out of line only the first bytes are fetched.
int VectorDims(Datum datum);

}  // namespace ann::types
