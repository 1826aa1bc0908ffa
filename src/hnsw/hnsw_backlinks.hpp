// Linking a new node from its neighbours: README section "Insert", 4.
#pragma once

#include <algorithm>
#include <limits>
#include <numeric>
#include <span>

#include "core/beam.hpp"
#include "hnsw/hnsw_walk.hpp"

#include "pg/alloc.hpp"

namespace ann::hnsw {

// The lists of one level, as linking sees them: level 0 in node slots, the others in records.
struct BaseLists {
  static constexpr format::PageKind kKind = format::PageKind::kNodes;
  PageGraph& graph;

  uint32_t limit() const { return graph.view().max_links(); }
  format::Place At(NodeId id) const { return graph.view().geometry.NodeAt(id); }
  uint32_t Neighbours(NodeId id, NodeId* out) { return graph.Neighbours(id, out); }
  bool ReadCode(NodeId id, uint8_t* coded) { return graph.ReadCode(id, coded); }
  template <class Scorer>
  void Score(const NodeId* ids, uint32_t n, float* keys, Scorer&& score) {
    graph.Score(ids, n, keys, score);
  }
  format::NodeSlot* On(char* page, uint32_t slot) const { return graph.view().Node(page, slot); }
  bool Holds(const format::NodeSlot* node) const { return node->state == format::SlotState::kLive; }
};

struct UpperLists {
  static constexpr format::PageKind kKind = format::PageKind::kUpper;
  PageGraph& graph;
  uint32_t level;

  uint32_t limit() const { return graph.view().meta.m; }
  format::Place At(RecordId id) const { return graph.view().UpperAt(id); }
  uint32_t Neighbours(RecordId id, RecordId* out) { return graph.UpperNeighbours(id, level, out); }
  bool ReadCode(RecordId id, uint8_t* coded) { return graph.ReadUpperCode(id, level, coded); }
  template <class Scorer>
  void Score(const RecordId* ids, uint32_t n, float* keys, Scorer&& score) {
    for (uint32_t i = 0; i < n; ++i) keys[i] = graph.ScoreUpper(ids[i], level, score);
  }
  format::UpperSlot* On(char* page, uint32_t slot) const { return graph.view().Upper(page, slot); }
  bool Holds(const format::UpperSlot* record) const {
    return record->state == format::SlotState::kLive && record->level() == level;
  }
};

// Of a new node's neighbours, how many link back at most, and how many at least, if there are lists
// with room.
inline uint32_t MostBackLinks(uint32_t m) { return m; }
inline uint32_t EnoughBackLinks(uint32_t m) { return (m + 3) / 4; }

// Queries under inner product lie apart from all rows: what the distances between rows say of who
// gains by a link is no guide to their ways. So more link back there, and the new node's own list
// is left with room for those to come (README, "Insert").
inline bool IsApart(const format::Meta& meta) {
  return format::MetricByte(meta) == static_cast<uint8_t>(quant::Metric::kInnerProduct);
}
// Elsewhere an eighth of the list stays free: later rows then join lists with room and need not
// work out who gives way.
inline uint32_t OwnBaseLinks(const format::Meta& meta) {
  return IsApart(meta) ? graph::OwnLinks(meta.m, 0) : 2u * meta.m - meta.m / 4;
}

// A back link to be written: from a list with room, or in place of `victim`.
struct BackLink {
  Candidate from;
  format::Place at;
  uint32_t victim;  // kNoId: there is room
};

class BackLinker {
 public:
  BackLinker(IndexView* view, PageGraph* graph, MemoryContext context)
      : view_(*view),
        graph_(*graph),
        planned_(Alloc(context)),
        with_room_(Alloc(context)),
        changed_(Alloc(context)),
        own_code_(pg::AllocZero<uint8_t>(context, view->codec.coded_bytes())),
        prepared_(pg::AllocZero<uint8_t>(context,
                                         quant::Codec::PreparedCodeBytes(view->codec.params()))) {}

