#include "pg/page.hpp"

#include <algorithm>

namespace ann::pg {

using format::PageKind;
using format::PageTail;

void ReportCorrupted(Relation index, BlockNumber block, const char* what) {
  ereport(ERROR, (errcode(ERRCODE_INDEX_CORRUPTED),
                  errmsg("index \"%s\" is damaged at block %u: %s", RelationGetRelationName(index),
                         block, what),
                  errhint("REINDEX INDEX \"%s\" builds it anew from the table.",
                          RelationGetRelationName(index))));
  pg_unreachable();
}

void RefusePgvector(Relation index, BlockNumber block, const char* page) {
  const uint16_t id = TailOf(page)->page_id;
  if (block != 0) return;
  if (id != format::kPgvectorHnswPageId && id != format::kPgvectorIvfflatPageId) return;
  ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                  errmsg("index \"%s\" was built by pgvector, and ann cannot read it",
                         RelationGetRelationName(index)),
                  errhint("REINDEX INDEX \"%s\" builds it anew from the table.",
                          RelationGetRelationName(index))));
}

void CheckPage(Relation index, const PageRef& ref) {
  RefusePgvector(index, ref.block, ref.page);
  const PageHeader header = reinterpret_cast<PageHeader>(ref.page);
  if (header->pd_special != format::kPageSize - sizeof(PageTail) ||
      header->pd_upper != header->pd_special || PageGetPageSize(ref.page) != format::kPageSize) {
    ReportCorrupted(index, ref.block, "invalid page header");
  }
  const PageTail* tail = TailOf(ref.page);
  if (tail->page_id != format::kPageId) {
    ReportCorrupted(index, ref.block, "the page is not of an ann index");
  }
  if (!format::IsReadable(tail->version)) {
    ReportCorrupted(index, ref.block, "unknown page format version");
  }
}

PageRef ReadAnyPage(Relation index, BlockNumber block, int lock, BufferAccessStrategy strategy) {
  // The server would take it for P_NEW and extend the file.
  if (block == InvalidBlockNumber) ReportCorrupted(index, block, "a reference to no block");
  Buffer buffer = ReadBufferExtended(index, MAIN_FORKNUM, block, RBM_NORMAL, strategy);
  // Where one page is locked and what it says leads to another: waiting for oneself has no end.
  if (!BufferIsLocal(buffer) &&
      LWLockHeldByMe(BufferDescriptorGetContentLock(GetBufferDescriptor(buffer - 1)))) {
    ReportCorrupted(index, block, "the page refers to itself");
  }
  LockBuffer(buffer, lock);
  PageRef ref{buffer, BufferGetPage(buffer), block};
  if (!IsBlank(ref.page)) CheckPage(index, ref);
  return ref;
}

PageRef ReadPage(Relation index, BlockNumber block, int lock, PageKind kind) {
  PageRef ref = ReadAnyPage(index, block, lock);
  if (IsBlank(ref.page)) ReportCorrupted(index, block, "the page is all zeros");
  if (KindOf(ref.page) != kind) ReportCorrupted(index, block, "unexpected kind of page");
  return ref;
}

void Release(const PageRef& page) { UnlockReleaseBuffer(page.buffer); }

void InitPage(char* page, PageKind kind, uint32_t body_bytes) {
  PageInit(page, format::kPageSize, sizeof(PageTail));
  PageTail* tail = reinterpret_cast<PageTail*>(page + format::kPageSize - sizeof(PageTail));
  *tail = {kind, format::kFormatVersion, 0, format::kPageId};
  reinterpret_cast<PageHeader>(page)->pd_lower =
      static_cast<LocationIndex>(format::kPageHeaderBytes + body_bytes);
}

void LogPages(Relation index) {
  const BlockNumber end = RelationGetNumberOfBlocks(index);
  // One record a call.
  for (BlockNumber start = 0; start < end; start += XLR_MAX_BLOCK_ID) {
    log_newpage_range(index, MAIN_FORKNUM, start,
                      std::min<BlockNumber>(start + XLR_MAX_BLOCK_ID, end), true);
    UnitDone();
  }
}

}  // namespace ann::pg
