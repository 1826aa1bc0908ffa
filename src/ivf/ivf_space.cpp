#include "ivf/ivf_space.hpp"

#include <algorithm>

namespace ann::ivf {

using format::PageKind;

namespace {

bool IsUnused(const char* page) { return pg::IsBlank(page) || pg::KindOf(page) == PageKind::kFree; }

}  // namespace

pg::PageRef TakePage(Relation rel) {
  for (;;) {
    const BlockNumber block = GetFreeIndexPage(rel);
    if (block == InvalidBlockNumber) break;
    if (block >= RelationGetNumberOfBlocks(rel)) continue;
    const Buffer buffer = ReadBuffer(rel, block);
    // Somebody who holds it uses it: the map was wrong.
    if (ConditionalLockBuffer(buffer)) {
      const pg::PageRef page{buffer, BufferGetPage(buffer), block};
      if (!pg::IsBlank(page.page)) pg::CheckPage(rel, page);
      if (IsUnused(page.page)) return page;
      LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
    }
    ReleaseBuffer(buffer);
  }
  // L5, then the new page (L6), which nobody else knows, but for who asks a map from before a
  // crash.
  for (;;) {
    LockRelationForExtension(rel, ExclusiveLock);
    const Buffer buffer = ReadBuffer(rel, P_NEW);
    pg::UnitDone();
    LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
    UnlockRelationForExtension(rel, ExclusiveLock);
    const pg::PageRef page{buffer, BufferGetPage(buffer), BufferGetBlockNumber(buffer)};
    if (pg::IsBlank(page.page)) return page;
    pg::Release(page);
  }
}

void GiveBack(Relation rel, const pg::PageRef& page) {
  const BlockNumber block = page.block;
  pg::Release(page);
  RecordFreeIndexPage(rel, block);
}

OwnedPage OwnedBy(const pg::PageRef& page) {
  OwnedPage owned{page.block, PageKind::kFree, 0, 0};
  if (pg::IsBlank(page.page)) return owned;
  owned.kind = pg::KindOf(page.page);
  if (owned.kind == PageKind::kCodes) {
    const format::SegmentHeader* segment = SegmentOn(page.page);
    owned.list = segment->list, owned.generation = segment->generation;
  } else if (owned.kind == PageKind::kRecords) {
    const format::RecordsHeader* records = RecordsOn(page.page);
    owned.list = records->list, owned.generation = records->generation;
  } else {
    owned.list = pg::TailOf(page.page)->epoch;
  }
  return owned;
}

void NotePages(const IndexView& view, const pg::PageRef& page, OwnedPages& pages) {
  const OwnedPage owner = OwnedBy(page);
  pages.push_back(owner);
  for (uint32_t i = 0; i < view.meta.record_pages; ++i) {
    const BlockNumber block = RecordTableOn(view, page.page)[i];
    if (block != 0) pages.push_back({block, PageKind::kRecords, owner.list, owner.generation});
  }
}

void FreePages(Relation rel, const OwnedPage* pages, size_t n) {
  for (size_t i = 0; i < n;) {
    CHECK_FOR_INTERRUPTS();
    // L6: nothing leads to these pages.
    pg::PageRef batch[MAX_GENERIC_XLOG_PAGES];
    int taken = 0;
    for (; i < n && taken < MAX_GENERIC_XLOG_PAGES; ++i) {
      batch[taken] = ReadInFile(rel, pages[i].block, BUFFER_LOCK_EXCLUSIVE);
      if (OwnedBy(batch[taken]) == pages[i]) {
        ++taken;
      } else {
        pg::Release(batch[taken]);
      }
    }
    if (taken == 0) continue;
    pg::PageEdit edit = pg::PageEdit::Begin(rel);
    for (int p = 0; p < taken; ++p) pg::InitPage(edit.EditWhole(batch[p]), PageKind::kFree, 0);
    edit.Finish();
    for (int p = 0; p < taken; ++p) GiveBack(rel, batch[p]);
  }
}

FreeMapReach::FreeMapReach(Relation rel)
    : map_blocks_(smgrexists(RelationGetSmgr(rel), FSM_FORKNUM)
                      ? RelationGetNumberOfBlocksInFork(rel, FSM_FORKNUM)
                      : 0) {}

// The map is a tree of three levels, in which each page comes before those below it.
bool FreeMapReach::Covers(BlockNumber block) const {
  const BlockNumber leaf = block / SlotsPerFSMPage, node = leaf / SlotsPerFSMPage;
  return leaf + (node + 1) + (node / SlotsPerFSMPage + 1) < map_blocks_;
}

BlockNumber AppendBlank(Relation rel, uint32_t n) {
  // L5: until all are there nobody else adds pages.
  LockRelationForExtension(rel, ExclusiveLock);
  const BlockNumber first = RelationGetNumberOfBlocks(rel);
  for (uint32_t i = 0; i < n; ++i) {
    ReleaseBuffer(ReadBuffer(rel, P_NEW));
    pg::UnitDone();
  }
  UnlockRelationForExtension(rel, ExclusiveLock);
  return first;
}

}  // namespace ann::ivf
