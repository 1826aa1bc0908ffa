// Which candidates become neighbours.
#pragma once

#include <cstdint>
#include <span>

#include "core/beam.hpp"

namespace ann::graph {

// The relative-neighbourhood heuristic (Malkov and Yashunin 2018, Algorithm 4): a candidate is taken
// unless one already taken is nearer to it than it is to the node, so that links point in different
// directions. Places left over go to the nearest of those passed over (keepPrunedConnections), which
// holds near-duplicate clusters together.
//
// `candidates`: distinct, sorted nearest first, without the node itself; reordered so that the taken
// ones stand first. `distance(a, b)` between two ids; `prepare(id)` is called once for each id taken,
// before distances to it are asked, as `distance(id, other)`. Returns how many were taken, <= limit.
template <class Prepare, class Distance>
uint32_t SelectNeighbours(std::span<Candidate> candidates, uint32_t limit, bool refill,
                          Prepare&& prepare, Distance&& distance) {
  uint32_t taken = 0;
  if (candidates.size() <= limit && refill) return static_cast<uint32_t>(candidates.size());
  // Passed-over candidates stay in order behind the taken ones: a stable partition by rotation would
  // cost moves, so the taken ones are swapped forward only through the gap.
  Candidate passed[1024];
  uint32_t passed_count = 0;
  const uint32_t all = static_cast<uint32_t>(std::min<size_t>(candidates.size(), 1024));
  uint32_t i = 0;
  for (; i < all && taken < limit; ++i) {
    const Candidate c = candidates[i];
    bool keep = true;
    for (uint32_t t = 0; t < taken && keep; ++t) {
      keep = !(distance(t, c.id) < c.key);
    }
    if (keep) {
      candidates[taken] = c;
      prepare(taken, c.id);
      ++taken;
    } else {
      passed[passed_count++] = c;
    }
  }
  if (refill) {
    for (uint32_t p = 0; p < passed_count && taken < limit; ++p) candidates[taken++] = passed[p];
  }
  return taken;
}

}  // namespace ann::graph
