// The nearest centroid of rows: many at a time for training and building, one for inserts.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cluster/progress.hpp"
#include "cluster/ticker.hpp"
#include "core/sizes.hpp"
#include "simd/panel.hpp"

namespace ann::cluster {

// From this number of centroids on, Nearest() looks at the most promising groups only.
inline constexpr uint32_t kGroupedLists = 1024;

// Rows that choose their groups together: enough that most groups get a tile of rows or more.
inline constexpr size_t kBatchRows = 1024;

// Centroids as the kernels want them: in panels of kPanelLists that are near each other, each panel
// with its mean. A view of the caller's memory, without state of its own: processes that share the
// memory make one each.
class CentroidTable {
 public:
  // Size of a table, and of what each process needs for Nearest().
  static size_t Bytes(uint32_t lists, uint32_t dims);
  static size_t ScratchBytes(uint32_t lists);
  // Bytes(lists, dims) <= lists * PerList(dims) + PerTable(dims), so that tables can be laid out
  // one after the other before their sizes are known. Multiples of 64.
  static constexpr size_t PerList(uint32_t dims) {
    return RoundUp(size_t{dims} * sizeof(float) * 17 / 16 + 10, 64);
  }
  static constexpr size_t PerTable(uint32_t dims) {
    return RoundUp(size_t{dims} * sizeof(float) * (simd::kPanelLists - 1) + 512, 64);
  }

  // `centroids` (lists * dims floats, lists >= 1, without NaN), `memory` (Bytes, 64-aligned) and
  // `scratch` (ScratchBytes, 64-aligned) must stay. The memory is filled by Fill(), once.
  CentroidTable(const float* centroids, uint32_t lists, uint32_t dims, void* memory, void* scratch);

  void Fill(const Progress& progress) const;

  // For each of n rows (dims floats each, one after the other, no NaN) the number of its nearest
  // centroid and the squared distance to it. Exact below kGroupedLists, of equal ones the lowest.
  // Above, a row meets the centroids of its kProbes nearest groups only: README.md says how many
  // miss their nearest, and by how little.
  void Nearest(const float* rows, size_t n, uint32_t* ids, float* distances,
               const Progress& progress) const;

  // Always exact.
  uint32_t NearestOne(const float* row, float* distance) const;

  uint32_t lists() const { return lists_; }
  // How many distances Nearest() computes for a row.
  static uint64_t Distances(uint32_t lists);

 private:
  friend class KMeans;
  friend struct Part;

  void FillWith(Ticker& ticker) const;
  // Again, after the centroids have moved a little.
  void Refill(Ticker& ticker) const;
  void NearestOf(const float* const* rows, size_t n, uint32_t* ids, float* distances,
                 Ticker& ticker) const;
  bool is_grouped() const { return lists_ >= kGroupedLists; }

  // Grouping.
  void Group(Ticker& ticker) const;
  void Halve(uint32_t begin, uint32_t end, uint32_t cut, Ticker& ticker) const;
  void MeanOf(uint32_t begin, uint32_t end, float* mean) const;
  uint32_t FarthestFrom(const float* point, uint32_t begin, uint32_t end) const;

  void PackPanels(Ticker& ticker) const;
  void PackGroups(Ticker& ticker) const;
  // Batches of at most kBatchRows.
  void ExactBatch(const float* const* rows, size_t n, uint32_t* places, Ticker& ticker) const;
  void GroupedBatch(const float* const* rows, size_t n, uint32_t* places, Ticker& ticker) const;
  void ChooseGroups(const float* const* rows, size_t n) const;
  void SortByGroup(size_t n) const;

  const float* centroids_;
  uint32_t lists_, dims_, groups_, probes_;
  // Memory.
  uint32_t* list_at_;        // by place; place / kPanelLists is the group
  float* half_norms_;        // by place
  float* group_half_norms_;  // by group
  float* panels_;
  float* group_panels_;
  // Scratch.
  float* group_keys_;        // of kPanelRows rows
  uint16_t* chosen_;         // kBatchRows * probes_ groups
  uint16_t* rows_by_group_;  // the same pairs by group: numbers of rows
  uint32_t* group_starts_;   // groups + 1
  float* keys_;              // kBatchRows
};

}  // namespace ann::cluster
