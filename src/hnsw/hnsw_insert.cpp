// INSERT and UPDATE: README section "Insert".
//
//   1. search with ef_construction on codes, as a query does
//   2. an equal vector is met: the row joins its node's chain, nothing else changes
//   3. write the node with its links, unreachable as yet (a crash here leaves a node that only the
//   sweep
//      finds, never a link to nothing)
//   4. link back from those neighbours that gain by it, page by page, one page lock at a time
//   5. upper levels the same way; the entry point last
#include "hnsw/hnsw_insert.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "am/vector_column.hpp"
#include "core/rng.hpp"
#include "graph/linker.hpp"
#include "graph/select.hpp"
#include "hnsw/hnsw.hpp"
#include "hnsw/hnsw_backlinks.hpp"
#include "hnsw/hnsw_chain.hpp"
#include "hnsw/hnsw_postings.hpp"
#include "hnsw/hnsw_recentre.hpp"
#include "hnsw/hnsw_space.hpp"
#include "hnsw/hnsw_walk.hpp"

#include "pg/alloc.hpp"

namespace ann::hnsw {

using format::PageKind;
using format::SlotState;

namespace {

using Alloc = pg::PgAllocator<std::byte>;

struct Draft {
  quant::VectorRef x;
  uint64_t hash;
  uint8_t level;
  format::Tid tid;
  filter::Row attributes;
  // By frame: nodes are compared with the draft as their own epoch codes it.
  uint8_t* coded[kFrames];
  quant::CodeQuery query[kFrames];
  uint8_t* refinement;  // of the current one
};

}  // namespace

class Inserter {
 public:
  Inserter(IndexView* view, MemoryContext context)
      : view_(*view),
        alloc_(context),
        beam_(alloc_),
        visited_(alloc_),
        found_(alloc_),
        picks_(alloc_),
        codes_(alloc_),
        back_linker_(view, &graph_, context),
        pool_(alloc_) {
    const quant::Codec& codec = view_.codec;
    prepared_bytes_ = quant::Codec::PreparedCodeBytes(codec.params());
    pool_.resize(prepared_bytes_ * (view_.max_links() + kFrames));
    view_.reloaded = [](void* self) { static_cast<Inserter*>(self)->EncodeDraft(); };
    view_.reloaded_arg = this;
    node_code_ = pg::AllocZero<uint8_t>(context, codec.coded_bytes());
    if (codec.has_mean()) decoded_ = pg::AllocZero<float>(context, view_.meta.dims);
    for (uint8_t*& coded : draft_.coded) {
      coded = pg::AllocZero<uint8_t>(context, codec.coded_bytes());
    }
    draft_.refinement = pg::AllocZero<uint8_t>(context, codec.refinement_bytes() + 1);
  }

  void Insert(quant::VectorRef x, format::Tid tid, const filter::Row& attributes) {
    ReloadEntry(&view_);
    RenewGraph();
    MakeDraft(x, tid);
    draft_.attributes = attributes;
    pg::StopPoint("insert.opened");
    const bool first = view_.meta.entry == kNoId && LockEmptyIndex();
    seeking_ = true, alone_ = false;
    if (!Search()) return;  // joined a chain; the index has not grown
    const bool alone = alone_;
    // The upper levels lead to the dead only: linked to them, the new entry point would lead there.
    if (alone && !first) draft_.level = 0;
    pg::StopPoint("insert.chosen");
    const NodeId id = WriteNode();
    pg::StopPoint("insert.written");
    LinkBack(BaseLists{graph_}, id);
    RecordId top = id;
    for (uint32_t level = 1; level <= draft_.level; ++level) top = InsertUpper(level, id, top);
    pg::StopPoint("insert.linked");
    if (alone || draft_.level > view_.meta.entry_level) {
      // Another that was alone may have become the entry point first: its list is to hold this one.
      if (!TakeEntry(top, alone) && alone) LinkAnew(id);
    }
    if (first) UnlockPage(view_.rel, kMetaBlock, ExclusiveLock);
    graph_.ReportHits();
    AdaptIfGrown(&view_, id);
  }

  // Links node `id`, to which no links lead, both ways. Its code stands for its vector.
  void Relink(NodeId id) {
    ReloadEntry(&view_);
    RenewGraph();
    if (!graph_.ReadCode(id, node_code_)) return;
    DraftFromCode();
    loner_ = id;
    NodeId links[graph::kMaxDegree];
    cut_off_ = graph_.Neighbours(id, links) > 0;
    LinkAnew(id);
    FillList(id);
    loner_ = kNoId, cut_off_ = false;
    graph_.ReportHits();
  }

