// An index that has outgrown its lists gets others.
#pragma once

#include "ivf/ivf_index.hpp"

namespace ann::ivf {

// Finds lists for the table as it is, fills them beside those in use, then switches. Readers and
// writers go on. Only under the table's lock for vacuum.
void Retrain(Relation heap, IndexView* view, MemoryContext context);

// Whether an index of so many rows wants other lists.
bool HasOutgrown(const IndexView& view, double rows);

}  // namespace ann::ivf
