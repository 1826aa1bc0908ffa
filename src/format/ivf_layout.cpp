#include <algorithm>

#include "format/ivf_format.hpp"

namespace ann::format {

namespace {

uint32_t RecordPagesOf(uint32_t rows, const IvfMeta& meta) {
  if (meta.record_bytes == 0) return 0;
  if (meta.records_per_page == 0) return rows * meta.pages_per_record;
  return static_cast<uint32_t>(DivUp(rows, meta.records_per_page));
}

}  // namespace

bool PlanIvfLayout(uint32_t second_bytes, IvfMeta* meta) {
  const bool apart = meta->code_place == CodePlace::kRecord;
  // A row's code and its second stage would be records both.
  if (apart && second_bytes > 0) return false;
  const uint32_t rows = meta->block_rows;
  meta->record_bytes = static_cast<uint32_t>(RoundUp(apart ? meta->codec_bytes : second_bytes, 4));
  meta->records_per_page =
      static_cast<uint16_t>(meta->record_bytes == 0 ? 0 : kRecordArea / meta->record_bytes);
  meta->pages_per_record =
      static_cast<uint32_t>(meta->records_per_page > 0 || meta->record_bytes == 0
                                ? 1
                                : DivUp(meta->record_bytes, kRecordArea));
  meta->block_bytes = static_cast<uint32_t>(
      RoundUp(BlockOverhead(rows, meta->attribute_bytes) + (apart ? 0 : meta->codec_bytes), 8));
  for (uint32_t blocks = kPageBody / meta->block_bytes; blocks > 0; --blocks) {
    const uint32_t pages = RecordPagesOf(blocks * rows, *meta);
    if (sizeof(SegmentHeader) + RoundUp(pages * sizeof(uint32_t), 8) +
            size_t{blocks} * meta->block_bytes <=
        kPageBody) {
      meta->blocks_per_page = static_cast<uint16_t>(blocks);
      meta->record_pages = static_cast<uint16_t>(pages);
      return true;
    }
  }
  return false;
}

}  // namespace ann::format
