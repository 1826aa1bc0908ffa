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

// Locks: the meta page (L1), alone.
template <class Change>
void EditMeta(IndexView* view, Change&& change) {
  const pg::PageRef page =
      pg::ReadPage(view->rel, kMetaBlock, BUFFER_LOCK_EXCLUSIVE, format::PageKind::kMeta);
  pg::PageEdit edit = pg::PageEdit::Begin(view->rel);
  change(MetaOn(edit.EditTo(page, sizeof(format::IvfMeta), sizeof(format::IvfMeta))));
  edit.Finish();
  pg::Release(page);
  Refresh(view);
}

// Ends a training that did not come to its end. Its pages are left to a sweep.
void EndTraining(IndexView* view);
// The same, and frees its pages.
void DiscardTraining(IndexView* view, MemoryContext context);

// Called before many pages are taken by what may be cancelled or die: from here on the next vacuum
// looks for pages that nothing leads to. True: there are none so far, and NoteTidy is to be called
// at the end.
bool NoteUntidy(IndexView* view);
void NoteTidy(IndexView* view);

// Frees, or tells the free space map of, the pages below `end` of which `used` (by block) says
// that nothing leads to them, if that is still so. False: some are left, as the map would have to
// grow for them, and it may not (`map_may_grow`): the disk may be full.
bool SweepPages(IndexView& view, const uint8_t* used, BlockNumber end, bool map_may_grow,
                BufferAccessStrategy strategy, MemoryContext context);

}  // namespace ann::ivf
