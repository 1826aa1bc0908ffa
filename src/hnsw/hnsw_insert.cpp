// INSERT and UPDATE: README section "Insert".
//
//   1. search with ef_construction on codes, as a query does
//   2. an equal vector is there: the row joins its node's chain, nothing else changes
//   3. write the node with its links, unreachable as yet (a crash here leaves a node that only the
//   sweep
//      finds, never a link to nothing)
//   4. link back from each neighbour, one page lock at a time; a full list is pruned on codes
//   5. upper levels the same way; the entry point last
#include "hnsw/hnsw_insert.hpp"

#include <algorithm>
#include <cstring>

#include "core/rng.hpp"
#include "graph/memory_graph.hpp"
#include "graph/select.hpp"
#include "hnsw/hnsw.hpp"
#include "hnsw/hnsw_space.hpp"
#include "hnsw/hnsw_walk.hpp"

#include "pg/alloc.hpp"

namespace ann::hnsw {

using format::PageKind;
using format::SlotState;

namespace {

using Alloc = pg::PgAllocator<std::byte>;

struct Draft {
  uint64_t hash;
  uint8_t level;
  format::Tid tid;
  uint8_t* coded;
  uint8_t* refinement;
  quant::CodeQuery query;
};

class Inserter {
 public:
  Inserter(IndexView& view, MemoryContext context)
      : view_(view),
        graph_(&view),
        alloc_(context),
        beam_(alloc_),
        visited_(alloc_),
        found_(alloc_),
        pool_(alloc_) {
    prepared_bytes_ = RoundUp(view.meta.dims, 64);
    pool_.resize(prepared_bytes_ * (view.max_links() + 2));
  }

  void Insert(const float* x, format::Tid tid) {
    MakeDraft(x, tid);
    const bool first = view_.meta.entry == kNoId && LockEmptyIndex();
    if (!Search()) return;  // joined a chain
    const NodeId id = WriteNode();
    for (uint32_t i = 0; i < base_count_; ++i) LinkBase(base_[i].id, id);
    RecordId down = id;
    for (uint32_t level = 1; level <= draft_.level; ++level) {
      down = InsertUpper(level, id, down);
    }
    // The index was empty, or this node towers above all others.
    if (view_.meta.entry == kNoId || draft_.level > view_.meta.entry_level) {
      RaiseEntry(down, draft_.level);
    }
    if (first) UnlockPage(view_.rel, kMetaBlock, ExclusiveLock);
  }

 private:
  // Of nodes inserted side by side into an empty index only one would become the entry point, and
  // no list would ever name the others: they come one after the other (L0). False: the index is
  // not empty any more, the lock is not held.
  bool LockEmptyIndex() {
    LockPage(view_.rel, kMetaBlock, ExclusiveLock);
    ReloadEntry(&view_);
    if (view_.meta.entry == kNoId) return true;
    UnlockPage(view_.rel, kMetaBlock, ExclusiveLock);
    graph_ = PageGraph(&view_);  // the file has grown
    return false;
  }

  void MakeDraft(const float* x, format::Tid tid) {
    const quant::Codec& codec = view_.codec;
    float* work = static_cast<float*>(palloc(sizeof(float) * view_.meta.dims));
    draft_.coded = static_cast<uint8_t*>(palloc0(codec.coded_bytes()));
    draft_.refinement = static_cast<uint8_t*>(palloc0(codec.refinement_bytes() + 1));
    codec.Transform(x, work);
    codec.Encode(work, draft_.coded, draft_.refinement);
    if (codec.params().metric == quant::Metric::kInnerProduct) {
      codec.SetLift(draft_.coded, view_.meta.max_norm);
    }
    draft_.hash = quant::HashVector(x, view_.meta.dims, view_.meta.seed);
    draft_.tid = tid;
    uint64_t where;
    std::memcpy(&where, &tid, sizeof tid);
    draft_.level = graph::LevelOf(
        Mix64(draft_.hash ^ Mix64(view_.meta.seed + (where & 0xFFFFFFFFFFFF))), view_.meta.m);
    draft_.query = codec.PrepareCode(draft_.coded, Prepared(view_.max_links()));
  }

  uint8_t* Prepared(uint32_t i) { return pool_.data() + i * prepared_bytes_; }

