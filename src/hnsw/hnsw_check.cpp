// ann_index_check: README section "Invariants". The functions are numbered as the invariants are.
//
// One pass over all blocks looks at each page alone and remembers states and TIDs; a second one
// looks at what leads from page to page: links, records, chains; then comes the entry point. All
// pages are read through this file's own ReadImage, so that a damaged header, too, is told by its
// number.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "hnsw/hnsw.hpp"
#include "hnsw/hnsw_inspect.hpp"
#include "hnsw/hnsw_postings.hpp"
#include "hnsw/hnsw_space.hpp"

#include "core/visited.hpp"

#include "pg/alloc.hpp"

namespace ann::hnsw {

using format::ChainChunk;
using format::PageKind;
using format::SlotState;

namespace {

using Alloc = pg::PgAllocator<std::byte>;

constexpr uint32_t kNoSlot = ~uint32_t{0};

// What an invariant is about; I1, I2, ... of README.md.
enum class Invariant : int {
  kMeta = 1,
  kPage,
  kSlot,
  kLinks,
  kRows,
  kFactors,
  kRecord,
  kEntry,
  kDistinctRows,
  kRefinement,
  kEpoch,
  kAttributes,
  kPostings,
};

class Checker {
 public:
  Checker(Relation heap, Relation index, MemoryContext context)
      : index_(index),
        context_(context),
        blocks_(RelationGetNumberOfBlocks(index)),
        heap_blocks_(RelationGetNumberOfBlocks(heap)),
        auxiliary_(Alloc(context)),
        states_(Alloc(context)),
        rows_(Alloc(context)),
        chunks_(Alloc(context)),
        records_(Alloc(context)),
        sorted_(Alloc(context)),
        wanted_(Alloc(context)),
        posted_(Alloc(context)),
        posting_pages_(Alloc(context)) {
    image_ = pg::AllocZero<char>(context, format::kPageSize);
    column_ = pg::AllocZero<char>(context, format::kPageSize);
    other_ = pg::AllocZero<char>(context, format::kPageSize);
    strategy_ = GetAccessStrategy(BAS_BULKREAD);
    chunks_.Reset(1024);
    records_.Reset(1024);
    posting_pages_.Reset(1024);
  }

  void Run() {
    CheckFrame();
    ForPages([this](BlockNumber block, PageKind kind) {
      if (kind == PageKind::kNodes) CheckNodes(block);
      if (kind == PageKind::kUpper) NoteRecords(block);
    });
    ForPages([this](BlockNumber block, PageKind kind) {
      if (kind == PageKind::kNodes) CheckNodeLinks(block);
      if (kind == PageKind::kRefinement) CheckRefinements(block);
      if (kind == PageKind::kUpper) CheckRecords(block);
      if (kind == PageKind::kChain) CheckChunks(block);
    });
    CheckAllRefined();
    CheckEntry();
    CheckHints();
    CheckDistinctRows();
    if (HasPostings(*view_)) CheckPostings();
    FreeAccessStrategy(strategy_);
  }

 private:
  [[noreturn]] void Fail(Invariant invariant, BlockNumber block, uint32_t slot, const char* what) {
    ereport(ERROR,
            (errcode(ERRCODE_INDEX_CORRUPTED),
             errmsg("index \"%s\" is damaged at block %u: %s", RelationGetRelationName(index_),
                    block, what),
             slot == kNoSlot ? errdetail("Invariant I%d is violated.", static_cast<int>(invariant))
                             : errdetail("Invariant I%d is violated by slot %u.",
                                         static_cast<int>(invariant), slot),
             errhint("REINDEX INDEX \"%s\" builds it anew from the table.",
                     RelationGetRelationName(index_))));
    pg_unreachable();
  }

  // --- I1, I2: meta page, pages
  // --------------------------------------------------------------------

