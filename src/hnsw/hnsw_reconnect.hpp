// Nodes that no walk comes to any more: README section "Vacuum", pass 2.
#pragma once

#include "hnsw/hnsw_tour.hpp"

namespace ann::hnsw {

// Gives every live node that links do not lead to from the entry point a place in a list that they
// do lead to. Into `loners`: those that no neighbour of theirs can take in. WAL-logged, list by
// list. Memory: a byte a node. Locks: one node page (L2), or the meta page (L1), alone.
void ReconnectNodes(IndexView& view, PageTour& tour, MemoryContext context,
                    VecOf<NodeId, pg::PgAllocator<std::byte>>* loners);

}  // namespace ann::hnsw
