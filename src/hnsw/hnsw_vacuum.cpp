// VACUUM: README section "Vacuum".
//
//   1. every TID of every node is shown to the callback; dead ones leave their chains, and a node
//      that has lost its last row becomes dead: still on the way of searches, never returned
//   2. lists that hold dead nodes or records are chosen anew around them (hnsw_repair.cpp); a dead
//      entry point is replaced
//   3. postings of what died go (hnsw_posting_vacuum.cpp)
//   4. records of dead nodes, then the nodes' slots, become free
//
// It may be cancelled between any two pages: what is left is a valid index, and the next vacuum
// goes on from there. Only vacuum takes TIDs out and frees anything, and there is one vacuum at a
// time, so what it has read of a chain without a lock can only have grown at its head.
#include <algorithm>
#include <cstring>

#include "hnsw/hnsw.hpp"
#include "hnsw/hnsw_insert.hpp"
#include "hnsw/hnsw_posting_vacuum.hpp"
#include "hnsw/hnsw_postings.hpp"
#include "hnsw/hnsw_recentre.hpp"
#include "hnsw/hnsw_reconnect.hpp"
#include "hnsw/hnsw_repair.hpp"
#include "hnsw/hnsw_space.hpp"

namespace ann::hnsw {

using format::ChainChunk;
using format::PageKind;
using format::SlotState;

namespace {

using Alloc = pg::PgAllocator<std::byte>;

class Vacuum {
 public:
  Vacuum(IndexView& view, IndexVacuumInfo* info, IndexBulkDeleteResult* stats,
         IndexBulkDeleteCallback callback, void* callback_state, MemoryContext context)
      : view_(view),
        info_(info),
        stats_(stats),
        callback_(callback),
        callback_state_(callback_state),
        context_(context),
        tour_(view, info->strategy, context),
        dead_(Alloc(context)),
        dead_records_(Alloc(context)),
        loners_(Alloc(context)),
        heads_(Alloc(context)) {
    dead_.Reset(1024);
    dead_records_.Reset(256);
    // L5. Whoever adds pages holds this lock until they are all there: below this block, a blank
    // page is what a crash left.
    LockRelationForExtension(view.rel, ExclusiveLock);
    settled_blocks_ = RelationGetNumberOfBlocks(view.rel);
    UnlockRelationForExtension(view.rel, ExclusiveLock);
  }

  void Run() {
    const double removed_before = stats_->tuples_removed;
    tour_.ForNodePages([this](BlockNumber block) { VisitNodePage(block); });
    tour_.ForAuxiliaryPages([this](BlockNumber block) { FindDeadRecords(block); });
    pg::StopPoint("vacuum.marked");
    if (dead_.count() + dead_records_.count() > 0) {
      RepairLists(view_, tour_, dead_, dead_records_, context_);
    }
    ReplaceEntry();
    if (dead_.count() > 0) LinkLost();
    pg::StopPoint("vacuum.repaired");
    if (dead_.count() > 0 || stats_->tuples_removed > removed_before) {
      CleanPostings(view_, tour_, dead_, context_);
    }
    pg::StopPoint("vacuum.postings");
    tour_.ForAuxiliaryPages([this](BlockNumber block) { FreeRecords(block); });
    if (dead_.count() > 0) tour_.ForNodePages([this](BlockNumber block) { FreeNodes(block); });
    WriteMeta();
    stats_->num_index_tuples = static_cast<double>(rows_);
    // Pages whose slots are all free; they can be used at once.
    stats_->pages_deleted = stats_->pages_free = free_pages_;
    stats_->pages_newly_deleted += emptied_pages_;
  }

 private:
  // --- pass 1
  // -------------------------------------------------------------------------------------

  struct Head {
    uint32_t slot;
    bool dies;
  };

