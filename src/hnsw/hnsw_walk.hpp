// The graph in pages, as src/graph's search sees it (concept Access).
//
// Codes and neighbour lists come from unpinned reads where they can (src/pg/unpinned.hpp). A torn
// list gives an odd link, which is bounded here; a code that may be torn is read again under lock.
#pragma once

#include <algorithm>
#include <cstring>
#include <limits>

#include "graph/search.hpp"
#include "hnsw/hnsw_space.hpp"

#include "pg/guc.hpp"
#include "pg/unpinned.hpp"

namespace ann::hnsw {

class PageGraph {
 public:
  PageGraph() = default;
  explicit PageGraph(IndexView* view)
      : view_(view),
        reader_(view->rel, pg::unpinned_reads),
        blocks_(RelationGetNumberOfBlocks(view->rel)),
        id_limit_(view->geometry.IdLimit(blocks_)) {}

  const IndexView& view() const { return *view_; }
  BlockNumber blocks() const { return blocks_; }
  NodeId id_limit() const { return id_limit_; }
  void ReportHits() { reader_.ReportHits(); }
  int64 peeked() const { return reader_.peeked(); }

  // A page read for sure: pinned, share-locked, checked. Null `page`: blank, as a
  // crash leaves it.
  pg::PageRef Lock(BlockNumber block, format::PageKind kind);

  // --- level 0 ----------------------------------------------------------------------------------

  // Ids of nodes added since this view was made are left out.
  // Errors: ERRCODE_INDEX_CORRUPTED for one that lies outside of the file.
  uint32_t Neighbours(NodeId id, NodeId* out) {
    const format::Place at = view_->geometry.NodeAt(id);
    uint32_t listed = 0;
    const uint32_t kept = ReadSlot(at, format::PageKind::kNodes, [&](const char* page) {
      const format::NodeSlot* node = view_->Node(page, at.index);
      listed = node->neighbour_count;
      if (node->state == format::SlotState::kFree || listed > view_->max_links()) listed = 0;
      return CopyBelow(view_->Links(node), listed, id_limit_, out);
    });
    if (kept < listed) CheckLinks(at);
    return kept;
  }

  // `use(area, index)` on the attributes of the nodes of a column page and this node's place among
  // them. There are attributes.
  template <class Use>
  bool ReadColumn(NodeId id, Use&& use) {
    const format::Place at = view_->geometry.ColumnAt(id);
    return ReadSlot(at, format::PageKind::kColumn,
                    [&](const char* page) { return use(view_->Column(page), at.index); });
  }

  // Where the attributes probably lie that are at `block`, for prefetching only; null: not known.
  const char* GuessColumn(BlockNumber block) const {
    const char* page = block < blocks_ ? reader_.Guess(block) : nullptr;
    return page == nullptr ? nullptr : view_->Column(page);
  }
  // `use(area)` on the attributes that lie at `block`; false: it is no column page.
  template <class Use>
  bool ReadColumnPage(BlockNumber block, Use&& use) {
    const auto read = [&](const char* page) {
      if (pg::KindOf(page) != format::PageKind::kColumn) return false;
      use(view_->Column(page));
      return true;
    };
    const pg::UnpinnedReader::Peeked peeked = reader_.Peek(block);
    if (peeked.page != nullptr) {
      const bool found = read(peeked.page);
      if (reader_.StillThere(peeked, block)) return found;
    }
    const Buffer buffer = reader_.Pin(block);
    // L7, alone.
    LockBuffer(buffer, BUFFER_LOCK_SHARE);
    const char* page = BufferGetPage(buffer);
    const bool found = !pg::IsBlank(page) && read(page);
    // The first page of a stripe that has no columns is of one of these kinds.
    if (!found && !pg::IsBlank(page) && !IsAuxiliaryKind(pg::KindOf(page))) {
      pg::ReportCorrupted(view_->rel, block, "a page of attributes was expected");
    }
    UnlockReleaseBuffer(buffer);
    return found;
  }

  // A copy of the node's factors and code, as the view's epoch has them. False: it is gone.
  bool ReadCode(NodeId id, uint8_t* coded) {
    return CopyCode<format::NodeSlot>(view_->geometry.NodeAt(id), coded,
                                      [](const format::NodeSlot*) { return true; });
  }

