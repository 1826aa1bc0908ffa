// Sweeps: README sections "Scan" and "Filters".
#include <algorithm>
#include <cmath>

#include "am/limit_hint.hpp"
#include "hnsw/hnsw_scan.hpp"

namespace ann::hnsw {

using am::Item;
using am::Stage;

bool Sweep(ScanState& s) {
  const IndexView& view = *s.view;
  const size_t limit = std::max<size_t>(MemoryLimit() / sizeof(Item), 1024);
  const BlockNumber blocks = RelationGetNumberOfBlocks(view.rel);
  VecOf<Item, Alloc> nearest{Alloc(s.context)};
  const auto nearer = [](const Item& a, const Item& b) { return am::Later()(b, a); };
  s.sweep_again = false;
  ++s.searches;
  s.ways |= am::kWaySweep;
  BufferAccessStrategy strategy = GetAccessStrategy(BAS_BULKREAD);
  for (BlockNumber block = view.geometry.first_stripe(); block < blocks; ++block) {
    CHECK_FOR_INTERRUPTS();
    if (view.geometry.PartAt(block).kind != format::StripePart::kNodes) continue;
    const size_t before = nearest.size();
    bool known = true;
    // L2, alone.
    const pg::PageRef page = pg::ReadAnyPage(view.rel, block, BUFFER_LOCK_SHARE, strategy);
    if (!pg::IsBlank(page.page) && pg::KindOf(page.page) == format::PageKind::kNodes) {
      const NodeId first = view.geometry.PartAt(block).ordinal * view.meta.slots_per_page;
      for (uint32_t i = 0; i < view.meta.slots_per_page; ++i) {
        const format::NodeSlot* node = view.Node(page.page, i);
        if (node->state != format::SlotState::kLive || s.emitted.Contains(first + i)) continue;
        const Frame frame = view.FrameOf(node->code);
        known = known && (s.x == nullptr || frame != Frame::kUnknown);
        if (!known) break;
        const Item item =
            s.x == nullptr ? Item{0, 0, first + i, 0, 0, Stage::kRefined}
                           : am::Bounded(first + i,
                                         view.CodecOf(frame).Coarse(
                                             s.queries[static_cast<int>(frame)], view.Coded(node)),
                                         am::kEpsilon, Stage::kCoarse);
        ++s.swept;
        if (item.lower <= s.aim.within) nearest.push_back(item);
      }
    }
    pg::Release(page);
    if (!known) {
      // The page again, by the means that it wants.
      nearest.erase(nearest.begin() + before, nearest.end());
      ReloadFrames(s.view);
      --block;
      continue;
    }
    if (nearest.size() > 2 * limit) {
      std::nth_element(nearest.begin(), nearest.begin() + limit, nearest.end(), nearer);
      nearest.erase(nearest.begin() + limit, nearest.end());
      s.sweep_again = true;
    }
  }
  FreeAccessStrategy(strategy);
  for (const Item& item : nearest) s.emission.Push(item);
  return !s.emission.empty();
}

namespace {

// Calls visit(id) for the nodes that may pass and have not been emitted.
template <class Visit>
void ForEachPassing(ScanState& s, Visit&& visit) {
  const auto unless_emitted = [&](NodeId id) {
    if (!s.emitted.Contains(id)) visit(id);
  };
  if (s.by_postings) {
    for (const NodeId id : s.posted) unless_emitted(id);
    return;
  }
  if (s.columns.filter() == nullptr) {
    for (BlockNumber block = s.view->geometry.first_stripe(); block < s.graph.blocks(); ++block) {
      CHECK_FOR_INTERRUPTS();
      NodeId ids[kMostSlots];
      const uint32_t n = NodesOfSet(s, block, ids);
      for (uint32_t i = 0; i < n; ++i) {
        if (ids[i] < s.graph.id_limit()) unless_emitted(ids[i]);
      }
    }
    return;
  }
  s.columns.Sweep([&](NodeId first, uint32_t mask) {
    for (; mask != 0; mask &= mask - 1) {
      const NodeId id = first + static_cast<uint32_t>(std::countr_zero(mask));
      if (s.rows == nullptr || IsOfSet(s, id)) unless_emitted(id);
    }
  });
}

// Of the nodes it is shown, the nearest that pass, by their keys: as a walk's beam would hold them.
class NearestPassing {
 public:
  NearestPassing(ScanState& s, uint32_t most) : s_(s), most_(most), nearest_(Alloc(s.context)) {}

  void Add(NodeId id) {
    ids_[n_++] = id;
    if (n_ == graph::kMaxDegree) Score();
  }
  // Ends it. True: some were left out.
  bool Finish() {
    Score();
    Trim();
    return trimmed_;
  }
  const VecOf<Candidate, Alloc>& found() const { return nearest_; }