  auto Scorer() {
    return [this](const uint8_t* coded) { return view_.codec.CodeDistance(draft_.query, coded); };
  }

  // Fills base_ with the neighbours to be. False: an equal vector took the row.
  bool Search() {
    base_count_ = 0;
    // A vacuum may have freed the entry point, or a record on the way down, since it was read.
    constexpr int kAttempts = 3;
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
      if (attempt > 0) ReloadEntry(&view_);
      if (view_.meta.entry == kNoId) return true;
      if (!Walk()) return false;
      if (!found_.empty()) break;
    }
    base_count_ =
        Select(std::span<Candidate>(found_.data(), found_.size()), graph::OwnLinks(view_.meta.m, 0),
               [this](NodeId id) { return CopyCode(id); });
    std::copy_n(found_.begin(), base_count_, base_);
    return true;
  }

  // Fills found_ with the live nodes near the vector. False: an equal vector took the row.
  bool Walk() {
    auto scorer = Scorer();
    found_.clear();
    const Candidate start = DescendTo(graph_, 0, scorer);
    if (start.id == kNoId) return true;
    beam_.Reset(std::max<uint32_t>(view_.meta.ef_construction, 8));
    visited_.Reset(view_.meta.ef_construction * 32, graph_.id_limit());
    visited_.Insert(start.id);
    beam_.Insert(start);
    BaseLayer<decltype(scorer)> layer{graph_, scorer};
    graph::Expand(
        layer, beam_, visited_, [](Candidate) {}, AllowInterrupts);
    graph_.ReportHits();
    for (uint32_t i = 0; i < beam_.size(); ++i) {
      const Candidate c = beam_.at(i);
      switch (Examine(c)) {
        case Found::kJoined:
          return false;
        case Found::kLive:
          found_.push_back(c);
          break;
        case Found::kGone:
          break;
      }
    }
    return true;
  }

  enum class Found { kGone, kLive, kJoined };

  // Looks at a candidate under lock: it must be live to be linked to; if it holds the same vector,
  // the row joins it.
  Found Examine(Candidate c) {
    const format::Place at = view_.geometry.NodeAt(c.id);
    pg::PageRef page = graph_.Lock(at.block, PageKind::kNodes);
    Found found = Found::kGone;
    bool equal = false;
    if (page.page != nullptr) {
      const format::NodeSlot* node = view_.Node(page.page, at.index);
      if (node->state == SlotState::kLive) {
        found = Found::kLive;
        equal = IsEqual(node);
      }
    }
    UnlockReleaseBuffer(page.buffer);
    return equal && JoinChain(c.id) ? Found::kJoined : found;
  }

  bool IsEqual(const format::NodeSlot* node) const {
    return node->hash() == draft_.hash &&
           std::memcmp(view_.Coded(node), draft_.coded, view_.codec.coded_bytes()) == 0;
  }

  // Adds the row to the chain of node `id`. False: the node has changed meanwhile.
  bool JoinChain(NodeId id) {
    const format::Place at = view_.geometry.NodeAt(id);
    if (AddToHead(id, at)) return joined_;
    // A chunk is found without a page lock, then both pages are locked in order: L2 node, L4 chain.
    FreeSlot free = FindRecord(view_, PageKind::kChain);
    const BlockNumber chain_block = free.page.block;
    pg::Release(free.page);
    pg::PageRef page = pg::ReadPage(view_.rel, at.block, BUFFER_LOCK_EXCLUSIVE, PageKind::kNodes);
    pg::PageRef chain =
        pg::ReadPage(view_.rel, chain_block, BUFFER_LOCK_EXCLUSIVE, PageKind::kChain);
    uint32_t slot = 0;
    while (slot < view_.meta.chunks_per_page && view_.Chunk(chain.page, slot)->node != kNoId)
      ++slot;
    const format::NodeSlot* node = view_.Node(page.page, at.index);
    const bool possible = node->state == SlotState::kLive && IsEqual(node);
    if (possible && slot < view_.meta.chunks_per_page) {
      pg::PageEdit edit = pg::PageEdit::Begin(view_.rel, view_.meta);
      format::NodeSlot* changed = view_.Node(edit.Edit(page), at.index);
      format::ChainChunk* chunk = view_.Chunk(edit.Edit(chain), slot);
      *chunk = {id, changed->chain, 1, {}, {draft_.tid}};
      changed->chain = view_.ChunkId({chain_block, slot});
      edit.Finish();
    }
    pg::Release(chain);
    pg::Release(page);
    if (!possible) return false;
    // Somebody took the last chunk between the two locks.
    return slot < view_.meta.chunks_per_page || JoinChain(id);
  }