  // `use(node)` on a slot, which may be torn.
  template <class Use>
  auto UseNode(NodeId id, Use&& use) {
    const format::Place at = view_->geometry.NodeAt(id);
    return ReadSlot(at, format::PageKind::kNodes,
                    [&](const char* page) { return use(view_->Node(page, at.index)); });
  }

  bool IsLive(NodeId id) {
    return UseNode(
        id, [](const format::NodeSlot* node) { return node->state == format::SlotState::kLive; });
  }

  template <class Scorer>
  void Score(const NodeId* ids, uint32_t n, float* keys, Scorer&& score) {
    Score(ids, n, keys, score, [](NodeId, const format::NodeSlot*) {});
  }
  // `see(id, node)` is shown each slot in use; it may be torn.
  template <class Scorer, class See>
  void Score(const NodeId* ids, uint32_t n, float* keys, Scorer&& score, See&& see) {
    ReadAhead(ids, n, [&](uint32_t i, const format::NodeSlot* node, Frame frame) {
      if (node->state == format::SlotState::kFree) {
        keys[i] = std::numeric_limits<float>::infinity();
        return;
      }
      see(ids[i], node);
      keys[i] = score(frame, view_->Coded(node));
    });
  }

  // Keys of those that are live, and which these are.
  template <class Scorer>
  void ScoreLive(const NodeId* ids, uint32_t n, float* keys, bool* live, Scorer&& score) {
    ReadAhead(ids, n, [&](uint32_t i, const format::NodeSlot* node, Frame frame) {
      live[i] = node->state == format::SlotState::kLive;
      if (live[i]) keys[i] = score(frame, view_->Coded(node));
    });
  }

  // `use(i, node, frame)` on the slots of n nodes, at most kMaxDegree, each of which may be free.
  // It may be called again for one: what counts is the last call.
  template <class Use>
  void ReadAhead(const NodeId* ids, uint32_t n, Use&& use) {
    // More would do no harm: a miss is 100 ns long, the work on a slot 10 ns.
    constexpr uint32_t kAhead = 20;
    format::Place places[graph::kMaxDegree];
    for (uint32_t i = 0; i < n + kAhead; ++i) {
      if (i < n) {
        places[i] = view_->geometry.NodeAt(ids[i]);
        Prefetch(places[i].block, view_->NodeOffset(places[i].index), ScoredBytes());
      }
      if (i < kAhead) continue;
      ReadCoded<format::NodeSlot>(places[i - kAhead],
                                  [&](const format::NodeSlot* node, Frame frame) {
                                    use(i - kAhead, node, frame);
                                    return true;
                                  });
    }
  }

  // Estimates from the traversal codes of live nodes; IsGone of the others.
  void Coarse(const quant::SearchQuery* queries, const NodeId* ids, uint32_t n,
              quant::Estimate* out) {
    ReadAhead(ids, n, [&](uint32_t i, const format::NodeSlot* node, Frame frame) {
      out[i] =
          node->state != format::SlotState::kLive
              ? kGone
              : view_->CodecOf(frame).Coarse(queries[static_cast<int>(frame)], view_->Coded(node));
    });
  }
  // Not the estimate of any node: where a key leaves float's range its error does, too.
  static bool IsGone(const quant::Estimate& e) { return e.key == kGone.key && e.sigma == 0; }

  // Estimates from both codes of n nodes; key +infinity for one that is gone. `queries`: by frame.
  void Refine(const quant::SearchQuery* queries, const NodeId* ids, uint32_t n,
              quant::Estimate* out);

  // --- upper levels -----------------------------------------------------------------------------

  uint32_t UpperNeighbours(RecordId id, uint32_t level, RecordId* out) {
    const format::Place at = view_->UpperAt(id);
    if (at.block >= blocks_) return 0;
    return ReadSlot(at, format::PageKind::kUpper, [&](const char* page) {
      const format::UpperSlot* record = view_->Upper(page, at.index);
      const uint32_t n = record->neighbour_count;
      if (record->state == format::SlotState::kFree || record->level() != level ||
          n > view_->meta.m) {
        return 0u;
      }
      return CopyBelow(view_->Links(record), n, kNoId, out);
    });
  }

  bool ReadUpperCode(RecordId id, uint32_t level, uint8_t* coded) {
    const format::Place at = view_->UpperAt(id);
    return at.block < blocks_ &&
           CopyCode<format::UpperSlot>(at, coded, [level](const format::UpperSlot* record) {
             return record->level() == level;
           });
  }