  void VisitNodePage(BlockNumber block) {
    if (info_->report_progress) {
      pgstat_progress_update_param(PROGRESS_SCAN_BLOCKS_TOTAL, settled_blocks_);
      pgstat_progress_update_param(PROGRESS_SCAN_BLOCKS_DONE, block);
    }
    const PageKind kind = tour_.CopyPage(block);
    if (pg::IsBlank(tour_.image())) {
      InitBlank(block);
      return;
    }
    if (kind != PageKind::kNodes) return;
    const NodeId first = tour_.FirstId(block);
    heads_.clear();
    uint32_t free = 0, dead = 0;
    for (uint32_t slot = 0; slot < view_.meta.slots_per_page; ++slot) {
      const format::NodeSlot node = *view_.Node(tour_.image(), slot);
      switch (node.state) {
        case SlotState::kFree:
          ++free;
          break;
        case SlotState::kDead:
          // An earlier vacuum was interrupted.
          ++dead;
          dead_.Insert(first + slot);
          break;
        case SlotState::kLive:
          VisitChain(first + slot, node.chain);
          heads_.push_back({slot, IsDead(node.tid)});
          ++nodes_;
          break;
        default:
          pg::ReportCorrupted(view_.rel, block, "unknown state of a node");
      }
    }
    pg::StopPoint("vacuum.read");
    const uint32_t died = TakeHeads(block);
    ClearMarks(block);
    dead += died, nodes_ -= died;
    if (free + dead == view_.meta.slots_per_page) {
      ++free_pages_;
      emptied_pages_ += dead > 0;
    }
    if (free > 0 && HasRefinement(first)) RecordRoom(view_, block);
  }

  bool IsDead(const format::Tid& tid) {
    ItemPointerData item;
    std::memcpy(&item, &tid, sizeof item);
    if (callback_(&item, callback_state_)) {
      ++stats_->tuples_removed;
      return true;
    }
    ++rows_;
    return false;
  }

  // Locks: the node page (L2), alone.
  void InitBlank(BlockNumber block) {
    if (block >= settled_blocks_) return;
    const pg::PageRef page = pg::ReadAnyPage(view_.rel, block, BUFFER_LOCK_EXCLUSIVE);
    if (pg::IsBlank(page.page)) {
      pg::PageEdit edit = pg::PageEdit::Begin(view_.rel, view_.meta);
      InitPageOf(view_, edit.EditWhole(page), PageKind::kNodes);
      edit.Finish();
    }
    pg::Release(page);
    ++free_pages_;
    if (HasRefinement(tour_.FirstId(block))) RecordRoom(view_, block);
  }

  // Whether a node page may be given out: the refinement pages of all its slots exist.
  bool HasRefinement(NodeId first) const {
    if (view_.meta.refinements_per_page == 0) return true;
    return view_.geometry.RefinementAt(first + view_.meta.slots_per_page - 1).block <
           settled_blocks_;
  }

  // Takes the dead inline TIDs out of a page. Returns how many nodes died. Locks: the node page
  // (L2).
  uint32_t TakeHeads(BlockNumber block) {
    const NodeId first = tour_.FirstId(block);
    uint32_t dying = 0;
    for (const Head& head : heads_) {
      dying += head.dies;
      if (!head.dies) any_live_ = first + head.slot;
    }
    if (dying == 0) return 0;
    pg::PageRef page = pg::ReadPage(view_.rel, block, BUFFER_LOCK_EXCLUSIVE, PageKind::kNodes);
    uint32_t died = 0;
    pg::PageEdit edit = pg::PageEdit::Begin(view_.rel, view_.meta);
    char* copy = edit.Edit(page);
    for (Head& head : heads_) {
      format::NodeSlot* node = view_.Node(copy, head.slot);
      // A row may have joined the node's chain since.
      if (!head.dies || node->chain != kNoId) continue;
      node->state = SlotState::kDead;
      head.dies = false;
      ++died;
    }
    if (died > 0) {
      edit.Finish();
    } else {
      edit.Abort();
    }
    pg::Release(page);
    for (const Head& head : heads_) {
      if (!head.dies) continue;
      MoveUp(block, head.slot);
      any_live_ = first + head.slot;
    }
    NoteDead(first, block, died);
    return died;
  }

  // Node ids that TakeHeads has marked, into the set: it may allocate, so not under the lock.
  void NoteDead(NodeId first, BlockNumber block, uint32_t died) {
    if (died == 0) return;
    tour_.CopyPage(block);
    for (const Head& head : heads_) {
      if (view_.Node(tour_.image(), head.slot)->state == SlotState::kDead)
        dead_.Insert(first + head.slot);
    }
  }

