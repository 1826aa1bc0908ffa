#include "ivf/ivf_move.hpp"

#include <algorithm>
#include <cstring>

#include "ivf/ivf_chain.hpp"
#include "ivf/ivf_space.hpp"

namespace ann::ivf {

using format::IvfFrame;
using format::ListEntry;
using format::PageKind;
using format::SegmentHeader;

namespace {

using Alloc = pg::PgAllocator<std::byte>;

// One list on its way to other pages.
class Mover {
 public:
  Mover(IndexView& view, uint32_t list, const ListEntry& entry, MemoryContext context)
      : view_(view),
        list_(list),
        rows_(view, *view.frame, list, context),
        chain_(view, view.frame->codec, list, entry.generation + 1, context) {
    rows_.Start(entry);
  }

  void Run() {
    do {
      for (ListRow row; rows_.Next(&row);) chain_.Add(row);
      chain_.Flush();
      pg::StopPoint("repack.copied");
    } while (!Switch());
    FreePages(view_.rel, rows_.pages().data(), rows_.pages().size());
  }

 private:
  // Makes the new pages the list, if all rows have been copied. Locks: the directory page (L2), the
  // old tail (L3) under it.
  bool Switch() {
    const EntryPlace at = EntryAt(view_.frame->shape, list_);
    const pg::PageRef directory =
        pg::ReadPage(view_.rel, at.block, BUFFER_LOCK_EXCLUSIVE, PageKind::kDirectory);
    const pg::PageRef tail =
        pg::ReadPage(view_.rel, rows_.at(), BUFFER_LOCK_EXCLUSIVE, PageKind::kCodes);
    const bool complete = rows_.IsComplete(tail.page);
    if (complete) {
      rows_.NoteTail(tail.page);
      pg::PageEdit edit = pg::PageEdit::Begin(view_.rel);
      ListEntry* entry =
          EntryOn(edit.EditTo(directory, format::kPageBody, format::kPageBody), at.index);
      entry->head = chain_.head();
      entry->tail = chain_.tail();
      entry->generation = chain_.generation();
      entry->run = 0;
      entry->live = chain_.rows();
      entry->dead = 0;
      const uint32_t used =
          view_.layout.SegmentEnd(SegmentOn(tail.page)->rows) - format::kPageHeaderBytes;
      SegmentOn(edit.EditTo(tail, used, used))->closed = 1;
      edit.Finish();
    }
    pg::Release(tail);
    pg::Release(directory);
    return complete;
  }