  template <class Scorer>
  float ScoreUpper(RecordId id, uint32_t level, Scorer&& score) {
    const format::Place at = view_->UpperAt(id);
    if (at.block >= blocks_) return std::numeric_limits<float>::infinity();
    return ReadCoded<format::UpperSlot>(at, [&](const format::UpperSlot* record, Frame frame) {
      if (record->state == format::SlotState::kFree || record->level() != level) {
        return std::numeric_limits<float>::infinity();
      }
      return score(frame, view_->Coded(record));
    });
  }

  // The same node one level down; kNoId when the record is gone.
  RecordId Down(RecordId id, uint32_t level) {
    const format::Place at = view_->UpperAt(id);
    if (at.block >= blocks_) return kNoId;
    return ReadSlot(at, format::PageKind::kUpper, [&](const char* page) {
      const format::UpperSlot* record = view_->Upper(page, at.index);
      if (record->state == format::SlotState::kFree || record->level() != level) return kNoId;
      if (level == 1 && record->down >= id_limit_) return kNoId;
      return record->down;
    });
  }

 private:
  static constexpr quant::Estimate kGone{std::numeric_limits<float>::infinity(), 0};

  // Raises the error when the node's list names a node outside of the file, as it now is. What was
  // read without a pin may be torn.
  void CheckLinks(format::Place at);

  static uint32_t CopyBelow(const uint32_t* ids, uint32_t n, uint32_t limit, uint32_t* out) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < n; ++i) {
      if (ids[i] < limit) out[kept++] = ids[i];
    }
    return kept;
  }

  uint32_t ScoredBytes() const { return sizeof(format::NodeSlot) + view_->codec.coded_bytes(); }

  // By cache line: a slot starts anywhere, so 100 bytes touch three lines as often as two. Inlined
  // by force: GCC takes a function that only prefetches for one without effect and drops its calls.
  [[gnu::always_inline]] void Prefetch(BlockNumber block, uint32_t offset, uint32_t bytes) const {
    constexpr uint32_t kLine = 64;
    const char* page = reader_.Guess(block);
    if (page == nullptr) return;
    for (uint32_t at = offset / kLine * kLine; at < offset + bytes; at += kLine) {
      __builtin_prefetch(page + at);
    }
  }

  // `use(page)` on the unpinned page if it stays, else on the pinned one.
  template <class Use>
  auto ReadSlot(format::Place at, format::PageKind kind, Use&& use) -> decltype(use(nullptr)) {
    const pg::UnpinnedReader::Peeked peeked = reader_.Peek(at.block);
    if (peeked.page != nullptr) {
      auto result = use(peeked.page);
      if (reader_.StillThere(peeked, at.block)) return result;
    }
    return UsePinned(at.block, kind, use);
  }

  template <class Use>
  auto UsePinned(BlockNumber block, format::PageKind kind, Use&& use) -> decltype(use(nullptr)) {
    const pg::PageRef page = Lock(block, kind);
    static const char kBlankPage[format::kPageSize] = {};
    auto result = use(page.page == nullptr ? kBlankPage : page.page);
    UnlockReleaseBuffer(page.buffer);
    return result;
  }

  // A slot's first word: state, level and epoch, version. It changes whenever the code does.
  static uint32_t Head(const char* page, uint32_t offset) {
    return *reinterpret_cast<const volatile uint32_t*>(page + offset);
  }

  // The same for `use(page)` that reads the code of the slot at `offset`, and of a node the
  // refinement: whole, never torn (README, "A wrong read spoils an estimate").
  template <class Use>
  auto ReadWhole(format::Place at, format::PageKind kind, uint32_t offset, Use&& use)
      -> decltype(use(nullptr)) {
    const pg::UnpinnedReader::Peeked peeked = reader_.Peek(at.block);
    if (peeked.page != nullptr) {
      const uint32_t head = Head(peeked.page, offset);
      if (reader_.StandsStill(peeked, at.block)) {
        auto result = use(peeked.page);
        if (reader_.StandsStill(peeked, at.block) && Head(peeked.page, offset) == head) {
          return result;
        }
      }
    }
    return UsePinned(at.block, kind, use);
  }

  // `use(slot, frame)` on a slot that may be free.
  template <class Slot, class Use>
  auto ReadCoded(format::Place at, Use&& use)
      -> decltype(use(static_cast<const Slot*>(nullptr), Frame::kCurrent)) {
    constexpr bool kNode = std::is_same_v<Slot, format::NodeSlot>;
    const format::PageKind kind = kNode ? format::PageKind::kNodes : format::PageKind::kUpper;
    const uint32_t offset = kNode ? view_->NodeOffset(at.index) : view_->UpperOffset(at.index);
    bool known = true;
    const auto read = [&](const char* page) {
      const Slot* slot = reinterpret_cast<const Slot*>(page + offset);
      const Frame frame =
          slot->state == format::SlotState::kFree ? Frame::kCurrent : view_->FrameOf(slot->code);
      known = frame != Frame::kUnknown;
      return known ? use(slot, frame) : decltype(use(slot, frame)){};
    };
    auto result = ReadWhole(at, kind, offset, read);
    // An unpinned read may have been of another page after all: only one under lock is believed.
    while (!known) {
      result = UsePinned(at.block, kind, read);
      if (!known) ReloadFrames(view_);
    }
    return result;
  }

  // `wanted(slot)`: whether it is the slot that was meant.
  template <class Slot, class Wanted>
  bool CopyCode(format::Place at, uint8_t* coded, Wanted&& wanted) {
    return ReadCoded<Slot>(at, [&](const Slot* slot, Frame frame) {
      std::memcpy(coded, view_->InCurrentFrame(frame, view_->Coded(slot)),
                  view_->codec.coded_bytes());
      return slot->state != format::SlotState::kFree && wanted(slot);
    });
  }

  IndexView* view_ = nullptr;
  pg::UnpinnedReader reader_;
  BlockNumber blocks_ = 0;
  NodeId id_limit_ = 0;
};