  // Puts the row into the chain's first chunk if that has room. False: a new chunk is needed.
  bool AddToHead(NodeId id, format::Place at) {
    pg::PageRef page = pg::ReadPage(view_.rel, at.block, BUFFER_LOCK_EXCLUSIVE, PageKind::kNodes);
    const format::NodeSlot* node = view_.Node(page.page, at.index);
    joined_ = false;
    bool settled = true;
    if (node->state == SlotState::kLive && IsEqual(node)) {
      settled = false;
      if (node->chain != kNoId) {
        const format::Place chunk_at = view_.ChunkAt(node->chain);
        pg::PageRef chain =
            pg::ReadPage(view_.rel, chunk_at.block, BUFFER_LOCK_EXCLUSIVE, PageKind::kChain);
        const format::ChainChunk* chunk = view_.Chunk(chain.page, chunk_at.index);
        if (chunk->node == id && chunk->count < format::kChunkTids) {
          pg::PageEdit edit = pg::PageEdit::Begin(view_.rel, view_.meta);
          format::ChainChunk* changed = view_.Chunk(edit.Edit(chain), chunk_at.index);
          changed->tids[changed->count++] = draft_.tid;
          edit.Finish();
          joined_ = settled = true;
        }
        pg::Release(chain);
      }
    }
    pg::Release(page);
    return settled;
  }

  // A copy of a node's code, for comparing others with it; null when it is gone.
  const uint8_t* CopyCode(NodeId id) {
    uint8_t* copy = static_cast<uint8_t*>(palloc(view_.codec.coded_bytes()));
    return graph_.ReadCode(id, copy) ? copy : nullptr;
  }
  const uint8_t* CopyUpperCode(RecordId id, uint32_t level) {
    uint8_t* copy = static_cast<uint8_t*>(palloc(view_.codec.coded_bytes()));
    return graph_.ReadUpperCode(id, level, copy) ? copy : nullptr;
  }

  // The heuristic on candidates whose codes `code_of(id)` gives.
  template <class CodeOf>
  uint32_t Select(std::span<Candidate> candidates, uint32_t limit, CodeOf&& code_of) {
    VecOf<std::pair<NodeId, const uint8_t*>, Alloc> codes(alloc_);
    codes.reserve(candidates.size());
    for (const Candidate& c : candidates) codes.push_back({c.id, code_of(c.id)});
    auto find = [&codes](NodeId id) {
      for (const auto& [node, code] : codes) {
        if (node == id) return code;
      }
      return static_cast<const uint8_t*>(nullptr);
    };
    return graph::SelectNeighbours(
        candidates, limit,
        [&](uint32_t t, NodeId id) {
          const uint8_t* code = find(id);
          if (code == nullptr) code = draft_.coded;
          selected_[t] = view_.codec.PrepareCode(code, Prepared(t));
        },
        [&](uint32_t t, NodeId id) {
          const uint8_t* code = find(id);
          return code == nullptr ? 0.0f : view_.codec.CodeDistance(selected_[t], code);
        });
  }