  // Copies a page and checks its header and tail. False: the page is blank. Locks: the page (L1 to
  // L6), alone.
  bool ReadImage(BlockNumber block, char* image) {
    Buffer buffer = ReadBufferExtended(index_, MAIN_FORKNUM, block, RBM_NORMAL, strategy_);
    LockBuffer(buffer, BUFFER_LOCK_SHARE);
    std::memcpy(image, BufferGetPage(buffer), format::kPageSize);
    UnlockReleaseBuffer(buffer);
    if (pg::IsBlank(image)) return false;
    pg::RefusePgvector(index_, block, image);
    const PageHeader header = reinterpret_cast<PageHeader>(image);
    const format::PageTail* tail = pg::TailOf(image);
    if (header->pd_special != format::kPageSize - sizeof(format::PageTail) ||
        header->pd_upper != header->pd_special || header->pd_lower < format::kPageHeaderBytes ||
        header->pd_lower > header->pd_upper || PageGetPageSize(image) != format::kPageSize) {
      Fail(Invariant::kPage, block, kNoSlot, "invalid page header");
    }
    if (tail->page_id != format::kPageId) {
      Fail(Invariant::kPage, block, kNoSlot, "the page is not of an ann index");
    }
    if (!format::IsReadable(tail->version)) {
      Fail(Invariant::kPage, block, kNoSlot, "unknown page format version");
    }
    return true;
  }

  // The same for a page that must be of `kind`, its slots `body_bytes` long.
  void ReadKind(BlockNumber block, PageKind kind, uint32_t body_bytes, char* image) {
    if (!ReadImage(block, image)) Fail(Invariant::kPage, block, kNoSlot, "the page is all zeros");
    CheckKind(block, kind, body_bytes, image);
  }
  void CheckKind(BlockNumber block, PageKind kind, uint32_t body_bytes, const char* image) {
    if (pg::KindOf(image) != kind) {
      Fail(Invariant::kPage, block, kNoSlot, "unexpected kind of page");
    }
    const uint32_t lower = reinterpret_cast<const PageHeaderData*>(image)->pd_lower;
    if (lower != format::kPageHeaderBytes + body_bytes &&
        (view_ == nullptr || !format::MaySlotsEndAt(view_->meta, kind, image, lower))) {
      Fail(Invariant::kPage, block, kNoSlot, "the page's slots end at the wrong place");
    }
  }

  // Meta page and mean; opens the index.
  void CheckFrame() {
    if (blocks_ == 0) Fail(Invariant::kMeta, kMetaBlock, kNoSlot, "there is no meta page");
    ReadKind(kMetaBlock, PageKind::kMeta, sizeof(format::Meta), image_);
    const format::Meta meta = *MetaOn(image_);
    CheckMeta(index_, meta);
    const auto length = [](float x) { return x >= 0 && std::isfinite(x); };
    if (!std::all_of(meta.l1_step, meta.l1_step + 2, length) ||
        !std::all_of(meta.max_norm, meta.max_norm + 2, length) ||
        (meta.entry == kNoId && meta.entry_level != 0)) {
      Fail(Invariant::kMeta, kMetaBlock, kNoSlot, "the meta page contradicts itself");
    }
    if (blocks_ < 1u + 2u * meta.mean_pages) {
      Fail(Invariant::kMeta, kMetaBlock, kNoSlot, "pages of the mean are missing");
    }
    for (BlockNumber block = 1; block <= 2u * meta.mean_pages; ++block) {
      ReadKind(block, PageKind::kMean, format::kPageBody, image_);
      const float* mean = reinterpret_cast<const float*>(image_ + format::kPageHeaderBytes);
      const uint32_t start = (block - 1) % meta.mean_pages * format::kMeanFloatsPerPage;
      const uint32_t n = std::min(meta.dims - start, format::kMeanFloatsPerPage);
      if (!std::all_of(mean, mean + n, [](float x) { return std::isfinite(x); })) {
        Fail(Invariant::kPage, block, kNoSlot, "the mean is not finite");
      }
      const bool current = (block - 1) / meta.mean_pages == meta.epoch % 2;
      const uint32_t epoch = current ? meta.epoch : meta.epoch - 1;
      if ((current || meta.recentring != 0) &&
          pg::TailOf(image_)->epoch != static_cast<uint16_t>(epoch)) {
        Fail(Invariant::kEpoch, block, kNoSlot, "the mean is of another epoch");
      }
    }
    view_ = OpenIndex(index_, context_);
    if (blocks_ < view_->geometry.first_stripe()) {
      Fail(Invariant::kMeta, kMetaBlock, kNoSlot, "pages of the directory are missing");
    }
    id_limit_ = view_->geometry.IdLimit(blocks_);
    states_.resize(id_limit_, kNever);
    FindStripes();
  }

