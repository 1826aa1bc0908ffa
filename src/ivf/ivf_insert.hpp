// Adding rows to lists.
#pragma once

#include "ivf/ivf_index.hpp"

namespace ann::ivf {

class Inserter;

// What inserts into one index need, in `context`; `view` must outlive it and is kept up to date.
Inserter* StartInserts(IndexView* view, MemoryContext context);

// Adds the row `tid` whose vector is `x` (dims floats, indexable) to its list, and to that of the
// lists being trained. WAL-logged. No page lock may be held. Locks: README, "Locks".
void InsertRow(Inserter* inserter, const float* x, const filter::Row& attributes, format::Tid tid);

}  // namespace ann::ivf