 private:
  // The file has grown, or may have.
  void RenewGraph() {
    graph_.ReportHits();
    graph_ = PageGraph(&view_);
  }

  // Of nodes inserted side by side into an empty index only one would become the entry point, and
  // no list would ever name the others: they come one after the other (L0). False: the index is
  // not empty any more, the lock is not held.
  bool LockEmptyIndex() {
    LockPage(view_.rel, kMetaBlock, ExclusiveLock);
    ReloadEntry(&view_);
    if (view_.meta.entry == kNoId) return true;
    UnlockPage(view_.rel, kMetaBlock, ExclusiveLock);
    RenewGraph();
    return false;
  }

  void MakeDraft(quant::VectorRef x, format::Tid tid) {
    draft_.x = x;
    EncodeDraft();
    draft_.hash = quant::HashVector(x, view_.meta.dims, view_.meta.seed);
    draft_.tid = tid;
    uint64_t where = 0;
    std::memcpy(&where, &tid, sizeof tid);
    draft_.level =
        graph::LevelOf(Mix64(draft_.hash ^ Mix64(view_.meta.seed + where)), view_.meta.m);
  }

  // Codes the vector as this epoch does and, while nodes of the one before may be left, as that
  // did.
  void EncodeDraft() {
    for (int i = 0; i < (view_.meta.recentring != 0 ? kFrames : 1); ++i) {
      const quant::Codec& codec = view_.CodecOf(static_cast<Frame>(i));
      codec.Code(draft_.x, draft_.coded[i], i == 0 ? draft_.refinement : nullptr);
      if (codec.has_lift()) codec.SetLift(draft_.coded[i], codec.params().max_norm);
      draft_.query[i] = codec.PrepareCode(draft_.coded[i], Prepared(view_.max_links() + i));
    }
  }

  // A draft of what node_code_ stands for.
  void DraftFromCode() {
    const quant::Codec& codec = view_.codec;
    if (codec.has_mean()) {
      codec.Decode(node_code_, nullptr, decoded_);
      codec.Restore(decoded_);
      draft_.x = decoded_;
      EncodeDraft();
    } else {
      std::memcpy(draft_.coded[0], node_code_, codec.coded_bytes());
      draft_.query[0] = codec.PrepareCode(draft_.coded[0], Prepared(view_.max_links()));
    }
  }

  uint8_t* Prepared(uint32_t i) { return pool_.data() + i * prepared_bytes_; }
  uint8_t* Code(uint32_t i) { return codes_.data() + size_t{i} * view_.codec.coded_bytes(); }

  // --- search -----------------------------------------------------------------------------------

  auto Scorer() {
    return [this](Frame frame, const uint8_t* coded) {
      return view_.CodecOf(frame).CodeDistance(draft_.query[static_cast<int>(frame)], coded);
    };
  }

  // Level 0 as the search for a new node's neighbours walks it: it ends as soon as an equal node is
  // met. The hash is on the cache line that scoring reads.
  struct SeekingLayer {
    PageGraph& graph;
    Inserter& inserter;
    uint32_t Neighbours(NodeId id, NodeId* out) {
      return inserter.equal_ == kNoId ? graph.Neighbours(id, out) : 0;
    }
    void Score(const NodeId* ids, uint32_t n, float* keys) {
      graph.Score(ids, n, keys, inserter.Scorer(), [this](NodeId id, const format::NodeSlot* node) {
        if (inserter.seeking_ && inserter.IsEqual(node)) inserter.equal_ = id;
      });
    }
  };

  // Fills chosen_ with the neighbours to be. False: an equal vector took the row.
  bool Search() {
    found_.clear();
    uint32_t ef = std::max<uint32_t>(view_.meta.ef_construction, 8);
    // The last with 64 times ef_construction: who meets so many dead nodes and nobody else is left
    // to the vacuum that is under way, which links loners (Relink).
    constexpr int kAttempts = 4;
    for (int attempt = 0; attempt < kAttempts && found_.empty(); ++attempt) {
      if (view_.meta.entry == kNoId) {
        alone_ = true;
        break;
      }
      if (!Walk(ef)) {
        // A vacuum has freed the entry point, or a record on the way down, since it was read.
        ReloadEntry(&view_);
      } else if (equal_ != kNoId) {
        if (JoinChain(equal_)) return false;
        seeking_ = false;  // it has died, or its code only looks the same
      } else {
        KeepLive();
        // All that can be reached is dead, or more must be looked at.
        alone_ = found_.empty() && !beam_.full();
        lost_entry_ = view_.meta.entry;
        if (alone_) break;
        ef *= 4;
      }
    }
    // A full list: it is written with the slot, at the price of its bytes, while links to the node
    // dirty a page each.
    Choose(BaseLists{graph_}, OwnBaseLinks(view_.meta));
    return true;
  }