  void FindStripes() {
    const format::Geometry& geometry = view_->geometry;
    for (uint32_t stripe = 0; geometry.StripeStart(stripe) < blocks_; ++stripe) {
      CHECK_FOR_INTERRUPTS();
      const bool used = ReadImage(geometry.StripeStart(stripe), image_);
      const PageKind kind = pg::KindOf(image_);
      auxiliary_.push_back(used && IsAuxiliaryKind(kind));
    }
  }

  // Calls visit(block, kind) with the page in image_, for all pages after the mean but blank ones.
  // The kind is what the place demands.
  template <class Visit>
  void ForPages(Visit&& visit) {
    for (BlockNumber block = view_->geometry.first_stripe(); block < blocks_; ++block) {
      CHECK_FOR_INTERRUPTS();
      if (!ReadImage(block, image_)) continue;
      PageKind kind = pg::KindOf(image_);
      if (!IsAuxiliary(block)) {
        kind = NodeStripeKind(*view_, block);
      } else if (kind != PageKind::kUpper && kind != PageKind::kChain &&
                 kind != PageKind::kPostings) {
        kind = PageKind::kSpare;
      }
      CheckKind(block, kind, format::BodyBytes(view_->meta, kind), image_);
      visit(block, kind);
    }
  }

  bool IsAuxiliary(BlockNumber block) const {
    return auxiliary_[view_->geometry.StripeOf(block)] != 0;
  }

  // What is remembered of a node: state and level; or that its slot is free, or never held one
  // (then it is still as zeros as when its page was made, which its hash tells).
  static constexpr uint8_t kNever = 0xFF;
  static constexpr uint8_t kFreed = 0;
  static constexpr uint8_t kRefined = 0x40;
  static uint8_t Remembered(const format::NodeSlot* node) {
    if (node->state == SlotState::kFree) return node->hash() == 0 ? kNever : kFreed;
    return static_cast<uint8_t>(static_cast<int>(node->state) << 4 | node->level());
  }
  bool IsUsed(NodeId id) const {
    return id < id_limit_ && states_[id] != kNever && states_[id] != kFreed;
  }
  uint8_t LevelOf(NodeId id) const { return states_[id] & 15; }
  bool IsDead(NodeId id) const {
    return (states_[id] >> 4 & 3) == static_cast<int>(SlotState::kDead);
  }

  // --- I3, I4, I5, I6: nodes
  // ------------------------------------------------------------------------

  void CheckNodes(BlockNumber block) {
    const NodeId first = view_->geometry.PartAt(block).ordinal * view_->meta.slots_per_page;
    for (uint32_t slot = 0; slot < view_->meta.slots_per_page; ++slot) {
      const format::NodeSlot* node = view_->Node(image_, slot);
      if (node->state != SlotState::kFree && node->state != SlotState::kLive &&
          node->state != SlotState::kDead) {
        Fail(Invariant::kSlot, block, slot, "unknown state of a node");
      }
      states_[first + slot] = Remembered(node);
      if (node->state == SlotState::kFree) continue;
      CheckEpoch(block, slot, node->code);
      if (node->neighbour_count > view_->max_links()) {
        Fail(Invariant::kSlot, block, slot, "a list of neighbours is too long");
      }
      CheckFactors(block, slot, view_->Coded(node));
      if (node->state == SlotState::kLive) {
        AddRow(block, slot, node->tid);
        if (view_->has_attributes()) ReadAttributes(first + slot);
        WantPosting(first + slot, own_);
        FollowChain(block, slot, first + slot, node->chain);
      } else if (node->chain != kNoId) {
        Fail(Invariant::kRows, block, slot, "a dead node has rows");
      }
    }
  }

