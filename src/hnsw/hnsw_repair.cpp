// Pass 2 of a vacuum: README section "Vacuum".
#include "hnsw/hnsw_repair.hpp"

#include <algorithm>
#include <span>

#include "graph/select.hpp"
#include "hnsw/hnsw_walk.hpp"

namespace ann::hnsw {

using format::PageKind;
using format::SlotState;

namespace {

using Alloc = pg::PgAllocator<std::byte>;

// Chooses new lists from what the old ones and those of their dead members name; no search. The
// layer says where the graph lies:
//   Neighbours(id, out)  ids that `id` links to        ReadCode(id, coded)  false: the id is gone
//   IsWithin(id)         false: it lies behind the file's end as the repair knows it
class ListChoice {
 public:
  ListChoice(const IndexView& view, MemoryContext context)
      : view_(view),
        seen_(Alloc(context)),
        bridges_(Alloc(context)),
        ids_(Alloc(context)),
        codes_(Alloc(context)),
        candidates_(Alloc(context)),
        prepared_(Alloc(context)),
        scratch_(Alloc(context)) {
    scratch_.resize(view.codec.coded_bytes());
    prepared_bytes_ = quant::Codec::PreparedCodeBytes(view.codec.params());
    prepared_.resize(prepared_bytes_ * (view.max_links() + 1));
  }

  // Live ids to put in the places of those of `links`, the list of `self`, that are dead (or gone:
  // freed beside an insert that chose them); the best first, written to `out`. Returns their
  // number. The others of the list stay, so only what the dead ones led to is weighed, against
  // these others and among itself. `coded`: the code of `self`.
  template <class Layer>
  uint32_t Replace(Layer&& layer, const IdSet& dead, uint32_t self, const uint8_t* coded,
                   const uint32_t* links, uint32_t n, uint32_t* out) {
    const uint32_t wanted = SplitList(layer, dead, self, links, n);
    Gather(layer, dead, coded, wanted);
    std::sort(candidates_.begin(), candidates_.end(), Nearer);
    if (candidates_.size() > graph::kMaxCandidates) candidates_.resize(graph::kMaxCandidates);
    const uint32_t taken = graph::SelectMoreNeighbours(
        std::span<Candidate>(candidates_.data(), candidates_.size()), kept_, wanted,
        [&](uint32_t t, uint32_t i) { taken_[t] = Prepare(t, Code(i)); },
        [&](uint32_t t, uint32_t i) { return view_.codec.CodeDistance(taken_[t], Code(i)); });
    for (uint32_t t = 0; t < taken; ++t) out[t] = ids_[candidates_[t].id];
    return taken;
  }
  // Whether the list given to Replace last loses its member at `place`.
  bool IsLost(uint32_t place) const { return lost_[place]; }

 private:
  // Where most nodes died, the live ones are looked for beyond the second hop, through this many.
  static constexpr size_t kMaxBridges = 512;

  const uint8_t* Code(uint32_t i) const {
    return codes_.data() + size_t{i} * view_.codec.coded_bytes();
  }
  quant::CodeQuery Prepare(uint32_t place, const uint8_t* coded) {
    return view_.codec.PrepareCode(coded, prepared_.data() + place * prepared_bytes_);
  }

  // Tells the lost of a list, whose dead are the first bridges, from those that stay: these are
  // prepared as taken_, kept_ in number. Returns how many are lost.
  template <class Layer>
  uint32_t SplitList(Layer& layer, const IdSet& dead, uint32_t self, const uint32_t* links,
                     uint32_t n) {
    seen_.Reset(512);
    seen_.Insert(self);
    bridges_.clear();
    uint32_t lost = 0;
    kept_ = 0;
    for (uint32_t i = 0; i < n; ++i) {
      seen_.Insert(links[i]);
      lost_[i] = false;
      if (dead.Contains(links[i])) {
        bridges_.push_back(links[i]);
        lost_[i] = true;
      } else if (layer.ReadCode(links[i], scratch_.data())) {
        taken_[kept_] = Prepare(kept_, scratch_.data());
        ++kept_;
      } else {
        lost_[i] = layer.IsWithin(links[i]);
      }
      lost += lost_[i];
    }
    return lost;
  }

