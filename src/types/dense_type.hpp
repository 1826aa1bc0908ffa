// The stored forms of `vector` and `halfvec`, which differ in their numbers only; access to
// arguments of these types, and the checks that all their functions share. README.md in this folder
// has the layout and the rules.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "core/half.hpp"
#include "types/type_errors.hpp"

#include "pg/pg.hpp"

namespace ann::types {

inline constexpr int kMaxVectorDims = 16000;

// Equal to pgvector's, so that a table's files and binary dumps mean the same to both.
template <class Number>
struct Dense {
  int32_t vl_len;                        // written by SET_VARSIZE only
  int16_t dims;                          // 1 .. kMaxVectorDims
  int16_t unused;                        // 0
  Number values[FLEXIBLE_ARRAY_MEMBER];  // all finite
};
using Vector = Dense<float>;
using HalfVector = Dense<Half>;
static_assert(std::is_trivially_copyable_v<Vector> && std::is_standard_layout_v<Vector>);
static_assert(sizeof(Vector) == 8 && offsetof(Vector, dims) == 4 && offsetof(Vector, values) == 8);
static_assert(sizeof(HalfVector) == 8 && offsetof(HalfVector, values) == 8);

// What SQL calls the type.
template <class Number>
inline constexpr const char* kTypeName = nullptr;
template <>
inline constexpr const char* kTypeName<float> = "vector";
template <>
inline constexpr const char* kTypeName<Half> = "halfvec";

// A number as a float, and a float that is rounded to the number.
inline float Widen(float number) { return number; }
inline float Widen(Half number) { return ToFloat(number); }
template <class Number>
Number Narrow(float value) {
  if constexpr (std::is_same_v<Number, Half>) {
    return ToHalf(value);
  } else {
    return value;
  }
}

template <class Number = float>
constexpr size_t VectorBytes(int dims) {
  return sizeof(Dense<Number>) + sizeof(Number) * static_cast<size_t>(dims);
}

// A vector with its header set, in the current memory context; the caller writes every value.
template <class Number = float>
Dense<Number>* MakeVector(int dims) {
  const size_t bytes = VectorBytes<Number>(dims);
  auto* vector = static_cast<Dense<Number>*>(palloc(bytes));
  SET_VARSIZE(vector, bytes);
  vector->dims = static_cast<int16_t>(dims);
  vector->unused = 0;
  return vector;
}

template <class Number>
Datum VectorDatum(const Dense<Number>* vector) {
  return PointerGetDatum(vector);
}

// --- checks; each raises the error that the README's table names ---

template <class Number = float>
void CheckDims(int64_t dims) {
  if (dims < 1 || dims > kMaxVectorDims) {
    ReportDimsOutOfRange(kTypeName<Number>, dims, kMaxVectorDims);
  }
}

// `expected` is a type modifier: -1 accepts all.
template <class Number = float>
void CheckExpectedDims(int expected, int dims) {
  if (expected != -1 && expected != dims) ReportUnexpectedDims(kTypeName<Number>, expected, dims);
}

// Whether no value is NaN or infinite.
bool AllFinite(const float* values, int dims);
bool AllFinite(const Half* values, int dims);

template <class Number>
void CheckFinite(const Number* values, int dims) {
  if (AllFinite(values, dims)) return;
  int at = 0;
  while (at < dims - 1 && AllFinite(values + at, 1)) at++;
  ReportNonFinite(kTypeName<Number>, Widen(values[at]), at + 1, dims);
}

// --- arguments ---

// A vector argument, plain: used where it lies when it lies uncompressed in line behind a 4-byte
// header, else a copy that lives as long as this object (comparison functions run for hours in one
// memory context). Values are aligned to 4 bytes. Errors: a stored value whose length does not fit
// its dimensions.
template <class Number>
class DenseArg {
 public:
  DenseArg(FunctionCallInfo fcinfo, int n) : DenseArg(fcinfo->args[n].value) {}
  explicit DenseArg(Datum datum) {
    auto* stored = reinterpret_cast<struct varlena*>(DatumGetPointer(datum));
    if (VARATT_IS_EXTENDED(stored)) [[unlikely]] {
      stored = pg_detoast_datum(stored);
      copied_ = true;
    }
    vector_ = reinterpret_cast<Dense<Number>*>(stored);
    const size_t bytes = VARSIZE(stored);
    if (bytes <= sizeof(Dense<Number>) || vector_->dims < 1 ||
        bytes != VectorBytes<Number>(vector_->dims)) [[unlikely]] {
      ReportDamaged(kTypeName<Number>, bytes);
    }
  }
  ~DenseArg() {
    if (copied_) [[unlikely]]
      pfree(vector_);
  }
  DenseArg(const DenseArg&) = delete;
  DenseArg& operator=(const DenseArg&) = delete;

  int dims() const { return vector_->dims; }
  const Number* values() const { return vector_->values; }
  size_t value_bytes() const { return sizeof(Number) * static_cast<size_t>(vector_->dims); }
  // The argument itself, for a transition function that changes its own state; nullptr for a copy,
  // which dies with this object (an aggregate's first state is its first input, toasted or not).
  Dense<Number>* state() const { return copied_ ? nullptr : vector_; }

 private:
  Dense<Number>* vector_;
  bool copied_ = false;
};
using VectorArg = DenseArg<float>;
using HalfVectorArg = DenseArg<Half>;

// Two vector arguments that must have the same dimensions.
template <class Number>
class DensePair {
 public:
  explicit DensePair(FunctionCallInfo fcinfo)
      : DensePair(fcinfo->args[0].value, fcinfo->args[1].value) {}
  DensePair(Datum a, Datum b) : a_(a), b_(b) {
    if (a_.dims() != b_.dims()) [[unlikely]]
      ReportDifferentDims(kTypeName<Number>, a_.dims(), b_.dims());
  }
  int dims() const { return a_.dims(); }
  const Number* a() const { return a_.values(); }
  const Number* b() const { return b_.values(); }
  Dense<Number>* state() const { return a_.state(); }

 private:
  DenseArg<Number> a_;
  DenseArg<Number> b_;
};
using VectorPair = DensePair<float>;

// The dimensions alone; of a value stored out of line only the first bytes are fetched.
template <class Number>
int VectorDims(Datum datum) {
  auto* stored = reinterpret_cast<struct varlena*>(DatumGetPointer(datum));
  if (!VARATT_IS_EXTERNAL_ONDISK(stored)) return DenseArg<Number>(datum).dims();
  int16_t dims = 0;
  struct varlena* head = pg_detoast_datum_slice(stored, 0, sizeof dims);
  if (VARSIZE(head) == VARHDRSZ + sizeof dims) memcpy(&dims, VARDATA(head), sizeof dims);
  pfree(head);
  // Damage is reported by the one place that does.
  if (dims < 1 || toast_raw_datum_size(datum) != VectorBytes<Number>(dims)) {
    return DenseArg<Number>(datum).dims();
  }
  return dims;
}

}  // namespace ann::types
