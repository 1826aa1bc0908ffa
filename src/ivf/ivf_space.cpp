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
  // L5, then the new page (L6), which nobody else knows.
  LockRelationForExtension(rel, ExclusiveLock);
  const Buffer buffer = ReadBuffer(rel, P_NEW);
  pg::UnitDone();
  LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
  UnlockRelationForExtension(rel, ExclusiveLock);
  return {buffer, BufferGetPage(buffer), BufferGetBlockNumber(buffer)};
}

void GiveBack(Relation rel, const pg::PageRef& page) {
  const BlockNumber block = page.block;
  pg::Release(page);
  RecordFreeIndexPage(rel, block);
}

void FreePages(Relation rel, const BlockNumber* blocks, size_t n) {
  for (size_t done = 0; done < n;) {
    CHECK_FOR_INTERRUPTS();
    const size_t batch = std::min<size_t>(n - done, MAX_GENERIC_XLOG_PAGES);
    pg::PageRef pages[MAX_GENERIC_XLOG_PAGES];
    // L6: nothing leads to these pages.
    for (size_t i = 0; i < batch; ++i) {
      pages[i] = ReadInFile(rel, blocks[done + i], BUFFER_LOCK_EXCLUSIVE);
    }
    pg::PageEdit edit = pg::PageEdit::Begin(rel);
    for (size_t i = 0; i < batch; ++i) pg::InitPage(edit.EditWhole(pages[i]), PageKind::kFree, 0);
    edit.Finish();
    for (size_t i = 0; i < batch; ++i) GiveBack(rel, pages[i]);
    done += batch;
  }
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
