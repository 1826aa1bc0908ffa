// Where things lie on an ivf index's pages (src/format/README.md): nothing lies on anything else or
// off the page, each record has its place, and no block more would fit.
#include <algorithm>
#include <string>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

#include "format/ivf_format.hpp"

namespace {

using namespace ann;
using namespace ann::format;

IvfMeta Planned(CodePlace place, uint32_t rows, uint32_t codec_bytes, uint32_t attribute_bytes) {
  IvfMeta meta{};
  meta.code_place = place;
  meta.block_rows = static_cast<uint16_t>(rows);
  meta.codec_bytes = codec_bytes;
  meta.attribute_bytes = static_cast<uint16_t>(attribute_bytes);
  return meta;
}

std::string Name(const IvfMeta& m, uint32_t second) {
  return "place " + std::to_string(static_cast<int>(m.code_place)) + ", " +
         std::to_string(m.block_rows) + " rows of a block, " + std::to_string(m.codec_bytes) +
         " bytes of codes, " + std::to_string(m.attribute_bytes) + " of attributes, " +
         std::to_string(second) + " of records";
}

// Stretches of pages, each of which belongs to one thing.
class Stretches {
 public:
  void Take(uint32_t page, size_t at, size_t n) { taken_.push_back({page, at, at + n}); }

  void ExpectApart() {
    std::sort(taken_.begin(), taken_.end());
    for (size_t i = 0; i < taken_.size(); ++i) {
      const auto& [page, start, end] = taken_[i];
      ASSERT_GE(start, kPageHeaderBytes);
      ASSERT_LE(end, kPageSize - sizeof(PageTail));
      if (i == 0 || std::get<0>(taken_[i - 1]) != page) continue;
      ASSERT_LE(std::get<2>(taken_[i - 1]), start) << "two things overlap on page " << page;
    }
  }

