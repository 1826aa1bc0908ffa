// The graph of a build: codes and links, no full vector. Rows are added first (one node for all
// rows of the same vector), then the nodes are linked (linker.hpp), by one process or several.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "core/arena.hpp"
#include "core/beam.hpp"
#include "core/sizes.hpp"
#include "core/visited.hpp"
#include "graph/link_space.hpp"
#include "graph/search.hpp"
#include "quant/codec.hpp"

namespace ann::graph {

template <class Alloc>
class MemoryGraph {
 public:
  MemoryGraph(const Alloc& alloc, const quant::Codec& codec, const BuildParams& params)
      : codec_(codec),
        params_(params),
        space_(alloc, codec, params),
        refinements_(alloc, RoundUp(std::max<size_t>(codec.refinement_bytes(), 8), 8)),
        nodes_(alloc),
        rows_(alloc),
        attributes_(alloc),
        by_hash_(alloc) {
    by_hash_.assign(1024, kNoId);
  }

  struct Row {
    format::Tid tid;
    uint16_t unused;
    uint32_t next;  // of the same vector, or kNoId
  };

  // --- adding rows ------------------------------------------------------------------------------

  // Adds a row whose vector has this hash. `attributes`: params.attribute_bytes.
  void AddRow(format::Tid tid, uint64_t hash, quant::VectorRef x,
              const char* attributes = nullptr) {
    const uint32_t row = static_cast<uint32_t>(rows_.size());
    attributes_.insert(attributes_.end(), attributes, attributes + params_.attribute_bytes);
    uint8_t* slot = space_.slots().Append();
    uint8_t* refinement = codec_.refinement_bytes() > 0 ? refinements_.Append() : nullptr;
    codec_.Code(x, slot, refinement);
    NodeId node = FindEqual(hash, slot);
    if (node != kNoId) {
      space_.slots().RemoveLast();
      if (refinement != nullptr) refinements_.RemoveLast();
      Row& first = rows_[nodes_[node].first_row];
      const uint32_t second = first.next;
      first.next = row;
      rows_.push_back({tid, 0, second});
      return;
    }
    rows_.push_back({tid, 0, kNoId});
    node = size();
    nodes_.push_back({hash, row});
    Remember(node);
  }

  uint32_t size() const { return static_cast<uint32_t>(nodes_.size()); }
  uint32_t id_limit() const { return size(); }
  uint64_t row_count() const { return rows_.size(); }
  size_t bytes() const {
    return space_.slots().bytes() + refinements_.bytes() + nodes_.capacity() * sizeof(Node) +
           rows_.capacity() * sizeof(Row) + attributes_.capacity() + 4 * by_hash_.capacity();
  }

  // --- linking ----------------------------------------------------------------------------------

  // Called once, after the last AddRow and before the first node is linked. `memory`: as
  // LinkSpace::Freeze takes it. The codes get their lifts.
  void Freeze(void* memory = nullptr) {
    if (codec_.has_lift()) Lift();
    space_.Freeze(memory);
  }
  size_t SharedBytes() const { return space_.SharedBytes(); }
  LinkSpace<Alloc>& space() { return space_; }
  float max_norm() const { return max_norm_; }

  // Gives the memory back; nothing may be called after.
  void Free() {
    space_.Free();
    refinements_.Free();
  }

  // --- what was built ---------------------------------------------------------------------------

  NodeId entry() const { return space_.entry().id; }
  uint32_t top_level() const { return space_.entry().level; }
  uint8_t level(NodeId id) const { return space_.level(id); }
  uint64_t hash(NodeId id) const { return nodes_[id].hash; }
  const Row& first_row(NodeId id) const { return rows_[nodes_[id].first_row]; }
  uint32_t first_row_of(NodeId id) const { return nodes_[id].first_row; }
  const Row& row(uint32_t i) const { return rows_[i]; }
  const char* attributes(uint32_t row) const {
    return attributes_.data() + size_t{row} * params_.attribute_bytes;
  }
  const uint8_t* coded(NodeId id) const { return space_[id]; }
  const uint8_t* refinement(NodeId id) const { return refinements_[id]; }
  uint32_t degree(NodeId id, uint32_t l) const { return space_.list(id, l).count(); }
  const NodeId* links(NodeId id, uint32_t l) const { return space_.list(id, l).ids(); }

