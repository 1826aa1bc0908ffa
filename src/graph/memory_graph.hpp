// The graph of a build: codes and links in an arena, no full vector. Rows are added first (one node
// for all rows of the same vector), then the nodes are linked one by one in their order (Malkov and
// Yashunin 2018, Algorithm 1), which for one seed always gives the same graph.
//
// Level-0 lists have slack: they grow to a third more than 2m and are pruned back when they
// overflow, so that a list is pruned once in about ten additions (the slack of DiskANN's builder).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <span>

#include "core/arena.hpp"
#include "core/beam.hpp"
#include "core/rng.hpp"
#include "core/sizes.hpp"
#include "core/visited.hpp"
#include "format/hnsw_format.hpp"
#include "graph/search.hpp"
#include "graph/select.hpp"
#include "quant/codec.hpp"

namespace ann::graph {

inline constexpr uint32_t kMaxLevel = format::kMaxLevel;

// The level of a node: geometric with ratio 1/m, from a number that is random and fixed for the
// node.
inline uint8_t LevelOf(uint64_t random, uint32_t m) {
  const double unit = static_cast<double>((random >> 11) + 1) * 0x1.0p-53;
  const double level = std::floor(-std::log(unit) / std::log(static_cast<double>(m)));
  return static_cast<uint8_t>(level < kMaxLevel ? level : kMaxLevel);
}

// Links that a new node chooses for itself. At level 0 half as many again as the paper's m: on
// texts that leaves a fifth fewer misses at equal cost, on SIFT as many; the lists' room of 2m is
// there anyway.
inline uint32_t OwnLinks(uint32_t m, uint32_t level) { return level == 0 ? m + m / 2 : m; }

struct BuildParams {
  uint32_t m;
  uint32_t ef_construction;
  uint64_t seed;
  uint32_t attribute_bytes = 0;  // of a row, kept for the caller
};

template <class Alloc>
class MemoryGraph {
 public:
  MemoryGraph(const Alloc& alloc, const quant::Codec& codec, const BuildParams& params)
      : codec_(codec),
        params_(params),
        cap_(std::min(2 * params.m + (2 * params.m + 2) / 3, kMaxDegree)),
        list_at_(static_cast<uint32_t>(RoundUp(codec.coded_bytes(), 4))),
        slots_(alloc, RoundUp(list_at_ + 4 + 4 * size_t{cap_}, 64)),
        refinements_(alloc, RoundUp(std::max<size_t>(codec.refinement_bytes(), 8), 8)),
        nodes_(alloc),
        rows_(alloc),
        attributes_(alloc),
        by_hash_(alloc),
        upper_(alloc),
        beam_(alloc),
        visited_(alloc),
        work_(alloc),
        found_(alloc) {
    prepared_bytes_ = quant::Codec::PreparedCodeBytes(codec.params());
    work_.resize(prepared_bytes_ * (2 * params.m + 2));
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
    uint8_t* slot = slots_.Append();
    uint8_t* refinement = codec_.refinement_bytes() > 0 ? refinements_.Append() : nullptr;
    codec_.Code(x, slot, refinement);
    NodeId node = FindEqual(hash, slot);
    if (node != kNoId) {
      slots_.RemoveLast();
      if (refinement != nullptr) refinements_.RemoveLast();
      Row& first = rows_[nodes_[node].first_row];
      const uint32_t second = first.next;
      first.next = row;
      rows_.push_back({tid, 0, second});
      return;
    }
    rows_.push_back({tid, 0, kNoId});
    node = size();
    nodes_.push_back({hash, row, 0, LevelOf(Mix64(params_.seed + node), params_.m)});
    Remember(node);
  }

  uint32_t size() const { return static_cast<uint32_t>(nodes_.size()); }
  uint32_t id_limit() const { return size(); }
  uint64_t row_count() const { return rows_.size(); }
  size_t bytes() const {
    return slots_.bytes() + refinements_.bytes() + nodes_.capacity() * sizeof(Node) +
           rows_.capacity() * sizeof(Row) + attributes_.capacity() +
           4 * (by_hash_.capacity() + upper_.capacity());
  }

