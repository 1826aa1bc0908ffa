// Panel kernels, compiled once per Highway target by re-inclusion.
//
// A tile is kTileRows rows by kTileVectors vectors of centroids whose sums stay in registers: a
// step of one dim loads kTileVectors vectors and broadcasts kTileRows values for their product's
// worth of multiply-adds. Latency 4 (5 on older Intel) times two ports want 8 to 10 sums in flight;
// the registers allow 28 on AVX-512, 12 beside the operands on AVX2. Loads are then
// (2 + 8) for 16 multiply-adds, below what the ports take, so arithmetic limits the tile, also with
// panels in L2: README.md has figures.
#include "simd/hwy_targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "simd/panel.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <limits>

#include "simd/kernel_tables.hpp"
#include "simd/panel.hpp"

HWY_BEFORE_NAMESPACE();
namespace ann::simd {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::ScalableTag<float>;
using Words = hn::Rebind<uint32_t, Floats>;
using Vec = hn::Vec<Floats>;
using IdVec = hn::Vec<Words>;
constexpr Floats kTag;
constexpr Words kIdTag;
constexpr size_t kLanes = hn::MaxLanes(kTag);
static_assert(kPanelLists % (2 * kLanes) == 0);

// 32 registers of 64 or 16 bytes, 16 of 32 bytes; without fused multiply-add a product needs one
// more.
constexpr size_t kTileVectors = HWY_ARCH_ARM ? 4 : 2;
constexpr size_t kTileRows = kLanes == 16 ? 8 : HWY_ARCH_ARM || kLanes == 8 ? 6 : 4;
constexpr size_t kTileLists = kTileVectors * kLanes;
// A single row has too few sums for the latency: it meets 8 vectors at a time, in whole panels, so
// that each lane sees ids in ascending order.
constexpr size_t kPanelVectors = kPanelLists / kLanes;
constexpr size_t kSinglePanels = kPanelVectors < 8 ? 8 / kPanelVectors : 1;

// Least key of each lane so far, and whose it is.
struct LaneMinima {
  HWY_ALIGN float keys[kLanes];
  HWY_ALIGN uint32_t ids[kLanes];
};

HWY_INLINE void Offer(Vec key, IdVec ids, LaneMinima& minima) {
  const Vec least = hn::Load(kTag, minima.keys);
  const auto less = hn::Lt(key, least);
  hn::Store(hn::IfThenElse(less, key, least), kTag, minima.keys);
  const auto less_ids = hn::RebindMask(kIdTag, less);
  hn::Store(hn::IfThenElse(less_ids, ids, hn::Load(kIdTag, minima.ids)), kIdTag, minima.ids);
}

// What becomes of a tile's keys: minima of lanes ...
class ToMinima {
 public:
  HWY_INLINE ToMinima(LaneMinima* minima, uint32_t id) : minima_(minima), id_(id) {}
  HWY_INLINE void Take(size_t row, size_t at, Vec keys) const {
    Offer(keys, hn::Iota(kIdTag, id_ + static_cast<uint32_t>(at)), minima_[row]);
  }

 private:
  LaneMinima* minima_;
  uint32_t id_;
};

// ... or rows of a matrix; only those of the first `rows` are wanted.
class ToMatrix {
 public:
  HWY_INLINE ToMatrix(float* keys, size_t stride, size_t rows)
      : keys_(keys), stride_(stride), rows_(rows) {}
  HWY_INLINE void Take(size_t row, size_t at, Vec keys) const {
    if (row < rows_) hn::StoreU(keys, kTag, keys_ + row * stride_ + at);
  }