  // I11.
  void CheckEpoch(BlockNumber block, uint32_t slot, format::LevelEpoch code) {
    if (view_->FrameOf(code) == Frame::kUnknown) {
      Fail(Invariant::kEpoch, block, slot, "a code of an epoch that the index does not have");
    }
  }

  void CheckNodeLinks(BlockNumber block) {
    const NodeId first = view_->geometry.PartAt(block).ordinal * view_->meta.slots_per_page;
    for (uint32_t slot = 0; slot < view_->meta.slots_per_page; ++slot) {
      if (!IsUsed(first + slot)) continue;
      const format::NodeSlot* node = view_->Node(image_, slot);
      CheckLinks(block, slot, first + slot, view_->Links(node), node->neighbour_count,
                 [this](NodeId id) { return id < id_limit_ && states_[id] != kNever; });
    }
  }

  // I4. `exists(id)`: whether there is, or has been, what the link names.
  template <class Exists>
  void CheckLinks(BlockNumber block, uint32_t slot, uint32_t self, const uint32_t* links,
                  uint32_t n, Exists&& exists) {
    sorted_.assign(links, links + n);
    std::sort(sorted_.begin(), sorted_.end());
    for (uint32_t i = 0; i < n; ++i) {
      if (sorted_[i] == self) Fail(Invariant::kLinks, block, slot, "a link to itself");
      if (!exists(sorted_[i])) Fail(Invariant::kLinks, block, slot, "a link leads nowhere");
      if (i > 0 && sorted_[i] == sorted_[i - 1]) {
        Fail(Invariant::kLinks, block, slot, "a link stands twice in a list");
      }
    }
  }
  bool IsAuxiliaryPlace(BlockNumber block) const {
    return view_->geometry.InStripes(block) && block < blocks_ && IsAuxiliary(block);
  }

  // I5.
  void AddRow(BlockNumber block, uint32_t slot, const format::Tid& tid) {
    ItemPointerData item;
    std::memcpy(&item, &tid, sizeof item);
    if (ItemPointerGetOffsetNumberNoCheck(&item) == InvalidOffsetNumber ||
        ItemPointerGetBlockNumberNoCheck(&item) >= heap_blocks_) {
      Fail(Invariant::kRows, block, slot, "a row lies outside of the table");
    }
    rows_.push_back(uint64_t{ItemPointerGetBlockNumberNoCheck(&item)} << 16 |
                    ItemPointerGetOffsetNumberNoCheck(&item));
  }

  void FollowChain(BlockNumber block, uint32_t slot, NodeId id, RecordId first) {
    for (RecordId at = first; at != kNoId;) {
      CHECK_FOR_INTERRUPTS();
      const format::Place place = view_->ChunkAt(at);
      if (!IsAuxiliaryPlace(place.block)) {
        Fail(Invariant::kRows, block, slot, "a chain leads nowhere");
      }
      ReadKind(place.block, PageKind::kChain, format::BodyBytes(view_->meta, PageKind::kChain),
               other_);
      const ChainChunk* chunk = view_->Chunk(other_, place.index);
      if (chunk->node != id) {
        Fail(Invariant::kRows, place.block, place.index, "a chain holds a chunk of another node");
      }
      if (chunk->count == 0 || chunk->count > format::kChunkTids) {
        Fail(Invariant::kRows, place.block, place.index,
             "a chunk with an impossible number of rows");
      }
      if (!chunks_.Insert(at)) {
        Fail(Invariant::kRows, place.block, place.index, "a chunk is used twice");
      }
      for (uint32_t i = 0; i < chunk->count; ++i) {
        AddRow(place.block, place.index, chunk->tids[i]);
        CheckFurtherRow(place, chunk, i);
      }
      at = chunk->next;
    }
  }