  // --- linking ----------------------------------------------------------------------------------

  // Called once, after the last AddRow and before the first Link: the lifts.
  void Freeze() {
    if (!codec_.has_lift()) return;
    for (NodeId id = 0; id < size(); ++id) {
      // Lengths that left float's range would lift all others to infinity.
      const float norm = std::sqrt(codec_.SquaredNorm(slots_[id]));
      if (std::isfinite(norm)) max_norm_ = std::max(max_norm_, norm);
    }
    for (NodeId id = 0; id < size(); ++id) codec_.SetLift(slots_[id], max_norm_);
  }
  float max_norm() const { return max_norm_; }

  // Links node `id`; all nodes before it are linked.
  void Link(NodeId id) {
    const uint8_t level = nodes_[id].level;
    if (level > 0) {
      nodes_[id].upper = static_cast<uint32_t>(upper_.size());
      upper_.resize(upper_.size() + size_t{level} * (params_.m + 1), 0);
    }
    if (entry_ == kNoId) {
      entry_ = id, top_ = level;
      return;
    }
    query_ = codec_.PrepareCode(slots_[id], Prepared(2 * params_.m));
    Candidate start{Distance(entry_), entry_};
    for (uint32_t l = top_; l > level; --l) {
      auto scorer = OwnScorer();
      Layer<decltype(scorer)> layer{*this, scorer, l};
      start = Descend(layer, start, [](NodeId) {});
    }
    beam_.Reset(params_.ef_construction);
    beam_.Insert(start);
    for (uint32_t l = std::min<uint32_t>(level, top_);; --l) {
      LinkAt(id, l);
      if (l == 0) break;
      Reseed();
    }
    if (level > top_) entry_ = id, top_ = level;
  }

  // Called once, after the last Link: prunes lists that still use their slack.
  void Trim() {
    for (NodeId id = 0; id < size(); ++id) {
      if (Count(id, 0) > 2 * params_.m) Prune(id, 0, kNoId);
    }
  }

  // Gives the memory back; nothing may be called after.
  void Free() {
    slots_.Free();
    refinements_.Free();
  }

  // --- what was built ---------------------------------------------------------------------------

  NodeId entry() const { return entry_; }
  uint32_t top_level() const { return top_; }
  uint8_t level(NodeId id) const { return nodes_[id].level; }
  uint64_t hash(NodeId id) const { return nodes_[id].hash; }
  const Row& first_row(NodeId id) const { return rows_[nodes_[id].first_row]; }
  uint32_t first_row_of(NodeId id) const { return nodes_[id].first_row; }
  const Row& row(uint32_t i) const { return rows_[i]; }
  const char* attributes(uint32_t row) const {
    return attributes_.data() + size_t{row} * params_.attribute_bytes;
  }
  const uint8_t* coded(NodeId id) const { return slots_[id]; }
  const uint8_t* refinement(NodeId id) const { return refinements_[id]; }
  uint32_t degree(NodeId id, uint32_t l) const { return Count(id, l); }
  const NodeId* links(NodeId id, uint32_t l) const { return List(id, l) + 1; }

  // What calibrate.hpp asks of a graph, with Search below.
  bool ReadCode(NodeId id, uint8_t* coded) const {
    std::memcpy(coded, slots_[id], codec_.coded_bytes());
    return true;
  }
  template <class Visit>
  void ForCodes(Visit&& visit) const {
    for (NodeId id = 0; id < size(); ++id) visit(slots_[id]);
  }

  // Searches the linked graph: the `ef` nearest by `score(coded)` in `beam`.
  template <class Scorer>
  void Search(Scorer&& score, uint32_t ef, Beam<Alloc>& beam, VisitedSet<Alloc>& visited) const {
    beam.Reset(ef);
    if (entry_ == kNoId) return;
    Candidate start{OrderableKey(score(slots_[entry_])), entry_};
    for (uint32_t l = top_; l > 0; --l) {
      Layer<Scorer&> layer{*this, score, l};
      start = Descend(layer, start, [](NodeId) {});
    }
    visited.Reset(ef * 32);
    visited.Insert(start.id);
    beam.Insert(start);
    Layer<Scorer&> layer{*this, score, 0};
    Expand(
        layer, beam, visited, [](Candidate) {}, [](NodeId) {});
  }

