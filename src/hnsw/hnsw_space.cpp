#include "hnsw/hnsw_space.hpp"

namespace ann::hnsw {

using format::PageKind;
using format::SlotState;

PageKind NodeStripeKind(const IndexView& view, BlockNumber block) {
  switch (view.geometry.PartAt(block).kind) {
    case format::StripePart::kColumn:
      return PageKind::kColumn;
    case format::StripePart::kNodes:
      return PageKind::kNodes;
    default:
      return PageKind::kRefinement;
  }
}

bool IsAuxiliaryKind(PageKind kind) {
  return kind == PageKind::kUpper || kind == PageKind::kChain || kind == PageKind::kSpare ||
         kind == PageKind::kPostings;
}

void CheckRecordIds(const IndexView& view, PageKind kind, BlockNumber block) {
  if (kind == PageKind::kPostings) return;
  const bool upper = kind == PageKind::kUpper;
  const uint32_t per_page = upper ? view.meta.uppers_per_page : view.meta.chunks_per_page;
  // Beams keep a flag in the top bit of a record's id.
  const uint64_t limit = upper ? kMaxNodes : kNoId;
  if ((uint64_t{block} + 1) * per_page <= limit) return;
  ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                  errmsg("index \"%s\" cannot have records behind block %u",
                         RelationGetRelationName(view.rel), block)));
}

void RecordRoom(const IndexView& view, BlockNumber block) {
  RecordPageWithFreeSpace(view.rel, block, BLCKSZ - 1);
}

uint32_t CountFree(const IndexView& view, const char* page) {
  uint32_t free = 0;
  for (uint32_t i = 0; i < view.meta.slots_per_page; ++i) {
    free += view.Node(page, i)->state == SlotState::kFree;
  }
  return free;
}

// Locks: the stripe's first page (L2, L4 or L6), alone.
bool IsAuxiliaryStripe(const IndexView& view, BlockNumber start) {
  pg::PageRef first = pg::ReadAnyPage(view.rel, start, BUFFER_LOCK_SHARE);
  const PageKind kind = pg::IsBlank(first.page) ? PageKind::kNodes : pg::KindOf(first.page);
  pg::Release(first);
  return IsAuxiliaryKind(kind);
}

void InitPageOf(const IndexView& view, char* page, PageKind kind) {
  // Slots that were never written to are not logged (src/format/README.md).
  const bool grows = format::SlotBytes(view.meta, kind) > 0;
  pg::InitPage(page, kind, grows ? 0 : format::BodyBytes(view.meta, kind));
  if (kind != PageKind::kChain) return;
  // A chunk without a node is free; zeroed memory would be node 0.
  for (uint32_t i = 0; i < view.meta.chunks_per_page; ++i) view.Chunk(page, i)->node = kNoId;
}

