#include "ivf/ivf_calibrate.hpp"

#include <algorithm>
#include <cmath>

#include "core/beam.hpp"
#include "core/rng.hpp"
#include "core/vec.hpp"
#include "ivf/ivf_index.hpp"
#include "simd/simd.hpp"

#include "pg/alloc.hpp"

namespace ann::ivf {

namespace {

using Alloc = pg::PgAllocator<std::byte>;

// Queries of a chunk: a panel of rows, which meet all others together.
constexpr uint32_t kBatch = simd::kPanelLists;
// Rows at most, as each has a key for every query of a batch: 64 MB.
constexpr uint64_t kMostRows = 1 << 19;
// More than the .95 that is promised: queries are farther from the rows than rows are from each
// other, and codes lose some, too. Of text the difference is .02 (README, "How long a search goes
// on").
constexpr double kRecall = .975;
constexpr uint32_t kNearest = 10;
constexpr float kMostPatience = 1e6f;
static_assert(kStreaksPerChunk == kBatch * kNearest);

}  // namespace

class Calibration {
 public:
  Calibration(const Calibrated& what, MemoryContext context)
      : what_(what),
        n_(static_cast<uint32_t>(std::min(what.row_count, kMostRows))),
        dims_(what.space.dims()),
        is_ip_(what.space.metric() == quant::Metric::kInnerProduct),
        order_(Alloc(context)),
        starts_(Alloc(context)),
        squares_(Alloc(context)),
        keys_(Alloc(context)),
        queries_(Alloc(context)),
        panel_(Alloc(context)),
        list_keys_(Alloc(context)),
        probes_(Alloc(context)),
        top_(Alloc(context)),
        others_(Alloc(context)) {
    GroupRows();
  }

  void RunChunk(uint32_t chunk, float* streaks) {
    TakeQueries(chunk);
    ComputeKeys();
    for (uint32_t query = 0; query < kBatch; ++query) {
      CHECK_FOR_INTERRUPTS();
      Search(query);
      for (uint32_t i = 0; i < kNearest; ++i) streaks[query * kNearest + i] = top_[i].streak;
    }
  }

 private:
  // One of the nearest rows that a search knows of, and the patience that it took to get there.
  struct Found {
    float key;
    float streak;

    friend bool operator<(const Found& a, const Found& b) { return a.key < b.key; }
  };

  const float* RowAt(uint32_t row) const { return what_.rows + size_t{row} * dims_; }

  // The rows by list.
  void GroupRows() {
    squares_.resize(n_);
    starts_.resize(what_.lists + 1, 0);
    for (uint32_t row = 0; row < n_; ++row) ++starts_[what_.lists_of[row] + 1];
    for (uint32_t list = 0; list < what_.lists; ++list) starts_[list + 1] += starts_[list];
    order_.resize(n_);
    VecOf<uint32_t, Alloc> at(starts_);
    for (uint32_t row = 0; row < n_; ++row) order_[at[what_.lists_of[row]]++] = row;
    for (uint32_t row = 0; row < n_; ++row) {
      squares_[row] = static_cast<float>(simd::Floats().squared_norm(RowAt(row), dims_));
    }
  }

  // Random rows, as a panel; others for each chunk.
  void TakeQueries(uint32_t chunk) {
    Rng rng(what_.lists);
    for (uint32_t i = 0; i < chunk * kBatch; ++i) rng.Next();
    queries_.resize(kBatch * size_t{dims_});
    panel_.resize(kBatch * size_t{dims_});
    for (uint32_t q = 0; q < kBatch; ++q) {
      selves_[q] = static_cast<uint32_t>(rng.Next() % n_);
      float* query = Query(q);
      for (uint32_t d = 0; d < dims_; ++d) {
        query[d] = RowAt(selves_[q])[d] + (is_ip_ ? what_.space.work_mean()[d] : 0);
        panel_[d * kBatch + q] = query[d];
      }
      half_norms_[q] =
          is_ip_ ? 0 : static_cast<float>(simd::Floats().squared_norm(query, dims_) / 2);
    }
  }

  // Of all rows, list by list, and every query of the batch.
  void ComputeKeys() {
    keys_.resize(size_t{n_} * kBatch);
    float tile[simd::kPanelRows * kBatch], squares[simd::kPanelRows];
    const simd::PanelSet panel = {panel_.data(), half_norms_, 1, 0};
    for (uint32_t at = 0; at < n_; at += simd::kPanelRows) {
      const uint32_t count = std::min(n_ - at, uint32_t{simd::kPanelRows});
      const float* rows[simd::kPanelRows];
      for (uint32_t i = 0; i < count; ++i) {
        rows[i] = RowAt(order_[at + i]);
        squares[i] = squares_[order_[at + i]];
      }
      simd::Panels().all_keys(rows, count, dims_, panel, tile);
      CHECK_FOR_INTERRUPTS();
      for (uint32_t query = 0; query < kBatch; ++query) {
        float* keys = Keys(query) + at;
        for (uint32_t i = 0; i < count; ++i) {
          const float key = tile[i * kBatch + query];
          keys[i] = is_ip_ ? key : std::max(2 * key + squares[i], 0.0f);
        }
      }
    }
    for (uint32_t query = 0; query < kBatch; ++query) {
      const uint32_t self = selves_[query], list = what_.lists_of[self];
      for (uint32_t at = starts_[list]; at < starts_[list + 1]; ++at) {
        if (order_[at] == self) Keys(query)[at] = INFINITY;
      }
    }
  }