 private:
  struct Node {
    uint64_t hash;
    uint32_t first_row;
    uint32_t upper;  // offset of its upper lists
    uint8_t level;
  };

  // How far ahead slots are prefetched: enough to cover a miss of 100 ns with 20 ns of work each.
  static constexpr uint32_t kPrefetch = 6;

  template <class ScoreOne>
  void ScoreAll(const NodeId* ids, uint32_t n, float* keys, ScoreOne&& score) const {
    for (uint32_t i = 0; i < std::min(n, kPrefetch); ++i) Prefetch(ids[i]);
    for (uint32_t i = 0; i < n; ++i) {
      if (i + kPrefetch < n) Prefetch(ids[i + kPrefetch]);
      keys[i] = score(slots_[ids[i]]);
    }
  }

  // One layer, and a way of scoring its nodes.
  template <class Scorer>
  struct Layer {
    const MemoryGraph& graph;
    Scorer score;
    uint32_t level;
    uint32_t Neighbours(NodeId id, NodeId* out) const { return graph.CopyList(id, level, out); }
    void Score(const NodeId* ids, uint32_t n, float* keys) const {
      graph.ScoreAll(ids, n, keys, score);
    }
  };
  // Distances from the node being linked.
  auto OwnScorer() const {
    return [this](const uint8_t* coded) { return codec_.CodeDistance(query_, coded); };
  }

  void Prefetch(NodeId id) const {
    const uint8_t* slot = slots_[id];
    for (uint32_t at = 0; at < codec_.coded_bytes(); at += 64) __builtin_prefetch(slot + at);
  }

  // Lists: a count, then ids. Level 0 in the slot, the others in upper_.
  uint32_t* List(NodeId id, uint32_t l) const {
    if (l == 0) return reinterpret_cast<uint32_t*>(slots_[id] + list_at_);
    return const_cast<uint32_t*>(upper_.data()) + nodes_[id].upper +
           size_t{l - 1} * (params_.m + 1);
  }
  uint32_t Count(NodeId id, uint32_t l) const { return List(id, l)[0]; }
  uint32_t CopyList(NodeId id, uint32_t l, NodeId* out) const {
    const uint32_t* list = List(id, l);
    std::memcpy(out, list + 1, sizeof(NodeId) * list[0]);
    return list[0];
  }
  // What a list may hold after pruning, and at any time.
  uint32_t Limit(uint32_t l) const { return l == 0 ? 2 * params_.m : params_.m; }
  uint32_t Capacity(uint32_t l) const { return l == 0 ? cap_ : params_.m; }

  float Distance(NodeId id) const { return codec_.CodeDistance(query_, slots_[id]); }
  uint8_t* Prepared(uint32_t i) { return work_.data() + i * prepared_bytes_; }

  // The beam of a finished layer becomes the start of the layer below.
  void Reseed() {
    found_.clear();
    for (uint32_t i = 0; i < beam_.size(); ++i) found_.push_back(beam_.at(i));
    beam_.Reset(params_.ef_construction);
    for (const Candidate& c : found_) beam_.Insert(c);
  }

  void LinkAt(NodeId id, uint32_t l) {
    visited_.Reset(params_.ef_construction * 24);
    visited_.Insert(id);
    for (uint32_t i = 0; i < beam_.size(); ++i) visited_.Insert(beam_.at(i).id);
    auto scorer = OwnScorer();
    Layer<decltype(scorer)> layer{*this, scorer, l};
    Expand(
        layer, beam_, visited_, [](Candidate) {}, [](NodeId) {});
    found_.clear();
    for (uint32_t i = 0; i < beam_.size(); ++i) found_.push_back(beam_.at(i));
    const uint32_t taken = Select(found_, OwnLinks(params_.m, l));
    uint32_t* list = List(id, l);
    list[0] = taken;
    for (uint32_t i = 0; i < taken; ++i) list[1 + i] = found_[i].id;
    for (uint32_t i = 0; i < taken; ++i) LinkBack(list[1 + i], l, id);
  }

