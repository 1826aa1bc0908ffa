// Lists of neighbours that lose dead ones: README section "Vacuum", pass 2.
#pragma once

#include <algorithm>

#include "graph/select.hpp"
#include "hnsw/hnsw_walk.hpp"

#include "pg/alloc.hpp"

namespace ann::hnsw {

using IdSet = VisitedSet<pg::PgAllocator<std::byte>>;

// Chooses new lists from what the old ones and those of their dead members name; no search. The
// layer says where the graph lies:
//   Neighbours(id, out)  ids that `id` links to        ReadCode(id, coded)  false: the id is gone
class ListRepair {
 public:
  ListRepair(const IndexView& view, MemoryContext context)
      : view_(view),
        seen_(Alloc(context)),
        bridges_(Alloc(context)),
        ids_(Alloc(context)),
        codes_(Alloc(context)),
        candidates_(Alloc(context)),
        prepared_(Alloc(context)) {
    prepared_bytes_ = RoundUp(view.meta.dims, 64);
    prepared_.resize(prepared_bytes_ * (view.max_links() + 1));
  }

  // The new list of `self`, whose code is `coded` and whose list is now `links`; at most `limit`
  // ids, written to `out`. Returns their number.
  template <class Layer>
  uint32_t Choose(Layer&& layer, const IdSet& dead, uint32_t self, const uint8_t* coded,
                  const uint32_t* links, uint32_t n, uint32_t limit, uint32_t* out) {
    Gather(layer, dead, self, coded, links, n, limit);
    std::sort(candidates_.begin(), candidates_.end(), Nearer);
    // What is farther than these would hardly be chosen, and the choice costs their number times
    // limit.
    const size_t pool = std::max<size_t>(view_.meta.ef_construction, size_t{2} * limit);
    if (candidates_.size() > pool) candidates_.resize(pool);
    const uint32_t taken = graph::SelectNeighbours(
        std::span<Candidate>(candidates_.data(), candidates_.size()), limit,
        [&](uint32_t t, uint32_t i) { taken_[t] = Prepare(t, Code(i)); },
        [&](uint32_t t, uint32_t i) { return view_.codec.CodeDistance(taken_[t], Code(i)); });
    for (uint32_t t = 0; t < taken; ++t) out[t] = ids_[candidates_[t].id];
    return taken;
  }

 private:
  using Alloc = pg::PgAllocator<std::byte>;
  // Where most nodes died, the live ones are looked for beyond the second hop, through this many.
  static constexpr size_t kMaxBridges = 512;

  const uint8_t* Code(uint32_t i) const {
    return codes_.data() + size_t{i} * view_.codec.coded_bytes();
  }
  quant::CodeQuery Prepare(uint32_t place, const uint8_t* coded) {
    return view_.codec.PrepareCode(coded, prepared_.data() + place * prepared_bytes_);
  }

  // Candidates (ids: places in ids_ and codes_): the live members of the list and what can be
  // reached through its dead ones.
  template <class Layer>
  void Gather(Layer& layer, const IdSet& dead, uint32_t self, const uint8_t* coded,
              const uint32_t* links, uint32_t n, uint32_t limit) {
    seen_.Reset(512);
    seen_.Insert(self);
    bridges_.clear(), ids_.clear(), codes_.clear(), candidates_.clear();
    const quant::CodeQuery own = Prepare(view_.max_links(), coded);
    for (uint32_t i = 0; i < n; ++i) Offer(layer, dead, own, links[i]);
    const size_t second_hop = bridges_.size();
    for (size_t b = 0; b < bridges_.size() && b < kMaxBridges; ++b) {
      if (b >= second_hop && candidates_.size() >= limit) break;
      uint32_t further[graph::kMaxDegree];
      const uint32_t count = layer.Neighbours(bridges_[b], further);
      for (uint32_t i = 0; i < count; ++i) Offer(layer, dead, own, further[i]);
    }
  }

  template <class Layer>
  void Offer(Layer& layer, const IdSet& dead, const quant::CodeQuery& own, uint32_t id) {
    if (!seen_.Insert(id)) return;
    if (dead.Contains(id)) {
      bridges_.push_back(id);
      return;
    }
    const size_t at = codes_.size();
    codes_.resize(at + view_.codec.coded_bytes());
    if (!layer.ReadCode(id, codes_.data() + at)) {
      codes_.resize(at);
      return;
    }
    const float key = OrderableKey(view_.codec.CodeDistance(own, codes_.data() + at));
    candidates_.push_back({key, static_cast<uint32_t>(ids_.size())});
    ids_.push_back(id);
  }

  const IndexView& view_;
  VisitedSet<Alloc> seen_;
  VecOf<uint32_t, Alloc> bridges_;
  VecOf<uint32_t, Alloc> ids_;
  VecOf<uint8_t, Alloc> codes_;
  VecOf<Candidate, Alloc> candidates_;
  VecOf<uint8_t, Alloc> prepared_;
  size_t prepared_bytes_;
  quant::CodeQuery taken_[graph::kMaxDegree];
};

}  // namespace ann::hnsw
