// Adding rows to a finished index.
#pragma once

#include "format/hnsw_format.hpp"
#include "hnsw/hnsw_index.hpp"

namespace ann::hnsw {

class Inserter;

// What inserts into one index need, in `context`; good for as many rows as one likes. `view` must
// outlive it; its entry point is kept up to date.
Inserter* StartInserts(IndexView* view, MemoryContext context);

// Inserts the row `tid` whose vector is `x` (indexable). WAL-logged. Locks: one page
// lock at a time (README, "Locks"); a chain's page under its node's (L2 before L4).
void InsertRow(Inserter* inserter, quant::VectorRef x, format::Tid tid,
               const filter::Row& attributes);

// Links a live node whose list is empty and that no list names. Locks as InsertRow.
void LinkLoner(Inserter* inserter, NodeId id);

}  // namespace ann::hnsw
