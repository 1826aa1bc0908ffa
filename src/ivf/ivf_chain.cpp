#include "ivf/ivf_chain.hpp"

#include <cstring>

#include "ivf/ivf_space.hpp"

namespace ann::ivf {

using format::SegmentHeader;

namespace {

using Alloc = pg::PgAllocator<std::byte>;

}  // namespace

ListReader::ListReader(const IndexView& view, const Frame& frame, uint32_t list,
                       MemoryContext context)
    : view_(view),
      codec_(frame.codec),
      shape_(frame.shape),
      list_(list),
      guard_(view.rel),
      image_(pg::AllocZero<char>(context, format::kPageSize)),
      attributes_(pg::AllocZero<char>(context, view.meta.attribute_bytes + 1u)),
      row_(pg::AllocZero<uint8_t>(context, frame.codec.row_bytes())),
      record_(pg::AllocZero<uint8_t>(context, view.meta.record_bytes + 8)),
      pages_(Alloc(context)) {}

void ListReader::Start(const format::ListEntry& entry) {
  at_ = entry.head;
  generation_ = entry.generation;
}

// L3, alone.
void ListReader::Load() {
  pg::VacuumDelay();
  const pg::PageRef page = ReadInFile(view_.rel, at_, BUFFER_LOCK_SHARE);
  std::memcpy(image_, page.page, format::kPageSize);
  pg::Release(page);
  if (!IsSegmentOf(image_, list_, generation_)) {
    pg::ReportCorrupted(view_.rel, EntryAt(shape_, list_).block,
                        "the directory leads to pages of another list");
  }
  CheckSegment(view_, {InvalidBuffer, image_, at_});
  loaded_ = true;
}

bool ListReader::Next(ListRow* row) {
  for (;;) {
    if (!loaded_) Load();
    const SegmentHeader segment = *SegmentOn(image_);
    while (read_ < segment.rows) {
      const uint32_t at = read_++;
      const uint32_t live = BlockOn(view_, image_, at / view_.meta.block_rows)->live;
      if ((live >> at % view_.meta.block_rows & 1) == 0) continue;
      ExtractRow(at, row);
      return true;
    }
    loaded_ = false;
    if (segment.next == 0) return false;
    NotePages(view_, {InvalidBuffer, image_, at_}, pages_);
    guard_.Pass(at_);
    at_ = segment.next;
    read_ = 0;
  }
}

bool ListReader::IsComplete(const char* tail) const {
  const SegmentHeader* segment = SegmentOn(const_cast<char*>(tail));
  return segment->next == 0 && segment->rows == read_;
}

void ListReader::NoteTail(const char* tail) {
  std::memcpy(image_, tail, format::kPageSize);
  NotePages(view_, {InvalidBuffer, image_, at_}, pages_);
}

void ListReader::ExtractRow(uint32_t row, ListRow* out) {
  const format::IvfMeta& meta = view_.meta;
  const uint32_t b = row / meta.block_rows, i = row % meta.block_rows;
  const bool apart = meta.code_place == format::CodePlace::kRecord;
  if (meta.record_bytes > 0) ReadRecord(row);
  const uint8_t* codes = CodesOn(view_, image_, b);
  if (meta.code_place == format::CodePlace::kBlock) {
    const uint32_t rows = RowsOfBlock(view_, SegmentOn(image_)->rows, b);
    codec_.ExtractRow(codes, IsSealed(view_, codec_, rows), i, row_);
  } else if (apart) {
    codec_.ExtractRow(record_, false, 0, row_);
  } else {
    std::memcpy(row_, codes + size_t{i} * codec_.row_bytes(), codec_.row_bytes());
  }
  if (meta.attribute_bytes > 0) {
    view_.attributes.Move(AttributesOn(view_, image_, b),
                          format::AttributeCapacity(meta.block_rows), i, attributes_, 1, 0);
  }
  const format::BlockHeader* block = BlockOn(view_, image_, b);
  *out = {{TidsOn(view_, image_, b)[i], attributes_, row_,
           meta.record_bytes > 0 && !apart ? record_ : nullptr},
          (block->twins >> i & 1) != 0,
          block->twin_epoch};
}

void ListReader::ReadRecord(uint32_t row) {
  const uint32_t ordinal = view_.layout.RecordPage(row);
  for (uint32_t i = 0; i < view_.meta.pages_per_record; ++i) {
    const BlockNumber block = RecordTableOn(view_, image_)[ordinal + i];
    // L4, alone.
    const pg::PageRef page = ReadInFile(view_.rel, block, BUFFER_LOCK_SHARE);
    if (!IsRecordsOf(page.page, list_, generation_, at_, ordinal + i)) {
      pg::ReportCorrupted(view_.rel, block, "the page does not hold the list's records");
    }
    std::memcpy(record_ + i * format::kRecordArea, page.page + view_.layout.RecordAt(row),
                view_.layout.PieceBytes(i));
    pg::Release(page);
  }
}

ChainBuilder::ChainBuilder(IndexView& view, const quant::ListCodec& codec, uint32_t list,
                           uint32_t generation, MemoryContext context)
    : view_(view),
      list_(list),
      generation_(generation),
      packer_(view, codec, context),
      fresh_(Alloc(context)) {}

void ChainBuilder::Add(const StoredRow& row) {
  if (packer_.full()) {
    Flush();
    packer_.Clear();
    fresh_.clear();
  }
  packer_.Add(row);
  dirty_ = true;
  ++rows_;
}

void ChainBuilder::Flush() {
  if (!dirty_) return;
  const bool is_new = fresh_.empty();
  while (fresh_.size() < packer_.record_pages() + 1u) {
    const pg::PageRef page = TakePage(view_.rel);
    pg::PageEdit edit = pg::PageEdit::Begin(view_.rel);
    // It is nobody's until the code page names it; what it says of itself is told below.
    InitRecords(edit.EditWhole(page), list_, generation_, page.block, 0);
    edit.Finish();
    fresh_.push_back(page.block);
    pg::Release(page);
  }
  const BlockNumber block = fresh_[0];
  for (uint32_t i = 0; i < packer_.record_pages(); ++i) {
    // L6.
    const pg::PageRef page = ReadInFile(view_.rel, fresh_[1 + i], BUFFER_LOCK_EXCLUSIVE);
    pg::PageEdit edit = pg::PageEdit::Begin(view_.rel);
    packer_.FillRecords(edit.EditWhole(page), i, list_, generation_, block);
    edit.Finish();
    pg::Release(page);
  }
  const bool links = is_new && tail_ != 0;
  // L3 both.
  pg::PageRef before{};
  if (links) {
    before = pg::ReadPage(view_.rel, tail_, BUFFER_LOCK_EXCLUSIVE, format::PageKind::kCodes);
  }
  const pg::PageRef page = ReadInFile(view_.rel, block, BUFFER_LOCK_EXCLUSIVE);
  pg::PageEdit edit = pg::PageEdit::Begin(view_.rel);
  packer_.FillSegment(edit.EditWhole(page), list_, generation_, fresh_.data() + 1);
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
  dirty_ = false;
}

}  // namespace ann::ivf