  // I12. The attributes of a live node's own row, into own_.
  void ReadAttributes(NodeId id) {
    const format::Place at = view_->geometry.ColumnAt(id);
    if (at.block != column_block_) {
      if (at.block >= blocks_ || !ReadImage(at.block, column_)) {
        Fail(Invariant::kAttributes, at.block, kNoSlot, "the page of nodes' attributes is missing");
      }
      CheckKind(at.block, PageKind::kColumn, format::BodyBytes(view_->meta, PageKind::kColumn),
                column_);
      column_block_ = at.block;
    }
    own_ = view_->ColumnRow(column_, at.index);
    CheckAttributes(at, own_, filter::kKnownMarks);
  }

  void CheckAttributes(format::Place at, const filter::Row& row, uint8_t known_marks) {
    const uint32_t count = view_->attributes.count();
    if (row.nulls >> count != 0 || (row.marks & ~known_marks) != 0) {
      Fail(Invariant::kAttributes, at.block, at.index, "nulls or marks that no row has");
    }
    for (uint32_t i = 0; i < count; ++i) {
      if (row.IsNull(i) && row.values[i] != filter::Value{}) {
        Fail(Invariant::kAttributes, at.block, at.index, "an attribute that is null has a value");
      }
    }
  }

  void CheckFurtherRow(format::Place at, const ChainChunk* chunk, uint32_t i) {
    if (!view_->has_attributes()) return;
    const filter::Row row =
        view_->attributes.Get(view_->AttributesOf(chunk), format::kChunkTids, i);
    CheckAttributes(at, row, 0);
    WantPosting(chunk->node, row);
    if ((own_.marks & filter::kFurtherRows) == 0 && !own_.HasValuesOf(row)) {
      Fail(Invariant::kAttributes, at.block, at.index,
           "a node does not tell of a row with other attributes");
    }
  }

  // I5, the other way round: a chunk in use belongs to a chain.
  void CheckChunks(BlockNumber block) {
    for (uint32_t slot = 0; slot < view_->meta.chunks_per_page; ++slot) {
      if (view_->Chunk(image_, slot)->node != kNoId &&
          !chunks_.Contains(view_->ChunkId({block, slot}))) {
        Fail(Invariant::kRows, block, slot, "a chunk belongs to no chain");
      }
    }
  }

  // I6. Vectors beyond the range of floats have factors that say nothing: slope and length 0, any
  // error.
  void CheckFactors(BlockNumber block, uint32_t slot, const uint8_t* coded) {
    const quant::Metric metric = view_->codec.params().metric;
    float extra = 0;
    bool sound = true;
    if (format::IsSparse(view_->meta)) {
      sound = quant::IsSparseCode(
          {metric, view_->meta.dims, view_->meta.traversal_bits * quant::kEntryUnit}, coded);
    } else if (quant::IsOfBits(metric)) {
      sound = quant::IsBitCode(metric, coded, view_->meta.dims);
    } else if (metric == quant::Metric::kL1) {
      std::memcpy(&extra, coded, sizeof extra);
    } else {
      quant::Factors factors;
      std::memcpy(&factors, coded, sizeof factors);
      // Both are rounded from sums of the same terms: a few units of 2^-24.
      constexpr float kSlack = 1.0001f;
      sound = std::isfinite(factors.norm)
                  ? factors.norm >= 0 && factors.slope >= 0 && std::isfinite(factors.slope) &&
                        factors.decoded >= 0 && factors.decoded <= factors.norm * kSlack
                  : factors.slope == 0 && factors.decoded == 0;
      if (metric == quant::Metric::kInnerProduct) {
        std::memcpy(&extra, coded + sizeof factors, sizeof extra);
      }
    }
    if (!sound || extra < 0) {
      Fail(Invariant::kFactors, block, slot, "factors that no vector has");
    }
  }

