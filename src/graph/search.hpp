// Beam search over one layer of a proximity graph (Malkov and Yashunin 2018, Algorithm 2), as a
// template: the same code walks the arena of a build, the pages of an index, and a test's vectors.
#pragma once

#include <concepts>
#include <cstdint>

#include "core/beam.hpp"
#include "core/visited.hpp"

namespace ann::graph {

// Where the graph lies.
//   Neighbours(id, out): the ids that `id` links to, at most kMaxDegree; 0 when the node is gone.
//   Score(ids, n, keys): the keys of n nodes, smaller is nearer. A node that cannot be scored any
//   more
//     gets +infinity. Called in batches so that it can prefetch.
template <class A>
concept Access = requires(A access, NodeId id, NodeId* out, const NodeId* ids, uint32_t n,
                          float* keys) {
  { access.Neighbours(id, out) } -> std::convertible_to<uint32_t>;
  {access.Score(ids, n, keys)};
};

inline constexpr uint32_t kMaxDegree = 256;

// Expands the beam's candidates, nearest first, until all in it are expanded. `dropped(candidate)`
// takes what does not fit the beam; `expanded(id)` is told each node whose list is read, with no
// lock held.
template <Access A, class Alloc, class OnDropped, class OnExpanded>
void Expand(A& access, Beam<Alloc>& beam, VisitedSet<Alloc>& visited, OnDropped&& dropped,
            OnExpanded&& expanded) {
  NodeId neighbours[kMaxDegree];
  float keys[kMaxDegree];
  for (NodeId id = beam.PopNearest(); id != kNoId; id = beam.PopNearest()) {
    expanded(id);
    const uint32_t all = access.Neighbours(id, neighbours);
    uint32_t n = 0;
    for (uint32_t i = 0; i < all; ++i) {
      // Half are new, in no pattern: counted rather than branched upon.
      neighbours[n] = neighbours[i];
      n += visited.Insert(neighbours[i]) ? 1 : 0;
    }
    access.Score(neighbours, n, keys);
    for (uint32_t i = 0; i < n; ++i) {
      const Candidate out = beam.Insert({OrderableKey(keys[i]), neighbours[i]});
      if (out.id != kNoId) dropped(out);
    }
  }
}

// Walks from `start` to a node none of whose neighbours is nearer: one layer of the descent
// (Algorithm 2 with ef = 1).
template <Access A, class OnExpanded>
Candidate Descend(A& access, Candidate start, OnExpanded&& expanded) {
  NodeId neighbours[kMaxDegree];
  float keys[kMaxDegree];
  for (bool moved = true; moved;) {
    moved = false;
    expanded(start.id);
    const uint32_t n = access.Neighbours(start.id, neighbours);
    access.Score(neighbours, n, keys);
    for (uint32_t i = 0; i < n; ++i) {
      if (keys[i] < start.key) start = {keys[i], neighbours[i]}, moved = true;
    }
  }
  return start;
}

}  // namespace ann::graph
