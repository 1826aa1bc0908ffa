// Lists that get other pages, lists of no use any more, and pages that nothing leads to.
#pragma once

#include "ivf/ivf_index.hpp"

namespace ann::ivf {

// Writes the live rows of a list to pages of its own, which then are the list; the old pages become
// free. Rows may be added meanwhile. Only under the table's lock for vacuum. Locks: README,
// "Locks".
void RepackList(IndexView& view, uint32_t list, MemoryContext context);

// Frees all pages of a frame that is not in use any more: lists, directory, centroids.
void FreeFrame(IndexView& view, const format::IvfFrame& shape, MemoryContext context);

// Ends a training that did not come to its end.
void DiscardTraining(IndexView* view, MemoryContext context);

// Frees, or tells the free space map of, the pages below `end` of which `used` (by block) says
// that nothing leads to them, if that is still so.
void SweepPages(IndexView& view, const uint8_t* used, BlockNumber end,
                BufferAccessStrategy strategy, MemoryContext context);

}  // namespace ann::ivf
