// Coded rows on their way to their lists: rows in any order get list and codes, and come back
// sorted by list and TID (README, "Build").
#pragma once

#include "cluster/nearest.hpp"

#include "ivf/ivf_index.hpp"

namespace ann::ivf {

// A row as the sort gives it back.
struct CodedRow : StoredRow {
  uint32_t list;
  float distance;  // squared, of its work vector from the centroid; 0 if that is no number
};

// A sort by list and TID, so that what comes out does not depend on the order in which rows went
// in, nor on how many processes read them. Spills to temporary files.
class RowSort {
 public:
  // `codec`: of the view's lists or of those it trains. `coordinate`: of a sort that processes
  // share, or null. Memory: of `context`.
  RowSort(const IndexView& view, const quant::ListCodec& codec, int memory_kb,
          SortCoordinate coordinate, MemoryContext context);

  // Room for attributes and codes of the row to be added; `second` is null when there is no second
  // stage.
  char* attributes() const;
  uint32_t attribute_bytes() const { return attribute_bytes_; }
  uint8_t* code() const;
  uint8_t* second() const;
  void Add(uint32_t list, const ItemPointerData& tid, float distance);
  void Sort() { tuplesort_performsort(sort_); }
  // The next row, good until the following call. False: there are no more.
  bool Next(CodedRow* row);
  void End();

 private:
  uint32_t attribute_bytes_;
  uint32_t code_bytes_;
  uint32_t second_bytes_;
  struct varlena* payload_;  // distance, attributes, code, second stage
  TupleDesc desc_;
  TupleTableSlot* in_;
  TupleTableSlot* out_;
  Tuplesortstate* sort_;
};

// Puts rows into lists, by batches as the kernels want them.
class RowPlacer {
 public:
  // `table`: of the frame's centroids, filled. Memory: of `context`.
  RowPlacer(const Frame& frame, const cluster::CentroidTable& table, RowSort& sort,
            MemoryContext context);

  // `x`: dims floats, indexable. `attributes`: packed. `prior`: as ListCodec::Encode takes it.
  void Add(const float* x, const char* attributes, const ItemPointerData& tid, float prior = 0);
  // After the last row.
  void Flush();
  // Given to the sort so far.
  uint64_t rows() const { return rows_; }

 private:
  const Frame& frame_;
  const cluster::CentroidTable& table_;
  RowSort& sort_;
  float* vectors_;
  float* works_;
  char* attributes_;
  float priors_[cluster::kBatchRows];
  ItemPointerData tids_[cluster::kBatchRows];
  uint32_t lists_[cluster::kBatchRows];
  float distances_[cluster::kBatchRows];
  uint32_t most_;  // of a batch
  uint32_t batch_ = 0;
  uint64_t rows_ = 0;
};

}  // namespace ann::ivf
