// Re-centring: README section "Empty start".
#pragma once

#include "hnsw/hnsw_index.hpp"

namespace ann::hnsw {

// After an insert that made node `id`: re-centres and calibrates an index that has grown tenfold
// since its mean was made, or its default_ef, while that is a matter of milliseconds; else vacuum
// does. No page lock may be held.
void AdaptIfGrown(IndexView* view, NodeId id);
// The same in a vacuum, or at the end of a build, whatever the size, and calibrates when it has
// doubled; goes on where another re-centring was interrupted.
void AdaptInVacuum(Relation index, BufferAccessStrategy strategy);

// Brings the codes of a node page that are of the epoch before to the view's. Locks: the node page
// (L2), its refinement pages under it (L3), one at a time.
void RecodeNodes(const IndexView& view, BlockNumber block, BufferAccessStrategy strategy = nullptr);

}  // namespace ann::hnsw
