// Nearest centroids by panels: see README.md, "Groups".
#include "cluster/nearest.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "cluster/carver.hpp"
#include "core/sizes.hpp"
#include "simd/simd.hpp"

namespace ann::cluster {
namespace {

using simd::kPanelLists;
using simd::kPanelRows;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
// Groups that a row meets: 1 of 8, within these bounds.
constexpr uint32_t kMinProbes = 16, kMaxProbes = 48;
// Rounds of the two-means that halves a range of centroids.
constexpr int kHalvings = 4;

constexpr uint32_t Groups(uint32_t lists) {
  return static_cast<uint32_t>(DivUp(lists, kPanelLists));
}
constexpr uint32_t Probes(uint32_t groups) {
  return std::min(groups, std::clamp(groups / 8, kMinProbes, kMaxProbes));
}

// Puts the centroid into place `place` of panels.
void PutIntoPanel(const float* centroid, uint32_t dims, size_t place, float* panels) {
  float* to = panels + place / kPanelLists * dims * kPanelLists + place % kPanelLists;
  for (uint32_t d = 0; d < dims; ++d) to[d * kPanelLists] = centroid[d];
}

float HalfNorm(const float* centroid, uint32_t dims) {
  return static_cast<float>(simd::Floats().squared_norm(centroid, dims) / 2);
}

void ClearPlaces(size_t begin, size_t end, uint32_t dims, float* panels, float* half_norms) {
  for (size_t place = begin; place < end; ++place) {
    float* to = panels + place / kPanelLists * dims * kPanelLists + place % kPanelLists;
    for (uint32_t d = 0; d < dims; ++d) to[d * kPanelLists] = 0;
    half_norms[place] = kInfinity;
  }
}

}  // namespace

CentroidTable::CentroidTable(const float* centroids, uint32_t lists, uint32_t dims, void* memory,
                             void* scratch)
    : centroids_(centroids),
      lists_(lists),
      dims_(dims),
      groups_(Groups(lists)),
      probes_(Probes(groups_)) {
  const size_t group_places = RoundUp(groups_, kPanelLists);
  Carver m(memory);
  list_at_ = m.Take<uint32_t>(lists);
  half_norms_ = m.Take<float>(groups_ * kPanelLists);
  group_half_norms_ = m.Take<float>(is_grouped() ? group_places : 0);
  panels_ = m.Take<float>(groups_ * kPanelLists * dims);
  group_panels_ = m.Take<float>(is_grouped() ? group_places * dims : 0);
  Carver s(scratch);
  group_keys_ = s.Take<float>(kPanelRows * group_places);
  chosen_ = s.Take<uint16_t>(kBatchRows * probes_);
  rows_by_group_ = s.Take<uint16_t>(kBatchRows * probes_);
  group_starts_ = s.Take<uint32_t>(groups_ + 1);
  keys_ = s.Take<float>(kBatchRows);
}

size_t CentroidTable::Bytes(uint32_t lists, uint32_t dims) {
  const size_t groups = Groups(lists), group_places = RoundUp(groups, kPanelLists);
  Carver m(nullptr);
  m.Take<uint32_t>(lists);
  m.Take<float>(groups * kPanelLists);
  m.Take<float>(lists >= kGroupedLists ? group_places : 0);
  m.Take<float>(groups * kPanelLists * dims);
  m.Take<float>(lists >= kGroupedLists ? group_places * dims : 0);
  return m.used();
}

size_t CentroidTable::ScratchBytes(uint32_t lists) {
  const size_t groups = Groups(lists);
  const size_t pairs = kBatchRows * Probes(Groups(lists));
  Carver s(nullptr);
  s.Take<float>(kPanelRows * RoundUp(groups, kPanelLists));
  s.Take<uint16_t>(pairs);
  s.Take<uint16_t>(pairs);
  s.Take<uint32_t>(groups + 1);
  s.Take<float>(kBatchRows);
  return s.used();
}

uint64_t CentroidTable::Distances(uint32_t lists) {
  if (lists < kGroupedLists) return lists;
  const uint32_t groups = Groups(lists);
  return groups + uint64_t{Probes(groups)} * kPanelLists;
}

void CentroidTable::Fill(const Progress& progress) const {
  uint64_t done = 0;
  Ticker ticker(progress, Phase::kAssign, dims_, &done, 0);
  FillWith(ticker);
}

void CentroidTable::FillWith(Ticker& ticker) const {
  for (uint32_t i = 0; i < lists_; ++i) list_at_[i] = i;
  if (is_grouped()) Group(ticker);
  Refill(ticker);
}

void CentroidTable::Refill(Ticker& ticker) const {
  PackPanels(ticker);
  if (is_grouped()) PackGroups(ticker);
}

// --- grouping ------------------------------------------------------------------------------------

// Halves ranges of whole groups until each is one group. The panels, not filled yet, are scratch.
void CentroidTable::Group(Ticker& ticker) const {
  struct Range {
    uint32_t begin, end;
  };
  Range open[32];  // halves of halves of fewer than 2^32
  size_t count = 0;
  open[count++] = {0, lists_};
  while (count > 0) {
    const Range range = open[--count];
    const uint32_t groups = Groups(range.end - range.begin);
    if (groups < 2) continue;
    const uint32_t cut = range.begin + groups / 2 * static_cast<uint32_t>(kPanelLists);
    Halve(range.begin, range.end, cut, ticker);
    open[count++] = {range.begin, cut};
    open[count++] = {cut, range.end};
  }
}

// Reorders list_at_ in [begin, end): those before `cut` are nearer to their mean than to the other
// side's, as far as the sizes allow.
void CentroidTable::Halve(uint32_t begin, uint32_t end, uint32_t cut, Ticker& ticker) const {
  float* const low = panels_;
  float* const high = low + dims_;
  float* const axis = high + dims_;
  float* const projections = axis + dims_;  // by list
  MeanOf(begin, end, low);
  const uint32_t first = FarthestFrom(low, begin, end);
  const uint32_t second = FarthestFrom(centroids_ + size_t{first} * dims_, begin, end);
  std::copy_n(centroids_ + size_t{first} * dims_, dims_, low);
  std::copy_n(centroids_ + size_t{second} * dims_, dims_, high);
  for (int round = 0; round < kHalvings; ++round) {
    if (round > 0) {
      MeanOf(begin, cut, low);
      MeanOf(cut, end, high);
    }
    simd::Transforms().subtract(high, low, axis, dims_);
    for (uint32_t i = begin; i < end; ++i) {
      const uint32_t list = list_at_[i];
      const float projection =
          simd::Floats().inner_product(axis, centroids_ + size_t{list} * dims_, dims_);
      // Of values that overflow: no order is wrong, but there must be one.
      projections[list] = std::isfinite(projection) ? projection : 0;
    }
    std::nth_element(list_at_ + begin, list_at_ + cut, list_at_ + end,
                     [projections](uint32_t a, uint32_t b) {
                       if (projections[a] != projections[b]) return projections[a] < projections[b];
                       return a < b;
                     });
    ticker.Spend(4 * uint64_t{end - begin});
  }
}

void CentroidTable::MeanOf(uint32_t begin, uint32_t end, float* mean) const {
  std::fill_n(mean, dims_, 0.0f);
  for (uint32_t i = begin; i < end; ++i) {
    const float* centroid = centroids_ + size_t{list_at_[i]} * dims_;
    for (uint32_t d = 0; d < dims_; ++d) mean[d] += centroid[d];
  }
  simd::Transforms().scale(mean, 1.0f / static_cast<float>(end - begin), mean, dims_);
}

uint32_t CentroidTable::FarthestFrom(const float* point, uint32_t begin, uint32_t end) const {
  uint32_t farthest = list_at_[begin];
  float largest = -1;
  for (uint32_t i = begin; i < end; ++i) {
    const float* centroid = centroids_ + size_t{list_at_[i]} * dims_;
    const float distance = simd::Floats().l2_squared(point, centroid, dims_);
    if (distance > largest) {
      largest = distance;
      farthest = list_at_[i];
    }
  }
  return farthest;
}

// --- packing -------------------------------------------------------------------------------------

void CentroidTable::PackPanels(Ticker& ticker) const {
  for (uint32_t place = 0; place < lists_; ++place) {
    const float* centroid = centroids_ + size_t{list_at_[place]} * dims_;
    PutIntoPanel(centroid, dims_, place, panels_);
    half_norms_[place] = HalfNorm(centroid, dims_);
    ticker.Spend(8);
  }
  ClearPlaces(lists_, groups_ * kPanelLists, dims_, panels_, half_norms_);
}

// A group's mean is taken from the panel itself, dim by dim.
void CentroidTable::PackGroups(Ticker& ticker) const {
  for (uint32_t group = 0; group < groups_; ++group) {
    const float* panel = panels_ + size_t{group} * dims_ * kPanelLists;
    const uint32_t members =
        std::min(lists_ - group * static_cast<uint32_t>(kPanelLists), uint32_t{kPanelLists});
    float* to = group_panels_ + group / kPanelLists * dims_ * kPanelLists + group % kPanelLists;
    double norm = 0;
    for (uint32_t d = 0; d < dims_; ++d) {
      float sum = 0;
      for (uint32_t i = 0; i < members; ++i) sum += panel[d * kPanelLists + i];
      const float mean = sum / static_cast<float>(members);
      to[d * kPanelLists] = mean;
      norm += static_cast<double>(mean) * mean;
    }
    group_half_norms_[group] = static_cast<float>(norm / 2);
    ticker.Spend(kPanelLists);
  }
  ClearPlaces(groups_, RoundUp(groups_, kPanelLists), dims_, group_panels_, group_half_norms_);
}

// --- searching -----------------------------------------------------------------------------------

void CentroidTable::Nearest(const float* rows, size_t n, uint32_t* ids, float* distances,
                            const Progress& progress) const {
  uint64_t done = 0;
  Ticker ticker(progress, Phase::kAssign, dims_, &done, n * Distances(lists_));
  const float* batch[kBatchRows];
  for (size_t begin = 0; begin < n; begin += kBatchRows) {
    const size_t count = std::min(n - begin, kBatchRows);
    for (size_t i = 0; i < count; ++i) batch[i] = rows + (begin + i) * dims_;
    NearestOf(batch, count, ids + begin, distances + begin, ticker);
  }
}

void CentroidTable::NearestOf(const float* const* rows, size_t n, uint32_t* ids, float* distances,
                              Ticker& ticker) const {
  for (size_t begin = 0; begin < n; begin += kBatchRows) {
    const size_t count = std::min(n - begin, kBatchRows);
    if (is_grouped()) {
      GroupedBatch(rows + begin, count, ids + begin, ticker);
    } else {
      ExactBatch(rows + begin, count, ids + begin, ticker);
    }
  }
  for (size_t i = 0; i < n; ++i) {
    ids[i] = list_at_[ids[i]];
    distances[i] = simd::Floats().l2_squared(rows[i], centroids_ + size_t{ids[i]} * dims_, dims_);
  }
}

void CentroidTable::ExactBatch(const float* const* rows, size_t n, uint32_t* places,
                               Ticker& ticker) const {
  std::fill_n(keys_, n, kInfinity);
  std::fill_n(places, n, 0u);
  for (size_t begin = 0; begin < n; begin += kPanelRows) {
    const size_t count = std::min(n - begin, kPanelRows);
    simd::Panels().nearest(rows + begin, count, dims_, {panels_, half_norms_, groups_, 0},
                           keys_ + begin, places + begin);
    ticker.Spend(count * lists_);
  }
}

// Each row chooses its groups; then each group meets the rows that chose it, in tiles.
void CentroidTable::GroupedBatch(const float* const* rows, size_t n, uint32_t* places,
                                 Ticker& ticker) const {
  for (size_t begin = 0; begin < n; begin += kPanelRows) {
    const size_t count = std::min(n - begin, kPanelRows);
    simd::Panels().all_keys(rows + begin, count, dims_,
                            {group_panels_, group_half_norms_, DivUp(groups_, kPanelLists), 0},
                            group_keys_);
    for (size_t i = 0; i < count; ++i) {
      simd::Panels().smallest(group_keys_ + i * RoundUp(groups_, kPanelLists), groups_, probes_,
                              chosen_ + (begin + i) * probes_);
    }
    ticker.Spend(count * groups_);
  }
  SortByGroup(n);
  for (size_t i = 0; i < n; ++i) {
    keys_[i] = kInfinity;
    places[i] = chosen_[i * probes_] * static_cast<uint32_t>(kPanelLists);
  }
  const simd::PanelKernels& kernels = simd::Panels();
  for (uint32_t group = 0; group < groups_; ++group) {
    const simd::PanelSet set = {panels_ + size_t{group} * kPanelLists * dims_,
                                half_norms_ + group * kPanelLists, 1,
                                group * static_cast<uint32_t>(kPanelLists)};
    for (uint32_t at = group_starts_[group]; at < group_starts_[group + 1];) {
      const uint32_t count =
          std::min(group_starts_[group + 1] - at, static_cast<uint32_t>(kPanelRows));
      const float* tile[kPanelRows];
      float keys[kPanelRows];
      uint32_t ids[kPanelRows];
      for (uint32_t i = 0; i < count; ++i) {
        const uint16_t row = rows_by_group_[at + i];
        tile[i] = rows[row];
        keys[i] = keys_[row];
        ids[i] = places[row];
      }
      kernels.nearest(tile, count, dims_, set, keys, ids);
      for (uint32_t i = 0; i < count; ++i) {
        const uint16_t row = rows_by_group_[at + i];
        keys_[row] = keys[i];
        places[row] = ids[i];
      }
      at += count;
      ticker.Spend(uint64_t{count} * kPanelLists);
    }
  }
}

// Counting sort of the pairs (row, group) of chosen_.
void CentroidTable::SortByGroup(size_t n) const {
  std::fill_n(group_starts_, groups_ + 1, 0u);
  const size_t pairs = n * probes_;
  for (size_t i = 0; i < pairs; ++i) ++group_starts_[chosen_[i]];
  uint32_t sum = 0;
  for (uint32_t group = 0; group <= groups_; ++group) {
    const uint32_t count = group_starts_[group];
    sum += count;
    group_starts_[group] = sum;
  }
  // From the back: each start sinks from its group's end to its beginning.
  for (size_t i = pairs; i > 0; --i) {
    rows_by_group_[--group_starts_[chosen_[i - 1]]] = static_cast<uint16_t>((i - 1) / probes_);
  }
}

uint32_t CentroidTable::NearestOne(const float* row, float* distance) const {
  float key = kInfinity;
  uint32_t place = 0;
  simd::Panels().nearest(&row, 1, dims_, {panels_, half_norms_, groups_, 0}, &key, &place);
  const uint32_t list = list_at_[place];
  *distance = simd::Floats().l2_squared(row, centroids_ + size_t{list} * dims_, dims_);
  return list;
}

}  // namespace ann::cluster
