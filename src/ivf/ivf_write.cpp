#include "ivf/ivf_write.hpp"

#include <cstring>

#include "pg/alloc.hpp"

namespace ann::ivf {

using format::CodePlace;

SegmentPacker::SegmentPacker(const IndexView& view, const quant::ListCodec& codec,
                             MemoryContext context)
    : view_(view), codec_(codec) {
  const format::IvfMeta& meta = view.meta;
  const uint32_t rows = view.layout.segment_rows();
  const bool apart = meta.code_place == CodePlace::kRecord;
  block_rows_ = apart ? 1 : meta.block_rows;
  block_bytes_ = RoundUp(meta.codec_bytes, 4);
  tids_ = pg::AllocZero<format::Tid>(context, rows);
  capacity_ = format::AttributeCapacity(meta.block_rows);
  area_bytes_ = view.attributes.AreaBytes(capacity_);
  areas_ = pg::AllocZero<char>(context, area_bytes_ * meta.blocks_per_page + 1);
  blocks_ = pg::AllocZero<uint8_t>(context, block_bytes_ * DivUp(rows, block_rows_));
  records_ = pg::AllocZero<uint8_t>(context, apart ? 1 : size_t{rows} * meta.record_bytes + 1);
}

void SegmentPacker::Add(const StoredRow& row) {
  uint8_t* block = Block(rows_ / block_rows_);
  const uint32_t i = rows_ % block_rows_;
  if (i == 0) std::memset(block, 0, block_bytes_);
  if (view_.meta.code_place == CodePlace::kRows) {
    std::memcpy(block + size_t{i} * codec_.row_bytes(), row.code, codec_.row_bytes());
  } else {
    codec_.SetRow(block, i, row.code);
  }
  if (row.second != nullptr) {
    std::memcpy(records_ + size_t{rows_} * view_.meta.record_bytes, row.second,
                codec_.second_bytes());
  }
  if (area_bytes_ > 0) {
    view_.attributes.Move(row.attributes, 1, 0, Area(rows_ / view_.meta.block_rows), capacity_,
                          rows_ % view_.meta.block_rows);
  }
  tids_[rows_++] = row.tid;
}

uint32_t SegmentPacker::record_pages() const {
  const format::IvfMeta& meta = view_.meta;
  if (meta.record_bytes == 0 || rows_ == 0) return 0;
  return view_.layout.RecordPage(rows_ - 1) + meta.pages_per_record;
}

void SegmentPacker::FillSegment(char* page, uint32_t list, uint32_t generation,
                                const BlockNumber* blocks) const {
  const format::IvfMeta& meta = view_.meta;
  InitSegment(view_, page, list, generation);
  SegmentOn(page)->rows = static_cast<uint16_t>(rows_);
  std::memcpy(RecordTableOn(view_, page), blocks, record_pages() * sizeof(BlockNumber));
  for (uint32_t start = 0; start < rows_; start += meta.block_rows) {
    const uint32_t block = start / meta.block_rows, n = RowsOfBlock(view_, rows_, block);
    BlockOn(view_, page, block)->live = n == 32 ? ~uint32_t{0} : (uint32_t{1} << n) - 1;
    std::memcpy(TidsOn(view_, page, block), tids_ + start, n * sizeof(format::Tid));
    std::memcpy(AttributesOn(view_, page, block), Area(block), area_bytes_);
    if (meta.code_place == CodePlace::kRecord) continue;
    if (IsSealed(view_, codec_, n)) {
      codec_.Seal(Block(block), CodesOn(view_, page, block));
    } else {
      std::memcpy(CodesOn(view_, page, block), Block(block), meta.codec_bytes);
    }
  }
  reinterpret_cast<PageHeader>(page)->pd_lower =
      static_cast<LocationIndex>(view_.layout.SegmentEnd(rows_));
}

void SegmentPacker::FillRecords(char* page, uint32_t ordinal, uint32_t list, uint32_t generation,
                                BlockNumber segment) const {
  const format::IvfMeta& meta = view_.meta;
  InitRecords(page, list, generation, segment, ordinal);
  char* at = page + view_.layout.RecordAt(0);
  const uint32_t first =
      meta.records_per_page > 0 ? ordinal * meta.records_per_page : ordinal / meta.pages_per_record;
  const bool apart = meta.code_place == CodePlace::kRecord;
  const auto record = [this, apart, &meta](uint32_t row) -> const uint8_t* {
    return apart ? Block(row) : records_ + size_t{row} * meta.record_bytes;
  };
  uint32_t bytes = 0;
  if (meta.records_per_page > 0) {
    for (uint32_t row = first; row < rows_ && row < first + meta.records_per_page; ++row) {
      std::memcpy(at + bytes, record(row), meta.record_bytes);
      bytes += meta.record_bytes;
    }
  } else {
    const uint32_t piece = ordinal % meta.pages_per_record;
    bytes = view_.layout.PieceBytes(piece);
    std::memcpy(at, record(first) + size_t{piece} * format::kRecordArea, bytes);
  }
  reinterpret_cast<PageHeader>(page)->pd_lower =
      static_cast<LocationIndex>(view_.layout.RecordAt(0) + bytes);
}

}  // namespace ann::ivf
