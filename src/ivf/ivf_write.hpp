// Writing whole lists: page after page, for builds and for lists that get other pages.
#pragma once

#include "ivf/ivf_sort.hpp"

#include "pg/alloc.hpp"

namespace ann::ivf {

// Packs rows into the images of a code page and the pages of its records. Who uses it decides where
// they go.
class SegmentPacker {
 public:
  // Memory of `context`.
  SegmentPacker(const IndexView& view, const quant::ListCodec& codec, MemoryContext context);

  bool empty() const { return rows_ == 0; }
  bool full() const { return rows_ == view_.layout.segment_rows(); }
  uint32_t rows() const { return rows_; }
  void Add(const StoredRow& row);
  // Pages of records that the rows so far need.
  uint32_t record_pages() const;
  // Writes the images: the code page, which names `blocks` (record_pages of them), and each page of
  // records.
  void FillSegment(char* page, uint32_t list, uint32_t generation, const BlockNumber* blocks) const;
  void FillRecords(char* page, uint32_t ordinal, uint32_t list, uint32_t generation,
                   BlockNumber segment) const;
  void Clear() { rows_ = 0; }

 private:
  uint8_t* Block(uint32_t block) const { return blocks_ + size_t{block} * block_bytes_; }
  char* Area(uint32_t block) const { return areas_ + block * area_bytes_; }

  const IndexView& view_;
  const quant::ListCodec& codec_;
  format::Tid* tids_;
  uint32_t capacity_;  // of an area
  size_t area_bytes_;
  char* areas_;  // of attributes, one a block of the page
  uint32_t block_rows_;
  size_t block_bytes_;
  uint8_t* blocks_;   // as the code place says, blocks open; under kRecord one a row
  uint8_t* records_;  // of second stages
  uint32_t rows_ = 0;
};

// Writes rows that come list by list to pages of their own. `Pages` decides where these go:
//   BlockNumber Take()                        the next page; consecutive ones are read faster
//   void Put(BlockNumber, const char* image)  each page taken, once, in the order of Take
//   void Finish(uint32_t list, const ListEntry& entry)
//                                             all pages of the list have been put; nothing leads to
//                                             them but `entry`
// No page is locked while these are called.
template <class Pages>
class ChainWriter {
 public:
  // Lists of `frame`. Memory: of `context`.
  ChainWriter(const IndexView& view, const Frame& frame, Pages& pages, MemoryContext context)
      : view_(view),
        codec_(frame.codec),
        generation_(FirstGeneration(frame.shape.epoch)),
        pages_(pages),
        packer_(view, frame.codec, context),
        blocks_(pg::AllocZero<BlockNumber>(context, view.meta.record_pages + 1u)),
        image_(pg::AllocZero<char>(context, format::kPageSize)) {}

  void Add(const CodedRow& row) {
    if (!packer_.empty() && row.list != list_) EndList();
    if (packer_.full()) PutSegment(true);
    list_ = row.list;
    packer_.Add(row);
    spread_ += static_cast<double>(row.distance);
    ++entry_.live;
  }

  // After the last row.
  void End() {
    if (!packer_.empty()) EndList();
  }

 private:
  void EndList() {
    PutSegment(false);
    entry_.generation = generation_;
    entry_.state = format::ListState::kInUse;
    entry_.rows = entry_.live;
    entry_.mean_square = static_cast<float>(spread_ / entry_.live);
    pages_.Finish(list_, entry_);
    entry_ = {};
    spread_ = 0;
    next_ = 0;
  }

  BlockNumber Take() {
    const BlockNumber block = pages_.Take();
    if (entry_.head == 0) entry_.head = block;
    if (block == entry_.head + entry_.run) ++entry_.run;
    return block;
  }

  void PutSegment(bool more) {
    const BlockNumber block = next_ != 0 ? next_ : Take();
    const uint32_t records = packer_.record_pages();
    for (uint32_t i = 0; i < records; ++i) blocks_[i] = Take();
    next_ = more ? Take() : 0;
    packer_.FillSegment(image_, list_, generation_, blocks_);
    SegmentOn(image_)->next = next_;
    pages_.Put(block, image_);
    for (uint32_t i = 0; i < records; ++i) {
      packer_.FillRecords(image_, i, list_, generation_, block);
      pages_.Put(blocks_[i], image_);
    }
    entry_.tail = block;
    packer_.Clear();
  }

  const IndexView& view_;
  const quant::ListCodec& codec_;
  uint32_t generation_;
  Pages& pages_;
  SegmentPacker packer_;
  BlockNumber* blocks_;
  char* image_;
  uint32_t list_ = 0;
  BlockNumber next_ = 0;  // taken for the segment being packed
  format::ListEntry entry_{};
  double spread_ = 0;
};

}  // namespace ann::ivf