namespace {

constexpr uint32_t kNone = ~uint32_t{0};
// A page has room for a slot or it has none: the free space map is used as a bitmap.
constexpr Size kWanted = BLCKSZ / 2;

// Appends a page of `kind`; the extension lock is held. Locks: the new page (L2, L3, L4 or L6),
// under L5.
BlockNumber AppendPage(const IndexView& view, PageKind kind) {
  Buffer buffer = ReadBuffer(view.rel, P_NEW);
  pg::UnitDone();
  LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
  pg::PageRef page{buffer, BufferGetPage(buffer), BufferGetBlockNumber(buffer)};
  pg::PageEdit edit = pg::PageEdit::Begin(view.rel, view.meta);
  InitPageOf(view, edit.EditWhole(page), kind);
  edit.Finish();
  pg::Release(page);
  return page.block;
}

bool InAuxiliaryStripe(const IndexView& view, BlockNumber block) {
  const BlockNumber start = view.geometry.StripeStart(view.geometry.StripeOf(block));
  return start != block && IsAuxiliaryStripe(view, start);
}

bool AtStripeStart(const IndexView& view, BlockNumber block) {
  return view.geometry.StripeStart(view.geometry.StripeOf(block)) == block;
}

// Appends the next page of a node stripe; the extension lock is held.
PageKind AppendToNodeStripe(const IndexView& view, BlockNumber block) {
  const PageKind kind = NodeStripeKind(view, block);
  AppendPage(view, kind);
  return kind;
}

// Locks of both: the meta page (L1), alone or under L5.
void SetHint(const IndexView& view, uint32_t format::Meta::*hint, BlockNumber block) {
  pg::PageRef page = pg::ReadPage(view.rel, kMetaBlock, BUFFER_LOCK_EXCLUSIVE, PageKind::kMeta);
  pg::PageEdit edit = pg::PageEdit::Begin(view.rel, view.meta);
  MetaOn(edit.Edit(page))->*hint = block;
  edit.Finish();
  pg::Release(page);
}

// L1, as above.
BlockNumber Hint(const IndexView& view, uint32_t format::Meta::*hint) {
  pg::PageRef page = pg::ReadPage(view.rel, kMetaBlock, BUFFER_LOCK_SHARE, PageKind::kMeta);
  const BlockNumber block = MetaOn(page.page)->*hint;
  pg::Release(page);
  return block;
}

// Adds a node page with the refinement pages of its nodes. Locks: extension (L5), L1 and pages
// under it.
void GrowNodes(const IndexView& view) {
  LockRelationForExtension(view.rel, ExclusiveLock);
  BlockNumber next = RelationGetNumberOfBlocks(view.rel);
  if (InAuxiliaryStripe(view, next)) {
    BlockNumber spare = 0;
    for (; !AtStripeStart(view, next); ++next) {
      AppendPage(view, PageKind::kSpare);
      if (spare == 0) spare = next;
    }
    if (spare != 0) SetHint(view, &format::Meta::spare_hint, spare);
  }
  BlockNumber added = InvalidBlockNumber;
  BlockNumber last = next;
  while (added == InvalidBlockNumber || next <= last) {
    if (AppendToNodeStripe(view, next) == PageKind::kNodes && added == InvalidBlockNumber) {
      added = last = next;
      if (view.meta.refinements_per_page > 0) {
        const NodeId first = view.geometry.PartAt(next).ordinal * view.meta.slots_per_page;
        last = view.geometry.RefinementAt(first + view.meta.slots_per_page - 1).block;
      }
    }
    ++next;
  }
  // Not before the refinement pages are there: others may take a slot at once.
  RecordRoom(view, added);
  UnlockRelationForExtension(view.rel, ExclusiveLock);
  FreeSpaceMapVacuumRange(view.rel, added, next);
}

// Turns the first spare block into a page of `kind`; 0 when there is none. The extension lock is
// held, so nobody else takes it. One record for page and hint: a hint to a page in use would be
// damage. Locks: the meta page (L1), then the spare page (L6).
BlockNumber TakeSpare(const IndexView& view, PageKind kind) {
  const BlockNumber block = Hint(view, &format::Meta::spare_hint);
  if (block == 0) return 0;
  BlockNumber next = block + 1;
  if (next >= RelationGetNumberOfBlocks(view.rel) || AtStripeStart(view, next)) next = 0;
  pg::PageRef meta = pg::ReadPage(view.rel, kMetaBlock, BUFFER_LOCK_EXCLUSIVE, PageKind::kMeta);
  pg::PageRef page = pg::ReadPage(view.rel, block, BUFFER_LOCK_EXCLUSIVE, PageKind::kSpare);
  pg::PageEdit edit = pg::PageEdit::Begin(view.rel, view.meta);
  InitPageOf(view, edit.EditWhole(page), kind);
  MetaOn(edit.Edit(meta))->spare_hint = next;
  edit.Finish();
  pg::Release(page);
  pg::Release(meta);
  return block;
}

// The extension lock is held; `first`: the file's end.
void CompleteNodeStripe(const IndexView& view, BlockNumber first) {
  BlockNumber next = first;
  for (; !AtStripeStart(view, next); ++next) AppendToNodeStripe(view, next);
  for (BlockNumber block = first; block < next; ++block) {
    if (NodeStripeKind(view, block) == PageKind::kNodes) RecordRoom(view, block);
  }
  FreeSpaceMapVacuumRange(view.rel, first, next);
}

uint32_t format::Meta::*HintOf(PageKind kind) {
  return kind == PageKind::kUpper   ? &format::Meta::upper_hint
         : kind == PageKind::kChain ? &format::Meta::chain_hint
                                    : &format::Meta::posting_hint;
}

// Adds a page of records. A node stripe under way is completed first: it stays usable. Locks:
// extension (L5), L1 and pages under it.
BlockNumber GrowRecords(const IndexView& view, PageKind kind) {
  LockRelationForExtension(view.rel, ExclusiveLock);
  BlockNumber block = TakeSpare(view, kind);
  if (block == 0) {
    const BlockNumber first = RelationGetNumberOfBlocks(view.rel);
    if (!InAuxiliaryStripe(view, first)) CompleteNodeStripe(view, first);
    CheckRecordIds(view, kind, RelationGetNumberOfBlocks(view.rel));
    block = AppendPage(view, kind);
  }
  UnlockRelationForExtension(view.rel, ExclusiveLock);
  SetHint(view, HintOf(kind), block);
  return block;
}

uint32_t FreeSlotOn(const IndexView& view, const char* page, PageKind kind) {
  if (kind == PageKind::kUpper) {
    for (uint32_t i = 0; i < view.meta.uppers_per_page; ++i) {
      if (view.Upper(page, i)->state == SlotState::kFree) return i;
    }
  } else if (kind == PageKind::kChain) {
    for (uint32_t i = 0; i < view.meta.chunks_per_page; ++i) {
      if (view.Chunk(page, i)->node == kNoId) return i;
    }
  } else if (PostingsOn(page)->end_slot == 0) {
    return 0;
  }
  return kNone;
}

// The next page of `kind` behind `block` that has room; 0: none. Vacuum sets the hint back to the
// first one, and between two vacuums it only moves forward, so that each page is looked at once.
BlockNumber NextWithRoom(const IndexView& view, PageKind kind, BlockNumber block) {
  const BlockNumber blocks = RelationGetNumberOfBlocks(view.rel);
  for (++block; block < blocks; ++block) {
    CHECK_FOR_INTERRUPTS();
    const uint32_t stripe = view.geometry.StripeOf(block);
    if (!IsAuxiliaryStripe(view, view.geometry.StripeStart(stripe))) {
      block = view.geometry.StripeStart(stripe + 1) - 1;
      continue;
    }
    // L4 or L6, alone.
    const pg::PageRef page = pg::ReadAnyPage(view.rel, block, BUFFER_LOCK_SHARE);
    const bool room = !pg::IsBlank(page.page) && pg::KindOf(page.page) == kind &&
                      FreeSlotOn(view, page.page, kind) != kNone;
    pg::Release(page);
    if (room) return block;
  }
  return 0;
}

}  // namespace

