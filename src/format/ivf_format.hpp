// The structs of an ivf index's pages, and where things lie on them. README.md has them as tables.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/sizes.hpp"
#include "format/attribute_bytes.hpp"
#include "format/page_format.hpp"

namespace ann::format {

inline constexpr uint32_t kIvfMagic = 0x464E4E41;  // "ANNF"

// Lists and what they were made with: the mean, the codebook and the centroids in one stream of
// floats over the frame pages, then the directory, all in consecutive blocks. An index has one that
// is in use and, while lists are trained anew, a second one. There is room for more lists than it
// begins with: lists are split and merged, and what comes of that takes the next slots.
struct IvfFrame {
  uint32_t epoch;  // no two that an index ever has are equal
  uint32_t first_block;
  uint32_t frame_pages;
  uint32_t directory_pages;
  uint32_t lists;  // slots that have been given to lists, those no longer in use included
  uint32_t codebook_floats;
  float pq_margin;
  // Lists in a row without a row among the nearest after which an adaptive search ends.
  uint32_t patience;
  uint32_t slots;
  // Changes, upwards, with each list that is split or merged.
  uint32_t revision;
};
static_assert(sizeof(IvfFrame) == 40);

// Slots of a frame that is made with so many lists. One list is that of a small index, which gets
// others when it has grown.
constexpr uint32_t SlotsFor(uint32_t lists) {
  if (lists <= 1) return lists;
  const uint32_t few = lists < 16 ? lists : 16;
  return lists + (lists / 8 > few ? lists / 8 : few);
}

// Where the codes of a block's rows are.
enum class CodePlace : uint8_t {
  kBlock = 0,   // in the block, as the codec lays out a block
  kRows = 1,    // in the block, row after row: the codec's block does not fit a page
  kRecord = 2,  // a row does not fit either: each is a record of its own
};

// Block 0. All up to `stamp` is frozen when the index is built.
struct IvfMeta {
  uint32_t magic;
  uint16_t version;
  uint8_t metric;     // quant::Metric
  uint8_t quantizer;  // quant::Quantizer
  uint8_t second_bits;
  uint8_t pq_bits;
  uint16_t pq_segments;
  uint8_t attribute_count;
  CodePlace code_place;
  uint16_t attribute_bytes;  // of all attributes of one row, nulls and marks included
  uint32_t dims;
  uint16_t block_rows;        // rows of a block
  uint16_t blocks_per_page;   // of a code page
  uint16_t record_pages;      // pages of records that a code page can name
  uint16_t records_per_page;  // 0: a record lies on several pages
  uint32_t pages_per_record;  // 1 unless records_per_page is 0
  uint32_t record_bytes;      // 0: there are no records
  uint32_t codec_bytes;       // of a block's codes; under kRecord of one row's
  uint32_t block_bytes;       // of a block in all
  uint32_t attributes;        // PackAttributes
  uint64_t seed;
  // Told apart from other indexes that had the same file number.
  uint64_t stamp;
  IvfFrame frames[2];
  uint32_t current;   // which of them is in use
  uint16_t training;  // 1: the other one is being filled, inserts go to both
  uint16_t untidy;  // 1: there may be pages that nothing leads to, of what did not come to its end
  uint64_t row_count;     // as of the last build or vacuum
  uint64_t trained_rows;  // that the lists were made for
  // Bit i: the lists of the epoch i before the newest have been in use.
  uint64_t used_epochs;
};
static_assert(sizeof(IvfMeta) == 176 && alignof(IvfMeta) == 8);
static_assert(offsetof(IvfMeta, dims) == 16 && offsetof(IvfMeta, attributes) == 44 &&
              offsetof(IvfMeta, seed) == 48 && offsetof(IvfMeta, frames) == 64 &&
              offsetof(IvfMeta, current) == 144 && offsetof(IvfMeta, untidy) == 150 &&
              offsetof(IvfMeta, row_count) == 152);

// What attributes there are (format/attribute_bytes.hpp), 4 bits each, from the lowest on: 0 none,
// 1 to 5 ordered of 1, 2, 4, 8, 16 bytes, 6 a hash, 7 a signature. Those of an index made before
// there were any are 0.
uint32_t PackAttributes(const uint8_t attributes[kMaxAttributes]);
// False: what stands there says nothing.
bool UnpackAttributes(uint32_t packed, uint8_t attributes[kMaxAttributes]);

enum class ListState : uint16_t {
  kSpare = 0,
  kInUse = 1,
  kRetired = 2,  // its rows are in other lists
};

// One of each slot.
struct ListEntry {
  uint32_t head;  // first and last code page; 0: the list has none
  uint32_t tail;
  // Changes whenever the list gets other pages.
  uint32_t generation;
  uint32_t run;   // pages behind `head` that were written in order, itself included
  uint32_t live;  // rows, as of the last build or vacuum, and about those that came since
  uint32_t dead;
  ListState state;
  uint16_t indivisible;  // 1: when last looked at, its rows could not be told apart
  uint32_t revision;     // of the frame, when rows of other lists came here or all left
  // When the list was last written or looked at: its rows, and their mean |r|^2.
  uint32_t rows;
  float mean_square;
};
static_assert(sizeof(ListEntry) == 40 && offsetof(ListEntry, mean_square) == 36);
inline constexpr uint32_t kEntriesPerPage = kPageBody / sizeof(ListEntry);

// Starts the body of a code page; then come the blocks of the pages that hold its records, then its
// blocks.
struct SegmentHeader {
  uint32_t list;
  uint32_t generation;
  uint32_t next;    // code page, or 0
  uint16_t rows;    // written, dead ones included
  uint16_t closed;  // 1: the list has other pages now
};
static_assert(sizeof(SegmentHeader) == 16);

// Starts a block; then come the rows' TIDs, their attributes, their codes.
struct BlockHeader {
  uint32_t live;  // a bit a row
  // Rows that were also written to the lists of epoch `twin_epoch`.
  uint32_t twins;
  uint32_t twin_epoch;
  uint32_t unused;
};
static_assert(sizeof(BlockHeader) == 16);

// Starts the body of a page of records.
struct RecordsHeader {
  uint32_t list;
  uint32_t generation;
  uint32_t segment;  // code page that names it
  uint32_t ordinal;  // in the code page's table
};
static_assert(sizeof(RecordsHeader) == 16);
inline constexpr uint32_t kRecordArea = kPageBody - sizeof(RecordsHeader);

static_assert(kOnDisk<IvfMeta> && kOnDisk<ListEntry> && kOnDisk<SegmentHeader> &&
              kOnDisk<BlockHeader> && kOnDisk<RecordsHeader>);

// Sizes that follow from the codec's: writes them to `meta`, whose code_place, block_rows,
// codec_bytes and attribute_bytes are set. False: they do not fit.
bool PlanIvfLayout(uint32_t second_bytes, IvfMeta* meta);
// Rows that the area of a block's attributes has room for (src/filter): a multiple of 8.
constexpr uint32_t AttributeCapacity(uint32_t rows) {
  return static_cast<uint32_t>(RoundUp(rows, 8));
}
// Bytes that the rows of a block take beside their codes.
constexpr uint32_t BlockOverhead(uint32_t rows, uint32_t attribute_bytes) {
  return static_cast<uint32_t>(sizeof(BlockHeader) + RoundUp(rows * sizeof(Tid), 8) +
                               AttributeCapacity(rows) * attribute_bytes);
}
// Bytes left for the codes of a block, when a code page holds just one.
constexpr uint32_t CodecRoom(uint32_t rows, uint32_t attribute_bytes, uint32_t record_pages) {
  const size_t used = sizeof(SegmentHeader) + RoundUp(record_pages * sizeof(uint32_t), 8) +
                      BlockOverhead(rows, attribute_bytes);
  return used < kPageBody ? static_cast<uint32_t>(kPageBody - used) : 0;
}

// Where things lie on the pages of one index.
struct IvfLayout {
  explicit IvfLayout(const IvfMeta& meta) : m(&meta) {}
  const IvfMeta* m;