  // What calibrate.hpp asks of a graph, with Search below.
  bool ReadCode(NodeId id, uint8_t* coded) const {
    std::memcpy(coded, space_[id], codec_.coded_bytes());
    return true;
  }
  template <class Visit>
  void ForCodes(Visit&& visit) const {
    for (NodeId id = 0; id < size(); ++id) visit(space_[id]);
  }

  // Searches the linked graph: the `ef` nearest by `score(coded)` in `beam`.
  template <class Scorer>
  void Search(Scorer&& score, uint32_t ef, Beam<Alloc>& beam, VisitedSet<Alloc>& visited) const {
    beam.Reset(ef);
    const EntryPoint entry = space_.entry();
    if (entry.id == kNoId) return;
    Candidate start{OrderableKey(score(space_[entry.id])), entry.id};
    for (uint32_t l = entry.level; l > 0; --l) {
      SpaceLayer<Alloc, Scorer&> layer{space_, score, l};
      start = Descend(layer, start, [](NodeId) {});
    }
    visited.Reset(ef * 32);
    visited.Insert(start.id);
    beam.Insert(start);
    SpaceLayer<Alloc, Scorer&> layer{space_, score, 0};
    Expand(
        layer, beam, visited, [](Candidate) {}, [](NodeId) {});
  }

 private:
  struct Node {
    uint64_t hash;
    uint32_t first_row;
  };

  void Lift() {
    for (NodeId id = 0; id < size(); ++id) {
      // Lengths that left float's range would lift all others to infinity.
      const float norm = std::sqrt(codec_.SquaredNorm(space_[id]));
      if (std::isfinite(norm)) max_norm_ = std::max(max_norm_, norm);
    }
    for (NodeId id = 0; id < size(); ++id) codec_.SetLift(space_[id], max_norm_);
  }

  // Equal rows: same 64-bit hash of the full vector and same code.
  NodeId FindEqual(uint64_t hash, const uint8_t* coded) const {
    const uint32_t mask = static_cast<uint32_t>(by_hash_.size()) - 1;
    for (uint32_t at = static_cast<uint32_t>(hash) & mask;; at = (at + 1) & mask) {
      const NodeId node = by_hash_[at];
      if (node == kNoId) return kNoId;
      if (nodes_[node].hash == hash &&
          std::memcmp(space_[node], coded, codec_.coded_bytes()) == 0) {
        return node;
      }
    }
  }

  void Remember(NodeId node) {
    if (uint64_t{node} * 2 >= by_hash_.size()) {
      const size_t size = by_hash_.size() * 2;
      by_hash_.assign(size, kNoId);
      for (NodeId id = 0; id < node; ++id) Place(id);
    }
    Place(node);
  }
  void Place(NodeId node) {
    const uint32_t mask = static_cast<uint32_t>(by_hash_.size()) - 1;
    uint32_t at = static_cast<uint32_t>(nodes_[node].hash) & mask;
    while (by_hash_[at] != kNoId) at = (at + 1) & mask;
    by_hash_[at] = node;
  }

  const quant::Codec& codec_;
  BuildParams params_;
  LinkSpace<Alloc> space_;
  Arena<Alloc> refinements_;
  VecOf<Node, Alloc> nodes_;
  VecOf<Row, Alloc> rows_;
  VecOf<char, Alloc> attributes_;  // of rows
  VecOf<NodeId, Alloc> by_hash_;
  float max_norm_ = 0;
};

}  // namespace ann::graph
