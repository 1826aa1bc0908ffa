// Reading and editing pages of an index. Every page is checked when it is read: what a damaged page
// says is an error, never followed.
//
// Pages and edits here are plain values without destructors (README, "What may be alive"): whoever
// reads a page releases it; an error releases all through the resource owner.
#pragma once

#include <algorithm>

#include "format/geometry.hpp"
#include "format/hnsw_format.hpp"

#include "pg/error.hpp"
#include "pg/test_hooks.hpp"

namespace ann::pg {

struct PageRef {
  Buffer buffer;
  char* page;
  BlockNumber block;

  char* body() const { return page + format::kPageHeaderBytes; }
};

inline const format::PageTail* TailOf(const char* page) {
  return reinterpret_cast<const format::PageTail*>(page + format::kPageSize -
                                                   sizeof(format::PageTail));
}
inline format::PageTail* TailOf(char* page) {
  return const_cast<format::PageTail*>(TailOf(static_cast<const char*>(page)));
}
// A page that a crash left behind between the extension of the file and its first WAL record.
inline bool IsBlank(const char* page) { return PageIsNew(const_cast<char*>(page)); }
inline format::PageKind KindOf(const char* page) { return TailOf(page)->kind; }

// Pins and locks (BUFFER_LOCK_SHARE or _EXCLUSIVE) a page that must be of `kind`.
// Errors: ERRCODE_INDEX_CORRUPTED.
PageRef ReadPage(Relation index, BlockNumber block, int lock, format::PageKind kind);
// The same for a page of any kind of ours; it may be blank.
PageRef ReadAnyPage(Relation index, BlockNumber block, int lock,
                    BufferAccessStrategy strategy = nullptr);
void Release(const PageRef& page);
// Checks header and tail of a page in a buffer that the caller has pinned and locked.
// Errors: ERRCODE_INDEX_CORRUPTED.
void CheckPage(Relation index, const PageRef& page);
// An index that was there when its database was switched from pgvector to ann (shim/README.md) says
// so by its first page. Errors: 55000.
void RefusePgvector(Relation index, BlockNumber block, const char* page);

// Empty page of `kind`, its slot area `body_bytes` long.
void InitPage(char* page, format::PageKind kind, uint32_t body_bytes);

// Logs all pages of a file that has just been built, in order.
void LogPages(Relation index);

// Up to 4 pages changed by one WAL record. Between Begin and Finish nothing may ereport but through
// the functions here.
class PageEdit {
 public:
  static PageEdit Begin(Relation index, const format::Meta& meta) {
    return PageEdit(index, &meta, GenericXLogStart(index));
  }
  // Of an index of another access method: EditTo and EditWhole only.
  static PageEdit Begin(Relation index) {
    return PageEdit(index, nullptr, GenericXLogStart(index));
  }
  // The copy of the page to be changed; dies at Finish or Abort. Errors: ERRCODE_INDEX_CORRUPTED
  // when the header says that the slots end elsewhere: Finish would wipe what lies behind.
  char* Edit(const PageRef& page) {
    if (!format::MaySlotsEndAt(*meta_, KindOf(page.page), page.page,
                               reinterpret_cast<PageHeader>(page.page)->pd_lower)) {
      ReportCorrupted(index_, page.block, "the page's slots end at the wrong place");
    }
    return GenericXLogRegisterBuffer(state_, page.buffer, 0);
  }
  // The same, to write to slot `slot`: the slots are made to end behind it at least.
  char* EditSlot(const PageRef& page, uint32_t slot) {
    char* image = Edit(page);
    const uint32_t end =
        format::kPageHeaderBytes + (slot + 1) * format::SlotBytes(*meta_, KindOf(page.page));
    LocationIndex& lower = reinterpret_cast<PageHeader>(image)->pd_lower;
    lower = static_cast<LocationIndex>(std::max<uint32_t>(lower, end));
    return image;
  }
  // The same for a page whose body is `used` bytes long by what lies on it, and will be `bytes`.
  char* EditTo(const PageRef& page, uint32_t used, uint32_t bytes) {
    if (reinterpret_cast<PageHeader>(page.page)->pd_lower != format::kPageHeaderBytes + used) {
      ReportCorrupted(index_, page.block, "the page's contents end at the wrong place");
    }
    char* image = GenericXLogRegisterBuffer(state_, page.buffer, 0);
    reinterpret_cast<PageHeader>(image)->pd_lower =
        static_cast<LocationIndex>(format::kPageHeaderBytes + bytes);
    return image;
  }
  char* EditWhole(const PageRef& page) {
    return GenericXLogRegisterBuffer(state_, page.buffer, GENERIC_XLOG_FULL_IMAGE);
  }
  // `site` is for tests: who finished it.
  void Finish(Site site = Site::current()) {
    GenericXLogFinish(state_);
    UnitDone(site);
  }
  void Abort() { GenericXLogAbort(state_); }

 private:
  PageEdit(Relation index, const format::Meta* meta, GenericXLogState* state)
      : index_(index), meta_(meta), state_(state) {}
  Relation index_;
  const format::Meta* meta_;
  GenericXLogState* state_;
};

}  // namespace ann::pg