  // Writes slot and refinement in one record. Locks: L2 node page, then its refinement page (L3).
  NodeId WriteNode() {
    NodeId id;
    FreeSlot free = FindNodeSlot(view_, &id);
    pg::PageRef fine{};
    bool blank = false;
    format::Place fine_at{};
    if (view_.codec.refinement_bytes() > 0) {
      fine_at = view_.geometry.RefinementAt(id);
      fine = LockRefinement(view_, fine_at, &blank);
    }
    pg::PageEdit edit = pg::PageEdit::Begin(view_.rel, view_.meta);
    format::NodeSlot* node = view_.Node(edit.Edit(free.page), free.slot);
    node->state = SlotState::kLive;
    node->level = draft_.level;
    ++node->version;
    node->tid = draft_.tid;
    node->chain = kNoId;
    node->set_hash(draft_.hash);
    std::memcpy(view_.Coded(node), draft_.coded, view_.codec.coded_bytes());
    node->neighbour_count = 0;
    for (uint32_t i = 0; i < base_count_; ++i) {
      // This very slot may have been a candidate, if a vacuum has freed it since.
      if (base_[i].id != id) view_.Links(node)[node->neighbour_count++] = base_[i].id;
    }
    if (fine.page != nullptr) {
      char* page = blank ? edit.EditWhole(fine) : edit.Edit(fine);
      if (blank) {
        pg::InitPage(page, PageKind::kRefinement,
                     format::BodyBytes(view_.meta, PageKind::kRefinement));
      }
      std::memcpy(view_.Refinement(page, fine_at.index), draft_.refinement,
                  view_.codec.refinement_bytes());
    }
    edit.Finish();
    if (fine.page != nullptr) pg::Release(fine);
    pg::Release(free.page);
    return id;
  }

  static bool Contains(const uint32_t* links, uint32_t n, uint32_t id) {
    return std::find(links, links + n, id) != links + n;
  }

  // Links `to` (the new node) from `from`. Locks: the node page of `from` (L2).
  void LinkBase(NodeId from, NodeId to) {
    if (from == to) return;  // as in WriteNode
    const format::Place at = view_.geometry.NodeAt(from);
    // What pruning needs is read before the lock is taken; if the list changes meanwhile, again.
    for (int attempt = 0; attempt < 3; ++attempt) {
      if (attempt > 0)
        graph_ = PageGraph(&view_);  // the list may name nodes of a stripe just added
      NodeId links[graph::kMaxDegree];
      const uint32_t n = graph_.Neighbours(from, links);
      uint32_t replaced = n;
      if (n >= view_.max_links()) {
        replaced = VictimOf(from, links, n, to);
        if (replaced == n) return;  // all it has serve it better
      }
      pg::PageRef page = pg::ReadPage(view_.rel, at.block, BUFFER_LOCK_EXCLUSIVE, PageKind::kNodes);
      const format::NodeSlot* node = view_.Node(page.page, at.index);
      if (node->neighbour_count > view_.max_links()) {
        pg::ReportCorrupted(view_.rel, at.block, "a list is too long");
      }
      // A slot used anew may be linked to from its former life.
      const bool gone =
          node->state != SlotState::kLive || Contains(view_.Links(node), node->neighbour_count, to);
      const bool same = node->neighbour_count == n &&
                        std::memcmp(view_.Links(node), links, n * sizeof(NodeId)) == 0;
      const bool room = node->neighbour_count < view_.max_links();
      if (!gone && (same || room)) {
        pg::PageEdit edit = pg::PageEdit::Begin(view_.rel, view_.meta);
        format::NodeSlot* changed = view_.Node(edit.Edit(page), at.index);
        const uint32_t place = room ? changed->neighbour_count : replaced;
        view_.Links(changed)[place] = to;
        if (room) ++changed->neighbour_count;
        edit.Finish();
        ++linked_back_;
      }
      pg::Release(page);
      if (gone || same || room) return;
    }
  }

  // Which of a full list gives way to `to`: the farthest one that the heuristic would not keep. n:
  // none.
  uint32_t VictimOf(NodeId from, const NodeId* links, uint32_t n, NodeId to) {
    const uint8_t* own_code = CopyCode(from);
    if (own_code == nullptr) return n;
    return Victim(
        own_code, links, n, to, [this](NodeId id) { return CopyCode(id); },
        [this, from](NodeId id) { return graph_.LinkedElsewhere(id, from); });
  }

