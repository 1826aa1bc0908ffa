// What the tests of src/cluster share: memory as a caller gives it, and rows.
#pragma once

#include <cstdlib>
#include <cstring>
#include <memory>
#include <numeric>
#include <vector>

#include "cluster/kmeans.hpp"
#include "unit_data.hpp"

namespace ann::testing {

// 64-aligned memory of exactly that size (the sanitizer sees a byte more), filled with garbage.
class Memory {
 public:
  explicit Memory(size_t bytes) {
    if (posix_memalign(&data_, 64, bytes) != 0) std::abort();
    std::memset(data_, 0xa5, bytes);
  }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  ~Memory() { std::free(data_); }
  void* data() const { return data_; }

 private:
  void* data_ = nullptr;
};

// n rows of `dims` floats.
inline Vector GaussianRows(uint64_t seed, size_t n, size_t dims) {
  return Gaussian(seed).Make(n * dims);
}

// Rows around `clusters` far points, in random order.
inline Vector ClusteredRows(uint64_t seed, size_t n, size_t dims, size_t clusters, float spread) {
  Gaussian gaussian(seed);
  const Vector centres = gaussian.Make(clusters * dims, 10);
  Rng rng(seed);
  Vector rows;
  for (size_t i = 0; i < n; ++i) {
    const size_t cluster = rng.Next() % clusters;
    for (size_t d = 0; d < dims; ++d) {
      rows.push_back(centres[cluster * dims + d] + spread * gaussian.Next());
    }
  }
  return rows;
}

inline double Squared(const float* a, const float* b, size_t dims) {
  double sum = 0;
  for (size_t d = 0; d < dims; ++d) sum += (double(a[d]) - b[d]) * (double(a[d]) - b[d]);
  return sum;
}

// By exhaustive search in double.
inline size_t NearestOf(const float* row, const Vector& centroids, size_t dims) {
  size_t best = 0;
  double least = 1e300;
  for (size_t list = 0; list * dims < centroids.size(); ++list) {
    const double distance = Squared(row, &centroids[list * dims], dims);
    if (distance < least) {
      least = distance;
      best = list;
    }
  }
  return best;
}

inline double Inertia(const Vector& rows, const Vector& centroids, size_t dims) {
  double sum = 0;
  for (size_t i = 0; i < rows.size(); i += dims) {
    sum += Squared(&rows[i], &centroids[NearestOf(&rows[i], centroids, dims) * dims], dims);
  }
  return sum;
}

inline std::vector<size_t> SizesOf(const Vector& rows, const Vector& centroids, size_t dims) {
  std::vector<size_t> sizes(centroids.size() / dims);
  for (size_t i = 0; i < rows.size(); i += dims) ++sizes[NearestOf(&rows[i], centroids, dims)];
  return sizes;
}

struct Trained {
  Vector centroids;
  uint32_t lists;
  double inertia;
  uint32_t iterations;
};

inline Trained ResultOf(const cluster::KMeans& kmeans, size_t dims) {
  EXPECT_TRUE(kmeans.done());
  const float* centroids = kmeans.centroids();
  return {Vector(centroids, centroids + kmeans.lists() * dims), kmeans.lists(), kmeans.inertia(),
          kmeans.iterations()};
}

inline Trained Train(const cluster::KMeansParams& params, const Vector& rows,
                     const cluster::Progress& progress = {}) {
  const size_t n = rows.size() / params.dims;
  const Memory block(cluster::KMeans::BlockBytes(params, n));
  const Memory scratch(cluster::KMeans::ScratchBytes(params));
  cluster::KMeans::Init(block.data(), params, n);
  const cluster::KMeans kmeans(block.data(), rows.data(), scratch.data());
  kmeans.Run(progress);
  return ResultOf(kmeans, params.dims);
}

}  // namespace ann::testing
