// Re-centring: README section "Empty start".
#pragma once

#include "hnsw/hnsw_index.hpp"

namespace ann::hnsw {

// After an insert that made node `id`: re-centres an index that has grown tenfold since its mean
// was made, while that is a matter of milliseconds; else vacuum does. No page lock may be held.
void RecentreIfGrown(IndexView* view, NodeId id);
// The same in a vacuum, whatever the size; goes on where another was interrupted.
void RecentreInVacuum(Relation index, BufferAccessStrategy strategy);

// Brings the codes of a node page that are of the epoch before to the view's. Locks: the node page
// (L2), its refinement pages under it (L3), one at a time.
void RecodeNodes(const IndexView& view, BlockNumber block, BufferAccessStrategy strategy = nullptr);

}  // namespace ann::hnsw
