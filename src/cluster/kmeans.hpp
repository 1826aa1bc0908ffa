// k-means over rows of floats, cut into chunks that any process can do: see README.md.
//
// All state lies in one block of the caller's memory, which holds no addresses, so that processes
// may map it at different places. One process does the whole by KMeans::Run(); several share it so:
//
//   one process      KMeans::Init(block, params, rows)
//   each process     KMeans kmeans(block, row_data, scratch)
//   until done()     each takes chunk numbers below chunks() from a shared counter and calls
//                    RunChunk(); when all chunks are done, one of them calls Advance() while the
//                    others wait
//
// The centroids depend on the parameters and the rows only (and, as float sums do, on the CPU's
// target), not on who did which chunk.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cluster/part.hpp"
#include "cluster/progress.hpp"

namespace ann::cluster {

struct KMeansParams {
  uint32_t dims = 0;
  uint32_t lists = 0;       // centroids wanted, 1 .. kMaxLists
  uint32_t iterations = 5;  // Lloyd's iterations at most, at least 1
  uint32_t spherical = 0;   // 1: rows have length 1, and so shall centroids
  uint64_t seed = 0;
};

inline constexpr uint32_t kMaxLists = 1 << 20;

// Rows a list to train with, when memory allows (README.md, "Figures").
inline constexpr uint32_t kSampleRowsPerList = 128;

class KMeans {
 public:
  // Size of the block for `rows` rows, which are not counted in it; and of the scratch memory of
  // each process.
  static size_t BlockBytes(const KMeansParams& params, uint64_t rows);
  static size_t ScratchBytes(const KMeansParams& params);

  // Rows to sample, at most `available` and `per_list` a list, so that they, the block and one
  // scratch fit into `budget` bytes; but a row a list even if it is not held then.
  static uint64_t SampleRows(const KMeansParams& params, uint64_t available, uint32_t per_list,
                             size_t budget);

  // Prepares a block (64-aligned) for `rows` rows, 1 .. 2^32 - 2.
  static void Init(void* block, const KMeansParams& params, uint64_t rows);

  // A view of a prepared block. `rows`: params.dims floats each, one after the other, no NaN.
  // `scratch`: 64-aligned, this process's own.
  KMeans(void* block, const float* rows, void* scratch);

  bool done() const;
  // Chunks of the present step, at least 1.
  uint32_t chunks() const;
  // Any process, any order, each chunk once.
  void RunChunk(uint32_t chunk, const Progress& progress) const;
  // One process, after all chunks of the step.
  void Advance(const Progress& progress) const;

  // All of the above, alone.
  void Run(const Progress& progress) const;

  // Once done: lists found, those wanted or fewer if there are fewer distinct rows; their
  // centroids, lists() * dims floats; the sum of squared distances of the rows to their centroids
  // as the last iteration met them; and the number of iterations.
  uint32_t lists() const;
  const float* centroids() const;
  double inertia() const;
  uint32_t iterations() const;

 private:
  struct Header;

  KMeans(void* block, const float* rows, void* scratch, const KMeansParams& params, uint64_t n);
  static uint32_t Lists(const KMeansParams& params, uint64_t rows);
  Part All() const;
  Part Coarse(uint32_t size) const;
  Part Cell(uint32_t cell) const;
  Ticker MakeTicker(const Progress& progress) const;
  uint64_t SeedOf(uint32_t use) const;
  void StartCell(uint32_t cell, Ticker& ticker) const;
  void EndIteration(Ticker& ticker) const;
  uint32_t CoarseRows() const;
  void SampleForCoarse() const;
  void OrderByRow() const;
  void ShareLists() const;
  void PlanWork() const;
  void DropEmpty() const;

  Header* header_;
  const float* rows_;
  void* scratch_;
  // By row, or by position in order_.
  uint32_t* order_;
  uint32_t* ids_;
  float* distances_;
  uint32_t* sorted_;
  // By list.
  float* centroids_;
  uint32_t* starts_;  // lists + cells
  double* inertias_;
  uint32_t* donors_;
  char* tables_;  // of the cells, then of all
  // By cell.
  float* coarse_;
  uint32_t* cell_starts_;  // cells + 1, in order_
  double* cell_inertias_;
  uint32_t* cell_donors_;
  uint32_t* cell_lists_;  // cells + 1: first list of each
  char* coarse_table_;
  size_t block_bytes_;
};

}  // namespace ann::cluster