  template <class CodeOf, class Linked>
  uint32_t Victim(const uint8_t* own_code, const uint32_t* links, uint32_t n, uint32_t to,
                  CodeOf&& code_of, Linked&& linked_elsewhere) {
    VecOf<Candidate, Alloc> candidates(alloc_);
    const quant::CodeQuery own = view_.codec.PrepareCode(own_code, Prepared(view_.max_links() + 1));
    for (uint32_t i = 0; i < n; ++i) {
      const uint8_t* code = code_of(links[i]);
      if (code == nullptr) return i;  // a dead link gives way at once
      candidates.push_back({OrderableKey(view_.codec.CodeDistance(own, code)), links[i]});
    }
    candidates.push_back({OrderableKey(view_.codec.CodeDistance(own, draft_.coded)), to});
    std::sort(candidates.begin(), candidates.end(), Nearer);
    const uint32_t kept =
        Select(std::span<Candidate>(candidates.data(), candidates.size()), n,
               [&](uint32_t id) { return id == to ? draft_.coded : code_of(id); });
    graph::KeepReachable(
        std::span<Candidate>(candidates.data(), candidates.size()), kept,
        [&](uint32_t id) { return id == to ? linked_back_ > 0 : linked_elsewhere(id); });
    const uint32_t dropped = [&] {
      for (uint32_t i = 0; i < n; ++i) {
        bool stays = false;
        for (uint32_t k = 0; k < kept && !stays; ++k) stays = candidates[k].id == links[i];
        if (!stays) return i;
      }
      return n;
    }();
    return dropped;
  }

  // One record of the node on an upper level, linked both ways. Returns its id.
  RecordId InsertUpper(uint32_t level, NodeId id, RecordId down) {
    auto scorer = Scorer();
    found_.clear();
    uint32_t count = 0;
    if (view_.meta.entry != kNoId && view_.meta.entry_level >= level) {
      const Candidate start = DescendTo(graph_, level, scorer);
      if (start.id != kNoId) {
        beam_.Reset(view_.meta.ef_construction);
        visited_.Reset(view_.meta.ef_construction * 16);
        visited_.Insert(start.id);
        beam_.Insert(start);
        UpperLayer<decltype(scorer)> layer{graph_, scorer, level};
        graph::Expand(
            layer, beam_, visited_, [](Candidate) {}, AllowInterrupts);
        for (uint32_t i = 0; i < beam_.size(); ++i) {
          if (std::isfinite(beam_.at(i).key)) found_.push_back(beam_.at(i));
        }
        count = Select(std::span<Candidate>(found_.data(), found_.size()), view_.meta.m,
                       [&](RecordId r) { return CopyUpperCode(r, level); });
      }
    }
    FreeSlot free = FindRecord(view_, PageKind::kUpper);
    const RecordId record = view_.UpperId({free.page.block, free.slot});
    pg::PageEdit edit = pg::PageEdit::Begin(view_.rel, view_.meta);
    format::UpperSlot* slot = view_.Upper(edit.Edit(free.page), free.slot);
    slot->state = SlotState::kLive;
    slot->level = static_cast<uint8_t>(level);
    ++slot->version;
    slot->node = id;
    slot->down = down;
    slot->neighbour_count = 0;
    std::memcpy(view_.Coded(slot), draft_.coded, view_.codec.coded_bytes());
    for (uint32_t i = 0; i < count; ++i) {
      // As in WriteNode.
      if (found_[i].id != record) view_.Links(slot)[slot->neighbour_count++] = found_[i].id;
    }
    edit.Finish();
    pg::Release(free.page);
    graph_ = PageGraph(&view_);  // the file may have grown
    linked_back_ = 0;
    for (uint32_t i = 0; i < count; ++i) LinkUpper(found_[i].id, level, record);
    return record;
  }

  void LinkUpper(RecordId from, uint32_t level, RecordId to) {
    if (from == to) return;
    const format::Place at = view_.UpperAt(from);
    RecordId links[graph::kMaxDegree];
    const uint32_t n = graph_.UpperNeighbours(from, level, links);
    uint32_t replaced = n;
    if (n >= view_.meta.m) {
      const uint8_t* own_code = CopyUpperCode(from, level);
      if (own_code == nullptr) return;
      replaced = Victim(
          own_code, links, n, to, [&](RecordId r) { return CopyUpperCode(r, level); },
          [&](RecordId r) { return graph_.UpperLinkedElsewhere(r, level, from); });
      if (replaced == n) return;
    }
    pg::PageRef page = pg::ReadPage(view_.rel, at.block, BUFFER_LOCK_EXCLUSIVE, PageKind::kUpper);
    const format::UpperSlot* record = view_.Upper(page.page, at.index);
    const bool same = record->neighbour_count == n &&
                      std::memcmp(view_.Links(record), links, n * sizeof(RecordId)) == 0;
    const bool room = record->neighbour_count < view_.meta.m;
    if (record->state == SlotState::kLive && record->level == level && (same || room) &&
        !Contains(view_.Links(record), record->neighbour_count, to)) {
      pg::PageEdit edit = pg::PageEdit::Begin(view_.rel, view_.meta);
      format::UpperSlot* changed = view_.Upper(edit.Edit(page), at.index);
      const uint32_t place = room ? changed->neighbour_count : replaced;
      view_.Links(changed)[place] = to;
      if (room) ++changed->neighbour_count;
      edit.Finish();
      ++linked_back_;
    }
    pg::Release(page);
  }