  // One search as the scan does it, but through all lists: top_ becomes the nearest rows in order,
  // each with the patience that finds it.
  void Search(uint32_t query) {
    RankLists(query);
    const float* keys = Keys(query);
    top_.clear();
    uint32_t idle = 0;
    float longest = 0;
    for (uint32_t i = 0; i < what_.lists; ++i) {
      bool improved = false;
      for (uint32_t at = starts_[probes_[i]]; at < starts_[probes_[i] + 1]; ++at) {
        improved |= Note({keys[at], longest});
      }
      idle = improved || top_.size() < kFirstTarget ? 0 : idle + 1;
      if (idle == 0 || i + 1 < kFewestLists || i + 1 == what_.lists) continue;
      const float weight = IdleWeight(is_ip_, list_keys_[probes_[i + 1]], top_.front().key);
      longest = std::max(longest, static_cast<float>(idle) * weight);
    }
    std::sort(top_.begin(), top_.end());
  }

  // Puts the lists in order. The row's own list is where it would be without it.
  void RankLists(uint32_t query) {
    list_keys_.resize(what_.lists);
    probes_.resize(what_.lists);
    for (uint32_t list = 0; list < what_.lists; ++list) {
      list_keys_[list] = Key(query, what_.centroids + size_t{list} * dims_);
      probes_[list] = list;
    }
    const uint32_t own = what_.lists_of[selves_[query]];
    const float rows = static_cast<float>(starts_[own + 1] - starts_[own]);
    const float* self = RowAt(selves_[query]);
    others_.resize(dims_);
    for (uint32_t i = 0; i < dims_; ++i) {
      others_[i] = (what_.centroids[size_t{own} * dims_ + i] * rows - self[i]) / (rows - 1);
    }
    list_keys_[own] = rows > 1 ? Key(query, others_.data()) : INFINITY;
    std::sort(probes_.begin(), probes_.end(), [this](uint32_t a, uint32_t b) {
      return list_keys_[a] < list_keys_[b] || (list_keys_[a] == list_keys_[b] && a < b);
    });
  }

  float Key(uint32_t query, const float* w) {
    const simd::FloatKernels& kernels = simd::Floats();
    return OrderableKey(is_ip_ ? -kernels.inner_product(Query(query), w, dims_)
                               : kernels.l2_squared(Query(query), w, dims_));
  }

  bool Note(Found found) {
    if (top_.size() >= kFirstTarget) {
      if (!(found < top_.front())) return false;
      std::pop_heap(top_.begin(), top_.end());
      top_.back() = found;
    } else {
      top_.push_back(found);
    }
    std::push_heap(top_.begin(), top_.end());
    return true;
  }

  float* Keys(uint32_t query) { return keys_.data() + size_t{query} * n_; }
  float* Query(uint32_t query) { return queries_.data() + query * size_t{dims_}; }

  Calibrated what_;
  uint32_t n_;
  uint32_t dims_;
  bool is_ip_;
  VecOf<uint32_t, Alloc> order_;   // rows by list
  VecOf<uint32_t, Alloc> starts_;  // by list, in order_
  VecOf<float, Alloc> squares_;    // by row
  VecOf<float, Alloc> keys_;       // by query, and place in order_
  uint32_t selves_[kBatch];        // the rows that are the queries
  VecOf<float, Alloc> queries_;
  VecOf<float, Alloc> panel_;
  float half_norms_[kBatch];
  VecOf<float, Alloc> list_keys_;
  VecOf<uint32_t, Alloc> probes_;
  VecOf<Found, Alloc> top_;
  VecOf<float, Alloc> others_;  // the centroid of all others of a list
};

Calibration* StartCalibration(const Calibrated& what, MemoryContext context) {
  return pg::Construct<Calibration>(pg::AllocZero<Calibration>(context, 1), what, context);
}

void RunCalibrationChunk(Calibration* calibration, uint32_t chunk, float* streaks) {
  calibration->RunChunk(chunk, streaks);
}

bool CanCalibrate(uint64_t rows, uint32_t lists) { return lists >= 2 && rows > 2 * kFirstTarget; }

uint32_t PatienceOf(float* streaks) {
  constexpr size_t kCount = size_t{kCalibrationChunks} * kStreaksPerChunk;
  const size_t last = static_cast<size_t>(kRecall * static_cast<double>(kCount - 1));
  std::nth_element(streaks, streaks + last, streaks + kCount);
  return static_cast<uint32_t>(
      std::clamp(std::ceil(streaks[last]), float{kLeastPatience}, kMostPatience));
}

}  // namespace ann::ivf
