// ann_index_check: README section "Invariants". The functions are numbered as the invariants are.
//
// The meta page and the centroids come first, then each list's chain with its records, then what no
// list has. All pages are read through this file's own ReadImage, so that a damaged header, too, is
// told by its number.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "ivf/ivf.hpp"
#include "ivf/ivf_index.hpp"
#include "ivf/ivf_inspect.hpp"

#include "core/vec.hpp"
#include "pg/alloc.hpp"

namespace ann::ivf {

using format::IvfFrame;
using format::ListEntry;
using format::ListState;
using format::PageKind;

namespace {

using Alloc = pg::PgAllocator<std::byte>;

constexpr uint32_t kNoRow = ~uint32_t{0};

// What an invariant is about; I1, I2, ... of README.md.
enum class Invariant : int {
  kMeta = 1,
  kPage,
  kFrame,
  kList,
  kSegment,
  kRecords,
  kRows,
  kDistinctRows,
  kCodes,
  kSlots,
  kAttributes,
};

class Checker {
 public:
  Checker(Relation heap, Relation index, MemoryContext context)
      : index_(index),
        context_(context),
        blocks_(RelationGetNumberOfBlocks(index)),
        heap_blocks_(RelationGetNumberOfBlocks(heap)),
        used_(Alloc(context)),
        rows_(Alloc(context)) {
    image_ = pg::AllocZero<char>(context, format::kPageSize);
    other_ = pg::AllocZero<char>(context, format::kPageSize);
    strategy_ = GetAccessStrategy(BAS_BULKREAD);
    used_.resize(blocks_, 0);
  }

  void Run() {
    CheckMetaPage();
    CheckFrame(*view_->frame);
    CheckLists(*view_->frame);
    CheckDistinctRows();
    if (view_->training != nullptr) {
      // Rows of these are rows of the lists in use, too.
      rows_.clear();
      CheckFrame(*view_->training);
      CheckLists(*view_->training);
      CheckDistinctRows();
    }
    CheckOthers();
    FreeAccessStrategy(strategy_);
  }

 private:
  [[noreturn]] void Fail(Invariant invariant, BlockNumber block, uint32_t row, const char* what) {
    ereport(ERROR,
            (errcode(ERRCODE_INDEX_CORRUPTED),
             errmsg("index \"%s\" is damaged at block %u: %s", RelationGetRelationName(index_),
                    block, what),
             row == kNoRow ? errdetail("Invariant I%d is violated.", static_cast<int>(invariant))
                           : errdetail("Invariant I%d is violated by row %u.",
                                       static_cast<int>(invariant), row),
             errhint("REINDEX INDEX \"%s\" builds it anew from the table.",
                     RelationGetRelationName(index_))));
    pg_unreachable();
  }

  // --- I1, I2: meta page, pages

  // Copies a page and checks its header and tail. False: the page is blank. Locks: the page (L1 to
  // L6), alone.
  bool ReadImage(BlockNumber block, char* image) {
    CHECK_FOR_INTERRUPTS();
    const Buffer buffer = ReadBufferExtended(index_, MAIN_FORKNUM, block, RBM_NORMAL, strategy_);
    LockBuffer(buffer, BUFFER_LOCK_SHARE);
    std::memcpy(image, BufferGetPage(buffer), format::kPageSize);
    UnlockReleaseBuffer(buffer);
    if (pg::IsBlank(image)) return false;
    pg::RefusePgvector(index_, block, image);
    const PageHeader header = reinterpret_cast<PageHeader>(image);
    const format::PageTail* tail = pg::TailOf(image);
    if (header->pd_special != format::kPageSize - sizeof(format::PageTail) ||
        header->pd_upper != header->pd_special || header->pd_lower < format::kPageHeaderBytes ||
        header->pd_lower > header->pd_upper || PageGetPageSize(image) != format::kPageSize) {
      Fail(Invariant::kPage, block, kNoRow, "invalid page header");
    }
    if (tail->page_id != format::kPageId) {
      Fail(Invariant::kPage, block, kNoRow, "the page is not of an ann index");
    }
    if (!format::IsReadable(tail->version)) {
      Fail(Invariant::kPage, block, kNoRow, "unknown page format version");
    }
    return true;
  }

