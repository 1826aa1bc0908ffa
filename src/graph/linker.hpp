// Links the nodes of a LinkSpace (Malkov and Yashunin 2018, Algorithm 1): one linker that takes
// them in their order always makes the same graph of one seed; several, each of one process or
// thread, share the nodes among themselves.
//
// Level-0 lists have slack: they grow to a third more than 2m and are pruned back when they
// overflow, so that a list is pruned once in about ten additions (the slack of DiskANN's builder).
#pragma once

#include <algorithm>
#include <span>

#include "core/beam.hpp"
#include "core/visited.hpp"
#include "graph/link_space.hpp"
#include "graph/select.hpp"

namespace ann::graph {

// Links that a new node chooses for itself. At level 0 half as many again as the paper's m: on
// texts that leaves a fifth fewer misses at equal cost, on SIFT as many; the lists' room of 2m is
// there anyway.
inline uint32_t OwnLinks(uint32_t m, uint32_t level) { return level == 0 ? m + m / 2 : m; }

// Nodes linked by one process before others join: in a graph of a few nodes those that are linked
// at the same time would be a large part, and do not see each other.
inline constexpr uint32_t kLinkedAlone = 1024;

template <class Alloc>
class Linker {
 public:
  Linker(const Alloc& alloc, LinkSpace<Alloc>& space)
      : space_(space),
        codec_(space.codec()),
        params_(space.params()),
        prepared_bytes_(quant::Codec::PreparedCodeBytes(codec_.params())),
        beam_(alloc),
        visited_(alloc),
        work_(alloc),
        found_(alloc),
        pruned_(alloc) {
    work_.resize(prepared_bytes_ * (2 * params_.m + 2));
  }

  // Nobody sees the node before the lists of all its levels are there, so a walk never ends at it
  // for want of them, and two nodes that are linked at the same time cannot both choose the other.
  void Link(NodeId id) {
    const uint8_t level = space_.level(id);
    EntryPoint entry = space_.entry();
    bool rises = entry.id == kNoId || level > entry.level;
    if (rises) {
      space_.LockTop();
      entry = space_.entry();
      rises = entry.id == kNoId || level > entry.level;
      if (!rises) space_.UnlockTop();
    }
    if (entry.id != kNoId) LinkBelow(id, level, entry);
    if (rises) {
      space_.SetEntry({id, level});
      space_.UnlockTop();
    }
  }

  // Prunes a list that still uses its slack. Called for each node once all are linked.
  void Trim(NodeId id) {
    if (space_.list(id, 0).count() > space_.Limit(0)) Prune(id, 0, kNoId);
  }

 private:
  void LinkBelow(NodeId id, uint32_t level, EntryPoint entry) {
    query_ = codec_.PrepareCode(space_[id], Prepared(2 * params_.m));
    Candidate start{codec_.CodeDistance(query_, space_[entry.id]), entry.id};
    for (uint32_t l = entry.level; l > level; --l) {
      auto layer = OwnLayer(l);
      start = Descend(layer, start, [](NodeId) {});
    }
    beam_.Reset(params_.ef_construction);
    beam_.Insert(start);
    const uint32_t top = std::min(level, entry.level);
    for (uint32_t l = top;; --l) {
      Choose(id, l);
      if (l == 0) break;
      Reseed();
    }
    for (uint32_t l = 0; l <= top; ++l) {
      const SharedList own = space_.list(id, l);
      NodeId chosen[kMaxDegree];
      const uint32_t n = own.Copy(chosen);
      for (uint32_t i = 0; i < n; ++i) LinkBack(chosen[i], l, id);
    }
  }

  // Distances from the node being linked.
  auto OwnLayer(uint32_t l) const {
    auto score = [this](const uint8_t* coded) { return codec_.CodeDistance(query_, coded); };
    return SpaceLayer<Alloc, decltype(score)>{space_, score, l};
  }
  uint8_t* Prepared(uint32_t i) { return work_.data() + i * prepared_bytes_; }

  // The beam of a finished layer becomes the start of the layer below.
  void Reseed() {
    TakeBeam();
    beam_.Reset(params_.ef_construction);
    for (const Candidate& c : found_) beam_.Insert(c);
  }
  void TakeBeam() {
    found_.clear();
    for (uint32_t i = 0; i < beam_.size(); ++i) found_.push_back(beam_.at(i));
  }

