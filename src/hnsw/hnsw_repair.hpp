// Lists of neighbours that lose dead ones: README section "Vacuum", pass 2.
#pragma once

#include "hnsw/hnsw_tour.hpp"

namespace ann::hnsw {

// Chooses all lists that hold one of `dead` (nodes) or `dead_records` anew. WAL-logged, page by
// page. Locks: one node or upper page.
void RepairLists(IndexView& view, PageTour& tour, const IdSet& dead, const IdSet& dead_records,
                 MemoryContext context);

}  // namespace ann::hnsw