  // Fills the beam with the nodes near the vector; stops at an equal one. False: there was nowhere
  // to start from.
  bool Walk(uint32_t ef) {
    equal_ = kNoId;
    // The way down may lead to those that are cut off with it.
    const Candidate start =
        cut_off_ ? Candidate{0, EntryNode(graph_)} : DescendTo(graph_, 0, Scorer());
    if (start.id == kNoId) return false;
    found_.clear();
    found_.push_back(start);
    if (start.id == loner_) StartAround();
    SeekingLayer layer{graph_, *this};
    beam_.Reset(ef);
    visited_.Reset(ef * 32, graph_.id_limit());
    for (Candidate& from : found_) {
      if (!visited_.Insert(from.id)) continue;
      layer.Score(&from.id, 1, &from.key);
      from.key = OrderableKey(from.key);
      beam_.Insert(from);
    }
    found_.clear();
    graph::Expand(
        layer, beam_, visited_, [](Candidate) {}, AllowInterrupts);
    graph_.ReportHits();
    return true;
  }

  // The way led to the loner itself, and its list is empty: puts into found_ the other nodes that
  // level 1 knows near it.
  void StartAround() {
    SearchUpper(1);
    uint32_t kept = 0;
    for (const Candidate& record : found_) {
      const NodeId node = graph_.Down(record.id, 1);
      if (node != kNoId && node != loner_) found_[kept++] = {0, node};
    }
    found_.resize(kept);
  }

  // Of the beam, those to link to. One that dies just after leaves a link that comes to no harm.
  void KeepLive() {
    for (uint32_t i = 0; i < beam_.size(); ++i) {
      const NodeId id = beam_.at(i).id;
      if (id != loner_ && graph_.IsLive(id)) found_.push_back(beam_.at(i));
    }
  }

  // Chooses up to `limit` neighbours from found_, the nearest among them first.
  template <class Lists>
  void Choose(Lists lists, uint32_t limit) {
    codes_.resize(found_.size() * view_.codec.coded_bytes());
    picks_.clear();
    for (uint32_t i = 0; i < found_.size(); ++i) {
      if (lists.ReadCode(found_[i].id, Code(i))) picks_.push_back({found_[i].key, i});
    }
    chosen_count_ = graph::SelectNeighbours(
        std::span<Candidate>(picks_.data(), picks_.size()), limit,
        [this](uint32_t t, uint32_t i) {
          selected_[t] = view_.codec.PrepareCode(Code(i), Prepared(t));
        },
        [this](uint32_t t, uint32_t i) { return view_.codec.CodeDistance(selected_[t], Code(i)); });
    for (uint32_t t = 0; t < chosen_count_; ++t) chosen_[t] = found_[picks_[t].id];
  }

  // --- equal vectors ----------------------------------------------------------------------------

  bool IsEqual(const format::NodeSlot* node) const {
    const Frame frame = view_.FrameOf(node->code);
    if (node->hash() != draft_.hash || node->state != SlotState::kLive ||
        frame == Frame::kUnknown) {
      return false;
    }
    const int i = static_cast<int>(frame);
    return view_.CodecOf(frame).MayBeEqual(draft_.query[i], draft_.coded[i], view_.Coded(node));
  }

  // Adds the row to the chain of node `id`. False: the node has changed meanwhile.
  bool JoinChain(NodeId id) {
    ChainWriter writer(view_, draft_.tid, draft_.attributes,
                       [this](const format::NodeSlot* node) { return IsEqual(node); });
    return writer.Join(id);
  }

  // --- level 0 ----------------------------------------------------------------------------------

  // A free slot, whose page stays locked (L2) until the code is written: should an epoch begin
  // after it has been asked for here (L1), whoever codes all nodes anew waits for this page.
  FreeSlot FindSlotOfEpoch(NodeId* id) {
    for (;;) {
      const FreeSlot free = FindNodeSlot(view_, id);
      if (IsEpochCurrent(view_)) return free;
      pg::Release(free.page);
      ReloadFrames(&view_);
    }
  }

