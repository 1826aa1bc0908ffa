// The rival arithmetic: one-accumulator C loops, left to the compiler's vectoriser. The Makefile
// compiles plain_loops.cpp alone with -march=native and reassociation allowed.
#pragma once

#include <cstddef>

namespace plain {

float L2Squared(const float* a, const float* b, size_t dims);
float InnerProduct(const float* a, const float* b, size_t dims);
float L1(const float* a, const float* b, size_t dims);
float Cosine(const float* a, const float* b, size_t dims);

}  // namespace plain