  IndexView& view_;
  uint32_t list_;
  ListReader rows_;
  ChainBuilder chain_;
};

bool Contains(const IvfFrame& shape, BlockNumber block) {
  return block >= shape.first_block &&
         block - shape.first_block < shape.frame_pages + shape.directory_pages;
}

// Marks the pages below `end` that the chain of a list leads to. Locks: L2, L3, one at a time.
void MarkChain(const IndexView& view, uint32_t list, uint8_t* marks, BlockNumber end) {
  const IvfFrame& shape = view.frame->shape;
  ListEntry entry;
  if (list >= shape.lists || !ReadEntry(view.rel, shape, list, &entry)) return;
  ChainGuard guard(view.rel);
  for (BlockNumber block = entry.head; block != 0;) {
    CHECK_FOR_INTERRUPTS();
    guard.Pass(block);
    if (block < end) marks[block] = 1;
    const pg::PageRef page = ReadInFile(view.rel, block, BUFFER_LOCK_SHARE);
    const bool right = IsSegmentOf(page.page, list, entry.generation);
    block = right ? SegmentOn(page.page)->next : 0;
    pg::Release(page);
  }
}

// Moves those of `segments`, code pages that were not of a list some time ago, to `lost` that are
// of none now.
void SortOutSegments(const IndexView& view, OwnedPages& segments, BlockNumber end,
                     OwnedPages& lost) {
  if (segments.empty()) return;
  std::sort(segments.begin(), segments.end(),
            [](const OwnedPage& a, const OwnedPage& b) { return a.list < b.list; });
  VecOf<uint8_t, Alloc> marks(end, 0, segments.get_stored_allocator());
  for (size_t i = 0; i < segments.size(); ++i) {
    if (i > 0 && segments[i].list == segments[i - 1].list) continue;
    MarkChain(view, segments[i].list, marks.data(), end);
  }
  for (const OwnedPage& page : segments) {
    if (marks[page.block] == 0) lost.push_back(page);
  }
}

// Whether the code page that a page of records names has it in its table.
bool IsNamed(const IndexView& view, const format::RecordsHeader& records, BlockNumber block) {
  if (records.segment >= RelationGetNumberOfBlocks(view.rel) || records.segment == kMetaBlock ||
      records.segment == block || records.ordinal >= view.meta.record_pages) {
    return false;
  }
  // L3, alone: who adds a row holds it until the table names the row's pages.
  const pg::PageRef page = ReadInFile(view.rel, records.segment, BUFFER_LOCK_SHARE);
  const bool named = IsSegmentOf(page.page, records.list, records.generation) &&
                     RecordTableOn(view, page.page)[records.ordinal] == block;
  pg::Release(page);
  return named;
}

}  // namespace

void RepackList(IndexView& view, uint32_t list, MemoryContext context) {
  ListEntry entry;
  if (!ReadEntry(view.rel, view.frame->shape, list, &entry)) {
    pg::ReportCorrupted(view.rel, EntryAt(view.frame->shape, list).block,
                        "the page is not of the lists in use");
  }
  if (entry.head == 0) return;
  MemoryContext own = AllocSetContextCreate(context, "ann ivf repack", ALLOCSET_DEFAULT_SIZES);
  Mover(view, list, entry, own).Run();
  MemoryContextDelete(own);
}

namespace {

// All pages of a list.
void CollectPages(const IndexView& view, uint32_t list, const ListEntry& entry, OwnedPages& pages) {
  ChainGuard guard(view.rel);
  for (BlockNumber block = entry.head; block != 0;) {
    CHECK_FOR_INTERRUPTS();
    guard.Pass(block);
    // L3, alone.
    const pg::PageRef page = ReadInFile(view.rel, block, BUFFER_LOCK_SHARE);
    const bool right = IsSegmentOf(page.page, list, entry.generation);
    if (right) NotePages(view, page, pages);
    block = right ? SegmentOn(page.page)->next : 0;
    pg::Release(page);
  }
}

}  // namespace

void FreeFrame(IndexView& view, const IvfFrame& shape, MemoryContext context) {
  OwnedPages pages{Alloc(context)};
  for (uint32_t list = 0; list < shape.lists; ++list) {
    pg::VacuumDelay();
    ListEntry entry;
    if (!ReadEntry(view.rel, shape, list, &entry)) break;
    pages.clear();
    CollectPages(view, list, entry, pages);
    FreePages(view.rel, pages.data(), pages.size());
  }
  pg::StopPoint("free.lists");
  pages.clear();
  for (uint32_t i = 0; i < shape.frame_pages + shape.directory_pages; ++i) {
    const PageKind kind = i < shape.frame_pages ? PageKind::kFrame : PageKind::kDirectory;
    pages.push_back({shape.first_block + i, kind, static_cast<uint16_t>(shape.epoch), 0});
  }
  FreePages(view.rel, pages.data(), pages.size());
}

void EndTraining(IndexView* view) {
  // An index of an earlier release may not say yet that pages are left.
  if (view->meta.training != 0) {
    EditMeta(view, [](format::IvfMeta* m) { m->training = 0, m->untidy = 1; });
  }
}

void DiscardTraining(IndexView* view, MemoryContext context) {
  if (view->meta.training == 0) return;
  const IvfFrame shape = view->meta.frames[1 - view->meta.current];
  EndTraining(view);
  FreeFrame(*view, shape, context);
}

bool NoteUntidy(IndexView* view) {
  if (view->meta.untidy != 0) return false;
  EditMeta(view, [](format::IvfMeta* m) { m->untidy = 1; });
  return true;
}

void NoteTidy(IndexView* view) {
  EditMeta(view, [](format::IvfMeta* m) { m->untidy = 0; });
}

bool SweepPages(IndexView& view, const uint8_t* used, BlockNumber end, bool map_may_grow,
                BufferAccessStrategy strategy, MemoryContext context) {
  struct Records {
    OwnedPage page;
    format::RecordsHeader header;
  };
  OwnedPages lost{Alloc(context)}, segments{Alloc(context)};
  VecOf<Records, Alloc> records{Alloc(context)};
  const FreeMapReach map(view.rel);
  bool all = true;
  for (BlockNumber block = kMetaBlock + 1; block < end; ++block) {
    if (used[block] != 0 || Contains(view.frame->shape, block)) continue;
    if (!map_may_grow && !map.Covers(block)) {
      all = false;
      continue;
    }
    pg::VacuumDelay();
    // L6: nothing leads here.
    const pg::PageRef page = ReadInFile(view.rel, block, BUFFER_LOCK_SHARE, strategy);
    const OwnedPage owned = OwnedBy(page);
    const format::RecordsHeader header = *RecordsOn(page.page);
    pg::Release(page);
    if (owned.kind == PageKind::kFree) {
      RecordFreeIndexPage(view.rel, block);
    } else if (owned.kind == PageKind::kCodes) {
      segments.push_back(owned);
    } else if (owned.kind == PageKind::kRecords) {
      records.push_back({owned, header});
    } else {
      lost.push_back(owned);
    }
  }
  SortOutSegments(view, segments, end, lost);
  FreePages(view.rel, lost.data(), lost.size());
  // A code page that was lost named its records up to here.
  lost.clear();
  for (const Records& r : records) {
    pg::VacuumDelay();
    if (!IsNamed(view, r.header, r.page.block)) lost.push_back(r.page);
  }
  FreePages(view.rel, lost.data(), lost.size());
  return all;
}

}  // namespace ann::ivf