  void Choose(NodeId id, uint32_t l) {
    visited_.Reset(params_.ef_construction * 24);
    visited_.Insert(id);
    for (uint32_t i = 0; i < beam_.size(); ++i) visited_.Insert(beam_.at(i).id);
    auto layer = OwnLayer(l);
    Expand(
        layer, beam_, visited_, [](Candidate) {}, [](NodeId) {});
    TakeBeam();
    Replace(space_.list(id, l), 0, found_, Select(found_, OwnLinks(params_.m, l)));
  }

  uint32_t Select(VecOf<Candidate, Alloc>& candidates, uint32_t limit) {
    return SelectNeighbours(
        std::span<Candidate>(candidates.data(), candidates.size()), limit,
        [this](uint32_t t, NodeId taken) {
          selected_[t] = codec_.PrepareCode(space_[taken], Prepared(t));
        },
        [this](uint32_t t, NodeId other) {
          return codec_.CodeDistance(selected_[t], space_[other]);
        });
  }

  static void Replace(SharedList list, uint32_t word, const VecOf<Candidate, Alloc>& chosen,
                      uint32_t n) {
    for (uint32_t i = 0; i < n; ++i) list.Put(i, chosen[i].id);
    list.Unlock(word, n);
  }

  void LinkBack(NodeId from, uint32_t l, NodeId to) {
    SharedList list = space_.list(from, l);
    for (;;) {
      const uint32_t word = list.WordAtRest();
      const uint32_t count = SharedList::CountOf(word);
      if (count == space_.Capacity(l)) {
        if (Prune(from, l, to)) return;
      } else if (list.TryLock(word)) {
        list.Put(count, to);
        list.Unlock(word, count + 1);
        return;
      }
    }
  }

  // Reselects the list of `id` from what it holds and `extra`, without a lock while it thinks.
  // False: the list has changed meanwhile, and stays as it is.
  bool Prune(NodeId id, uint32_t l, NodeId extra) {
    SharedList list = space_.list(id, l);
    NodeId held[kMaxDegree];
    const uint32_t word = list.CopyAtRest(held);
    const quant::CodeQuery own = codec_.PrepareCode(space_[id], Prepared(2 * params_.m + 1));
    pruned_.clear();
    for (uint32_t i = 0; i < SharedList::CountOf(word); ++i) {
      pruned_.push_back({codec_.CodeDistance(own, space_[held[i]]), held[i]});
    }
    if (extra != kNoId) pruned_.push_back({codec_.CodeDistance(own, space_[extra]), extra});
    std::sort(pruned_.begin(), pruned_.end(), Nearer);
    const uint32_t taken = Select(pruned_, space_.Limit(l));
    KeepReachable(std::span<Candidate>(pruned_.data(), pruned_.size()), taken,
                  [&](NodeId other) { return LinkedElsewhere(other, id, l); });
    if (!list.TryLock(word)) return false;
    Replace(list, word, pruned_, taken);
    return true;
  }

  // Whether a neighbour of `id` other than `from` links back to it. (In-links from nodes that it
  // does not link to are not seen: a no may be wrong, which costs a link of less use.)
  bool LinkedElsewhere(NodeId id, NodeId from, uint32_t l) const {
    NodeId held[kMaxDegree];
    const uint32_t n = space_.list(id, l).Copy(held);
    for (uint32_t i = 0; i < n; ++i) {
      if (held[i] != from && space_.list(held[i], l).Contains(id)) return true;
    }
    return false;
  }

  LinkSpace<Alloc>& space_;
  const quant::Codec& codec_;
  const BuildParams& params_;
  size_t prepared_bytes_;
  Beam<Alloc> beam_;
  VisitedSet<Alloc> visited_;
  VecOf<uint8_t, Alloc> work_;  // prepared codes: one for each neighbour taken, and two more
  VecOf<Candidate, Alloc> found_;
  VecOf<Candidate, Alloc> pruned_;
  quant::CodeQuery query_{};
  quant::CodeQuery selected_[kMaxDegree];
};

}  // namespace ann::graph