  uint32_t segment_rows() const { return uint32_t{m->blocks_per_page} * m->block_rows; }
  // Offsets within a code page.
  uint32_t RecordTable() const { return kPageHeaderBytes + sizeof(SegmentHeader); }
  uint32_t BlockAt(uint32_t block) const {
    return static_cast<uint32_t>(RecordTable() + RoundUp(m->record_pages * sizeof(uint32_t), 8) +
                                 size_t{block} * m->block_bytes);
  }
  uint32_t TidsAt(uint32_t block) const {
    return BlockAt(block) + static_cast<uint32_t>(sizeof(BlockHeader));
  }
  uint32_t AttributesAt(uint32_t block) const {
    return TidsAt(block) + static_cast<uint32_t>(RoundUp(m->block_rows * sizeof(Tid), 8));
  }
  uint32_t CodesAt(uint32_t block) const {
    return BlockAt(block) + BlockOverhead(m->block_rows, m->attribute_bytes);
  }
  // Where a code page with so many rows ends.
  uint32_t SegmentEnd(uint32_t rows) const {
    return BlockAt((rows + m->block_rows - 1) / m->block_rows);
  }
  // The page (by ordinal) that row `row`'s record starts on, and where.
  uint32_t RecordPage(uint32_t row) const {
    return m->records_per_page > 0 ? row / m->records_per_page : row * m->pages_per_record;
  }
  uint32_t RecordAt(uint32_t row) const {
    const uint32_t slot = m->records_per_page > 0 ? row % m->records_per_page : 0;
    return kPageHeaderBytes + static_cast<uint32_t>(sizeof(RecordsHeader)) + slot * m->record_bytes;
  }
  // Bytes of piece `piece` of a record.
  uint32_t PieceBytes(uint32_t piece) const {
    const uint32_t left = m->record_bytes - piece * kRecordArea;
    return left < kRecordArea ? left : kRecordArea;
  }
};

}  // namespace ann::format