 private:
  float* keys_;
  size_t stride_, rows_;
};

// kRows rows against kVectors vectors of each of kPanels panels that lie `stride` floats apart,
// from `values` and `half_norms` on.
// Not inlined: in a larger function GCC 12 passes the centroids through memory, at 0.4 of the
// speed.
template <size_t kRows, size_t kPanels, size_t kVectors, class Sink>
HWY_NOINLINE void Tile(const float* const* rows, size_t dims, const float* HWY_RESTRICT values,
                       size_t stride, const float* half_norms, Sink sink) {
  Vec sums[kRows][kPanels][kVectors];
  const float* row[kRows];
  for (size_t i = 0; i < kRows; ++i) {
    row[i] = rows[i];
    for (size_t p = 0; p < kPanels; ++p) {
      for (size_t v = 0; v < kVectors; ++v) sums[i][p][v] = hn::Zero(kTag);
    }
  }
  for (size_t d = 0; d < dims; ++d, values += kPanelLists) {
    for (size_t p = 0; p < kPanels; ++p) {
      Vec c[kVectors];
      for (size_t v = 0; v < kVectors; ++v) {
        c[v] = hn::LoadU(kTag, values + p * stride + v * kLanes);
      }
      for (size_t i = 0; i < kRows; ++i) {
        const Vec x = hn::Set(kTag, row[i][d]);
        for (size_t v = 0; v < kVectors; ++v) sums[i][p][v] = hn::MulAdd(x, c[v], sums[i][p][v]);
      }
    }
  }
  for (size_t p = 0; p < kPanels; ++p) {
    for (size_t v = 0; v < kVectors; ++v) {
      const size_t at = p * kPanelLists + v * kLanes;
      const Vec norms = hn::LoadU(kTag, half_norms + at);
      for (size_t i = 0; i < kRows; ++i) sink.Take(i, at, hn::Sub(norms, sums[i][p][v]));
    }
  }
}

HWY_INLINE bool IsLess(float key, uint32_t id, float than_key, uint32_t than_id) {
  return key < than_key || (key == than_key && id < than_id);
}

HWY_INLINE void Reduce(const LaneMinima& minima, float* key, uint32_t* id) {
  for (size_t lane = 0; lane < kLanes; ++lane) {
    if (IsLess(minima.keys[lane], minima.ids[lane], *key, *id)) {
      *key = minima.keys[lane];
      *id = minima.ids[lane];
    }
  }
}

HWY_INLINE void Clear(LaneMinima& minima) {
  hn::Store(hn::Set(kTag, std::numeric_limits<float>::infinity()), kTag, minima.keys);
  hn::Store(hn::Set(kIdTag, UINT32_MAX), kIdTag, minima.ids);
}

template <size_t kPanels>
HWY_INLINE void SingleTile(const float* row, size_t dims, const PanelSet& panels, size_t p,
                           LaneMinima& minima) {
  const size_t stride = dims * kPanelLists;
  Tile<1, kPanels, kPanelVectors>(
      &row, dims, panels.values + p * stride, stride, panels.half_norms + p * kPanelLists,
      ToMinima(&minima, panels.first_id + static_cast<uint32_t>(p * kPanelLists)));
}

HWY_INLINE void NearestOfSingle(const float* row, size_t dims, const PanelSet& panels, float* key,
                                uint32_t* id) {
  LaneMinima minima;
  Clear(minima);
  size_t p = 0;
  for (; p + kSinglePanels <= panels.count; p += kSinglePanels) {
    SingleTile<kSinglePanels>(row, dims, panels, p, minima);
  }
  for (; p < panels.count; ++p) SingleTile<1>(row, dims, panels, p, minima);
  Reduce(minima, key, id);
}

// Room for kPanelRows rows in whole tiles; the last tile is filled up with the last row.
constexpr size_t kTiledRows = (kPanelRows + kTileRows - 1) / kTileRows * kTileRows;

HWY_INLINE void FillTiles(const float* const* rows, size_t n, const float** tiled) {
  for (size_t i = 0; i < kTiledRows; ++i) tiled[i] = rows[i < n ? i : n - 1];
}

// All tiles of n rows and all panels, panel by panel; sink(i, at) takes those of the rows from i
// and the centroids from `at` on.
template <class MakeSink>
HWY_INLINE void ForTiles(const float* const* tiled, size_t n, size_t dims, const PanelSet& panels,
                         const MakeSink& sink) {
  const float* values = panels.values;
  for (size_t p = 0; p < panels.count; ++p, values += dims * kPanelLists) {
    for (size_t lane = 0; lane < kPanelLists; lane += kTileLists) {
      const size_t at = p * kPanelLists + lane;
      for (size_t i = 0; i < n; i += kTileRows) {
        Tile<kTileRows, 1, kTileVectors>(tiled + i, dims, values + lane, 0, panels.half_norms + at,
                                         sink(i, at));
      }
    }
  }
}

void Nearest(const float* const* rows, size_t n, size_t dims, const PanelSet& panels, float* keys,
             uint32_t* ids) {
  if (n == 1) return NearestOfSingle(rows[0], dims, panels, keys, ids);
  const float* tiled[kTiledRows];
  LaneMinima minima[kTiledRows];
  FillTiles(rows, n, tiled);
  for (LaneMinima& m : minima) Clear(m);
  ForTiles(tiled, n, dims, panels, [&](size_t i, size_t at) HWY_ATTR {
    return ToMinima(minima + i, panels.first_id + static_cast<uint32_t>(at));
  });
  for (size_t i = 0; i < n; ++i) Reduce(minima[i], keys + i, ids + i);
}

void AllKeys(const float* const* rows, size_t n, size_t dims, const PanelSet& panels, float* keys) {
  const float* tiled[kTiledRows];
  FillTiles(rows, n, tiled);
  const size_t stride = panels.count * kPanelLists;
  ForTiles(tiled, n, dims, panels, [&](size_t i, size_t at) HWY_ATTR {
    return ToMatrix(keys + i * stride + at, stride, n - i);
  });
}

struct KeyRange {
  float low, high;
};

// Of the finite keys; low > high when there is none.
HWY_INLINE KeyRange RangeOf(const float* keys, size_t n) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const Vec largest = hn::Set(kTag, std::numeric_limits<float>::max());
  Vec low = hn::Set(kTag, kInfinity), high = hn::Neg(low);
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const Vec key = hn::LoadU(kTag, keys + i);
    const auto finite = hn::Le(hn::Abs(key), largest);
    low = hn::IfThenElse(hn::And(finite, hn::Lt(key, low)), key, low);
    high = hn::IfThenElse(hn::And(finite, hn::Gt(key, high)), key, high);
  }
  KeyRange range = {hn::GetLane(hn::MinOfLanes(kTag, low)),
                    hn::GetLane(hn::MaxOfLanes(kTag, high))};
  for (; i < n; ++i) {
    if (!(keys[i] > -kInfinity && keys[i] < kInfinity)) continue;
    if (keys[i] < range.low) range.low = keys[i];
    if (keys[i] > range.high) range.high = keys[i];
  }
  return range;
}