  // The chain's first chunk gives a TID to the node, whose own has died. The node's mark stays: who
  // reads the column without a lock may see the old attributes (README, "Attributes"). Locks: node
  // page (L2), chain page (L4), column page (L7).
  void MoveUp(BlockNumber block, uint32_t slot) {
    pg::PageRef page = pg::ReadPage(view_.rel, block, BUFFER_LOCK_EXCLUSIVE, PageKind::kNodes);
    const format::Place at = view_.ChunkAt(view_.Node(page.page, slot)->chain);
    pg::PageRef chain = pg::ReadPage(view_.rel, at.block, BUFFER_LOCK_EXCLUSIVE, PageKind::kChain);
    const ColumnRef column = LockColumn(view_, tour_.FirstId(block) + slot);
    pg::PageEdit edit = pg::PageEdit::Begin(view_.rel, view_.meta);
    format::NodeSlot* node = view_.Node(edit.Edit(page), slot);
    ChainChunk* chunk = view_.Chunk(edit.Edit(chain), at.index);
    node->tid = chunk->tids[--chunk->count];
    if (column) {
      filter::Row row =
          view_.attributes.Get(view_.AttributesOf(chunk), format::kChunkTids, chunk->count);
      char* copy = EditColumn(view_, &edit, column);
      row.marks = view_.ColumnRow(copy, column.index).marks;
      view_.PutColumnRow(copy, column.index, row);
    }
    if (chunk->count == 0) {
      node->chain = chunk->next;
      chunk->node = kNoId;
    }
    edit.Finish();
    ReleaseColumn(column);
    pg::Release(chain);
    pg::Release(page);
  }

  // Takes the marks off a page's nodes that have no further rows any more, in a record in which no
  // value changes (README, "Attributes"). Locks: a column page (L7); node page (L2), column page.
  void ClearMarks(BlockNumber block) {
    if (!view_.has_attributes()) return;
    const NodeId first = tour_.FirstId(block), end = first + view_.meta.slots_per_page;
    // A page's nodes may have their attributes on two column pages.
    for (NodeId id = first; id < end;) {
      const format::Place at = view_.geometry.ColumnAt(id);
      const uint32_t n = std::min(view_.geometry.column_nodes() - at.index, end - id);
      if (AnyMarked(at, n)) ClearMarksOf(block, id - first, at, n);
      id += n;
    }
  }

  // L7, alone.
  bool AnyMarked(format::Place at, uint32_t n) {
    const pg::PageRef page = pg::ReadAnyPage(view_.rel, at.block, BUFFER_LOCK_SHARE);
    const uint8_t* marks =
        view_.attributes.Marks(view_.Column(page.page), view_.geometry.column_nodes()) + at.index;
    const bool any = !pg::IsBlank(page.page) &&
                     std::any_of(marks, marks + n, [](uint8_t mark) { return mark != 0; });
    pg::Release(page);
    return any;
  }

  // L2, then L7.
  void ClearMarksOf(BlockNumber block, uint32_t slot, format::Place at, uint32_t n) {
    const pg::PageRef page =
        pg::ReadPage(view_.rel, block, BUFFER_LOCK_EXCLUSIVE, PageKind::kNodes);
    const pg::PageRef column =
        pg::ReadPage(view_.rel, at.block, BUFFER_LOCK_EXCLUSIVE, PageKind::kColumn);
    pg::PageEdit edit = pg::PageEdit::Begin(view_.rel, view_.meta);
    char* copy = edit.Edit(column);
    uint8_t* marks =
        view_.attributes.Marks(view_.Column(copy), view_.geometry.column_nodes()) + at.index;
    bool any = false;
    for (uint32_t i = 0; i < n; ++i) {
      const format::NodeSlot* node = view_.Node(page.page, slot + i);
      if (node->state != SlotState::kLive || node->chain != kNoId || marks[i] == 0) continue;
      marks[i] = 0;
      any = true;
    }
    if (any) {
      edit.Finish();
    } else {
      edit.Abort();
    }
    pg::Release(column);
    pg::Release(page);
  }

  // --- pass 1: chains
  // -----------------------------------------------------------------------------