  // Links `to` from some of its neighbours `chosen`, the nearest first. `scorer(frame, coded)`: the
  // distance from it. Each link dirties a page and is most of what an insert costs, so they are few
  // (README, "Insert"): from those that gain by it; if these are too few, from some with room; if
  // there is none, from the nearest of `found` that can.
  template <class Lists, class Scorer>
  void Link(Lists lists, std::span<const Candidate> chosen, std::span<const Candidate> found,
            uint32_t to, Scorer scorer) {
    planned_.clear(), with_room_.clear();
    for (uint32_t i = 0; i < chosen.size() && planned_.size() < MostBackLinks(view_.meta.m); ++i) {
      Plan(lists, chosen[i], to, scorer, false);
    }
    for (const BackLink& back : with_room_) {
      if (planned_.size() < EnoughBackLinks(view_.meta.m)) planned_.push_back(back);
    }
    uint32_t held = Write(lists, to, scorer);
    // A node that no list holds is lost to every walk.
    for (uint32_t i = 0; i < found.size() && held == 0; ++i) {
      planned_.clear();
      Plan(lists, found[i], to, scorer, true);
      held = Write(lists, to, scorer);
    }
  }

 private:
  // Adds what is to be done at `from` to planned_ or, if it has no need of the link but room for
  // it, to with_room_. `forced`: whatever it loses.
  //
  // Under inner product it always has. Else it has no need if it leads to a neighbour that is
  // nearer to the new node than it is itself, the heuristic of Choose seen from the new node. A
  // slot in use whose neighbours are out of bounds is taken for one with room; WritePage sees.
  template <class Lists, class Scorer>
  void Plan(Lists& lists, Candidate from, uint32_t to, Scorer& scorer, bool forced) {
    CHECK_FOR_INTERRUPTS();
    if (from.id == to) return;  // as in WriteNode
    uint32_t links[graph::kMaxDegree];
    const uint32_t n = lists.Neighbours(from.id, links);
    const bool room = n < lists.limit();
    BackLink back{from, lists.At(from.id), kNoId};
    float to_new[graph::kMaxDegree], to_own[graph::kMaxDegree];
    lists.Score(links, n, to_new, scorer);
    for (uint32_t i = 0; i < n && !room; ++i) {
      if (to_new[i] == std::numeric_limits<float>::infinity())
        back.victim = links[i];  // it is gone
    }
    const bool wanted = forced || IsApart(view_.meta);
    if (back.victim == kNoId && !wanted) {
      if (!ScoreFrom(lists, from.id, links, n, to_own)) return;
      for (uint32_t i = 0; i < n; ++i) {
        if (!(to_new[i] < from.key && to_own[i] < from.key)) continue;
        if (room) with_room_.push_back(back);
        return;
      }
    }
    if (back.victim == kNoId && !room) {
      if (wanted && !ScoreFrom(lists, from.id, links, n, to_own)) return;
      back.victim = Victim(lists, from, links, n, to_new, to_own, forced);
      if (back.victim == kNoId) return;
    }
    planned_.push_back(back);
  }

  // Which of the full list of `from` gives way to the new node; kNoId: none. The farthest neighbour
  // goes that another, or the new node, is nearer to than `from` is; if there is none, the
  // farthest.
  template <class Lists>
  uint32_t Victim(Lists& lists, Candidate from, const uint32_t* links, uint32_t n,
                  const float* to_new, const float* to_own, bool forced) {
    float between[graph::kMaxDegree];
    uint32_t order[graph::kMaxDegree];
    std::iota(order, order + n, 0);
    std::sort(order, order + n, [&](uint32_t a, uint32_t b) { return to_own[a] > to_own[b]; });
    for (uint32_t k = 0; k < n; ++k) {
      const uint32_t i = order[k];
      bool occluded = from.key < to_own[i] && to_new[i] < to_own[i];
      if (!occluded && ScoreFrom(lists, links[i], links, n, between)) {
        for (uint32_t o = k + 1; o < n && !occluded; ++o) occluded = between[order[o]] < to_own[i];
      }
      if (occluded && IsSpare(lists, links[i], from.id, to_own[i])) return links[i];
    }
    for (uint32_t k = 0; k < n; ++k) {
      const uint32_t i = order[k];
      if (!forced && !(from.key < to_own[i])) break;
      if (IsSpare(lists, links[i], from.id, to_own[i])) return links[i];
    }
    return kNoId;
  }

  // Whether `id`, `key` away from `from`, may leave the list of `from`: a node nearer to it holds
  // it. So the nearest that holds it never lets it go, and a search that comes near finds the way,
  // also to a node far from all others. Two lists that drop it for the same new node would each
  // count on the other.
  template <class Lists>
  bool IsSpare(Lists& lists, uint32_t id, uint32_t from, float key) {
    for (const BackLink& planned : planned_) {
      if (planned.victim == id) return false;
    }
    uint32_t links[graph::kMaxDegree], back[graph::kMaxDegree];
    float keys[graph::kMaxDegree];
    const uint32_t n = lists.Neighbours(id, links);
    if (!ScoreFrom(lists, id, links, n, keys)) return true;
    for (uint32_t i = 0; i < n; ++i) {
      if (links[i] == from || !(keys[i] < key || (keys[i] == key && links[i] < from))) continue;
      const uint32_t held = lists.Neighbours(links[i], back);
      if (std::find(back, back + held, id) != back + held) return true;
    }
    return false;
  }

