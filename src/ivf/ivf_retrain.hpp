// An index that has outgrown its lists gets others.
#pragma once

#include "ivf/ivf_index.hpp"

namespace ann::ivf {

// Finds lists for the table as it is, fills them beside those in use, then switches. Readers and
// writers go on. Only under the table's lock for vacuum. What is wrong with the table that gives
// the centroids is reported at `elevel`; below ERROR, the index keeps its lists.
void Retrain(Relation heap, IndexView* view, int elevel, MemoryContext context);

// The same in the cleanup of a vacuum, if the index has grown so much since its lists were made.
// `stats`: what the vacuum knows.
void RetrainIfOutgrown(IndexVacuumInfo* info, const IndexBulkDeleteResult& stats);

}  // namespace ann::ivf
