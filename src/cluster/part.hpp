// Lloyd's algorithm on some of the rows: all of them, or those of one cell. README.md, "Steps".
#pragma once

#include <cstddef>
#include <cstdint>

#include "cluster/nearest.hpp"
#include "core/rng.hpp"

namespace ann::cluster {

// A view; the arrays belong to KMeans.
struct Part {
  const float* rows;
  uint32_t dims;
  bool spherical;
  // Rows of this part, by position.
  uint32_t size;
  uint32_t* order;   // number of the row
  uint32_t* ids;     // its list
  float* distances;  // squared, to the centroid of its list
  uint32_t* sorted;  // positions in order of lists
  // Lists of this part.
  uint32_t lists;
  float* centroids;
  uint32_t* starts;  // lists + 1: of its rows in `sorted`
  double* inertias;  // sum of squared distances, or kEmpty
  uint32_t* donors;
  CentroidTable table;

  static constexpr double kEmpty = -1;

  const float* RowAt(uint32_t position) const {
    return rows + static_cast<size_t>(order[position]) * dims;
  }
  float* CentroidOf(uint32_t list) const { return centroids + static_cast<size_t>(list) * dims; }

  // Draws first centroids from a sample, one after the other, each row by its distance from those
  // drawn before: k-means++ (Arthur and Vassilvitskii 2007), but by the distance, not by its square
  // (README.md, "The start"). When no row differs from those drawn, the other centroids are copies
  // of the first: lists that stay empty.
  void Seed(uint64_t seed, Ticker& ticker) const;
  // Assigns the rows at [begin, end); returns how many changed their list.
  uint32_t Assign(uint32_t begin, uint32_t end, Ticker& ticker) const;
  // After all rows were assigned: fills `sorted` and `starts`.
  void Sort(Ticker& ticker) const;
  // The means and inertias of lists [begin, end). An empty list keeps its centroid.
  void Update(uint32_t begin, uint32_t end, Ticker& ticker) const;
  // After all lists were updated: moves empty lists to rows of those with most inertia.
  void Repair(uint64_t seed, Ticker& ticker) const;
  // All of it, alone.
  void Run(uint32_t iterations, uint64_t seed, Ticker& ticker) const;

 private:
  void SetMean(uint32_t list, Ticker& ticker) const;
  void Normalize(float* centroid, const float* fallback) const;
  bool Split(uint32_t donor, uint32_t list, Rng& rng) const;
};

// Whether a row at that squared distance from a point of that squared length is the same but for
// rounding, so that no list is made of it.
inline bool IsSame(float distance, double squared_norm) {
  return static_cast<double>(distance) <= 1e-12 * squared_norm;
}

// Ends the iterations: fewer than one row in a thousand has moved.
inline bool IsSettled(uint64_t moved, uint64_t rows) { return moved * 1000 <= rows; }

}  // namespace ann::cluster
