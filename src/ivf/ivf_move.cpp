#include "ivf/ivf_move.hpp"

#include <cstring>

#include "core/vec.hpp"
#include "ivf/ivf_space.hpp"
#include "ivf/ivf_write.hpp"

#include "pg/alloc.hpp"

namespace ann::ivf {

using format::IvfFrame;
using format::ListEntry;
using format::PageKind;
using format::SegmentHeader;

namespace {

using Alloc = pg::PgAllocator<std::byte>;
using Blocks = VecOf<BlockNumber, Alloc>;
using OwnedPages = VecOf<OwnedPage, Alloc>;

// Notes a code page and the pages of its records, all of one list.
void NotePages(const IndexView& view, const pg::PageRef& page, OwnedPages& pages) {
  const OwnedPage owner = OwnedBy(page);
  pages.push_back(owner);
  for (uint32_t i = 0; i < view.meta.record_pages; ++i) {
    const BlockNumber block = RecordTableOn(view, page.page)[i];
    if (block != 0) pages.push_back({block, PageKind::kRecords, owner.list, owner.generation});
  }
}

// One list on its way to other pages.
class Mover {
 public:
  Mover(IndexView& view, uint32_t list, MemoryContext context)
      : view_(view),
        codec_(view.frame->codec),
        list_(list),
        guard_(view.rel),
        packer_(view, view.frame->codec, context),
        old_(Alloc(context)),
        fresh_(Alloc(context)),
        image_(pg::AllocZero<char>(context, format::kPageSize)),
        row_(pg::AllocZero<uint8_t>(context, view.frame->codec.row_bytes())),
        record_(pg::AllocZero<uint8_t>(context, view.meta.record_bytes + 8)) {}

  void Run() {
    if (!ReadEntry(view_.rel, view_.frame->shape, list_, &entry_)) Lost();
    if (entry_.head == 0) return;
    at_ = entry_.head;
    do {
      CopyRows();
      WriteSegment();
      pg::StopPoint("repack.copied");
    } while (!Switch());
    FreePages(view_.rel, old_.data(), old_.size());
  }

 private:
  [[noreturn]] void Lost() {
    pg::ReportCorrupted(view_.rel, EntryAt(view_.frame->shape, list_).block,
                        "the directory leads to pages of another list");
  }

  // L3 or L4, alone.
  void CopyImage(BlockNumber block, char* image) {
    const pg::PageRef page = ReadInFile(view_.rel, block, BUFFER_LOCK_SHARE);
    std::memcpy(image, page.page, format::kPageSize);
    pg::Release(page);
  }

  // What the old pages hold beyond what was copied before.
  void CopyRows() {
    for (;;) {
      pg::VacuumDelay();
      CopyImage(at_, image_);
      if (!IsSegmentOf(image_, list_, entry_.generation)) Lost();
      CheckSegment(view_, {InvalidBuffer, image_, at_});
      const SegmentHeader segment = *SegmentOn(image_);
      for (; copied_ < segment.rows; ++copied_) CopyRow(copied_, segment.rows);
      if (segment.next == 0) return;
      NotePages(view_, {InvalidBuffer, image_, at_}, old_);
      guard_.Pass(at_);
      at_ = segment.next;
      copied_ = 0;
    }
  }

  void CopyRow(uint32_t row, uint32_t rows) {
    const format::IvfMeta& meta = view_.meta;
    const uint32_t b = row / meta.block_rows, i = row % meta.block_rows;
    if ((BlockOn(view_, image_, b)->live >> i & 1) == 0) return;
    const bool apart = meta.code_place == format::CodePlace::kRecord;
    if (meta.record_bytes > 0) ReadRecord(row);
    const uint8_t* codes = CodesOn(view_, image_, b);
    if (meta.code_place == format::CodePlace::kBlock) {
      codec_.ExtractRow(codes, IsSealed(view_, codec_, RowsOfBlock(view_, rows, b)), i, row_);
    } else if (apart) {
      codec_.ExtractRow(record_, false, 0, row_);
    } else {
      std::memcpy(row_, codes + size_t{i} * codec_.row_bytes(), codec_.row_bytes());
    }
    if (packer_.full()) {
      WriteSegment();
      packer_.Clear();
      fresh_.clear();
    }
    packer_.Add(TidsOn(view_, image_, b)[i], row_,
                meta.record_bytes > 0 && !apart ? record_ : nullptr);
    ++live_;
  }