  // Locks: the meta page (L1), alone.
  void RaiseEntry(RecordId entry, uint32_t level) {
    pg::PageRef page = pg::ReadPage(view_.rel, kMetaBlock, BUFFER_LOCK_EXCLUSIVE, PageKind::kMeta);
    const format::Meta* now = MetaOn(page.page);
    if (now->entry == kNoId || level > now->entry_level) {
      pg::PageEdit edit = pg::PageEdit::Begin(view_.rel, view_.meta);
      format::Meta* meta = MetaOn(edit.Edit(page));
      meta->entry = entry;
      meta->entry_level = level;
      edit.Finish();
    }
    // A build goes on with this view.
    view_.meta.entry = now->entry;
    view_.meta.entry_level = now->entry_level;
    pg::Release(page);
  }

  IndexView& view_;
  PageGraph graph_;
  Alloc alloc_;
  Beam<Alloc> beam_;
  VisitedSet<Alloc> visited_;
  VecOf<Candidate, Alloc> found_;
  VecOf<uint8_t, Alloc> pool_;
  size_t prepared_bytes_;
  Draft draft_{};
  Candidate base_[graph::kMaxDegree];
  uint32_t base_count_ = 0;
  uint32_t linked_back_ = 0;  // neighbours that hold the new node, on the level at hand
  bool joined_ = false;
  quant::CodeQuery selected_[graph::kMaxDegree];
};

// L1 codes need a grid before the first row; an index built on no rows takes it from that row.
void SetGrid(IndexView& view, const float* x) {
  double sum = 0;
  for (uint32_t i = 0; i < view.meta.dims; ++i) sum += double(x[i]) * x[i];
  const float step = static_cast<float>(6 * std::sqrt(sum / view.meta.dims) /
                                        (1 << (view.meta.traversal_bits - 1)));
  if (!(step > 0) || !std::isfinite(step)) return;
  pg::PageRef page = pg::ReadPage(view.rel, kMetaBlock, BUFFER_LOCK_EXCLUSIVE, PageKind::kMeta);
  if (MetaOn(page.page)->l1_step == 0) {
    pg::PageEdit edit = pg::PageEdit::Begin(view.rel, view.meta);
    MetaOn(edit.Edit(page))->l1_step = step;
    edit.Finish();
  }
  pg::Release(page);
}

}  // namespace

void InsertRow(IndexView& view, const float* x, format::Tid tid) {
  Inserter inserter(view, CurrentMemoryContext);
  inserter.Insert(x, tid);
}

bool Insert(Relation index, Datum* values, bool* nulls, ItemPointer tid, Relation, IndexUniqueCheck,
            bool, IndexInfo*) {
  if (nulls[0]) return false;
  MemoryContext context =
      AllocSetContextCreate(CurrentMemoryContext, "ann hnsw insert", ALLOCSET_DEFAULT_SIZES);
  MemoryContext old = MemoryContextSwitchTo(context);
  IndexView* view = OpenIndex(index, context);
  const float* x = VectorFloats(values[0], view->meta.dims);
  if (IsIndexable(*view, x)) {
    if (view->codec.params().metric == quant::Metric::kL1 && view->meta.l1_step == 0) {
      SetGrid(*view, x);
      view = OpenIndex(index, context);
    }
    format::Tid row;
    std::memcpy(&row, tid, sizeof row);
    InsertRow(*view, x, row);
  }
  MemoryContextSwitchTo(old);
  MemoryContextDelete(context);
  return false;
}

}  // namespace ann::hnsw
