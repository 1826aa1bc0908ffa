// Pages for lists: taking, giving back, growing the file.
//
// Pages of no list are found through the free space map, which is not WAL-logged: a page that it
// names is verified. A page that was taken and not used, after an error, is found again by vacuum.
#pragma once

#include "ivf/ivf_index.hpp"

#include "core/vec.hpp"
#include "pg/alloc.hpp"

namespace ann::ivf {

// A page of no list, locked exclusively: blank or PageKind::kFree. May be called with other taken
// pages locked, but no page of a list. Locks: the page (L6); L5 for the moment of growing.
pg::PageRef TakePage(Relation rel);
// Unlocks a page that was taken and not used.
void GiveBack(Relation rel, const pg::PageRef& page);

// A page, and whose it is: a list's and its generation, or, of a frame, its epoch.
struct OwnedPage {
  BlockNumber block;
  format::PageKind kind;
  uint32_t list;  // or epoch, as far as pages tell it
  uint32_t generation;

  bool operator==(const OwnedPage&) const = default;
};
using OwnedPages = VecOf<OwnedPage, pg::PgAllocator<std::byte>>;
// What a page says of itself.
OwnedPage OwnedBy(const pg::PageRef& page);
// Notes a code page and the pages of its records.
void NotePages(const IndexView& view, const pg::PageRef& page, OwnedPages& pages);
// Makes pages that nothing leads to any more free, but for those that are another's: who named them
// was damaged. Locks: the pages (L6), up to four at a time.
void FreePages(Relation rel, const OwnedPage* pages, size_t n);
// What the free space map of an index can be told without growing.
class FreeMapReach {
 public:
  explicit FreeMapReach(Relation rel);
  bool Covers(BlockNumber block) const;

 private:
  BlockNumber map_blocks_;
};
// Appends `n` consecutive blank pages; the first. Locks: L5.
BlockNumber AppendBlank(Relation rel, uint32_t n);

}  // namespace ann::ivf
