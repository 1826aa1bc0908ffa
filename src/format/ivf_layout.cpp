#include <algorithm>
#include <bit>

#include "format/ivf_format.hpp"

namespace ann::format {

namespace {

uint32_t RecordPagesOf(uint32_t rows, const IvfMeta& meta) {
  if (meta.record_bytes == 0) return 0;
  if (meta.records_per_page == 0) return rows * meta.pages_per_record;
  return static_cast<uint32_t>(DivUp(rows, meta.records_per_page));
}

// Codes of the packed form.
constexpr uint32_t kHashCode = 6, kSignatureCode = 7;

}  // namespace

uint32_t PackAttributes(const uint8_t attributes[kMaxAttributes]) {
  uint32_t packed = 0;
  for (uint32_t i = 0; i < kMaxAttributes && attributes[i] != 0; ++i) {
    uint32_t code = static_cast<uint32_t>(std::bit_width(AttributeWidth(attributes[i])));
    if (KindOfAttribute(attributes[i]) == AttributeKind::kHash) code = kHashCode;
    if (KindOfAttribute(attributes[i]) == AttributeKind::kSignature) code = kSignatureCode;
    packed |= code << 4 * i;
  }
  return packed;
}

bool UnpackAttributes(uint32_t packed, uint8_t attributes[kMaxAttributes]) {
  bool ended = false;
  for (uint32_t i = 0; i < kMaxAttributes; ++i) {
    const uint32_t code = packed >> 4 * i & 15;
    if (code > kSignatureCode || (ended && code != 0)) return false;
    ended = code == 0;
    attributes[i] = 0;
    if (code == kHashCode) {
      attributes[i] = AttributeByte(AttributeKind::kHash, 8);
    } else if (code == kSignatureCode) {
      attributes[i] = AttributeByte(AttributeKind::kSignature, 8);
    } else if (code != 0) {
      attributes[i] = AttributeByte(AttributeKind::kOrdered, 1u << (code - 1));
    }
  }
  return true;
}

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
