// Steps of k-means: see README.md.
#include "cluster/part.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/rng.hpp"
#include "simd/simd.hpp"

namespace ann::cluster {
namespace {

// Rows a list that k-means++ draws from: more cost in proportion and improve nothing.
constexpr uint64_t kSeedRowsPerList = 32;
// Dims whose sums stay on the stack.
constexpr uint32_t kSumDims = 1024;

// The position at which the running sum of weights reaches a random share of `sum`; the last one
// with a weight when rounding (or overflow) leaves the share beyond. `count` if none has.
template <class Weight>
uint32_t Draw(uint32_t count, double sum, Rng& rng, Weight&& weight) {
  const double target = sum * rng.NextUnit();
  double reached = 0;
  uint32_t last = count;
  for (uint32_t i = 0; i < count; ++i) {
    const float w = weight(i);
    if (!(w > 0)) continue;
    last = i;
    reached += static_cast<double>(w);
    if (reached >= target) break;
  }
  return last;
}

}  // namespace

void Part::Seed(uint64_t seed, Ticker& ticker) const {
  Rng rng(seed);
  const uint32_t count = static_cast<uint32_t>(std::min<uint64_t>(size, lists * kSeedRowsPerList));
  uint32_t* const sample = sorted;
  float* const weights = distances;  // distance to the nearest centroid drawn
  const double stride = static_cast<double>(size) / count;
  for (uint32_t i = 0; i < count; ++i) {
    const double at = (i + 1 - rng.NextUnit()) * stride;
    sample[i] = std::min(static_cast<uint32_t>(at), size - 1);
    weights[i] = std::numeric_limits<float>::infinity();
  }
  uint32_t drawn = static_cast<uint32_t>(rng.Next() % count);
  for (uint32_t list = 0; list < lists; ++list) {
    float* const centroid = CentroidOf(list);
    if (drawn == count) {
      std::copy_n(CentroidOf(0), dims, centroid);
      continue;
    }
    std::copy_n(RowAt(sample[drawn]), dims, centroid);
    const double norm = simd::Floats().squared_norm(centroid, dims);
    double sum = 0;
    for (uint32_t i = 0; i < count; ++i) {
      const float squared = simd::Floats().l2_squared(RowAt(sample[i]), centroid, dims);
      const float distance = IsSame(squared, norm) ? 0 : std::sqrt(squared);
      if (distance < weights[i]) weights[i] = distance;
      sum += static_cast<double>(weights[i]);
      if (i % 1024 == 1023) ticker.Spend(1024);
    }
    ticker.Spend(count % 1024);
    drawn = Draw(count, sum, rng, [weights](uint32_t i) { return weights[i]; });
  }
}

uint32_t Part::Assign(uint32_t begin, uint32_t end, Ticker& ticker) const {
  uint32_t moved = 0;
  while (begin < end) {
    const uint32_t count = std::min(end - begin, static_cast<uint32_t>(kBatchRows));
    const float* batch[kBatchRows];
    uint32_t found[kBatchRows];
    for (uint32_t i = 0; i < count; ++i) batch[i] = RowAt(begin + i);
    table.NearestOf(batch, count, found, distances + begin, ticker);
    for (uint32_t i = 0; i < count; ++i) moved += ids[begin + i] != found[i] ? 1 : 0;
    std::copy_n(found, count, ids + begin);
    begin += count;
  }
  return moved;
}

void Part::Sort(Ticker& ticker) const {
  std::fill_n(starts, lists + 1, 0u);
  for (uint32_t i = 0; i < size; ++i) ++starts[ids[i]];
  uint32_t sum = 0;
  for (uint32_t list = 0; list <= lists; ++list) {
    sum += starts[list];
    starts[list] = sum;
  }
  // From the back, so that rows of a list keep their order.
  for (uint32_t i = size; i > 0; --i) {
    sorted[--starts[ids[i - 1]]] = i - 1;
    if (i % 1024 == 0) ticker.Spend(1024);
  }
}

void Part::Update(uint32_t begin, uint32_t end, Ticker& ticker) const {
  for (uint32_t list = begin; list < end; ++list) {
    double inertia = starts[list] == starts[list + 1] ? kEmpty : 0;
    for (uint32_t i = starts[list]; i < starts[list + 1]; ++i) {
      inertia += static_cast<double>(distances[sorted[i]]);
    }
    inertias[list] = inertia;
    if (inertia != kEmpty) SetMean(list, ticker);
  }
}

// Sums in double: exact for any number of equal rows, whose mean is then the row itself.
void Part::SetMean(uint32_t list, Ticker& ticker) const {
  float* const centroid = CentroidOf(list);
  const uint32_t first = starts[list], last = starts[list + 1];
  const simd::PanelKernels& kernels = simd::Panels();
  for (uint32_t d = 0; d < dims; d += kSumDims) {
    const uint32_t width = std::min(dims - d, kSumDims);
    double sums[kSumDims];
    std::fill_n(sums, width, 0.0);
    for (uint32_t i = first; i < last; ++i) {
      kernels.accumulate(sums, RowAt(sorted[i]) + d, width);
      if ((i - first) % 1024 == 1023) ticker.Spend(1024);
    }
    for (uint32_t k = 0; k < width; ++k) {
      centroid[d + k] = static_cast<float>(sums[k] / (last - first));
    }
  }
  ticker.Spend(last - first);
  if (spherical) Normalize(centroid, RowAt(sorted[first]));
}

// Rows that cancel out have no direction: one of them stands for them.
void Part::Normalize(float* centroid, const float* fallback) const {
  const double norm = std::sqrt(simd::Floats().squared_norm(centroid, dims));
  if (norm > 1e-6) {
    simd::Transforms().scale(centroid, static_cast<float>(1 / norm), centroid, dims);
  } else {
    std::copy_n(fallback, dims, centroid);
  }
}

void Part::Repair(uint64_t seed, Ticker& ticker) const {
  uint32_t count = 0;
  for (uint32_t list = 0; list < lists; ++list) {
    if (inertias[list] > 0) donors[count++] = list;
  }
  if (std::count(inertias, inertias + lists, kEmpty) == 0) return;
  std::sort(donors, donors + count, [this](uint32_t a, uint32_t b) {
    if (inertias[a] != inertias[b]) return inertias[a] > inertias[b];
    return a < b;
  });
  Rng rng(seed);
  uint32_t next = 0;
  for (uint32_t list = 0; list < lists; ++list) {
    while (inertias[list] == kEmpty && next < count) {
      const uint32_t donor = donors[next++];
      if (Split(donor, list, rng)) inertias[list] = 0;
      ticker.Spend(starts[donor + 1] - starts[donor]);
    }
  }
}

// Moves `list` to a row of the donor's, drawn by squared distance from its new centroid. False when
// they are all the same.
bool Part::Split(uint32_t donor, uint32_t list, Rng& rng) const {
  const float* const centroid = CentroidOf(donor);
  const double norm = simd::Floats().squared_norm(centroid, dims);
  const uint32_t* const positions = sorted + starts[donor];
  const uint32_t count = starts[donor + 1] - starts[donor];
  double sum = 0;
  for (uint32_t i = 0; i < count; ++i) {
    const float distance = simd::Floats().l2_squared(RowAt(positions[i]), centroid, dims);
    distances[positions[i]] = IsSame(distance, norm) ? 0 : distance;
    sum += static_cast<double>(distances[positions[i]]);
  }
  const uint32_t drawn = Draw(count, sum, rng, [&](uint32_t i) { return distances[positions[i]]; });
  if (drawn == count) return false;
  std::copy_n(RowAt(positions[drawn]), dims, CentroidOf(list));
  return true;
}

void Part::Run(uint32_t iterations, uint64_t seed, Ticker& ticker) const {
  Seed(seed, ticker);
  std::fill_n(ids, size, UINT32_MAX);
  table.FillWith(ticker);
  for (uint32_t iteration = 0; iteration < iterations; ++iteration) {
    const uint32_t moved = Assign(0, size, ticker);
    Sort(ticker);
    Update(0, lists, ticker);
    Repair(Mix64(seed + iteration), ticker);
    table.Refill(ticker);
    if (IsSettled(moved, size)) break;
  }
}

}  // namespace ann::cluster