  // --- I7: records
  // ----------------------------------------------------------------------------------

  // A record's level stays when it is freed.
  void NoteRecords(BlockNumber block) {
    for (uint32_t slot = 0; slot < view_->meta.uppers_per_page; ++slot) {
      if (view_->Upper(image_, slot)->level() != 0) records_.Insert(view_->UpperId({block, slot}));
    }
  }

  void CheckRecords(BlockNumber block) {
    for (uint32_t slot = 0; slot < view_->meta.uppers_per_page; ++slot) {
      const format::UpperSlot* record = view_->Upper(image_, slot);
      if (record->state == SlotState::kFree) continue;
      const RecordId self = view_->UpperId({block, slot});
      if (record->state != SlotState::kLive) {
        Fail(Invariant::kRecord, block, slot, "unknown state of a record");
      }
      if (!IsUsed(record->node)) {
        Fail(Invariant::kRecord, block, slot, "a record of no node");
      }
      CheckEpoch(block, slot, record->code);
      if (record->level() < 1 || record->level() > LevelOf(record->node)) {
        Fail(Invariant::kRecord, block, slot, "a record above its node's level");
      }
      if (record->neighbour_count > view_->meta.m) {
        Fail(Invariant::kRecord, block, slot, "a list of neighbours is too long");
      }
      CheckLinks(block, slot, self, view_->Links(record), record->neighbour_count,
                 [this](RecordId id) { return records_.Contains(id); });
      CheckCopy(block, slot, record);
      CheckDown(block, slot, record);
    }
  }

  void CheckCopy(BlockNumber block, uint32_t slot, const format::UpperSlot* record) {
    const format::Place at = view_->geometry.NodeAt(record->node);
    ReadImage(at.block, other_);
    const format::NodeSlot* node = view_->Node(static_cast<const char*>(other_), at.index);
    // Nodes are coded anew before their records.
    const bool behind = view_->FrameOf(record->code) == Frame::kPrevious &&
                        view_->FrameOf(node->code) == Frame::kCurrent;
    if (!behind &&
        (record->code.epoch() != node->code.epoch() ||
         std::memcmp(view_->Coded(node), view_->Coded(record), view_->codec.coded_bytes()) != 0)) {
      Fail(Invariant::kRecord, block, slot, "a record's code is not its node's");
    }
  }

  // Records of a dead node go one after the other.
  void CheckDown(BlockNumber block, uint32_t slot, const format::UpperSlot* record) {
    if (record->level() == 1) {
      if (record->down != record->node) {
        Fail(Invariant::kRecord, block, slot, "a record leads down to another node");
      }
      return;
    }
    if (IsDead(record->node)) return;
    const format::Place at = view_->UpperAt(record->down);
    if (!IsAuxiliaryPlace(at.block)) {
      Fail(Invariant::kRecord, block, slot, "a record leads down to nowhere");
    }
    ReadKind(at.block, PageKind::kUpper, format::BodyBytes(view_->meta, PageKind::kUpper), other_);
    const format::UpperSlot* down = view_->Upper(other_, at.index);
    if (down->state != SlotState::kLive || down->node != record->node ||
        down->level() != record->level() - 1) {
      Fail(Invariant::kRecord, block, slot, "a record leads down to another node");
    }
  }

  // --- I8, I1: entry point, hints
  // -------------------------------------------------------------------

  void CheckEntry() {
    const format::Meta& meta = view_->meta;
    if (meta.entry == kNoId) return;
    bool sound;
    if (meta.entry_level == 0) {
      sound = IsUsed(meta.entry);
    } else {
      const format::Place at = view_->UpperAt(meta.entry);
      sound = IsAuxiliaryPlace(at.block) && ReadImage(at.block, other_) &&
              pg::KindOf(other_) == PageKind::kUpper &&
              view_->Upper(other_, at.index)->state == SlotState::kLive &&
              view_->Upper(other_, at.index)->level() == meta.entry_level;
    }
    if (!sound) Fail(Invariant::kEntry, kMetaBlock, kNoSlot, "the entry point is not there");
  }

