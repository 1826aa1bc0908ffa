// Sums over sparse vectors: pairs of an index and a value, ascending by index. Two things make the
// merge of two lists fast. No branch depends on which index is smaller, which no predictor knows.
// And as each step waits for the one before (load, compare, advance: 8 cycles), the lists are cut
// at one index and both parts merged in turn, two steps at a time.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

namespace ann {

struct SparseView {
  const int32_t* indices;
  const float* values;
  uint32_t count;
};

// What a pair of numbers adds to a sum; 0 for a dimension that neither vector has.
struct SparseProduct {
  static constexpr bool kOfOne = false;  // whether a number beside a zero adds anything
  static float Of(float x, float y) { return x * y; }
};
struct SparseSquare {
  static constexpr bool kOfOne = true;
  static float Of(float x, float y) { return (x - y) * (x - y); }
};
struct SparseAbs {
  static constexpr bool kOfOne = true;
  static float Of(float x, float y) { return std::fabs(x - y); }
};

// One merge: where it is in each list, where these end, and its sum.
template <class Term>
class SparseMerge {
 public:
  SparseMerge(const SparseView& a, uint32_t a_begin, uint32_t a_end, const SparseView& b,
              uint32_t b_begin, uint32_t b_end)
      : a_(a), b_(b), i_(a_begin), j_(b_begin), i_end_(a_end), j_end_(b_end) {}

  // Steps that can be taken whatever the indices are.
  uint32_t SureSteps() const { return std::min(i_end_ - i_, j_end_ - j_); }

  [[gnu::always_inline]] void Step() {
    const int32_t ia = a_.indices[i_], ib = b_.indices[j_];
    const uint32_t take_a = ia <= ib, take_b = ib <= ia;
    sum_ += Term::Of(If(take_a, a_.values[i_]), If(take_b, b_.values[j_]));
    i_ += take_a;
    j_ += take_b;
  }

  float Finish() {
    for (uint32_t n; (n = SureSteps()) > 0;) {
      for (; n > 0; --n) Step();
    }
    if constexpr (Term::kOfOne) {
      for (; i_ < i_end_; ++i_) sum_ += Term::Of(a_.values[i_], 0);
      for (; j_ < j_end_; ++j_) sum_ += Term::Of(0, b_.values[j_]);
    }
    return sum_;
  }

 private:
  static float If(uint32_t taken, float value) {
    return std::bit_cast<float>(std::bit_cast<uint32_t>(value) & -taken);
  }

  const SparseView &a_, &b_;
  uint32_t i_, j_;
  const uint32_t i_end_, j_end_;
  float sum_ = 0;
};

// The index at which both lists are cut: the middle of the longer one, and of two that are equally
// long the smaller middle, so that the sum of (b, a) is that of (a, b).
inline int32_t SparseCut(const SparseView& a, const SparseView& b) {
  const int32_t of_a = a.indices[a.count / 2], of_b = b.indices[b.count / 2];
  return a.count > b.count ? of_a : a.count < b.count ? of_b : std::min(of_a, of_b);
}

template <class Term>
float SparseSum(const SparseView& a, const SparseView& b) {
  if (a.count == 0 || b.count == 0) return SparseMerge<Term>(a, 0, a.count, b, 0, b.count).Finish();
  const int32_t cut = SparseCut(a, b);
  const auto below = [cut](const SparseView& v) {
    return static_cast<uint32_t>(std::lower_bound(v.indices, v.indices + v.count, cut) - v.indices);
  };
  const uint32_t a_cut = below(a), b_cut = below(b);
  SparseMerge<Term> low(a, 0, a_cut, b, 0, b_cut), high(a, a_cut, a.count, b, b_cut, b.count);
  for (uint32_t n; (n = std::min(low.SureSteps(), high.SureSteps())) > 0;) {
    for (; n > 0; --n) {
      low.Step();
      high.Step();
    }
  }
  const float sum = low.Finish();
  return sum + high.Finish();
}

// Of a list that is far shorter than the other each index is looked up: a step of a merge costs as
// much as two steps of a search by halving.
inline constexpr uint32_t kMuchShorter = 32;

inline float SparseInnerProduct(const SparseView& a, const SparseView& b) {
  const SparseView& shorter = a.count <= b.count ? a : b;
  const SparseView& longer = a.count <= b.count ? b : a;
  if (shorter.count * uint64_t{kMuchShorter} > longer.count) return SparseSum<SparseProduct>(a, b);
  float sum = 0;
  const int32_t* at = longer.indices;
  const int32_t* const end = longer.indices + longer.count;
  for (uint32_t i = 0; i < shorter.count && at != end; ++i) {
    at = std::lower_bound(at, end, shorter.indices[i]);
    if (at != end && *at == shorter.indices[i]) {
      sum += shorter.values[i] * longer.values[at - longer.indices];
    }
  }
  return sum;
}

inline float SparseL2Squared(const SparseView& a, const SparseView& b) {
  return SparseSum<SparseSquare>(a, b);
}

inline float SparseL1(const SparseView& a, const SparseView& b) {
  return SparseSum<SparseAbs>(a, b);
}

// In double: no finite values overflow it.
inline double SparseSquaredNorm(const SparseView& a) {
  double sum = 0;
  for (uint32_t i = 0; i < a.count; ++i) sum += static_cast<double>(a.values[i]) * a.values[i];
  return sum;
}

}  // namespace ann