  // Locks: the chunk's page (L4).
  ChainChunk CopyChunk(NodeId id, RecordId chunk_id) {
    const format::Place at = view_.ChunkAt(chunk_id);
    if (!view_.geometry.InStripes(at.block) || at.block >= RelationGetNumberOfBlocks(view_.rel)) {
      pg::ReportCorrupted(view_.rel, view_.geometry.NodeAt(id).block,
                          "a chain leads out of the file");
    }
    const pg::PageRef page = pg::ReadPage(view_.rel, at.block, BUFFER_LOCK_SHARE, PageKind::kChain);
    const ChainChunk chunk = *view_.Chunk(page.page, at.index);
    pg::Release(page);
    if (chunk.node != id || chunk.count == 0 || chunk.count > format::kChunkTids) {
      pg::ReportCorrupted(view_.rel, at.block, "a chain holds a chunk of another node");
    }
    return chunk;
  }

  // Shows a chain to the callback and takes out what is dead. `first`: the head when the node was
  // read.
  void VisitChain(NodeId id, RecordId first) {
    const uint64_t limit =
        uint64_t{RelationGetNumberOfBlocks(view_.rel)} * view_.meta.chunks_per_page;
    RecordId previous = kNoId;
    uint64_t visited = 0;
    for (RecordId at = first; at != kNoId;) {
      pg::VacuumDelay();
      const ChainChunk chunk = CopyChunk(id, at);
      if (++visited > limit) {
        pg::ReportCorrupted(view_.rel, view_.ChunkAt(at).block, "a chain runs in a circle");
      }
      uint32_t alive = 0;  // one bit a TID
      for (uint32_t i = 0; i < chunk.count; ++i) {
        if (!IsDead(chunk.tids[i])) alive |= 1u << i;
      }
      pg::StopPoint("vacuum.chunk");
      if (alive != 0) {
        if (alive != (1u << chunk.count) - 1) Compact(at, chunk.count, alive);
        previous = at;
      } else if (Unlink(id, at, previous, chunk.count)) {
        // `previous` leads to the next one now.
      } else {
        previous = at;
      }
      at = chunk.next;
    }
  }

  // Keeps the TIDs `alive` of the first `seen`, and those added since.
  void KeepAlive(ChainChunk* chunk, uint32_t seen, uint32_t alive) const {
    char* area = view_.AttributesOf(chunk);
    uint8_t kept = 0;
    for (uint32_t i = 0; i < chunk->count; ++i) {
      if (i < seen && (alive >> i & 1) == 0) continue;
      view_.attributes.Move(area, format::kChunkTids, i, area, format::kChunkTids, kept);
      chunk->tids[kept++] = chunk->tids[i];
    }
    chunk->count = kept;
  }

  // Locks: the chain page (L4).
  void Compact(RecordId chunk_id, uint32_t seen, uint32_t alive) {
    const format::Place at = view_.ChunkAt(chunk_id);
    pg::PageRef page = pg::ReadPage(view_.rel, at.block, BUFFER_LOCK_EXCLUSIVE, PageKind::kChain);
    pg::PageEdit edit = pg::PageEdit::Begin(view_.rel, view_.meta);
    KeepAlive(view_.Chunk(edit.Edit(page), at.index), seen, alive);
    edit.Finish();
    pg::Release(page);
  }

  // The chunk before `victim`: `previous`, or one that has joined at the head since. The node page
  // is locked, so the chain stands still. kNoId: the node itself leads to it.
  RecordId Predecessor(NodeId id, RecordId head, RecordId previous, RecordId victim) {
    RecordId before = previous;
    RecordId next = previous == kNoId ? head : CopyChunk(id, previous).next;
    while (next != victim) {
      if (next == kNoId) {
        pg::ReportCorrupted(view_.rel, view_.geometry.NodeAt(id).block, "a chain is torn");
      }
      before = next;
      next = CopyChunk(id, next).next;
    }
    return before;
  }

