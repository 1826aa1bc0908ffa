// A random rotation in O(D log D): four rounds of sign flips, a Walsh-Hadamard transform of the
// largest power of two that fits (of the head, then of the tail), and a Kac step that mixes the
// halves ("FHT-Kac", RaBitQ's successor of the dense matrix; Gao et al. 2024, arXiv 2409.09913).
// Keeps L2 distances and inner products; makes any vector's coordinates look Gaussian, which is
// what codes of equal steps need.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ann::quant {

inline constexpr int kRotationRounds = 4;

constexpr size_t RotationWords(size_t dims) { return kRotationRounds * ((dims + 63) / 64); }

// The sign bits of the rotation that `seed` names: RotationWords(dims) words.
void MakeRotation(uint64_t seed, size_t dims, uint64_t* signs);

// In place.
void Rotate(const uint64_t* signs, size_t dims, float* x);
// Its inverse.
void RotateBack(const uint64_t* signs, size_t dims, float* x);

}  // namespace ann::quant