 private:
  void Score() {
    s_.swept += n_;
    if (s_.x == nullptr) {
      std::fill_n(keys_, n_, 0.0f);
      std::fill_n(wanted_, n_, true);
    } else if (s_.aim.within < INFINITY) {
      ScoreWithin();
    } else {
      s_.graph.ScoreLive(ids_, n_, keys_, wanted_, QueryScorer(s_));
    }
    for (uint32_t i = 0; i < n_; ++i) {
      const Candidate c{OrderableKey(keys_[i]), ids_[i]};
      const bool near = wanted_[i] && (!trimmed_ || Nearer(c, farthest_));
      if (near && Passes(s_, c.id)) nearest_.push_back(c);
    }
    n_ = 0;
    if (nearest_.size() >= 2 * size_t{most_}) Trim();
  }

  // What its code says is too far away is left out.
  void ScoreWithin() {
    quant::Estimate estimates[graph::kMaxDegree];
    s_.graph.Coarse(s_.queries, ids_, n_, estimates);
    for (uint32_t i = 0; i < n_; ++i) {
      const Item item = am::Bounded(ids_[i], estimates[i], am::kEpsilon, Stage::kCoarse);
      wanted_[i] = !PageGraph::IsGone(estimates[i]) && item.lower <= s_.aim.within;
      keys_[i] = estimates[i].key;
    }
  }

  void Trim() {
    if (nearest_.size() <= most_) return;
    std::nth_element(nearest_.begin(), nearest_.begin() + most_, nearest_.end(), Nearer);
    farthest_ = nearest_[most_];
    nearest_.resize(most_);
    trimmed_ = true;
  }

  ScanState& s_;
  uint32_t most_;
  VecOf<Candidate, Alloc> nearest_;
  Candidate farthest_{};  // nothing at or beyond it is kept
  bool trimmed_ = false;  // it is known
  uint32_t n_ = 0;
  NodeId ids_[graph::kMaxDegree];
  float keys_[graph::kMaxDegree];
  bool wanted_[graph::kMaxDegree];  // live, and not too far away
};

// What a sweep among those that pass has found, on its way to emission. Locks: none.
void PushCoarse(ScanState& s, const VecOf<Candidate, Alloc>& found) {
  NodeId ids[graph::kMaxDegree];
  quant::Estimate estimates[graph::kMaxDegree];
  for (size_t start = 0; start < found.size(); start += graph::kMaxDegree) {
    CHECK_FOR_INTERRUPTS();
    const uint32_t n =
        static_cast<uint32_t>(std::min<size_t>(graph::kMaxDegree, found.size() - start));
    for (uint32_t i = 0; i < n; ++i) ids[i] = found[start + i].id;
    if (s.x != nullptr) s.graph.Coarse(s.queries, ids, n, estimates);
    for (uint32_t i = 0; i < n; ++i) {
      if (s.x == nullptr) {
        s.emission.Push({0, 0, ids[i], 0, 0, Stage::kRefined});
      } else if (!PageGraph::IsGone(estimates[i])) {
        s.emission.Push(am::Bounded(ids[i], estimates[i], am::kEpsilon, Stage::kCoarse));
      }
    }
  }
}

// Nodes that the first sweep among those that pass keeps: as many as a walk would hold, or some
// more than are wanted.
uint32_t FirstPortion(const ScanState& s) {
  if (iterative_scan == static_cast<int>(am::IterativeScan::kOff)) return FirstRound(s);
  const int64 wanted = am::RowsWanted(s.scan);
  constexpr int64 kLeast = 64, kMost = 4096;
  return static_cast<uint32_t>(std::clamp<int64>(
      std::max<int64>(FirstRound(s), 4 * std::min(wanted, kMost)), kLeast, kMost));
}

}  // namespace

bool SweepPassing(ScanState& s) {
  const size_t limit = std::max<size_t>(MemoryLimit() / sizeof(Item), 1024);
  const bool off = iterative_scan == static_cast<int>(am::IterativeScan::kOff);
  ++s.searches;
  s.ways |= s.by_postings ? am::kWayPostings : am::kWaySweep;
  if (s.portion == 0) s.portion = FirstPortion(s);
  s.portion = static_cast<uint32_t>(std::min<size_t>(s.portion, limit));
  NearestPassing nearest(s, s.portion);
  ForEachPassing(s, [&nearest](NodeId id) { nearest.Add(id); });
  s.partial = nearest.Finish();
  PushCoarse(s, nearest.found());
  s.sweep_again = s.partial && !off;
  s.quota = std::max(s.portion / 2, 1u);
  s.portion = static_cast<uint32_t>(std::min<size_t>(size_t{s.portion} * 8, limit));
  s.graph.ReportHits();
  return !s.emission.empty();
}

}  // namespace ann::hnsw