  uint32_t Select(VecOf<Candidate, Alloc>& candidates, uint32_t limit) {
    return SelectNeighbours(
        std::span<Candidate>(candidates.data(), candidates.size()), limit,
        [this](uint32_t t, NodeId taken) {
          selected_[t] = codec_.PrepareCode(slots_[taken], Prepared(t));
        },
        [this](uint32_t t, NodeId other) {
          return codec_.CodeDistance(selected_[t], slots_[other]);
        });
  }

  void LinkBack(NodeId from, uint32_t l, NodeId to) {
    uint32_t* list = List(from, l);
    if (list[0] < Capacity(l)) {
      list[1 + list[0]++] = to;
    } else {
      Prune(from, l, to);
    }
  }

  // Reselects the list of `id` from what it holds and `extra`.
  void Prune(NodeId id, uint32_t l, NodeId extra) {
    uint32_t* list = List(id, l);
    const quant::CodeQuery own = codec_.PrepareCode(slots_[id], Prepared(2 * params_.m + 1));
    pruned_.clear();
    for (uint32_t i = 0; i < list[0]; ++i) {
      pruned_.push_back({codec_.CodeDistance(own, slots_[list[1 + i]]), list[1 + i]});
    }
    if (extra != kNoId) pruned_.push_back({codec_.CodeDistance(own, slots_[extra]), extra});
    std::sort(pruned_.begin(), pruned_.end(), Nearer);
    const uint32_t taken = Select(pruned_, Limit(l));
    KeepReachable(std::span<Candidate>(pruned_.data(), pruned_.size()), taken,
                  [this, id, l](NodeId other) { return LinkedElsewhere(other, id, l); });
    list[0] = taken;
    for (uint32_t i = 0; i < list[0]; ++i) list[1 + i] = pruned_[i].id;
  }

  // Whether a neighbour of `id` other than `from` links back to it. (In-links from nodes that it
  // does not link to are not seen: a no may be wrong, which costs a link of less use.)
  bool LinkedElsewhere(NodeId id, NodeId from, uint32_t l) const {
    const uint32_t* list = List(id, l);
    for (uint32_t i = 1; i <= list[0]; ++i) {
      if (list[i] == from) continue;
      const uint32_t* back = List(list[i], l);
      if (std::find(back + 1, back + 1 + back[0], id) != back + 1 + back[0]) return true;
    }
    return false;
  }

  // Equal rows: same 64-bit hash of the full vector and same code.
  NodeId FindEqual(uint64_t hash, const uint8_t* coded) const {
    const uint32_t mask = static_cast<uint32_t>(by_hash_.size()) - 1;
    for (uint32_t at = static_cast<uint32_t>(hash) & mask;; at = (at + 1) & mask) {
      const NodeId node = by_hash_[at];
      if (node == kNoId) return kNoId;
      if (nodes_[node].hash == hash &&
          std::memcmp(slots_[node], coded, codec_.coded_bytes()) == 0) {
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
  uint32_t cap_;
  uint32_t list_at_;
  Arena<Alloc> slots_;  // factors and code, count, ids
  Arena<Alloc> refinements_;
  VecOf<Node, Alloc> nodes_;
  VecOf<Row, Alloc> rows_;
  VecOf<char, Alloc> attributes_;  // of rows
  VecOf<NodeId, Alloc> by_hash_;
  VecOf<uint32_t, Alloc> upper_;
  Beam<Alloc> beam_;
  VisitedSet<Alloc> visited_;
  VecOf<uint8_t, Alloc> work_;  // prepared codes: one for each neighbour taken, and two more
  size_t prepared_bytes_;
  VecOf<Candidate, Alloc> found_;
  VecOf<Candidate, Alloc> pruned_{found_.get_allocator()};
  quant::CodeQuery query_{};
  quant::CodeQuery selected_[kMaxDegree];
  NodeId entry_ = kNoId;
  uint32_t top_ = 0;
  float max_norm_ = 0;
};

}  // namespace ann::graph
