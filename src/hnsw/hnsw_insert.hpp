// Adding one row to a finished index.
#pragma once

#include "format/hnsw_format.hpp"
#include "hnsw/hnsw_index.hpp"

namespace ann::hnsw {

// Inserts the row `tid` whose vector is `x` (dims floats, indexable). WAL-logged. Memory: the
// current context, which the caller resets. Locks: one page lock at a time (README, "Locks"); a
// chain's page under its node's (L2 before L4).
void InsertRow(IndexView& view, const float* x, format::Tid tid);

}  // namespace ann::hnsw
