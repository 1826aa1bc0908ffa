#include "ivf/ivf_calibrate.hpp"

#include <algorithm>
#include <cmath>

#include "cluster/nearest.hpp"
#include "core/beam.hpp"
#include "core/rng.hpp"
#include "core/vec.hpp"
#include "ivf/ivf_index.hpp"
#include "simd/simd.hpp"

#include "pg/alloc.hpp"

namespace ann::ivf {

namespace {

using Alloc = pg::PgAllocator<std::byte>;

// Searches for so many rows in all.
constexpr uint32_t kWanted = 1000;
// Lists that a search looks at, at most: this many or the 16th part of all.
constexpr uint32_t kMostLists = 512;
// Some more than the .95 that is promised: those who ask are farther from the rows than rows are
// from each other, and codes lose some, too.
constexpr double kRecall = .975;
constexpr double kNearest = 10;
constexpr float kMostPatience = 1e6f;

class Calibration {
 public:
  Calibration(const Calibrated& what, MemoryContext context)
      : what_(what),
        n_(static_cast<uint32_t>(what.row_count)),
        dims_(what.space.dims()),
        is_ip_(what.space.metric() == quant::Metric::kInnerProduct),
        lists_of_(Alloc(context)),
        order_(Alloc(context)),
        starts_(Alloc(context)),
        keys_(Alloc(context)),
        list_keys_(Alloc(context)),
        probes_(Alloc(context)),
        top_(Alloc(context)),
        streaks_(Alloc(context)),
        query_(Alloc(context)),
        others_(Alloc(context)),
        context_(context) {
    // The nearest ten of the table are so many of the sample.
    const double share = std::min(1.0, static_cast<double>(n_) / std::max(what.table_rows, 1.0));
    wanted_ = std::max(1u, static_cast<uint32_t>(std::lround(kNearest * share)));
    target_ = std::max(wanted_, static_cast<uint32_t>(std::lround(kFirstTarget * share)));
    most_lists_ = std::min(what.lists, std::max(kMostLists, what.lists / 16));
  }

  uint32_t Run(const cluster::Progress& progress) {
    if (what_.lists < 2 || n_ <= 2 * target_) return kLeastPatience;
    GroupRows(progress);
    Rng rng(what_.lists);
    for (uint32_t i = 0; i < kWanted; i += wanted_) {
      Search(static_cast<uint32_t>(rng.Next() % n_));
      CHECK_FOR_INTERRUPTS();
    }
    if (streaks_.empty()) return kLeastPatience;
    const size_t at = static_cast<size_t>(kRecall * static_cast<double>(streaks_.size()));
    const size_t last = std::min(at, streaks_.size() - 1);
    std::nth_element(streaks_.begin(), streaks_.begin() + last, streaks_.end());
    return static_cast<uint32_t>(
        std::clamp(std::ceil(streaks_[last]), float{kLeastPatience}, kMostPatience));
  }

 private:
  // The rows by list.
  void GroupRows(const cluster::Progress& progress) {
    lists_of_.resize(n_);
    keys_.resize(n_);
    const cluster::CentroidTable table(
        what_.centroids, what_.lists, dims_,
        AllocAligned(context_, cluster::CentroidTable::Bytes(what_.lists, dims_)),
        AllocAligned(context_, cluster::CentroidTable::ScratchBytes(what_.lists)));
    table.Fill(progress);
    table.Nearest(what_.rows, n_, lists_of_.data(), keys_.data(), progress);
    starts_.resize(what_.lists + 1, 0);
    for (uint32_t list : lists_of_) ++starts_[list + 1];
    for (uint32_t list = 0; list < what_.lists; ++list) starts_[list + 1] += starts_[list];
    order_.resize(n_);
    VecOf<uint32_t, Alloc> at(starts_);
    for (uint32_t row = 0; row < n_; ++row) order_[at[lists_of_[row]]++] = row;
  }

  float Key(const float* w) const {
    const simd::FloatKernels& kernels = simd::Floats();
    return OrderableKey(is_ip_ ? -kernels.inner_product(query_.data(), w, dims_)
                               : kernels.l2_squared(query_.data(), w, dims_));
  }