  // Takes a chunk without living TIDs out of its chain and frees it. The node page is part of the
  // record though nothing on it may change: a standby's scan holds it while it follows the chain.
  // False: a TID has been added, the chunk stays. Locks: node page (L2), the chunk's page and its
  // predecessor's (L4).
  bool Unlink(NodeId id, RecordId victim, RecordId previous, uint32_t seen) {
    const format::Place node_at = view_.geometry.NodeAt(id), at = view_.ChunkAt(victim);
    pg::PageRef page =
        pg::ReadPage(view_.rel, node_at.block, BUFFER_LOCK_EXCLUSIVE, PageKind::kNodes);
    const RecordId before =
        Predecessor(id, view_.Node(page.page, node_at.index)->chain, previous, victim);
    pg::PageRef chain = pg::ReadPage(view_.rel, at.block, BUFFER_LOCK_EXCLUSIVE, PageKind::kChain);
    const bool grown = view_.Chunk(chain.page, at.index)->count > seen;
    const format::Place before_at = view_.ChunkAt(before);
    const bool other_page = before != kNoId && before_at.block != at.block && !grown;
    pg::PageRef other{};
    if (other_page) {
      other = pg::ReadPage(view_.rel, before_at.block, BUFFER_LOCK_EXCLUSIVE, PageKind::kChain);
    }
    pg::PageEdit edit = pg::PageEdit::Begin(view_.rel, view_.meta);
    char* node_page = edit.Edit(page);
    char* chain_page = edit.Edit(chain);
    ChainChunk* chunk = view_.Chunk(chain_page, at.index);
    if (grown) {
      KeepAlive(chunk, seen, 0);
    } else {
      if (before == kNoId) {
        view_.Node(node_page, node_at.index)->chain = chunk->next;
      } else {
        char* before_page = other_page ? edit.Edit(other) : chain_page;
        view_.Chunk(before_page, before_at.index)->next = chunk->next;
      }
      chunk->node = kNoId;
    }
    edit.Finish();
    if (other_page) pg::Release(other);
    pg::Release(chain);
    pg::Release(page);
    return !grown;
  }

  // --- pass 2
  // -------------------------------------------------------------------------------------

  // Whether the node of a record is there and not dead. The record may be older than a crash.
  // Locks: the node page (L2), alone.
  bool IsNodeLive(NodeId id, uint8_t level) {
    const BlockNumber blocks = RelationGetNumberOfBlocks(view_.rel);
    if (id >= view_.geometry.IdLimit(blocks)) return false;
    const format::Place at = view_.geometry.NodeAt(id);
    if (at.block >= blocks) return false;
    const pg::PageRef page = pg::ReadPage(view_.rel, at.block, BUFFER_LOCK_SHARE, PageKind::kNodes);
    const format::NodeSlot* node = view_.Node(page.page, at.index);
    const bool live = node->state == SlotState::kLive && node->level() >= level;
    pg::Release(page);
    return live;
  }

  void FindDeadRecords(BlockNumber block) {
    if (tour_.CopyPage(block) != PageKind::kUpper) return;
    for (uint32_t slot = 0; slot < view_.meta.uppers_per_page; ++slot) {
      const format::UpperSlot record = *view_.Upper(tour_.image(), slot);
      if (record.state == SlotState::kFree) continue;
      const RecordId id = view_.UpperId({block, slot});
      if (!IsNodeLive(record.node, record.level())) {
        dead_records_.Insert(id);
      } else if (record.level() > best_level_) {
        best_level_ = record.level();
        best_record_ = id;
      }
    }
  }

  // --- pass 2: entry point
  // ------------------------------------------------------------------------

  // Locks: the entry point's page (L2 or L6), alone.
  bool IsEntryLive(const format::Meta& meta) {
    if (meta.entry == kNoId) return false;
    if (meta.entry_level == 0) return IsNodeLive(meta.entry, 0);
    const format::Place at = view_.UpperAt(meta.entry);
    if (at.block >= RelationGetNumberOfBlocks(view_.rel) || dead_records_.Contains(meta.entry)) {
      return false;
    }
    const pg::PageRef page = pg::ReadPage(view_.rel, at.block, BUFFER_LOCK_SHARE, PageKind::kUpper);
    const format::UpperSlot* record = view_.Upper(page.page, at.index);
    const bool live = record->state == SlotState::kLive && record->level() == meta.entry_level;
    pg::Release(page);
    return live;
  }

