// The pages of a finished graph: step 4 of a build.
#pragma once

#include "hnsw/hnsw_crew.hpp"

namespace ann::hnsw {

// Writes the file of an index, which is empty, block after block. `mean`: as for MakeView; the
// view's meta page becomes that of the index. Nobody else may see the file yet.
void WritePages(IndexView* view, const BuildGraph& graph, const float* mean, MemoryContext context);

}  // namespace ann::hnsw
