// The distances of SQL between the numbers of two vectors. Sums are in float, as pgvector's: they
// may overflow to infinity, and a zero vector has no cosine distance (NaN).
#pragma once

#include <cmath>
#include <cstddef>
#include <type_traits>

#include "core/half.hpp"
#include "simd/simd.hpp"

namespace ann::types {

template <class Number>
using Distance = double (*)(const Number* a, const Number* b, size_t dims);

// The kernels of a type.
template <class Number>
inline const auto& Kernels() {
  if constexpr (std::is_same_v<Number, Half>) {
    return simd::Halves();
  } else {
    return simd::Floats();
  }
}

template <class Number>
double L2Squared(const Number* a, const Number* b, size_t dims) {
  return Kernels<Number>().l2_squared(a, b, dims);
}

template <class Number>
double L2Distance(const Number* a, const Number* b, size_t dims) {
  return std::sqrt(L2Squared(a, b, dims));
}

template <class Number>
double InnerProduct(const Number* a, const Number* b, size_t dims) {
  return Kernels<Number>().inner_product(a, b, dims);
}

template <class Number>
double NegativeInnerProduct(const Number* a, const Number* b, size_t dims) {
  return -InnerProduct(a, b, dims);
}

// Rounding may carry a cosine out of [-1, 1]; NaN stays NaN.
inline double ClampCosine(double cosine) { return cosine > 1 ? 1 : cosine < -1 ? -1 : cosine; }

template <class Number>
double CosineDistance(const Number* a, const Number* b, size_t dims) {
  const simd::CosineParts parts = Kernels<Number>().cosine_parts(a, b, dims);
  // One root of the product, which cannot overflow in double, rounds less than two roots.
  return 1 - ClampCosine(parts.ab /
                         std::sqrt(static_cast<double>(parts.aa) * static_cast<double>(parts.bb)));
}

template <class Number>
double L1Distance(const Number* a, const Number* b, size_t dims) {
  return Kernels<Number>().l1(a, b, dims);
}

}  // namespace ann::types
