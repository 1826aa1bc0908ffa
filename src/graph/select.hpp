// Which candidates become neighbours.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <utility>

#include "core/beam.hpp"

namespace ann::graph {

inline constexpr uint32_t kMaxCandidates = 1024;

// The relative-neighbourhood heuristic (Malkov and Yashunin 2018, Algorithm 4): a candidate is
// taken unless a neighbour is nearer to it than it is to the node, so that links point in different
// directions. Places left over go to the nearest of those passed over (keepPrunedConnections),
// which holds near-duplicate clusters together.
//
// The list keeps `kept` neighbours and has room for `more`. `candidates`: distinct, nearest first,
// without the node itself and the kept ones, at most kMaxCandidates; reordered so that the taken
// ones stand first and the others behind them. `distance(t, id)` is asked between neighbour number
// t, the kept ones being 0 to kept - 1, and a candidate; `prepare(t, id)` is called when `id` is
// taken as number t. Returns how many were taken.
template <class Prepare, class Distance>
uint32_t SelectMoreNeighbours(std::span<Candidate> candidates, uint32_t kept, uint32_t more,
                              Prepare&& prepare, Distance&& distance) {
  const uint32_t all = static_cast<uint32_t>(std::min<size_t>(candidates.size(), kMaxCandidates));
  Candidate passed[kMaxCandidates];
  uint32_t passed_count = 0, taken = 0, seen = 0;
  for (; seen < all && taken < more; ++seen) {
    const Candidate c = candidates[seen];
    bool keep = true;
    for (uint32_t t = 0; t < kept + taken && keep; ++t) keep = !(distance(t, c.id) < c.key);
    if (keep) {
      candidates[taken] = c;
      prepare(kept + taken++, c.id);
    } else {
      passed[passed_count++] = c;
    }
  }
  // Those seen and not taken fit exactly between the taken ones and the ones never seen.
  std::copy_n(passed, passed_count, candidates.begin() + taken);
  return std::min(more, taken + passed_count);
}

// The same for a new list of at most `limit`; all candidates where they are no more.
template <class Prepare, class Distance>
uint32_t SelectNeighbours(std::span<Candidate> candidates, uint32_t limit, Prepare&& prepare,
                          Distance&& distance) {
  if (candidates.size() <= limit) return static_cast<uint32_t>(candidates.size());
  return SelectMoreNeighbours(candidates, 0, limit, prepare, distance);
}

// A node that no list holds is lost to every walk. Of the candidates that SelectNeighbours did not
// take, those that would be lost change places with taken ones, the last first, that would not.
// `linked_elsewhere(id)`: whether another list is known to hold it.
template <class Linked>
void KeepReachable(std::span<Candidate> candidates, uint32_t taken, Linked&& linked_elsewhere) {
  uint32_t last = taken;
  for (uint32_t i = taken; i < candidates.size(); ++i) {
    if (linked_elsewhere(candidates[i].id)) continue;
    while (last > 0 && !linked_elsewhere(candidates[last - 1].id)) --last;
    if (last == 0) return;
    std::swap(candidates[--last], candidates[i]);
  }
}

}  // namespace ann::graph