  // Candidates (ids: places in ids_ and codes_): what can be reached through the bridges.
  template <class Layer>
  void Gather(Layer& layer, const IdSet& dead, const uint8_t* coded, uint32_t wanted) {
    ids_.clear(), codes_.clear(), candidates_.clear();
    const quant::CodeQuery own = Prepare(view_.max_links(), coded);
    const size_t second_hop = bridges_.size();
    for (size_t b = 0; b < bridges_.size() && b < kMaxBridges; ++b) {
      if (b >= second_hop && candidates_.size() >= wanted) break;
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
  VecOf<uint8_t, Alloc> scratch_;
  size_t prepared_bytes_;
  bool lost_[graph::kMaxDegree];
  uint32_t kept_ = 0;
  quant::CodeQuery taken_[graph::kMaxDegree];
};

struct BaseLists {
  PageGraph& graph;
  uint32_t Neighbours(NodeId id, NodeId* out) { return graph.Neighbours(id, out); }
  bool IsWithin(NodeId id) const { return id < graph.id_limit(); }
  bool ReadCode(NodeId id, uint8_t* coded) { return IsWithin(id) && graph.ReadCode(id, coded); }
};

struct UpperLists {
  PageGraph& graph;
  uint32_t level;
  uint32_t Neighbours(RecordId id, RecordId* out) { return graph.UpperNeighbours(id, level, out); }
  bool IsWithin(RecordId id) const { return graph.view().UpperAt(id).block < graph.blocks(); }
  bool ReadCode(RecordId id, uint8_t* coded) { return graph.ReadUpperCode(id, level, coded); }
};

class GraphRepair {
 public:
  GraphRepair(IndexView& view, PageTour& tour, const IdSet& dead, const IdSet& dead_records,
              MemoryContext context)
      : view_(view),
        tour_(tour),
        dead_(dead),
        dead_records_(dead_records),
        graph_(&view),
        choice_(view, context),
        own_code_(view.codec.coded_bytes(), Alloc(context)),
        fixes_(Alloc(context)),
        new_links_(Alloc(context)),
        backlinks_(Alloc(context)) {}

  void Run() {
    if (dead_records_.count() > 0) {
      tour_.ForAuxiliaryPages([&](BlockNumber block) { RepairPage<Uppers>(block); });
    }
    if (dead_.count() > 0) {
      tour_.ForNodePages([&](BlockNumber block) {
        RepairPage<Nodes>(block);
        if (backlinks_.size() >= kMaxBacklinks) WriteBacklinks();
      });
      WriteBacklinks();
    }
    graph_.ReportHits();
  }

 private:
  // A list chosen anew: `count` ids at `start` of new_links_.
  struct Fix {
    uint32_t slot;
    uint32_t start;
    uint32_t count;
  };
  struct Backlink {
    NodeId from;
    NodeId to;
  };
  // 2 MB.
  static constexpr size_t kMaxBacklinks = 1u << 18;

  // What differs between the lists of nodes and of records.
  struct Nodes {
    using Slot = format::NodeSlot;
    static constexpr PageKind kKind = PageKind::kNodes;
    static uint32_t Slots(const IndexView& v) { return v.meta.slots_per_page; }
    static uint32_t Limit(const IndexView& v) { return v.max_links(); }
    static Slot* At(const IndexView& v, char* page, uint32_t i) { return v.Node(page, i); }
    static uint32_t Id(const GraphRepair& repair, BlockNumber block, uint32_t slot) {
      return repair.tour_.FirstId(block) + slot;
    }
    static const IdSet& Dead(const GraphRepair& repair) { return repair.dead_; }
    static BaseLists Layer(PageGraph& graph, const Slot*) { return {graph}; }
  };
  struct Uppers {
    using Slot = format::UpperSlot;
    static constexpr PageKind kKind = PageKind::kUpper;
    static uint32_t Slots(const IndexView& v) { return v.meta.uppers_per_page; }
    static uint32_t Limit(const IndexView& v) { return v.meta.m; }
    static Slot* At(const IndexView& v, char* page, uint32_t i) { return v.Upper(page, i); }
    static uint32_t Id(const GraphRepair& repair, BlockNumber block, uint32_t slot) {
      return repair.view_.UpperId({block, slot});
    }
    static const IdSet& Dead(const GraphRepair& repair) { return repair.dead_records_; }
    static UpperLists Layer(PageGraph& graph, const Slot* record) {
      return {graph, record->level()};
    }
  };

  // Chooses the page's lists that hold dead ids anew, without a lock; then writes those that nobody
  // has changed meanwhile, and tries again for the others. Locks: the page.
  template <class Kind>
  void RepairPage(BlockNumber block) {
    constexpr int kAttempts = 4;
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
      if (tour_.CopyPage(block) != Kind::kKind) return;
      ChooseLists<Kind>(block);
      pg::StopPoint("vacuum.chosen");
      if (fixes_.empty() || WriteLists<Kind>(block, attempt == kAttempts - 1)) return;
      pg::VacuumDelay();
    }
  }

  template <class Kind>
  void ChooseLists(BlockNumber block) {
    fixes_.clear(), new_links_.clear();
    const IdSet& dead = Kind::Dead(*this);
    for (uint32_t slot = 0; slot < Kind::Slots(view_); ++slot) {
      const typename Kind::Slot* item = Kind::At(view_, tour_.image(), slot);
      const uint32_t self = Kind::Id(*this, block, slot), n = item->neighbour_count;
      if (item->state != SlotState::kLive || dead.Contains(self)) continue;
      if (n > Kind::Limit(view_)) pg::ReportCorrupted(view_.rel, block, "a list is too long");
      const uint32_t* links = view_.Links(item);
      if (std::none_of(links, links + n, [&](uint32_t id) { return dead.Contains(id); })) continue;
      CHECK_FOR_INTERRUPTS();
      // Not the copied page's, which may be of another epoch than the view.
      if (!Kind::Layer(graph_, item).ReadCode(self, own_code_.data())) continue;
      uint32_t replacements[graph::kMaxDegree];
      const uint32_t found = choice_.Replace(Kind::Layer(graph_, item), dead, self,
                                             own_code_.data(), links, n, replacements);
      AddFix(slot, links, n, replacements, found);
    }
  }

  // What stays keeps its place, replacements take those of the lost, and what has none is filled
  // from the end: so few bytes change.
  void AddFix(uint32_t slot, const uint32_t* links, uint32_t n, const uint32_t* replacements,
              uint32_t found) {
    const uint32_t start = static_cast<uint32_t>(new_links_.size());
    new_links_.insert(new_links_.end(), links, links + n);
    uint32_t* list = new_links_.data() + start;
    uint32_t used = 0, count = n;
    for (uint32_t i = 0; i < count; ++i) {
      if (!choice_.IsLost(i)) continue;
      if (used < found) {
        list[i] = replacements[used++];
        continue;
      }
      while (count > i + 1 && choice_.IsLost(count - 1)) --count;
      list[i] = list[--count];
    }
    new_links_.resize(start + count);
    fixes_.push_back({slot, start, count});
  }

  // True: all lists of fixes_ are settled. `last`: what has changed meanwhile only loses its dead
  // ids. Locks: the page of the lists (L2 or L6), alone.
  template <class Kind>
  bool WriteLists(BlockNumber block, bool last) {
    pg::PageRef page = pg::ReadPage(view_.rel, block, BUFFER_LOCK_EXCLUSIVE, Kind::kKind);
    pg::PageEdit edit = pg::PageEdit::Begin(view_.rel, view_.meta);
    char* copy = edit.Edit(page);
    bool settled = true, changed = false;
    for (Fix& fix : fixes_) {
      typename Kind::Slot* now = Kind::At(view_, copy, fix.slot);
      const typename Kind::Slot* then = Kind::At(view_, tour_.image(), fix.slot);
      uint32_t* links = view_.Links(now);
      if (now->neighbour_count == then->neighbour_count &&
          std::equal(links, links + now->neighbour_count, view_.Links(then))) {
        std::copy_n(new_links_.data() + fix.start, fix.count, links);
        now->neighbour_count = static_cast<uint16_t>(fix.count);
        changed = true;
        continue;
      }
      if (last) {
        uint32_t* end = std::remove_if(links, links + now->neighbour_count, [this](uint32_t id) {
          return Kind::Dead(*this).Contains(id);
        });
        now->neighbour_count = static_cast<uint16_t>(end - links);
        changed = true;
      }
      settled = settled && last;
      fix.count = 0;
    }
    if (changed) {
      edit.Finish();
    } else {
      edit.Abort();
    }
    pg::Release(page);
    if constexpr (Kind::kKind == PageKind::kNodes) NoteBacklinks(block);
    return settled;
  }

  // Links of the lists just written that were not there before.
  void NoteBacklinks(BlockNumber block) {
    const NodeId first = tour_.FirstId(block);
    for (const Fix& fix : fixes_) {
      const format::NodeSlot* then = view_.Node(tour_.image(), fix.slot);
      const NodeId* old_links = view_.Links(then);
      for (uint32_t i = 0; i < fix.count; ++i) {
        const NodeId id = new_links_[fix.start + i];
        if (std::find(old_links, old_links + then->neighbour_count, id) ==
            old_links + then->neighbour_count) {
          NoteBacklink({id, first + fix.slot});
        }
      }
    }
  }

  // A repaired node has lost ways that led to it through the dead: a new neighbour with room links
  // back. These links are written page by page when there are many, one record a page.
  void NoteBacklink(const Backlink& link) {
    NodeId links[graph::kMaxDegree];
    if (graph_.Neighbours(link.from, links) < view_.max_links()) backlinks_.push_back(link);
  }

  void WriteBacklinks() {
    std::sort(backlinks_.begin(), backlinks_.end(), [](const Backlink& a, const Backlink& b) {
      return a.from != b.from ? a.from < b.from : a.to < b.to;
    });
    const uint32_t per_page = view_.meta.slots_per_page;
    for (size_t i = 0, end; i < backlinks_.size(); i = end) {
      for (end = i + 1; end < backlinks_.size(); ++end) {
        if (backlinks_[end].from / per_page != backlinks_[i].from / per_page) break;
      }
      pg::VacuumDelay();
      LinkBack(std::span<const Backlink>(backlinks_.data() + i, end - i));
    }
    backlinks_.clear();
  }

  // `links`: from nodes of one page. Locks: the node page (L2).
  void LinkBack(std::span<const Backlink> links) {
    const BlockNumber block = view_.geometry.NodeAt(links.front().from).block;
    pg::PageRef page = pg::ReadPage(view_.rel, block, BUFFER_LOCK_EXCLUSIVE, PageKind::kNodes);
    pg::PageEdit edit = pg::PageEdit::Begin(view_.rel, view_.meta);
    char* copy = edit.Edit(page);
    bool changed = false;
    for (const Backlink& link : links) {
      changed |= AddLink(view_.Node(copy, view_.geometry.NodeAt(link.from).index), link.to);
    }
    if (changed) {
      edit.Finish();
    } else {
      edit.Abort();
    }
    pg::Release(page);
  }

  // False: the list is full, has the link, or is yet to be repaired: it will choose for itself.
  bool AddLink(format::NodeSlot* node, NodeId to) {
    const uint32_t n = node->neighbour_count;
    NodeId* links = view_.Links(node);
    if (node->state != SlotState::kLive || n >= view_.max_links() ||
        std::any_of(links, links + n, [&](NodeId id) { return id == to || dead_.Contains(id); })) {
      return false;
    }
    links[node->neighbour_count++] = to;
    return true;
  }

  const IndexView& view_;
  PageTour& tour_;
  const IdSet& dead_;
  const IdSet& dead_records_;
  PageGraph graph_;
  ListChoice choice_;
  VecOf<uint8_t, Alloc> own_code_;
  VecOf<Fix, Alloc> fixes_;
  VecOf<uint32_t, Alloc> new_links_;
  VecOf<Backlink, Alloc> backlinks_;
};

}  // namespace

void RepairLists(IndexView& view, PageTour& tour, const IdSet& dead, const IdSet& dead_records,
                 MemoryContext context) {
  GraphRepair(view, tour, dead, dead_records, context).Run();
}

}  // namespace ann::hnsw