  // Distances of `ids` from the node or record `id`. False: it is gone.
  template <class Lists>
  bool ScoreFrom(Lists& lists, uint32_t id, const uint32_t* ids, uint32_t n, float* keys) {
    if (!lists.ReadCode(id, own_code_)) return false;
    const quant::CodeQuery query = view_.codec.PrepareCode(own_code_, prepared_);
    lists.Score(ids, n, keys, [&](Frame frame, const uint8_t* coded) {
      return OrderableKey(view_.codec.CodeDistance(query, view_.InCurrentFrame(frame, coded)));
    });
    return true;
  }

  // Writes planned_, those of one page in one record. One that finds its list changed is planned
  // again. Returns how many lists hold the new node.
  template <class Lists, class Scorer>
  uint32_t Write(Lists& lists, uint32_t to, Scorer& scorer) {
    uint32_t held = 0;
    constexpr int kAttempts = 3;
    for (int attempt = 0; attempt < kAttempts && !planned_.empty(); ++attempt) {
      changed_.clear();
      changed_.reserve(planned_.size());  // nothing is allocated under a page lock
      std::sort(planned_.begin(), planned_.end(),
                [](const BackLink& a, const BackLink& b) { return a.at.block < b.at.block; });
      pg::StopPoint("insert.planned");
      for (size_t i = 0; i < planned_.size();) {
        size_t end = i + 1;
        while (end < planned_.size() && planned_[end].at.block == planned_[i].at.block) {
          ++end;
        }
        held += WritePage(lists, std::span<const BackLink>(&planned_[i], end - i), to);
        i = end;
      }
      planned_.clear();
      if (changed_.empty()) break;
      graph_.ReportHits();
      graph_ = PageGraph(&view_);  // lists may name nodes of a stripe just added
      for (const Candidate& from : changed_) Plan(lists, from, to, scorer, false);
    }
    return held;
  }

  // Locks: the page of the lists (L2 or L6), alone.
  template <class Lists>
  uint32_t WritePage(Lists& lists, std::span<const BackLink> links, uint32_t to) {
    pg::PageRef page =
        pg::ReadPage(view_.rel, links[0].at.block, BUFFER_LOCK_EXCLUSIVE, Lists::kKind);
    pg::PageEdit edit = pg::PageEdit::Begin(view_.rel, view_.meta);
    char* image = nullptr;
    uint32_t held = 0;
    for (const BackLink& back : links) {
      const auto* slot = lists.On(page.page, back.at.index);
      const uint32_t n = slot->neighbour_count;
      if (n > lists.limit()) pg::ReportCorrupted(view_.rel, page.block, "a list is too long");
      // A slot used anew is linked to no more.
      if (!lists.Holds(slot)) continue;
      const uint32_t* ids = view_.Links(slot);
      // A slot used anew may be linked to from its former life.
      if (std::find(ids, ids + n, to) != ids + n) {
        ++held;
        continue;
      }
      const uint32_t place =
          n < lists.limit() ? n : static_cast<uint32_t>(std::find(ids, ids + n, back.victim) - ids);
      if (place == lists.limit()) {
        changed_.push_back(back.from);
        continue;
      }
      if (image == nullptr) image = edit.Edit(page);
      auto* changed = lists.On(image, back.at.index);
      view_.Links(changed)[place] = to;
      if (place == n) ++changed->neighbour_count;
      ++held;
    }
    if (image != nullptr) {
      edit.Finish();
    } else {
      edit.Abort();
    }
    pg::Release(page);
    return held;
  }

  using Alloc = pg::PgAllocator<std::byte>;

  IndexView& view_;
  PageGraph& graph_;
  VecOf<BackLink, Alloc> planned_;
  VecOf<BackLink, Alloc> with_room_;
  VecOf<Candidate, Alloc> changed_;  // lists that changed between plan and lock
  uint8_t* own_code_;
  uint8_t* prepared_;
};

}  // namespace ann::hnsw