// Level 0 with a way of scoring: `score(frame, coded) -> key`.
template <class Scorer>
struct BaseLayer {
  PageGraph& graph;
  Scorer score;
  uint32_t Neighbours(NodeId id, NodeId* out) { return graph.Neighbours(id, out); }
  void Score(const NodeId* ids, uint32_t n, float* keys) { graph.Score(ids, n, keys, score); }
};

template <class Scorer>
struct UpperLayer {
  PageGraph& graph;
  Scorer score;
  uint32_t level;
  uint32_t Neighbours(RecordId id, RecordId* out) { return graph.UpperNeighbours(id, level, out); }
  void Score(const RecordId* ids, uint32_t n, float* keys) {
    for (uint32_t i = 0; i < n; ++i) keys[i] = graph.ScoreUpper(ids[i], level, score);
  }
};

inline void AllowInterrupts(NodeId) { CHECK_FOR_INTERRUPTS(); }

// The node of the entry point; kNoId: there is none, or the way down to it is gone.
inline NodeId EntryNode(PageGraph& graph) {
  NodeId at = graph.view().meta.entry;
  for (uint32_t level = graph.view().meta.entry_level; level > 0 && at != kNoId; --level) {
    at = graph.Down(at, level);
  }
  return at < graph.id_limit() ? at : kNoId;
}

// From the entry point down to `level` (0: a node): the nearest found there, by greedy descent. id
// kNoId: the index is empty or its upper levels are being repaired; then any live node is a start.
template <class Scorer>
Candidate DescendTo(PageGraph& graph, uint32_t level, Scorer&& score) {
  const format::Meta& meta = graph.view().meta;
  if (meta.entry == kNoId) return {0, kNoId};
  Candidate at{0, meta.entry};
  for (uint32_t l = meta.entry_level; l > level; --l) {
    UpperLayer<Scorer&> layer{graph, score, l};
    if (l == meta.entry_level) layer.Score(&at.id, 1, &at.key);
    at = graph::Descend(layer, at, AllowInterrupts);
    const RecordId down = graph.Down(at.id, l);
    if (down == kNoId) return {0, kNoId};
    at.id = down;
  }
  if (meta.entry_level <= level) {
    if (level == 0) {
      if (at.id >= graph.id_limit()) return {0, kNoId};
      graph.Score(&at.id, 1, &at.key, score);
    } else {
      at.key = graph.ScoreUpper(at.id, meta.entry_level, score);
    }
  }
  at.key = OrderableKey(at.key);
  return at;
}

}  // namespace ann::hnsw