HWY_INLINE size_t CountUpTo(const float* keys, size_t n, float bound) {
  const Vec bounds = hn::Set(kTag, bound);
  size_t count = 0, i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    count += hn::CountTrue(kTag, hn::Le(hn::LoadU(kTag, keys + i), bounds));
  }
  for (; i < n; ++i) count += keys[i] <= bound ? 1 : 0;
  return count;
}

// Bisection for a bound: no order is kept, no branch hangs on a key.
void Smallest(const float* keys, size_t n, size_t count, uint16_t* numbers) {
  // All up to `low` are taken, and fewer than `count`; up to `high` there are enough.
  KeyRange range = RangeOf(keys, n);
  float low = -std::numeric_limits<float>::infinity(), high = range.high;
  float floor = range.low;
  for (int step = 0; step < 16 && floor < high; ++step) {
    const float middle = floor / 2 + high / 2;
    const size_t up_to = CountUpTo(keys, n, middle);
    if (up_to < count) {
      low = floor = middle;
    } else {
      high = middle;
      if (up_to == count) break;
    }
  }
  size_t surely = CountUpTo(keys, n, low), taken = 0;
  for (size_t i = 0; i < n && taken < count; ++i) {
    numbers[taken] = static_cast<uint16_t>(i);
    const bool is_sure = keys[i] <= low;
    // Those between the bounds fill what the sure ones leave.
    const bool fits = keys[i] <= high && taken + surely < count;
    surely -= is_sure ? 1 : 0;
    taken += is_sure || fits ? 1 : 0;
  }
  // Keys that are not finite.
  for (size_t i = 0; i < n && taken < count; ++i) {
    if (!(keys[i] <= high)) numbers[taken++] = static_cast<uint16_t>(i);
  }
}