FreeSlot FindNodeSlot(const IndexView& view, NodeId* id) {
  BlockNumber block = RelationGetTargetBlock(view.rel);
  const BlockNumber blocks = RelationGetNumberOfBlocks(view.rel);
  if (block == InvalidBlockNumber) block = GetPageWithFreeSpace(view.rel, kWanted);
  for (;;) {
    CHECK_FOR_INTERRUPTS();
    if (block == InvalidBlockNumber) {
      GrowNodes(view);
      block = GetPageWithFreeSpace(view.rel, kWanted);
      if (block == InvalidBlockNumber) continue;
    }
    if (view.geometry.InStripes(block) &&
        (block < blocks || block < RelationGetNumberOfBlocks(view.rel))) {
      // L2; the caller releases it.
      pg::PageRef page = pg::ReadAnyPage(view.rel, block, BUFFER_LOCK_EXCLUSIVE);
      if (!pg::IsBlank(page.page) && pg::KindOf(page.page) == PageKind::kNodes) {
        for (uint32_t i = 0; i < view.meta.slots_per_page; ++i) {
          if (view.Node(page.page, i)->state != SlotState::kFree) continue;
          const uint64_t node =
              uint64_t{view.geometry.PartAt(block).ordinal} * view.meta.slots_per_page + i;
          if (node >= kMaxNodes) {
            pg::Release(page);
            ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                            errmsg("index \"%s\" cannot hold more than %u vectors",
                                   RelationGetRelationName(view.rel), kMaxNodes)));
          }
          RelationSetTargetBlock(view.rel, block);
          *id = static_cast<NodeId>(node);
          return {page, i};
        }
      }
      pg::Release(page);
    }
    block = RecordAndGetPageWithFreeSpace(view.rel, block, 0, kWanted);
  }
}

FreeSlot FindRecord(const IndexView& view, PageKind kind) {
  const auto hint = HintOf(kind);
  BlockNumber block = Hint(view, hint);
  for (;;) {
    CHECK_FOR_INTERRUPTS();
    if (block != 0) {
      // L4 or L6; the caller releases it.
      pg::PageRef page = pg::ReadPage(view.rel, block, BUFFER_LOCK_EXCLUSIVE, kind);
      const uint32_t slot = FreeSlotOn(view, page.page, kind);
      if (slot != kNone) return {page, slot};
      pg::Release(page);
      block = NextWithRoom(view, kind, block);
      if (block != 0) {
        SetHint(view, hint, block);
        continue;
      }
    }
    block = GrowRecords(view, kind);
  }
}

// L3, under the node page (L2).
pg::PageRef LockRefinement(const IndexView& view, format::Place at, bool* blank) {
  pg::PageRef page = pg::ReadAnyPage(view.rel, at.block, BUFFER_LOCK_EXCLUSIVE);
  *blank = pg::IsBlank(page.page);
  if (!*blank && pg::KindOf(page.page) != PageKind::kRefinement) {
    pg::ReportCorrupted(view.rel, at.block, "unexpected kind of page");
  }
  return page;
}

// L7, under the node page (L2).
ColumnRef LockColumn(const IndexView& view, NodeId id) {
  if (!view.has_attributes()) return {};
  const format::Place at = view.geometry.ColumnAt(id);
  const pg::PageRef page = pg::ReadAnyPage(view.rel, at.block, BUFFER_LOCK_EXCLUSIVE);
  const bool blank = pg::IsBlank(page.page);
  if (!blank && pg::KindOf(page.page) != PageKind::kColumn) {
    pg::ReportCorrupted(view.rel, at.block, "unexpected kind of page");
  }
  return {page, at.index, blank};
}

char* EditColumn(const IndexView& view, pg::PageEdit* edit, const ColumnRef& column) {
  if (!column.blank) return edit->Edit(column.page);
  char* page = edit->EditWhole(column.page);
  InitPageOf(view, page, PageKind::kColumn);
  return page;
}

void ReleaseColumn(const ColumnRef& column) {
  if (column) pg::Release(column.page);
}

}  // namespace ann::hnsw