  void ReadRecord(uint32_t row) {
    const uint32_t ordinal = view_.layout.RecordPage(row);
    for (uint32_t i = 0; i < view_.meta.pages_per_record; ++i) {
      const BlockNumber block = RecordTableOn(view_, image_)[ordinal + i];
      // L4, alone.
      const pg::PageRef page = ReadInFile(view_.rel, block, BUFFER_LOCK_SHARE);
      if (!IsRecordsOf(page.page, list_, entry_.generation, at_, ordinal + i)) {
        pg::ReportCorrupted(view_.rel, block, "the page does not hold the list's records");
      }
      std::memcpy(record_ + i * format::kRecordArea, page.page + view_.layout.RecordAt(row),
                  view_.layout.PieceBytes(i));
      pg::Release(page);
    }
  }

  // Writes the packed rows: to pages of their own, which are written again if rows are added.
  // Locks: the new pages (L6), and the code page before them (L3), which nobody else knows.
  void WriteSegment() {
    if (packer_.empty()) return;
    const uint32_t generation = entry_.generation + 1;
    const bool is_new = fresh_.empty();
    while (fresh_.size() < packer_.record_pages() + 1u) {
      const pg::PageRef page = TakePage(view_.rel);
      pg::PageEdit edit = pg::PageEdit::Begin(view_.rel);
      // It is nobody's until the code page names it; what it says of itself is told below.
      InitRecords(edit.EditWhole(page), list_, generation, page.block, 0);
      edit.Finish();
      fresh_.push_back(page.block);
      pg::Release(page);
    }
    const BlockNumber block = fresh_[0];
    for (uint32_t i = 0; i < packer_.record_pages(); ++i) {
      const pg::PageRef page = ReadInFile(view_.rel, fresh_[1 + i], BUFFER_LOCK_EXCLUSIVE);
      pg::PageEdit edit = pg::PageEdit::Begin(view_.rel);
      packer_.FillRecords(edit.EditWhole(page), i, list_, generation, block);
      edit.Finish();
      pg::Release(page);
    }
    const bool links = is_new && tail_ != 0;
    // L3 both.
    pg::PageRef before{};
    if (links) before = pg::ReadPage(view_.rel, tail_, BUFFER_LOCK_EXCLUSIVE, PageKind::kCodes);
    const pg::PageRef page = ReadInFile(view_.rel, block, BUFFER_LOCK_EXCLUSIVE);
    pg::PageEdit edit = pg::PageEdit::Begin(view_.rel);
    packer_.FillSegment(edit.EditWhole(page), list_, generation, fresh_.data() + 1);
    if (links) {
      const uint32_t used =
          view_.layout.SegmentEnd(SegmentOn(before.page)->rows) - format::kPageHeaderBytes;
      SegmentOn(edit.EditTo(before, used, used))->next = block;
    }
    edit.Finish();
    pg::Release(page);
    if (links) pg::Release(before);
    if (head_ == 0) head_ = block;
    tail_ = block;
  }

  // Makes the new pages the list, if all rows have been copied. Locks: the directory page (L2), the
  // old tail (L3) under it.
  bool Switch() {
    const EntryPlace at = EntryAt(view_.frame->shape, list_);
    const pg::PageRef directory =
        pg::ReadPage(view_.rel, at.block, BUFFER_LOCK_EXCLUSIVE, PageKind::kDirectory);
    const pg::PageRef tail = pg::ReadPage(view_.rel, at_, BUFFER_LOCK_EXCLUSIVE, PageKind::kCodes);
    const SegmentHeader segment = *SegmentOn(tail.page);
    const bool complete = segment.next == 0 && segment.rows == copied_;
    if (complete) {
      std::memcpy(image_, tail.page, format::kPageSize);
      pg::PageEdit edit = pg::PageEdit::Begin(view_.rel);
      ListEntry* entry =
          EntryOn(edit.EditTo(directory, format::kPageBody, format::kPageBody), at.index);
      entry->head = head_;
      entry->tail = tail_;
      entry->generation = entry_.generation + 1;
      entry->run = 0;
      entry->live = live_;
      entry->dead = 0;
      const uint32_t used = view_.layout.SegmentEnd(segment.rows) - format::kPageHeaderBytes;
      SegmentOn(edit.EditTo(tail, used, used))->closed = 1;
      edit.Finish();
    }
    pg::Release(tail);
    pg::Release(directory);
    if (complete) NotePages(view_, {InvalidBuffer, image_, at_}, old_);
    return complete;
  }

