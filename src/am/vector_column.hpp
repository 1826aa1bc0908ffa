// The indexed column of an access method: its dimensions, and the vectors that come from it.
#pragma once

#include <cstdint>

#include "quant/codec.hpp"

#include "pg/pg.hpp"

namespace ann::am {

inline constexpr int kMaxDims = 16000;

// Dimensions of the indexed column. Errors: 22023 when it has none, 54000 above kMaxDims.
int DimsOf(Relation index);

// A vector of the index's column, as floats: dims of them. The copy, when one is made, is in the
// current context. Errors: 22000 when the dimensions differ.
const float* VectorFloats(Relation index, Datum datum, uint32_t dims);
// The same of a vector of any number of dimensions.
const float* AnyVectorFloats(Relation index, Datum datum, uint32_t* dims);

// Whether a vector has a place in an index (a zero vector has none under cosine).
bool IsIndexable(quant::Metric metric, const float* x, uint32_t dims);

// The exact key of a row for the query x (quant/codec.hpp).
float ExactKey(quant::Metric metric, const float* x, const float* row, uint32_t dims);

}  // namespace ann::am
