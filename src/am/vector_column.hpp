// The indexed column of an access method: its dimensions, and the vectors that come from it.
#pragma once

#include <cstdint>

#include "quant/codec.hpp"

#include "pg/pg.hpp"

namespace ann::am {

// Of a vector, and of a string of bits.
inline constexpr int kMaxDims = 16000, kMaxBits = 64000;
constexpr int MaxDims(quant::Metric metric) {
  return quant::IsOfBits(metric) ? kMaxBits : kMaxDims;
}

// Dimensions of the indexed column. Errors: 22023 when it has none, 54000 above MaxDims.
int DimsOf(Relation index);

// A vector of the index's column. The copy, when one is made, is in the current context. Errors:
// 22000 when the dimensions differ.
quant::VectorRef IndexedVector(Relation index, Datum datum, uint32_t dims);
// The same of a vector of any number of dimensions.
quant::VectorRef AnyVector(Relation index, Datum datum, uint32_t* dims);
// A vector as floats: of bits, 0 and 1, in the current context.
const float* AsFloats(quant::VectorRef x, uint32_t dims);

// Whether a vector has a place in an index (a zero vector has none under cosine).
bool IsIndexable(quant::Metric metric, quant::VectorRef x, uint32_t dims);

// The exact key of a row for the query x (quant/codec.hpp).
float ExactKey(quant::Metric metric, quant::VectorRef x, quant::VectorRef row, uint32_t dims);

}  // namespace ann::am