void Accumulate(double* sums, const float* row, size_t n) {
  constexpr hn::ScalableTag<double> kWide;
  constexpr hn::Rebind<float, decltype(kWide)> kNarrow;
  constexpr size_t kWideLanes = hn::MaxLanes(kWide);
  size_t i = 0;
  for (; i + kWideLanes <= n; i += kWideLanes) {
    const auto wide = hn::PromoteTo(kWide, hn::LoadU(kNarrow, row + i));
    hn::StoreU(hn::Add(hn::LoadU(kWide, sums + i), wide), kWide, sums + i);
  }
  for (; i < n; ++i) sums[i] += static_cast<double>(row[i]);
}

// kVectors vectors of columns, from column `at` on.
template <size_t kVectors>
HWY_INLINE void OfferColumns(const float* columns, size_t count, size_t at, const float* x,
                             size_t dims, Vec& least, IdVec& ids) {
  Vec sums[kVectors];
  for (Vec& sum : sums) sum = hn::Zero(kTag);
  for (size_t d = 0; d < dims; ++d) {
    const Vec value = hn::Set(kTag, x[d]);
    const float* row = columns + d * count + at;
    for (size_t v = 0; v < kVectors; ++v) {
      const Vec rest = hn::Sub(value, hn::LoadU(kTag, row + v * kLanes));
      sums[v] = hn::MulAdd(rest, rest, sums[v]);
    }
  }
  for (size_t v = 0; v < kVectors; ++v) {
    const auto less = hn::Lt(sums[v], least);
    least = hn::IfThenElse(less, sums[v], least);
    const IdVec own = hn::Iota(kIdTag, static_cast<uint32_t>(at + v * kLanes));
    ids = hn::IfThenElse(hn::RebindMask(kIdTag, less), own, ids);
  }
}

uint32_t NearestColumn(const float* columns, size_t count, const float* x, size_t dims) {
  LaneMinima minima;
  Clear(minima);
  Vec least = hn::Load(kTag, minima.keys);
  IdVec ids = hn::Load(kIdTag, minima.ids);
  size_t at = 0;
  for (; at + 4 * kLanes <= count; at += 4 * kLanes) {
    OfferColumns<4>(columns, count, at, x, dims, least, ids);
  }
  for (; at < count; at += kLanes) OfferColumns<1>(columns, count, at, x, dims, least, ids);
  hn::Store(least, kTag, minima.keys);
  hn::Store(ids, kIdTag, minima.ids);
  float key = std::numeric_limits<float>::infinity();
  uint32_t nearest = 0;
  Reduce(minima, &key, &nearest);
  return nearest;
}

constexpr PanelKernels kPanelKernels = {Nearest, AllKeys, Smallest, Accumulate, NearestColumn};
const PanelKernels* GetPanelKernels() { return &kPanelKernels; }

}  // namespace HWY_NAMESPACE
}  // namespace ann::simd
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ann::simd::internal {

const PanelKernels kBaselinePanels = HWY_STATIC_DISPATCH(kPanelKernels);

}  // namespace ann::simd::internal
namespace ann::simd {

HWY_EXPORT(GetPanelKernels);

const PanelKernels* internal::PanelTable(int64_t hwy_targets) {
  hwy::GetChosenTarget().Update(hwy_targets);
  return HWY_DYNAMIC_DISPATCH(GetPanelKernels)();
}

}  // namespace ann::simd
#endif