  NodeId WriteNode() {
    for (;;) {
      NodeId id;
      const FreeSlot free = FindSlotOfEpoch(&id);
      const PostingRef posting = TryWriteNode(free, id);
      pg::Release(free.page);
      if (!posting.full) return id;
      MakePostingRoom(view_, posting.entry.hash);
    }
  }

  // Writes slot, refinement, attributes and posting in one record, unless there is no room for the
  // last. Locks: under the node page (L2) its refinement page (L3), its column page (L7), and a
  // page of postings (L9).
  PostingRef TryWriteNode(const FreeSlot& free, NodeId id) {
    pg::PageRef fine{};
    bool blank = false;
    format::Place fine_at{};
    if (view_.codec.refinement_bytes() > 0) {
      fine_at = view_.geometry.RefinementAt(id);
      fine = LockRefinement(view_, fine_at, &blank);
    }
    const ColumnRef column = LockColumn(view_, id);
    const PostingRef posting = LockPosting(view_, id, draft_.attributes);
    if (!posting.full) {
      PutNode(free, id, fine, fine_at, blank, column, posting);
      ReleasePosting(posting);
    }
    ReleaseColumn(column);
    if (fine.page != nullptr) pg::Release(fine);
    return posting;
  }

  // The pages are locked.
  void PutNode(const FreeSlot& free, NodeId id, const pg::PageRef& fine, format::Place fine_at,
               bool blank, const ColumnRef& column, const PostingRef& posting) {
    pg::PageEdit edit = pg::PageEdit::Begin(view_.rel, view_.meta);
    format::NodeSlot* node = view_.Node(edit.EditSlot(free.page, free.slot), free.slot);
    node->state = SlotState::kLive;
    node->code = format::LevelEpoch::Of(draft_.level, view_.meta.epoch);
    ++node->version;
    node->tid = draft_.tid;
    node->chain = kNoId;
    node->set_hash(draft_.hash);
    std::memcpy(view_.Coded(node), draft_.coded[0], view_.codec.coded_bytes());
    CopyChosen(node, id);
    if (fine.page != nullptr) {
      char* page = blank ? edit.EditWhole(fine) : edit.EditSlot(fine, fine_at.index);
      if (blank) {
        pg::InitPage(page, PageKind::kRefinement,
                     format::BodyBytes(view_.meta, PageKind::kRefinement));
      }
      std::memcpy(view_.Refinement(page, fine_at.index), draft_.refinement,
                  view_.codec.refinement_bytes());
    }
    if (column) {
      view_.PutColumnRow(EditColumn(view_, &edit, column), column.index, draft_.attributes);
    }
    PutPosting(&edit, posting);
    edit.Finish();
  }

  template <class Lists>
  void LinkBack(Lists lists, uint32_t id) {
    back_linker_.Link(lists, std::span<const Candidate>(chosen_, chosen_count_),
                      std::span<const Candidate>(found_.data(), found_.size()), id, Scorer());
  }

  // --- upper levels -----------------------------------------------------------------------------

  // One record of the node on an upper level, linked both ways. Returns its id.
  RecordId InsertUpper(uint32_t level, NodeId id, RecordId down) {
    UpperLists lists{graph_, level};
    SearchUpper(level);
    Choose(lists, graph::OwnLinks(view_.meta.m, level));
    const RecordId record = WriteRecord(level, id, down);
    RenewGraph();
    LinkBack(lists, record);
    return record;
  }

  // Fills found_ with the records near the vector.
  void SearchUpper(uint32_t level) {
    found_.clear();
    if (view_.meta.entry == kNoId || view_.meta.entry_level < level) return;
    auto scorer = Scorer();
    const Candidate start = DescendTo(graph_, level, scorer);
    if (start.id == kNoId) return;
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
  }

  // A free record for node `id`, and in node_code_ the code that the node has in this epoch: a
  // record's is a copy. As in FindSlotOfEpoch. Locks: the upper page (L6), returned locked; L1
  // under it.
  FreeSlot FindRecordOfEpoch(NodeId id) {
    for (;;) {
      CopyNodeCode(id);
      const FreeSlot free = FindRecord(view_, PageKind::kUpper);
      if (IsEpochCurrent(view_)) return free;
      pg::Release(free.page);
      ReloadFrames(&view_);
    }
  }