  void CheckHints() {
    const format::Meta& meta = view_->meta;
    const auto sound = [this](BlockNumber block, PageKind kind) {
      return block == 0 ||
             (IsAuxiliaryPlace(block) && ReadImage(block, other_) && pg::KindOf(other_) == kind);
    };
    if (!sound(meta.upper_hint, PageKind::kUpper) || !sound(meta.chain_hint, PageKind::kChain) ||
        !sound(meta.spare_hint, PageKind::kSpare) ||
        !sound(meta.posting_hint, PageKind::kPostings)) {
      Fail(Invariant::kMeta, kMetaBlock, kNoSlot, "the meta page names a page of another kind");
    }
  }

  // --- I9
  // ---------------------------------------------------------------------------------------------

  void CheckDistinctRows() {
    std::sort(rows_.begin(), rows_.end());
    const auto twice = std::adjacent_find(rows_.begin(), rows_.end());
    if (twice == rows_.end()) return;
    Fail(Invariant::kDistinctRows, kMetaBlock, kNoSlot,
         psprintf("row (%u,%u) is there twice", static_cast<uint32_t>(*twice >> 16),
                  static_cast<uint32_t>(*twice & 0xFFFF)));
  }

  // --- I10
  // --------------------------------------------------------------------------------------------

  void CheckRefinements(BlockNumber block) {
    const format::Meta& meta = view_->meta;
    const uint32_t per_stripe = uint32_t{meta.node_pages} * meta.slots_per_page;
    const uint32_t stripe = view_->geometry.StripeOf(block);
    const uint32_t start = view_->geometry.PartAt(block).ordinal * meta.refinements_per_page;
    for (uint32_t i = 0; i < meta.refinements_per_page && start + i < per_stripe; ++i) {
      const NodeId id = stripe * per_stripe + start + i;
      if (!IsUsed(id)) continue;
      states_[id] |= kRefined;
      quant::RefinementFactors factors;
      std::memcpy(&factors, view_->Refinement(image_, i), sizeof factors);
      if (std::isnan(factors.first) || std::isnan(factors.second) || !(factors.error >= 0)) {
        Fail(Invariant::kRefinement, block, i, "factors that no vector has");
      }
    }
  }

  void CheckAllRefined() {
    if (view_->codec.refinement_bytes() == 0) return;
    for (NodeId id = 0; id < id_limit_; ++id) {
      if (!IsUsed(id) || (states_[id] & kRefined) != 0) continue;
      const format::Place at = view_->geometry.RefinementAt(id);
      Fail(Invariant::kRefinement, at.block, at.index, "a node's second code is missing");
    }
  }

  // --- I13
  // --------------------------------------------------------------------------------------------

  static uint64_t KeyOf(uint32_t hash, NodeId node) { return uint64_t{hash} << 32 | node; }

  void WantPosting(NodeId id, const filter::Row& row) {
    if (IsPosted(*view_, row)) wanted_.push_back(KeyOf(PostingHash(row.values[0]), id));
  }

  void CheckPostings() {
    const uint32_t slots = PostingSlots(view_->meta);
    for (uint32_t first = 0; first < slots; first += format::kPostingSlotsPerPage) {
      const BlockNumber block = PostingSlotsBlock(view_->meta, first);
      ReadKind(block, PageKind::kPostingSlots, format::kPageBody, image_);
      const uint32_t* heads = SlotsOn(image_);
      const uint32_t end = first + format::kPostingSlotsPerPage;
      const bool empty = std::all_of(heads, heads + format::kPostingSlotsPerPage,
                                     [](uint32_t head) { return head == 0; });
      for (uint32_t slot = first; slot < end && !empty;) {
        slot = FollowPostings(block, slot, end, heads + (slot - first));
      }
    }
    std::sort(wanted_.begin(), wanted_.end());
    std::sort(posted_.begin(), posted_.end());
    const uint64_t* have = posted_.data();
    const uint64_t* const have_end = have + posted_.size();
    for (const uint64_t want : wanted_) {
      while (have < have_end && *have < want) ++have;
      if (have < have_end && *have == want) continue;
      const format::Place at = view_->geometry.NodeAt(static_cast<NodeId>(want));
      Fail(Invariant::kPostings, at.block, at.index, "a row is not posted under its value");
    }
  }