  IndexView& view_;
  const quant::ListCodec& codec_;
  uint32_t list_;
  ChainGuard guard_;
  SegmentPacker packer_;
  ListEntry entry_{};
  OwnedPages old_;  // of the list as it was
  Blocks fresh_;    // of the segment that is being packed: code page, records
  char* image_;     // the old code page at hand
  uint8_t* row_;
  uint8_t* record_;
  BlockNumber at_ = 0;   // old code page
  uint32_t copied_ = 0;  // rows of it
  uint32_t live_ = 0;
  BlockNumber head_ = 0;  // new
  BlockNumber tail_ = 0;
};

bool Contains(const IvfFrame& shape, BlockNumber block) {
  return block >= shape.first_block &&
         block - shape.first_block < shape.frame_pages + shape.directory_pages;
}

// Whether the chain of a list leads to `segment`. Locks: L2, L3, one at a time.
bool LeadsTo(const IndexView& view, const Frame& frame, uint32_t list, BlockNumber segment) {
  ListEntry entry;
  if (list >= frame.shape.lists || !ReadEntry(view.rel, frame.shape, list, &entry)) return false;
  ChainGuard guard(view.rel);
  for (BlockNumber block = entry.head; block != 0;) {
    CHECK_FOR_INTERRUPTS();
    guard.Pass(block);
    if (block == segment) return true;
    const pg::PageRef page = ReadInFile(view.rel, block, BUFFER_LOCK_SHARE);
    const bool right = IsSegmentOf(page.page, list, entry.generation);
    block = right ? SegmentOn(page.page)->next : 0;
    pg::Release(page);
  }
  return false;
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
  MemoryContext own = AllocSetContextCreate(context, "ann ivf repack", ALLOCSET_DEFAULT_SIZES);
  Mover(view, list, own).Run();
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

void DiscardTraining(IndexView* view, MemoryContext context) {
  if (view->meta.training == 0) return;
  const IvfFrame shape = view->meta.frames[1 - view->meta.current];
  // L1, alone.
  const pg::PageRef page =
      pg::ReadPage(view->rel, kMetaBlock, BUFFER_LOCK_EXCLUSIVE, PageKind::kMeta);
  pg::PageEdit edit = pg::PageEdit::Begin(view->rel);
  MetaOn(edit.EditTo(page, sizeof(format::IvfMeta), sizeof(format::IvfMeta)))->training = 0;
  edit.Finish();
  pg::Release(page);
  Refresh(view);
  FreeFrame(*view, shape, context);
}

void SweepPages(IndexView& view, const uint8_t* used, BlockNumber end,
                BufferAccessStrategy strategy, MemoryContext context) {
  OwnedPages lost{Alloc(context)};
  for (BlockNumber block = kMetaBlock + 1; block < end; ++block) {
    if (used[block] != 0 || Contains(view.frame->shape, block)) continue;
    pg::VacuumDelay();
    // L6: nothing leads here.
    const pg::PageRef page = ReadInFile(view.rel, block, BUFFER_LOCK_SHARE, strategy);
    const OwnedPage owned = OwnedBy(page);
    const format::RecordsHeader records = *RecordsOn(page.page);
    pg::Release(page);
    if (owned.kind == PageKind::kFree) {
      RecordFreeIndexPage(view.rel, block);
    } else if (owned.kind == PageKind::kCodes
                   ? !LeadsTo(view, *view.frame, owned.list, block)
                   : owned.kind != PageKind::kRecords || !IsNamed(view, records, block)) {
      lost.push_back(owned);
    }
  }
  FreePages(view.rel, lost.data(), lost.size());
}

}  // namespace ann::ivf