  void ReadKind(BlockNumber block, PageKind kind, char* image) {
    if (!ReadImage(block, image)) Fail(Invariant::kPage, block, kNoRow, "the page is all zeros");
    if (pg::KindOf(image) != kind) {
      Fail(Invariant::kPage, block, kNoRow, "unexpected kind of page");
    }
  }
  void CheckEnd(BlockNumber block, const char* image, uint32_t lower) {
    if (reinterpret_cast<const PageHeaderData*>(image)->pd_lower != lower) {
      Fail(Invariant::kPage, block, kNoRow, "the page's contents end at the wrong place");
    }
  }
  // A page belongs to one thing.
  void Use(Invariant invariant, BlockNumber block, BlockNumber named_by) {
    if (block >= blocks_) Fail(invariant, named_by, kNoRow, "a page lies outside of the file");
    if (used_[block] != 0) Fail(invariant, named_by, kNoRow, "a page is used twice");
    used_[block] = 1;
  }

  void CheckMetaPage() {
    if (blocks_ == 0) Fail(Invariant::kMeta, kMetaBlock, kNoRow, "there is no meta page");
    ReadKind(kMetaBlock, PageKind::kMeta, image_);
    CheckEnd(kMetaBlock, image_, format::kPageHeaderBytes + sizeof(format::IvfMeta));
    CheckMeta(index_, *MetaOn(image_));
    Use(Invariant::kMeta, kMetaBlock, kMetaBlock);
    view_ = OpenIndex(index_, context_);
  }

  // --- I3: means, codebooks, centroids, directories

  void CheckFrame(const Frame& frame) {
    const IvfFrame& shape = frame.shape;
    size_t left = FrameFloats(view_->meta, shape);
    for (uint32_t i = 0; i < shape.frame_pages + shape.directory_pages; ++i) {
      const BlockNumber block = shape.first_block + i;
      Use(Invariant::kFrame, block, kMetaBlock);
      const bool is_frame = i < shape.frame_pages;
      ReadKind(block, is_frame ? PageKind::kFrame : PageKind::kDirectory, image_);
      CheckEnd(block, image_, format::kPageHeaderBytes + format::kPageBody);
      if (!IsPartOf(image_, pg::KindOf(image_), shape)) {
        Fail(Invariant::kFrame, block, kNoRow, "the page is of other lists");
      }
      if (!is_frame) continue;
      const float* floats = reinterpret_cast<const float*>(image_ + format::kPageHeaderBytes);
      const size_t n = std::min<size_t>(left, format::kMeanFloatsPerPage);
      if (!std::all_of(floats, floats + n, [](float x) { return std::isfinite(x); })) {
        Fail(Invariant::kFrame, block, kNoRow, "a centroid is not finite");
      }
      left -= n;
    }
  }

  // --- I4, I5, I10: lists and their code pages

  void CheckLists(const Frame& frame) {
    uint32_t in_use = 0;
    for (uint32_t list = 0; list < frame.shape.lists; ++list) {
      const EntryPlace at = EntryAt(frame.shape, list);
      if (list % format::kEntriesPerPage == 0) ReadKind(at.block, PageKind::kDirectory, image_);
      const ListEntry entry = *EntryOn(image_, at.index);
      CheckSlot(frame, entry, at);
      in_use += entry.state == ListState::kInUse;
      CheckChain(frame, list, entry, at.block);
    }
    if (in_use == 0) {
      Fail(Invariant::kSlots, kMetaBlock, kNoRow, "no list is in use");
    }
    for (uint32_t i = frame.shape.lists / format::kEntriesPerPage; i < frame.shape.directory_pages;
         ++i) {
      CheckSpareSlots(frame.shape, i);
    }
  }

  // I4, I10.
  void CheckSlot(const Frame& frame, const ListEntry& entry, EntryPlace at) {
    if ((entry.head == 0) != (entry.tail == 0) || !(entry.mean_square >= 0) ||
        (entry.state != ListState::kSpare &&
         entry.generation < FirstGeneration(frame.shape.epoch))) {
      Fail(Invariant::kList, at.block, at.index, "a list contradicts itself");
    }
    if (entry.state > ListState::kRetired) {
      Fail(Invariant::kSlots, at.block, at.index, "a list of no known state");
    }
    if (entry.state != ListState::kInUse && entry.head != 0) {
      Fail(Invariant::kSlots, at.block, at.index, "a list that is not in use has pages");
    }
    if (entry.revision > frame.shape.revision) {
      Fail(Invariant::kSlots, at.block, at.index, "a list is later than the meta page says");
    }
  }