  // The pages of the slots from `slot` on that share them; the first slot behind. `heads`: what the
  // directory says of these slots.
  uint32_t FollowPostings(BlockNumber directory, uint32_t slot, uint32_t limit,
                          const uint32_t* heads) {
    uint32_t end = slot;
    for (BlockNumber block = heads[0]; block != 0;) {
      CHECK_FOR_INTERRUPTS();
      if (!IsAuxiliaryPlace(block) || !posting_pages_.Insert(block)) {
        Fail(Invariant::kPostings, directory, slot, "postings lead nowhere");
      }
      ReadKind(block, PageKind::kPostings, format::kPageBody, other_);
      const format::PostingsHead* head = PostingsOn(static_cast<const char*>(other_));
      if (head->first_slot != slot || head->end_slot <= slot || head->end_slot > limit ||
          (end != slot && head->end_slot != end) || head->count > format::kPostingsPerPage) {
        Fail(Invariant::kPostings, block, kNoSlot, "a page of postings is of other slots");
      }
      end = head->end_slot;
      for (uint32_t i = 0; i < head->count; ++i) {
        const format::Posting& entry = EntriesOf(head)[i];
        const uint32_t of = PostingSlotOf(view_->meta, entry.hash);
        if (of < slot || of >= end || entry.node >= id_limit_) {
          Fail(Invariant::kPostings, block, i, "a posting that does not belong there");
        }
        posted_.push_back(KeyOf(entry.hash, entry.node));
      }
      block = head->next;
    }
    if (end == slot ||
        std::any_of(heads, heads + (end - slot), [&](uint32_t head) { return head != heads[0]; })) {
      Fail(Invariant::kPostings, directory, slot, "slots lead to other postings than their own");
    }
    return end;
  }

  Relation index_;
  MemoryContext context_;
  BlockNumber blocks_;
  BlockNumber heap_blocks_;
  BufferAccessStrategy strategy_;
  IndexView* view_ = nullptr;
  NodeId id_limit_ = 0;
  char* image_;                      // the page at hand
  char* other_;                      // one that it leads to
  char* column_;                     // a page of nodes' attributes
  BlockNumber column_block_ = 0;     // which
  filter::Row own_;                  // attributes of the node at hand
  VecOf<uint8_t, Alloc> auxiliary_;  // by stripe
  VecOf<uint8_t, Alloc> states_;     // by node, as Remembered
  VecOf<uint64_t, Alloc> rows_;      // block << 16 | offset
  VisitedSet<Alloc> chunks_;         // in chains
  VisitedSet<Alloc> records_;        // in use, or once in use
  VecOf<uint32_t, Alloc> sorted_;
  VecOf<uint64_t, Alloc> wanted_;    // postings that rows must have, as KeyOf
  VecOf<uint64_t, Alloc> posted_;    // those that there are
  VisitedSet<Alloc> posting_pages_;  // that slots lead to
};

}  // namespace

void CheckIndex(Relation heap, Relation index) {
  MemoryContext context =
      AllocSetContextCreate(CurrentMemoryContext, "ann hnsw check", ALLOCSET_DEFAULT_SIZES);
  MemoryContext old = MemoryContextSwitchTo(context);
  Checker(heap, index, context).Run();
  MemoryContextSwitchTo(old);
  MemoryContextDelete(context);
}

}  // namespace ann::hnsw