  // Locks: the meta page (L1), alone.
  format::Meta ReadMeta() {
    const pg::PageRef page =
        pg::ReadPage(view_.rel, kMetaBlock, BUFFER_LOCK_SHARE, PageKind::kMeta);
    const format::Meta meta = *MetaOn(page.page);
    pg::Release(page);
    return meta;
  }

  // Loners are nodes that nobody around them could take in; most are rows inserted while all that
  // their search met was dead: now that no list leads to the dead, the search finds the living.
  // Who gives way to a loner in a full list is held by another, but walks may come to that one
  // through this very list only (m = 2: after one vacuum of 30): so the links are followed again.
  void LinkLost() {
    constexpr int kAttempts = 4;
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
      loners_.clear();
      ReconnectNodes(view_, tour_, context_, &loners_);
      if (loners_.empty()) return;
      Inserter* inserter = StartInserts(OpenIndex(view_.rel, context_), context_);
      for (const NodeId id : loners_) {
        pg::VacuumDelay();
        LinkLoner(inserter, id);
      }
    }
  }

  // A dead entry point gives way to the highest record that is left. Locks: the meta page (L1),
  // alone.
  void ReplaceEntry() {
    const format::Meta meta = ReadMeta();
    if (IsEntryLive(meta)) return;
    pg::StopPoint("vacuum.entry");
    const RecordId entry = best_record_ != kNoId ? best_record_ : any_live_;
    if (entry == meta.entry) return;
    const pg::PageRef page =
        pg::ReadPage(view_.rel, kMetaBlock, BUFFER_LOCK_EXCLUSIVE, PageKind::kMeta);
    // An insert may have raised it.
    if (MetaOn(page.page)->entry == meta.entry) {
      pg::PageEdit edit = pg::PageEdit::Begin(view_.rel, view_.meta);
      format::Meta* changed = MetaOn(edit.Edit(page));
      changed->entry = entry;
      changed->entry_level = best_level_;
      edit.Finish();
    }
    pg::Release(page);
  }

  // --- pass 3
  // -------------------------------------------------------------------------------------

  // Frees the page's records of dead nodes, and remembers the first pages with room.
  void FreeRecords(BlockNumber block) {
    const PageKind kind = tour_.CopyPage(block);
    if (kind == PageKind::kChain && chain_hint_ == 0) {
      for (uint32_t i = 0; i < view_.meta.chunks_per_page; ++i) {
        if (view_.Chunk(tour_.image(), i)->node == kNoId) chain_hint_ = block;
      }
    }
    if (kind == PageKind::kPostings && posting_hint_ == 0 &&
        PostingsOn(tour_.image())->end_slot == 0) {
      posting_hint_ = block;
    }
    if (kind != PageKind::kUpper) return;
    bool room = false, dead = false;
    for (uint32_t i = 0; i < view_.meta.uppers_per_page; ++i) {
      room = room || view_.Upper(tour_.image(), i)->state == SlotState::kFree;
      dead = dead || dead_records_.Contains(view_.UpperId({block, i}));
    }
    if (upper_hint_ == 0 && (room || dead)) upper_hint_ = block;
    if (!dead) return;
    // L6, alone.
    const pg::PageRef page =
        pg::ReadPage(view_.rel, block, BUFFER_LOCK_EXCLUSIVE, PageKind::kUpper);
    pg::PageEdit edit = pg::PageEdit::Begin(view_.rel, view_.meta);
    char* copy = edit.Edit(page);
    for (uint32_t i = 0; i < view_.meta.uppers_per_page; ++i) {
      if (dead_records_.Contains(view_.UpperId({block, i}))) {
        view_.Upper(copy, i)->state = SlotState::kFree;
      }
    }
    edit.Finish();
    pg::Release(page);
  }

