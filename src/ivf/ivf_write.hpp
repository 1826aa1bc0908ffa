// Writing whole lists: page after page, for builds and for lists that get other pages.
#pragma once

#include "ivf/ivf_index.hpp"

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
  // `row`: codec.row_bytes; `record`: second stage (null: none).
  void Add(const format::Tid& tid, const uint8_t* row, const uint8_t* record);
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

  const IndexView& view_;
  const quant::ListCodec& codec_;
  format::Tid* tids_;
  uint32_t block_rows_;
  size_t block_bytes_;
  uint8_t* blocks_;   // as the code place says, blocks open; under kRecord one a row
  uint8_t* records_;  // of second stages
  uint32_t rows_ = 0;
};

}  // namespace ann::ivf
