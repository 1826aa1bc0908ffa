// The end of a vacuum's pass 2: README section "Vacuum".
//
//   1. from the entry point's node the links are followed, in the order of the pages, tour after
//      tour, until nothing new is met
//   2. each live node that was not met gets a place in the list of a neighbour that was, in that of
//      a node which links from elsewhere lead to
#include "hnsw/hnsw_reconnect.hpp"

#include <algorithm>

#include "hnsw/hnsw_walk.hpp"

namespace ann::hnsw {

using format::PageKind;
using format::SlotState;

namespace {

using Alloc = pg::PgAllocator<std::byte>;

class Reconnection {
 public:
  Reconnection(IndexView& view, PageTour& tour, MemoryContext context)
      : view_(view), tour_(tour), graph_(&view), met_(Alloc(context)), stack_(Alloc(context)) {}

  void Run(VecOf<NodeId, Alloc>* loners) {
    const NodeId entry = EntryNode(graph_);
    if (entry == kNoId) return;
    met_.resize(graph_.id_limit(), kLost);
    met_[entry] = kPending;
    pending_ = 1;
    for (; pending_ > 0; tour_number_ += tour_number_ < kLate) {
      const uint64_t before = followed_;
      tour_.ForNodePages([this](BlockNumber block) { FollowLinks(block); });
      // Links of a damaged list may lead to where there are no nodes.
      if (followed_ == before) break;
    }
    tour_.ForNodePages([&](BlockNumber block) { TakeInLost(block, loners); });
    graph_.ReportHits();
  }

 private:
  // What is known of a node: in which tour its links were followed, if not one of these.
  static constexpr uint8_t kLost = 0, kPending = 1, kFirstTour = 2, kLate = UINT8_MAX;

  bool IsCounted(NodeId id) const { return id < met_.size(); }

  // Copies the page and looks at the lists of those that are in use. False: it holds no nodes.
  bool CopyNodes(BlockNumber block) {
    if (tour_.CopyPage(block) != PageKind::kNodes) return false;
    for (uint32_t slot = 0; slot < view_.meta.slots_per_page; ++slot) {
      const format::NodeSlot* node = view_.Node(tour_.image(), slot);
      if (node->state != SlotState::kFree && node->neighbour_count > view_.max_links()) {
        pg::ReportCorrupted(view_.rel, block, "a list is too long");
      }
    }
    return true;
  }

  void FollowLinks(BlockNumber block) {
    const NodeId first = tour_.FirstId(block);
    if (!IsCounted(first)) return;
    const NodeId end = first + std::min<NodeId>(view_.meta.slots_per_page,
                                                static_cast<NodeId>(met_.size()) - first);
    const auto begin = met_.begin() + first;
    if (std::find(begin, met_.begin() + end, kPending) == met_.begin() + end) return;
    const bool there = CopyNodes(block);
    for (NodeId id = first; id < end; ++id) {
      if (met_[id] != kPending) continue;
      met_[id] = tour_number_;
      --pending_;
      ++followed_;
      const format::NodeSlot* node = view_.Node(tour_.image(), id - first);
      if (!there || node->state == SlotState::kFree) continue;
      const NodeId* links = view_.Links(node);
      for (uint32_t i = 0; i < node->neighbour_count; ++i) {
        if (!IsCounted(links[i]) || met_[links[i]] != kLost) continue;
        met_[links[i]] = kPending;
        ++pending_;
      }
    }
  }

  // Pages without such nodes are not read.
  void TakeInLost(BlockNumber block, VecOf<NodeId, Alloc>* loners) {
    const NodeId first = tour_.FirstId(block), slots = view_.meta.slots_per_page;
    bool read = false;
    for (NodeId id = first; id < first + slots && IsCounted(id); ++id) {
      if (met_[id] != kLost) continue;
      if (!read && !CopyNodes(block)) return;
      read = true;
      const format::NodeSlot* node = view_.Node(tour_.image(), id - first);
      if (node->state != SlotState::kLive) continue;
      CHECK_FOR_INTERRUPTS();
      const NodeId* links = view_.Links(node);
      if (std::none_of(links, links + node->neighbour_count,
                       [&](NodeId from) { return TakeIn(from, id); })) {
        loners->push_back(id);
      }
      FindFrom(id);
    }
  }

  // Whether links lead to `id` without that of `from`: they do if it was met before that one's
  // links were followed.
  bool IsMetWithout(NodeId id, NodeId from) const {
    if (!IsCounted(id) || met_[id] < kFirstTour) return false;
    return met_[id] < met_[from] || (met_[id] == met_[from] && met_[id] != kLate && id < from);
  }

  // Links `from` to `lost`; in a full list, in place of the node that was met first: many lists
  // hold it. False: it cannot. Locks: the node page (L2).
  bool TakeIn(NodeId from, NodeId lost) {
    if (!IsCounted(from) || met_[from] < kFirstTour) return false;
    const format::Place at = view_.geometry.NodeAt(from);
    pg::PageRef page = pg::ReadPage(view_.rel, at.block, BUFFER_LOCK_EXCLUSIVE, PageKind::kNodes);
    const format::NodeSlot* node = view_.Node(page.page, at.index);
    const NodeId* links = view_.Links(node);
    const uint32_t n = std::min<uint32_t>(node->neighbour_count, view_.max_links());
    uint32_t place = n;
    for (uint32_t i = 0; i < n && n == view_.max_links(); ++i) {
      if (!IsMetWithout(links[i], from)) continue;
      if (place == n || met_[links[i]] < met_[links[place]]) place = i;
    }
    const bool possible = node->state == SlotState::kLive && place < view_.max_links() &&
                          std::find(links, links + n, lost) == links + n;
    if (possible) {
      pg::PageEdit edit = pg::PageEdit::Begin(view_.rel, view_.meta);
      format::NodeSlot* changed = view_.Node(edit.Edit(page), at.index);
      view_.Links(changed)[place] = lost;
      if (place == n) ++changed->neighbour_count;
      edit.Finish();
    }
    pg::Release(page);
    return possible;
  }

  // `id` is met now, and what its links lead to.
  void FindFrom(NodeId id) {
    met_[id] = kLate;
    stack_.push_back(id);
    while (!stack_.empty()) {
      const NodeId at = stack_.back();
      stack_.pop_back();
      NodeId links[graph::kMaxDegree];
      const uint32_t n = graph_.Neighbours(at, links);
      for (uint32_t i = 0; i < n; ++i) {
        if (!IsCounted(links[i]) || met_[links[i]] != kLost) continue;
        met_[links[i]] = kLate;
        stack_.push_back(links[i]);
      }
    }
  }

  const IndexView& view_;
  PageTour& tour_;
  PageGraph graph_;
  VecOf<uint8_t, Alloc> met_;  // by node
  VecOf<NodeId, Alloc> stack_;
  uint64_t pending_ = 0;
  uint64_t followed_ = 0;
  uint8_t tour_number_ = kFirstTour;
};

}  // namespace

void ReconnectNodes(IndexView& view, PageTour& tour, MemoryContext context,
                    VecOf<NodeId, pg::PgAllocator<std::byte>>* loners) {
  ReloadEntry(&view);
  Reconnection(view, tour, context).Run(loners);
}

}  // namespace ann::hnsw