  // Locks: the node page (L2).
  void FreeNodes(BlockNumber block) {
    const NodeId first = tour_.FirstId(block);
    bool any = false;
    for (uint32_t i = 0; i < view_.meta.slots_per_page && !any; ++i) {
      any = dead_.Contains(first + i);
    }
    if (!any) return;
    pg::StopPoint("vacuum.freeing");
    const pg::PageRef page =
        pg::ReadPage(view_.rel, block, BUFFER_LOCK_EXCLUSIVE, PageKind::kNodes);
    pg::PageEdit edit = pg::PageEdit::Begin(view_.rel, view_.meta);
    char* copy = edit.Edit(page);
    for (uint32_t i = 0; i < view_.meta.slots_per_page; ++i) {
      if (dead_.Contains(first + i)) view_.Node(copy, i)->state = SlotState::kFree;
    }
    edit.Finish();
    pg::Release(page);
    if (HasRefinement(first)) RecordRoom(view_, block);
  }

  // Locks: the meta page (L1), alone.
  void WriteMeta() {
    const pg::PageRef page =
        pg::ReadPage(view_.rel, kMetaBlock, BUFFER_LOCK_EXCLUSIVE, PageKind::kMeta);
    format::Meta meta = *MetaOn(page.page);
    meta.node_count = static_cast<uint32_t>(nodes_);
    meta.row_count = rows_;
    if (upper_hint_ != 0) meta.upper_hint = upper_hint_;
    if (chain_hint_ != 0) meta.chain_hint = chain_hint_;
    if (posting_hint_ != 0) meta.posting_hint = posting_hint_;
    if (std::memcmp(&meta, MetaOn(page.page), sizeof meta) != 0) {
      pg::PageEdit edit = pg::PageEdit::Begin(view_.rel, view_.meta);
      *MetaOn(edit.Edit(page)) = meta;
      edit.Finish();
    }
    pg::Release(page);
  }

  IndexView& view_;
  IndexVacuumInfo* info_;
  IndexBulkDeleteResult* stats_;
  IndexBulkDeleteCallback callback_;
  void* callback_state_;
  MemoryContext context_;
  PageTour tour_;
  BlockNumber settled_blocks_;

  IdSet dead_;          // nodes without rows
  IdSet dead_records_;  // records of such nodes
  VecOf<NodeId, Alloc> loners_;
  VecOf<Head, Alloc> heads_;
  uint64_t nodes_ = 0;  // with rows
  uint64_t rows_ = 0;
  BlockNumber free_pages_ = 0;
  BlockNumber emptied_pages_ = 0;  // by this vacuum
  NodeId any_live_ = kNoId;

  uint32_t best_level_ = 0;
  RecordId best_record_ = kNoId;
  BlockNumber upper_hint_ = 0;
  BlockNumber chain_hint_ = 0;
  BlockNumber posting_hint_ = 0;
};

}  // namespace

IndexBulkDeleteResult* BulkDelete(IndexVacuumInfo* info, IndexBulkDeleteResult* stats,
                                  IndexBulkDeleteCallback callback, void* state) {
  if (stats == nullptr) {
    stats = static_cast<IndexBulkDeleteResult*>(palloc0(sizeof(IndexBulkDeleteResult)));
  }
  MemoryContext context =
      AllocSetContextCreate(CurrentMemoryContext, "ann hnsw vacuum", ALLOCSET_DEFAULT_SIZES);
  MemoryContext old = MemoryContextSwitchTo(context);
  IndexView* view = OpenIndex(info->index, context);
  Vacuum(*view, info, stats, callback, state, context).Run();
  MemoryContextSwitchTo(old);
  MemoryContextDelete(context);
  return stats;
}

IndexBulkDeleteResult* VacuumCleanup(IndexVacuumInfo* info, IndexBulkDeleteResult* stats) {
  if (info->analyze_only) return stats;
  if (stats == nullptr) {
    // Nothing was deleted: what was true then and what has been inserted since is not counted
    // again.
    stats = static_cast<IndexBulkDeleteResult*>(palloc0(sizeof(IndexBulkDeleteResult)));
    // L1, alone.
    const pg::PageRef page =
        pg::ReadPage(info->index, kMetaBlock, BUFFER_LOCK_SHARE, PageKind::kMeta);
    stats->num_index_tuples = static_cast<double>(MetaOn(page.page)->row_count);
    pg::Release(page);
    stats->estimated_count = true;
  }
  AdaptInVacuum(info->index, info->strategy);
  IndexFreeSpaceMapVacuum(info->index);
  stats->num_pages = RelationGetNumberOfBlocks(info->index);
  return stats;
}

}  // namespace ann::hnsw