 private:
  std::vector<std::tuple<uint32_t, size_t, size_t>> taken_;
};

void ExpectApart(const IvfMeta& meta) {
  const IvfLayout layout(meta);
  Stretches codes;
  codes.Take(0, kPageHeaderBytes, sizeof(SegmentHeader));
  codes.Take(0, layout.RecordTable(), meta.record_pages * sizeof(uint32_t));
  const bool apart = meta.code_place == CodePlace::kRecord;
  for (uint32_t block = 0; block < meta.blocks_per_page; ++block) {
    codes.Take(0, layout.BlockAt(block), sizeof(BlockHeader));
    codes.Take(0, layout.TidsAt(block), meta.block_rows * sizeof(Tid));
    codes.Take(0, layout.AttributesAt(block),
               size_t{AttributeCapacity(meta.block_rows)} * meta.attribute_bytes);
    if (!apart) codes.Take(0, layout.CodesAt(block), meta.codec_bytes);
    ASSERT_EQ(layout.AttributesAt(block) % 8, 0u);
    ASSERT_EQ(layout.BlockAt(block) % alignof(BlockHeader), 0u);
    ASSERT_EQ(layout.TidsAt(block) % alignof(Tid), 0u);
    ASSERT_EQ(layout.CodesAt(block) % 8, 0u);
  }
  ASSERT_EQ(layout.segment_rows(), uint32_t{meta.blocks_per_page} * meta.block_rows);
  ASSERT_EQ(layout.SegmentEnd(0), layout.BlockAt(0));
  for (uint32_t row = 0; row < layout.segment_rows(); ++row) {
    const uint32_t block = row / meta.block_rows;
    ASSERT_EQ(layout.SegmentEnd(row + 1), layout.BlockAt(block + 1));
    ASSERT_GE(layout.SegmentEnd(row + 1), layout.CodesAt(block) + (apart ? 0 : meta.codec_bytes));
  }
  ASSERT_LE(layout.SegmentEnd(layout.segment_rows()), kPageSize - sizeof(PageTail));
  codes.ExpectApart();
}

void ExpectRecords(const IvfMeta& meta) {
  const IvfLayout layout(meta);
  Stretches records;
  uint32_t pages = 0;
  for (uint32_t row = 0; row < layout.segment_rows() && meta.record_bytes > 0; ++row) {
    size_t bytes = 0;
    for (uint32_t piece = 0; piece < meta.pages_per_record; ++piece) {
      ASSERT_LE(layout.PieceBytes(piece), kRecordArea);
      ASSERT_GE(layout.RecordAt(row), kPageHeaderBytes + sizeof(RecordsHeader));
      records.Take(layout.RecordPage(row) + piece, layout.RecordAt(row), layout.PieceBytes(piece));
      bytes += layout.PieceBytes(piece);
    }
    ASSERT_EQ(bytes, meta.record_bytes);
    pages = layout.RecordPage(row) + meta.pages_per_record;
  }
  ASSERT_EQ(pages, meta.record_pages);
  records.ExpectApart();
}

uint32_t PagesOfRecords(const IvfMeta& meta, uint32_t rows) {
  if (meta.record_bytes == 0) return 0;
  const uint32_t fit = kRecordArea / meta.record_bytes;
  return fit > 0 ? (rows + fit - 1) / fit
                 : rows * ((meta.record_bytes + kRecordArea - 1) / kRecordArea);
}

// Whether a code page holds so many blocks.
bool Fit(const IvfMeta& meta, uint32_t blocks) {
  const size_t table =
      RoundUp(PagesOfRecords(meta, blocks * meta.block_rows) * sizeof(uint32_t), 8);
  return sizeof(SegmentHeader) + table + size_t{blocks} * meta.block_bytes <= kPageBody;
}

TEST(IvfLayout, NothingOverlapsAndNoMoreFits) {
  int fitting = 0;
  for (const CodePlace place : {CodePlace::kBlock, CodePlace::kRows, CodePlace::kRecord}) {
    for (const uint32_t rows : {1u, 8u, 31u, 32u}) {
      for (const uint32_t attribute_bytes : {0u, 1u, 64u}) {
        for (const uint32_t codec_bytes : {52u, 576u, 4444u, 7900u, 64000u}) {
          for (const uint32_t second : {0u, 12u, 1549u, 4073u, 8144u, 8145u, 16012u}) {
            IvfMeta meta = Planned(place, rows, codec_bytes, attribute_bytes);
            SCOPED_TRACE(Name(meta, second));
            const bool fits = PlanIvfLayout(second, &meta);
            if (place == CodePlace::kRecord && second > 0) {
              ASSERT_FALSE(fits);
              continue;
            }
            ASSERT_GE(meta.record_bytes, place == CodePlace::kRecord ? codec_bytes : second);
            ASSERT_FALSE(Fit(meta, fits ? meta.blocks_per_page + 1u : 1u));
            if (!fits) continue;
            ++fitting;
            ASSERT_GE(meta.blocks_per_page, 1u);
            ASSERT_NO_FATAL_FAILURE(ExpectApart(meta));
            ASSERT_NO_FATAL_FAILURE(ExpectRecords(meta));
          }
        }
      }
    }
  }
  EXPECT_GT(fitting, 100);
}

// What CodecRoom says is left for the codes of a block alone is what fits, and not a word more.
TEST(IvfLayout, RoomOfOneBlock) {
  for (uint32_t rows = 1; rows <= 32; rows += 5) {
    for (const uint32_t attribute_bytes : {0u, 3u, 40u}) {
      for (const uint32_t second : {0u, 12u, 1549u, 16012u}) {
        IvfMeta meta = Planned(CodePlace::kRows, rows, 4, attribute_bytes);
        ASSERT_TRUE(PlanIvfLayout(second, &meta));
        const uint32_t room = CodecRoom(rows, attribute_bytes, PagesOfRecords(meta, rows));
        SCOPED_TRACE(Name(meta, second));
        ASSERT_GT(room, 0u);
        meta.codec_bytes = room;
        EXPECT_TRUE(PlanIvfLayout(second, &meta));
        meta.codec_bytes = room + 8;
        EXPECT_FALSE(PlanIvfLayout(second, &meta));
      }
    }
  }
  EXPECT_EQ(CodecRoom(32, kPageBody, 0), 0u);
}

// An area of attributes has room for rows in eights.
TEST(IvfLayout, AttributesAreInEights) {
  EXPECT_EQ(AttributeCapacity(1), 8u);
  EXPECT_EQ(AttributeCapacity(8), 8u);
  EXPECT_EQ(AttributeCapacity(25), 32u);
  EXPECT_EQ(BlockOverhead(25, 7) - BlockOverhead(25, 0), 32u * 7);
}

TEST(IvfLayout, AttributesArePacked) {
  const uint8_t all[kMaxAttributes] = {
      AttributeByte(AttributeKind::kOrdered, 1),   AttributeByte(AttributeKind::kOrdered, 2),
      AttributeByte(AttributeKind::kOrdered, 4),   AttributeByte(AttributeKind::kOrdered, 8),
      AttributeByte(AttributeKind::kOrdered, 16),  AttributeByte(AttributeKind::kHash, 8),
      AttributeByte(AttributeKind::kSignature, 8), AttributeByte(AttributeKind::kOrdered, 4)};
  EXPECT_EQ(PackAttributes(all), 0x37654321u);
  for (uint32_t count = 0; count <= kMaxAttributes; ++count) {
    uint8_t some[kMaxAttributes] = {}, back[kMaxAttributes];
    std::copy_n(all, count, some);
    ASSERT_TRUE(UnpackAttributes(PackAttributes(some), back));
    EXPECT_TRUE(std::equal(some, some + kMaxAttributes, back)) << count;
  }
  uint8_t back[kMaxAttributes];
  EXPECT_FALSE(UnpackAttributes(8, back));
  EXPECT_FALSE(UnpackAttributes(0x301, back)) << "behind a gap";
}

// A frame has room for lists to be split: an eighth more, 16 at least, but for few lists no more
// than these again. One list is not split.
TEST(IvfLayout, SlotsOfAFrame) {
  EXPECT_EQ(SlotsFor(1), 1u);
  EXPECT_EQ(SlotsFor(2), 4u);
  EXPECT_EQ(SlotsFor(16), 32u);
  EXPECT_EQ(SlotsFor(100), 116u);
  EXPECT_EQ(SlotsFor(128), 144u);
  EXPECT_EQ(SlotsFor(4096), 4608u);
  for (uint32_t lists = 2; lists < 5000; ++lists) {
    ASSERT_GE(SlotsFor(lists), lists + std::min(lists, 16u));
    ASSERT_LE(SlotsFor(lists), 2 * lists);
    ASSERT_GE(SlotsFor(lists + 1), SlotsFor(lists));
  }
  // An entry is whole words, and a directory page is full of them.
  EXPECT_EQ(sizeof(ListEntry), 40u);
  EXPECT_EQ(kEntriesPerPage, 204u);
}

}  // namespace