  // Those behind the last list's, on the i-th page of the directory.
  void CheckSpareSlots(const IvfFrame& shape, uint32_t i) {
    const BlockNumber block = shape.first_block + shape.frame_pages + i;
    ReadKind(block, PageKind::kDirectory, image_);
    const ListEntry none{};
    for (uint32_t e = EntriesOn(shape, i); e < format::kEntriesPerPage; ++e) {
      if (std::memcmp(EntryOn(image_, e), &none, sizeof none) != 0) {
        Fail(Invariant::kSlots, block, e, "there are more lists than the meta page says");
      }
    }
  }

  void CheckChain(const Frame& frame, uint32_t list, const ListEntry& entry,
                  BlockNumber directory) {
    BlockNumber before = directory;
    for (BlockNumber block = entry.head; block != 0;) {
      Use(Invariant::kList, block, before);
      ReadKind(block, PageKind::kCodes, other_);
      if (!IsSegmentOf(other_, list, entry.generation)) {
        Fail(Invariant::kList, block, kNoRow, "a list leads to pages of another one");
      }
      const BlockNumber next = SegmentOn(other_)->next;
      if ((next == 0) != (block == entry.tail)) {
        Fail(Invariant::kList, block, kNoRow,
             "a list ends at another page than its directory says");
      }
      if (next != 0 && SegmentOn(other_)->rows == 0) {
        Fail(Invariant::kSegment, block, kNoRow, "a code page that is not the last is empty");
      }
      CheckSegmentPage(frame, list, entry.generation, block);
      before = block;
      block = next;
    }
  }

  void CheckSegmentPage(const Frame& frame, uint32_t list, uint32_t generation, BlockNumber block) {
    const uint32_t rows = SegmentOn(other_)->rows;
    if (rows > view_->layout.segment_rows()) {
      Fail(Invariant::kSegment, block, kNoRow, "a code page holds more rows than fit");
    }
    CheckEnd(block, other_, view_->layout.SegmentEnd(rows));
    for (uint32_t b = 0; b * view_->meta.block_rows < rows; ++b) {
      const uint32_t n = RowsOfBlock(*view_, rows, b);
      const uint32_t live = BlockOn(*view_, other_, b)->live;
      if (n < 32 && live >> n != 0) {
        Fail(Invariant::kSegment, block, b * view_->meta.block_rows + n,
             "a row lives that was not written");
      }
      for (uint32_t i = 0; i < n; ++i) {
        if ((live >> i & 1) != 0) {
          AddRow(block, b * view_->meta.block_rows + i, TidsOn(*view_, other_, b)[i]);
          CheckAttributes(block, b, i);
        }
      }
    }
    CheckRecords(list, generation, block, rows);
  }

  // I11.
  void CheckAttributes(BlockNumber block, uint32_t b, uint32_t i) {
    const filter::AreaLayout& layout = view_->attributes;
    if (layout.count() == 0) return;
    const uint32_t capacity = format::AttributeCapacity(view_->meta.block_rows);
    const filter::Row row = layout.Get(AttributesOn(*view_, other_, b), capacity, i);
    bool sound = row.nulls >> layout.count() == 0 && row.marks == 0;
    for (uint32_t a = 0; a < layout.count(); ++a) {
      sound = sound && (!row.IsNull(a) || row.values[a] == filter::Value{});
    }
    if (sound) return;
    Fail(Invariant::kAttributes, block, b * view_->meta.block_rows + i,
         "attributes that no row has");
  }

  // I7.
  void AddRow(BlockNumber block, uint32_t row, const format::Tid& tid) {
    ItemPointerData item;
    std::memcpy(&item, &tid, sizeof item);
    if (ItemPointerGetOffsetNumberNoCheck(&item) == InvalidOffsetNumber ||
        ItemPointerGetBlockNumberNoCheck(&item) >= heap_blocks_) {
      Fail(Invariant::kRows, block, row, "a row lies outside of the table");
    }
    rows_.push_back(uint64_t{ItemPointerGetBlockNumberNoCheck(&item)} << 16 |
                    ItemPointerGetOffsetNumberNoCheck(&item));
  }

