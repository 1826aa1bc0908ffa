// Finding room: slots of nodes, records of upper levels, chunks of chains.
//
// Free node slots are found through the free space map, which is not WAL-logged: a page it names is
// verified. Records and chunks have a hint each in the meta page. The file grows in stripes
// (src/format/README.md) under the relation extension lock (L5 of README.md), no page lock held.
#pragma once

#include "hnsw/hnsw_index.hpp"

namespace ann::hnsw {

// A free slot, its page locked exclusively. The caller uses or releases it.
struct FreeSlot {
  pg::PageRef page;
  uint32_t slot;
};

// A free node slot. `id`: the node it stands for. Locks: the node page (L2), returned locked.
FreeSlot FindNodeSlot(const IndexView& view, NodeId* id);
// A free record of an upper page, chunk of a chain page, or page of postings. Locks: the page (L6,
// L4 or L9), returned
// locked. Must not be called with a page lock held.
FreeSlot FindRecord(const IndexView& view, format::PageKind kind);

// The refinement page of a node, locked exclusively and initialised if a crash left it blank
// (`edit` then starts from the whole page).
pg::PageRef LockRefinement(const IndexView& view, format::Place at, bool* blank);

// The same of the column page of a node's attributes; a null page when there are none.
struct ColumnRef {
  pg::PageRef page{};
  uint32_t index = 0;
  bool blank = false;

  explicit operator bool() const { return page.page != nullptr; }
};
ColumnRef LockColumn(const IndexView& view, NodeId id);
// Its copy in the edit, initialised.
char* EditColumn(const IndexView& view, pg::PageEdit* edit, const ColumnRef& column);
void ReleaseColumn(const ColumnRef& column);

// The kind of page that `block` of a node stripe is.
format::PageKind NodeStripeKind(const IndexView& view, BlockNumber block);
// Whether pages of `kind` lie in auxiliary stripes.
bool IsAuxiliaryKind(format::PageKind kind);
// Whether the stripe that starts at block `start`, which exists, holds records and chains. A first
// page that a crash left blank makes it a node stripe.
bool IsAuxiliaryStripe(const IndexView& view, BlockNumber start);
// Empty page of `kind`, as the slots of that kind want it.
void InitPageOf(const IndexView& view, char* page, format::PageKind kind);
// Errors: 54000 when records or chunks of page `block` would have ids that are too large.
void CheckRecordIds(const IndexView& view, format::PageKind kind, BlockNumber block);
// Tells the free space map that a node page has a free slot.
void RecordRoom(const IndexView& view, BlockNumber block);
// Free slots of a node page.
uint32_t CountFree(const IndexView& view, const char* page);

}  // namespace ann::hnsw
