// Finding lists: centroids, and the codebook of pq, from a sample of rows.
#pragma once

#include "cluster/kmeans.hpp"

#include "ivf/ivf_index.hpp"
#include "ivf/ivf_user_centroids.hpp"

namespace ann::ivf {

// Lists that suit so many rows, when the user has set none.
uint32_t AutomaticLists(double rows);
// Lists to be made of so many rows: `wanted` (0: automatic), or fewer if the rows are few.
uint32_t ListsFor(int wanted, double rows);

// More improve nothing that can be told from chance (README, "Build").
inline constexpr uint32_t kSampleRowsPerList = 64;

// A sample of rows as the user gave them, in memory of a context.
class Sample {
 public:
  Sample(const format::IvfMeta& meta, uint64_t most, MemoryContext context);
  bool full() const { return rows_ == most_; }
  uint64_t rows() const { return rows_; }
  void Add(const float* x);

  // Makes a frame of `lists` lists, at most, in memory of `context`: `shape` (all but epoch and
  // place) and the stream of its pages. The sample is used up. Without rows there is one list
  // around 0.
  // `table_rows`: that the sample stands for. `given`: the centroids, one for each list, or null.
  float* Train(uint32_t lists, double table_rows, const UserCentroids* given,
               format::IvfFrame* shape, const cluster::Progress& progress, MemoryContext context);

 private:
  void FindMean(float* mean) const;
  void TrainCodebook(format::IvfFrame& shape, const quant::WorkSpace& space, float* stream,
                     const cluster::Progress& progress);

  const format::IvfMeta& meta_;
  MemoryContext context_;
  uint64_t most_;
  uint64_t rows_ = 0;
  float* floats_;
};

// The floats of a row to be indexed, or null.
const float* RowVector(const IndexView& view, Datum* values, const bool* isnull);

// A frame of the lists that a table's rows want: `shape` (all but epoch and place) and the stream
// of its pages, in memory of `context`. `info`: the index's; ii_Concurrent if others may write.
// `given`: the lists' centroids, or null.
// Calls `sampled` before the clustering.
float* TrainOnTable(const IndexView& view, Relation heap, IndexInfo* info, int lists,
                    const UserCentroids* given, const cluster::Progress& progress,
                    void (*sampled)(), format::IvfFrame* shape, MemoryContext context);

}  // namespace ann::ivf
