// Vacuum's way through the postings (README, "Postings").
#pragma once

#include "hnsw/hnsw_tour.hpp"

namespace ann::hnsw {

// Takes out the entries of nodes in `dead`, which are still there, and those of values that none of
// their node's rows has any more. Pages that are left sparse in a chain become free.
void CleanPostings(IndexView& view, PageTour& tour, const IdSet& dead, MemoryContext context);

}  // namespace ann::hnsw