  // The node is coded anew here if whoever does that has not come to it yet. Locks: its page (L2).
  void CopyNodeCode(NodeId id) {
    const format::Place at = view_.geometry.NodeAt(id);
    for (;;) {
      const pg::PageRef page =
          pg::ReadPage(view_.rel, at.block, BUFFER_LOCK_SHARE, PageKind::kNodes);
      const format::NodeSlot* node = view_.Node(page.page, at.index);
      const Frame frame = view_.FrameOf(node->code);
      if (node->state == SlotState::kFree) {
        pg::ReportCorrupted(view_.rel, at.block, "a slot just filled is free");
      }
      std::memcpy(node_code_, view_.Coded(node), view_.codec.coded_bytes());
      pg::Release(page);
      if (frame == Frame::kCurrent) return;
      CHECK_FOR_INTERRUPTS();
      if (frame == Frame::kUnknown) ReloadFrames(&view_);
      RecodeNodes(view_, at.block);
    }
  }

  // Locks: the page of the record (L6).
  RecordId WriteRecord(uint32_t level, NodeId id, RecordId down) {
    const FreeSlot free = FindRecordOfEpoch(id);
    const RecordId record = view_.UpperId({free.page.block, free.slot});
    pg::PageEdit edit = pg::PageEdit::Begin(view_.rel, view_.meta);
    format::UpperSlot* slot = view_.Upper(edit.EditSlot(free.page, free.slot), free.slot);
    slot->state = SlotState::kLive;
    slot->code = format::LevelEpoch::Of(level, view_.meta.epoch);
    ++slot->version;
    slot->node = id;
    slot->down = down;
    std::memcpy(view_.Coded(slot), node_code_, view_.codec.coded_bytes());
    CopyChosen(slot, record);
    edit.Finish();
    pg::Release(free.page);
    return record;
  }

  // Links node `id`, which found nobody, from those that have come since.
  void LinkAnew(NodeId id) {
    RenewGraph();
    seeking_ = false;
    Search();
    LinkBack(BaseLists{graph_}, id);
  }

  // Gives node `id` the neighbours chosen, if it has none. Locks: its page (L2).
  void FillList(NodeId id) {
    const format::Place at = view_.geometry.NodeAt(id);
    const pg::PageRef page =
        pg::ReadPage(view_.rel, at.block, BUFFER_LOCK_EXCLUSIVE, PageKind::kNodes);
    if (view_.Node(page.page, at.index)->neighbour_count == 0) {
      pg::PageEdit edit = pg::PageEdit::Begin(view_.rel, view_.meta);
      CopyChosen(view_.Node(edit.Edit(page), at.index), id);
      edit.Finish();
    }
    pg::Release(page);
  }

  // The list of node or record `id`: this very slot may have been a candidate, if a vacuum has
  // freed it since.
  template <class Slot>
  void CopyChosen(Slot* slot, uint32_t id) {
    slot->neighbour_count = 0;
    for (uint32_t i = 0; i < chosen_count_; ++i) {
      if (chosen_[i].id != id) view_.Links(slot)[slot->neighbour_count++] = chosen_[i].id;
    }
  }

  // --- entry point ------------------------------------------------------------------------------

  // Makes `top`, the node's highest record, the entry point if it is higher than the one there is,
  // or if that led nowhere. False: it is not the entry point. Locks: the meta page (L1), alone.
  bool TakeEntry(RecordId top, bool alone) {
    pg::PageRef page = pg::ReadPage(view_.rel, kMetaBlock, BUFFER_LOCK_EXCLUSIVE, PageKind::kMeta);
    const format::Meta* now = MetaOn(page.page);
    if (now->entry == kNoId || draft_.level > now->entry_level ||
        (alone && now->entry == lost_entry_)) {
      pg::PageEdit edit = pg::PageEdit::Begin(view_.rel, view_.meta);
      format::Meta* meta = MetaOn(edit.Edit(page));
      meta->entry = top;
      meta->entry_level = draft_.level;
      edit.Finish();
    }
    view_.meta.entry = now->entry;
    view_.meta.entry_level = now->entry_level;
    pg::Release(page);
    return view_.meta.entry == top;
  }