  // I6. The code page is in other_, and is overwritten.
  void CheckRecords(uint32_t list, uint32_t generation, BlockNumber segment, uint32_t rows) {
    const format::IvfMeta& meta = view_->meta;
    if (meta.record_bytes == 0) return;
    const uint32_t pages =
        rows == 0 ? 0 : view_->layout.RecordPage(rows - 1) + meta.pages_per_record;
    VecOf<BlockNumber, Alloc> table(RecordTableOn(*view_, other_),
                                    RecordTableOn(*view_, other_) + meta.record_pages,
                                    Alloc(context_));
    for (uint32_t ordinal = 0; ordinal < meta.record_pages; ++ordinal) {
      const BlockNumber block = table[ordinal];
      if ((block != 0) != (ordinal < pages)) {
        Fail(Invariant::kRecords, segment, kNoRow, "rows and pages of records differ in number");
      }
      if (block == 0) continue;
      Use(Invariant::kRecords, block, segment);
      ReadKind(block, PageKind::kRecords, other_);
      if (!IsRecordsOf(other_, list, generation, segment, ordinal)) {
        Fail(Invariant::kRecords, block, kNoRow, "the page holds records of other rows");
      }
      uint32_t end = view_->layout.RecordAt(0);
      if (meta.records_per_page > 0) {
        end += std::min<uint32_t>(rows - ordinal * meta.records_per_page, meta.records_per_page) *
               meta.record_bytes;
      } else {
        end += view_->layout.PieceBytes(ordinal % meta.pages_per_record);
      }
      CheckEnd(block, other_, end);
      CheckSecond(block, ordinal, rows);
    }
  }

  // I9: what can be told of a second stage's factors.
  void CheckSecond(BlockNumber block, uint32_t ordinal, uint32_t rows) {
    const format::IvfMeta& meta = view_->meta;
    if (meta.second_bits == 0 || meta.records_per_page == 0) return;
    const uint32_t first = ordinal * meta.records_per_page;
    for (uint32_t row = first; row < std::min(rows, first + meta.records_per_page); ++row) {
      quant::SecondFactors factors;
      std::memcpy(&factors, other_ + view_->layout.RecordAt(row), sizeof factors);
      if (std::isnan(factors.scale) || !(factors.error >= 0)) {
        Fail(Invariant::kCodes, block, row, "factors that no vector has");
      }
    }
  }

  // --- I8

  void CheckDistinctRows() {
    std::sort(rows_.begin(), rows_.end());
    const auto twice = std::adjacent_find(rows_.begin(), rows_.end());
    if (twice == rows_.end()) return;
    Fail(Invariant::kDistinctRows, kMetaBlock, kNoRow,
         psprintf("row (%u,%u) is there twice", static_cast<uint32_t>(*twice >> 16),
                  static_cast<uint32_t>(*twice & 0xFFFF)));
  }

  // --- I2, of pages of no list

  void CheckOthers() {
    for (BlockNumber block = 0; block < blocks_; ++block) {
      if (used_[block] != 0 || !ReadImage(block, image_)) continue;
      const PageKind kind = pg::KindOf(image_);
      // What a crash left of a list is no damage.
      if (kind != PageKind::kFree && kind != PageKind::kCodes && kind != PageKind::kRecords &&
          kind != PageKind::kFrame && kind != PageKind::kDirectory) {
        Fail(Invariant::kPage, block, kNoRow, "unexpected kind of page");
      }
    }
  }

  Relation index_;
  MemoryContext context_;
  BlockNumber blocks_;
  BlockNumber heap_blocks_;
  BufferAccessStrategy strategy_;
  IndexView* view_ = nullptr;
  char* image_;                  // the page at hand; of a list, its directory page
  char* other_;                  // one that it leads to
  VecOf<uint8_t, Alloc> used_;   // by block
  VecOf<uint64_t, Alloc> rows_;  // block << 16 | offset
};

}  // namespace

void CheckIndex(Relation heap, Relation index) {
  MemoryContext context =
      AllocSetContextCreate(CurrentMemoryContext, "ann ivf check", ALLOCSET_DEFAULT_SIZES);
  MemoryContext old = MemoryContextSwitchTo(context);
  Checker(heap, index, context).Run();
  MemoryContextSwitchTo(old);
  MemoryContextDelete(context);
}

}  // namespace ann::ivf