  // One search as the scan does it; notes of each of the rows wanted with which patience it is
  // found.
  void Search(uint32_t self) {
    query_.assign(what_.rows + size_t{self} * dims_, what_.rows + size_t{self + 1} * dims_);
    if (is_ip_) {
      for (uint32_t i = 0; i < dims_; ++i) query_[i] += what_.space.work_mean()[i];
    }
    RankLists(self);
    ComputeKeys(self);
    if (top_.size() < wanted_) return;
    std::nth_element(top_.begin(), top_.begin() + (wanted_ - 1), top_.end());
    const float farthest = top_[wanted_ - 1];
    top_.clear();
    uint32_t found = 0, idle = 0;
    float longest = 0;
    for (uint32_t i = 0; i < most_lists_ && found < wanted_; ++i) {
      bool improved = false;
      for (uint32_t at = starts_[probes_[i]]; at < starts_[probes_[i] + 1]; ++at) {
        const float key = keys_[at];
        improved |= Note(key);
        if (key <= farthest && found < wanted_) {
          streaks_.push_back(longest);
          ++found;
        }
      }
      idle = improved || top_.size() < target_ ? 0 : idle + 1;
      if (idle == 0 || i + 1 < kFewestLists || i + 1 == most_lists_) continue;
      const float weight = IdleWeight(is_ip_, list_keys_[probes_[i + 1]], top_.front());
      longest = std::max(longest, static_cast<float>(idle) * weight);
    }
  }

  // Puts the nearest lists in order. The row's own list is where it would be without it.
  void RankLists(uint32_t self) {
    list_keys_.resize(what_.lists);
    probes_.resize(what_.lists);
    for (uint32_t list = 0; list < what_.lists; ++list) {
      list_keys_[list] = Key(what_.centroids + size_t{list} * dims_);
      probes_[list] = list;
    }
    const uint32_t own = lists_of_[self];
    const float rows = static_cast<float>(starts_[own + 1] - starts_[own]);
    others_.resize(dims_);
    for (uint32_t i = 0; i < dims_; ++i) {
      others_[i] =
          (what_.centroids[size_t{own} * dims_ + i] * rows - what_.rows[size_t{self} * dims_ + i]) /
          (rows - 1);
    }
    list_keys_[own] = rows > 1 ? Key(others_.data()) : INFINITY;
    std::partial_sort(probes_.begin(), probes_.begin() + most_lists_, probes_.end(),
                      [this](uint32_t a, uint32_t b) {
                        return list_keys_[a] < list_keys_[b] ||
                               (list_keys_[a] == list_keys_[b] && a < b);
                      });
  }

  // Of the rows of these lists, and once more in top_.
  void ComputeKeys(uint32_t self) {
    top_.clear();
    for (uint32_t i = 0; i < most_lists_; ++i) {
      for (uint32_t at = starts_[probes_[i]]; at < starts_[probes_[i] + 1]; ++at) {
        const uint32_t row = order_[at];
        keys_[at] = row == self ? INFINITY : Key(what_.rows + size_t{row} * dims_);
        top_.push_back(keys_[at]);
      }
    }
  }

  bool Note(float key) {
    if (top_.size() >= target_) {
      if (!(key < top_.front())) return false;
      std::pop_heap(top_.begin(), top_.end());
      top_.back() = key;
    } else {
      top_.push_back(key);
    }
    std::push_heap(top_.begin(), top_.end());
    return true;
  }

  const Calibrated& what_;
  uint32_t n_;
  uint32_t dims_;
  bool is_ip_;
  uint32_t wanted_;                  // nearest rows of a query
  uint32_t target_;                  // as the scan's
  VecOf<uint32_t, Alloc> lists_of_;  // by row
  VecOf<uint32_t, Alloc> order_;     // rows by list
  VecOf<uint32_t, Alloc> starts_;    // by list, in order_
  uint32_t most_lists_;              // that a search looks at
  VecOf<float, Alloc> keys_;         // by place in order_
  VecOf<float, Alloc> list_keys_;
  VecOf<uint32_t, Alloc> probes_;
  VecOf<float, Alloc> top_;
  VecOf<float, Alloc> streaks_;  // of each row wanted, over all queries
  VecOf<float, Alloc> query_;
  VecOf<float, Alloc> others_;  // the centroid of all others of a list
  MemoryContext context_;
};

}  // namespace

uint32_t CalibratePatience(const Calibrated& what, const cluster::Progress& progress,
                           MemoryContext context) {
  return Calibration(what, context).Run(progress);
}

}  // namespace ann::ivf