  IndexView& view_;
  PageGraph graph_;
  Alloc alloc_;
  Beam<Alloc> beam_;
  VisitedSet<Alloc> visited_;
  VecOf<Candidate, Alloc> found_;
  VecOf<Candidate, Alloc> picks_;  // of found_; ids: places in it
  VecOf<uint8_t, Alloc> codes_;    // of found_
  BackLinker back_linker_;
  VecOf<uint8_t, Alloc> pool_;
  size_t prepared_bytes_;
  float* work_;
  uint8_t* node_code_;
  float* decoded_;
  Draft draft_;
  NodeId equal_ = kNoId;  // the equal node that the walk met
  NodeId loner_ = kNoId;  // the node that Relink links
  bool cut_off_ = false;  // it has neighbours, but they are as lost
  bool seeking_ = true;
  bool alone_ = false;
  RecordId lost_entry_ = kNoId;  // where the walk began that met dead nodes only
  Candidate chosen_[graph::kMaxDegree];
  uint32_t chosen_count_ = 0;
  quant::CodeQuery selected_[graph::kMaxDegree];
};

namespace {

// L1 codes need a grid; an index built on no rows takes it from the first row that is not all
// zeros. False: this one is. Rows of zeros have the same code in every grid.
bool SetGrid(IndexView& view, const float* x) {
  double sum = 0;
  for (uint32_t i = 0; i < view.meta.dims; ++i) sum += double(x[i]) * x[i];
  const float step = static_cast<float>(6 * std::sqrt(sum / view.meta.dims) /
                                        (1 << (view.meta.traversal_bits - 1)));
  if (!(step > 0) || !std::isfinite(step)) return false;
  pg::PageRef page = pg::ReadPage(view.rel, kMetaBlock, BUFFER_LOCK_EXCLUSIVE, PageKind::kMeta);
  if (MetaOn(page.page)->l1_step[0] == 0 && MetaOn(page.page)->epoch == 0) {
    pg::PageEdit edit = pg::PageEdit::Begin(view.rel, view.meta);
    MetaOn(edit.Edit(page))->l1_step[0] = step;
    edit.Finish();
  }
  pg::Release(page);
  return true;
}

}  // namespace

Inserter* StartInserts(IndexView* view, MemoryContext context) {
  return pg::Construct<Inserter>(pg::AllocZero<Inserter>(context, 1), view, context);
}

void InsertRow(Inserter* inserter, quant::VectorRef x, format::Tid tid,
               const filter::Row& attributes) {
  inserter->Insert(x, tid, attributes);
}

void LinkLoner(Inserter* inserter, NodeId id) { inserter->Relink(id); }

namespace {

// What the rows of a statement share.
struct Statement {
  IndexView* view;
  Inserter* inserter;
  am::AttributeEncoder* encoder;  // null: there are no attributes
  MemoryContext row_context;
};

Statement* StartStatement(Relation index, MemoryContext context) {
  Statement* statement = pg::AllocZero<Statement>(context, 1);
  statement->view = OpenIndex(index, context);
  statement->inserter = StartInserts(statement->view, context);
  if (statement->view->has_attributes()) {
    statement->encoder = pg::Construct<am::AttributeEncoder>(
        pg::AllocZero<am::AttributeEncoder>(context, 1), index, context);
  }
  statement->row_context = AllocSetContextCreate(context, "ann hnsw insert", ALLOCSET_SMALL_SIZES);
  return statement;
}

}  // namespace

bool Insert(Relation index, Datum* values, bool* nulls, ItemPointer tid, Relation, IndexUniqueCheck,
            bool, IndexInfo* info) {
  if (nulls[0]) return false;
  if (info->ii_AmCache == nullptr) info->ii_AmCache = StartStatement(index, info->ii_Context);
  Statement* statement = static_cast<Statement*>(info->ii_AmCache);
  MemoryContext old = MemoryContextSwitchTo(statement->row_context);
  const format::Meta& meta = statement->view->meta;
  const quant::VectorRef x = am::IndexedVector(index, values[0], meta.dims);
  if (am::IsIndexable(statement->view->metric(), x, meta.dims)) {
    if (static_cast<quant::Metric>(meta.metric) == quant::Metric::kL1 && meta.l1_step[0] == 0 &&
        meta.epoch == 0 && SetGrid(*statement->view, x.floats())) {
      statement = StartStatement(index, info->ii_Context);
      info->ii_AmCache = statement;
    }
    format::Tid row;
    std::memcpy(&row, tid, sizeof row);
    filter::Row attributes;
    if (statement->encoder != nullptr) attributes = statement->encoder->Encode(values, nulls);
    InsertRow(statement->inserter, x, row, attributes);
  }
  MemoryContextSwitchTo(old);
  MemoryContextReset(statement->row_context);
  return false;
}

}  // namespace ann::hnsw
