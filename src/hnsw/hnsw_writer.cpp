#include "hnsw/hnsw_writer.hpp"

#include <algorithm>
#include <cstring>

#include "graph/order.hpp"
#include "hnsw/hnsw_postings.hpp"
#include "hnsw/hnsw_space.hpp"

namespace ann::hnsw {

using format::Meta;
using format::PageKind;

namespace {

using Alloc = pg::PgAllocator<std::byte>;

// Postings of a page that is written; the others are for inserts.
constexpr uint32_t kLeafFill = format::kPostingsPerPage * 4 / 5;

// Writes the pages of a finished graph, block after block.
class Writer {
 public:
  Writer(IndexView* view, const BuildGraph& graph, const float* mean, MemoryContext context)
      : view_(*view),
        graph_(graph),
        mean_(mean),
        alloc_(context),
        order_(alloc_),
        place_(alloc_),
        first_record_(alloc_),
        first_chunk_(alloc_),
        postings_(alloc_),
        leaves_(alloc_) {}

  void Write() {
    Number();
    AppendMeta();
    for (uint32_t i = 0; i < view_.meta.mean_pages; ++i) AppendMean(i);
    for (uint32_t i = 0; i < view_.meta.mean_pages; ++i) AppendNoMean();
    for (uint32_t i = 0; i < view_.meta.posting_pages; ++i) AppendPostingSlots(i);
    while (next_ < node_blocks_) AppendNodeStripePage();
    if (records_ > 0) {
      for (uint32_t done = 0; done < records_;) done = AppendUppers(done);
    }
    if (chunks_ > 0) {
      for (uint32_t done = 0; done < chunks_;) done = AppendChunks(done);
    }
    for (const Leaf& leaf : leaves_) AppendLeaf(leaf);
    FinishMeta();
  }

 private:
  // Nobody else sees the file yet: the locks of a build (L1, L2, L3, L4, L6, one at a time) keep
  // the checkpointer off half a page.
  char* Append(PageKind kind, Buffer* buffer) {
    CHECK_FOR_INTERRUPTS();
    *buffer = ReadBuffer(view_.rel, P_NEW);
    Assert(BufferGetBlockNumber(*buffer) == next_);
    LockBuffer(*buffer, BUFFER_LOCK_EXCLUSIVE);
    char* page = BufferGetPage(*buffer);
    pg::InitPage(page, kind, format::BodyBytes(view_.meta, kind));
    ++next_;
    return page;
  }
  static void Done(Buffer buffer) {
    MarkBufferDirty(buffer);
    UnlockReleaseBuffer(buffer);
    pg::UnitDone();
  }

  // Decides all ids before anything is written: nodes by order, records and chunks by node.
  void Number() {
    graph::PagePacking<Alloc>(alloc_).Run(
        graph_.size(), graph_.entry(), view_.meta.slots_per_page,
        [this](NodeId id, const NodeId** out) {
          *out = graph_.links(id, 0);
          return graph_.degree(id, 0);
        },
        [] { CHECK_FOR_INTERRUPTS(); }, order_);
    place_.resize(order_.size());
    first_record_.resize(order_.size());
    first_chunk_.resize(order_.size());
    for (NodeId id = 0; id < order_.size(); ++id) {
      const NodeId old = order_[id];
      place_[old] = id;
      first_record_[id] = records_;
      records_ += graph_.level(old);
      first_chunk_[id] = chunks_;
      chunks_ += static_cast<uint32_t>(DivUp(ChainLength(old), format::kChunkTids));
    }
    const uint32_t nodes = graph_.size();
    const format::Geometry& geometry = view_.geometry;
    node_blocks_ = geometry.first_stripe();
    if (nodes > 0) {
      node_blocks_ = geometry.NodeAt(nodes - 1).block + 1;
      if (view_.meta.refinements_per_page > 0) {
        // The last page's free slots have their records too.
        const NodeId last =
            nodes - 1 + view_.meta.slots_per_page - (nodes - 1) % view_.meta.slots_per_page - 1;
        node_blocks_ = std::max(node_blocks_, geometry.RefinementAt(last).block + 1);
      }
    }
    PlanLeaves();
    if (records_ + chunks_ + leaves_.size() > 0) {
      // Auxiliary pages start a stripe.
      node_blocks_ = geometry.StripeStart(geometry.StripeOf(node_blocks_ - 1) + 1);
    }
    upper_blocks_ = static_cast<uint32_t>(DivUp(records_, view_.meta.uppers_per_page));
    const BlockNumber end = node_blocks_ + upper_blocks_ +
                            static_cast<uint32_t>(DivUp(chunks_, view_.meta.chunks_per_page));
    if (records_ > 0) CheckRecordIds(view_, PageKind::kUpper, node_blocks_ + upper_blocks_ - 1);
    if (chunks_ > 0) CheckRecordIds(view_, PageKind::kChain, end - 1);
    leaf_blocks_ = end;
  }

  // --- postings: pages of consecutive slots, filled for the most part
  struct Leaf {
    uint32_t first_slot;
    uint32_t end_slot;
    uint32_t begin;  // of postings_
    uint32_t end;
    bool more;  // the next one has further postings of the same slot
  };

  void CollectPostings() {
    for (NodeId id = 0; id < order_.size(); ++id) {
      for (uint32_t row = graph_.first_row_of(order_[id]); row != kNoId;
           row = graph_.row(row).next) {
        const filter::Row attributes = view_.attributes.Get(graph_.attributes(row), 1, 0);
        if (!attributes.IsNull(0)) postings_.push_back({PostingHash(attributes.values[0]), id});
      }
    }
    const auto key = [](const format::Posting& p) { return uint64_t{p.hash} << 32 | p.node; };
    std::sort(postings_.begin(), postings_.end(),
              [key](const auto& a, const auto& b) { return key(a) < key(b); });
    const auto end = std::unique(postings_.begin(), postings_.end(),
                                 [key](const auto& a, const auto& b) { return key(a) == key(b); });
    postings_.erase(end, postings_.end());
  }

  uint32_t SlotAt(uint32_t posting) const {
    return PostingSlotOf(view_.meta, postings_[posting].hash);
  }

  void PlanLeaves() {
    if (!HasPostings(view_)) return;
    CollectPostings();
    const uint32_t n = static_cast<uint32_t>(postings_.size());
    uint32_t first_slot = 0;
    for (uint32_t begin = 0; begin < n;) {
      const uint32_t page = SlotAt(begin) / format::kPostingSlotsPerPage;
      const uint32_t page_end = (page + 1) * format::kPostingSlotsPerPage;
      first_slot = std::max(first_slot, page * format::kPostingSlotsPerPage);
      // Whole slots, at least one.
      uint32_t end = EndOfSlot(begin);
      while (end < n && SlotAt(end) < page_end && EndOfSlot(end) - begin <= kLeafFill) {
        end = EndOfSlot(end);
      }
      const bool last = end == n || SlotAt(end) >= page_end;
      const bool alone = end - begin > format::kPostingsPerPage;
      const uint32_t end_slot = last ? page_end : alone ? SlotAt(begin) + 1 : SlotAt(end);
      AddLeaves(first_slot, end_slot, begin, end);
      first_slot = end_slot, begin = end;
    }
  }

  uint32_t EndOfSlot(uint32_t posting) const {
    uint32_t end = posting;
    while (end < postings_.size() && SlotAt(end) == SlotAt(posting)) ++end;
    return end;
  }

  // The first page takes what does not fill one, and later entries.
  void AddLeaves(uint32_t first_slot, uint32_t end_slot, uint32_t begin, uint32_t end) {
    uint32_t n = end - begin;
    if (n > format::kPostingsPerPage) n %= format::kPostingsPerPage;
    for (; begin < end || n == 0; begin += n, n = format::kPostingsPerPage) {
      leaves_.push_back({first_slot, end_slot, begin, begin + n, begin + n < end});
    }
  }

  void AppendPostingSlots(uint32_t page_number) {
    Buffer buffer;
    char* page = Append(PageKind::kPostingSlots, &buffer);
    const uint32_t start = page_number * format::kPostingSlotsPerPage;
    bool first = true;  // of a chain
    for (uint32_t i = 0; i < leaves_.size(); ++i) {
      const Leaf& leaf = leaves_[i];
      const bool here = leaf.first_slot / format::kPostingSlotsPerPage == page_number;
      for (uint32_t slot = leaf.first_slot; first && here && slot < leaf.end_slot; ++slot) {
        SlotsOn(page)[slot - start] = leaf_blocks_ + i;
      }
      first = !leaf.more;
    }
    Done(buffer);
  }

  void AppendLeaf(const Leaf& leaf) {
    Buffer buffer;
    char* page = Append(PageKind::kPostings, &buffer);
    const uint32_t n = leaf.end - leaf.begin;
    format::PostingsHead* head = PostingsOn(page);
    *head = {leaf.first_slot, leaf.end_slot, leaf.more ? next_ : 0, n};
    std::copy_n(postings_.data() + leaf.begin, n, EntriesOf(head));
    Done(buffer);
  }

  uint32_t ChainLength(NodeId old) const {
    uint32_t n = 0;
    for (uint32_t next = graph_.first_row(old).next; next != kNoId; next = graph_.row(next).next) {
      ++n;
    }
    return n;
  }
  RecordId UpperId(uint32_t record) const {
    return view_.UpperId(
        {node_blocks_ + record / view_.meta.uppers_per_page, record % view_.meta.uppers_per_page});
  }
  RecordId ChunkId(uint32_t chunk) const {
    return view_.ChunkId({node_blocks_ + upper_blocks_ + chunk / view_.meta.chunks_per_page,
                          chunk % view_.meta.chunks_per_page});
  }

  void AppendMeta() {
    Buffer buffer;
    *MetaOn(Append(PageKind::kMeta, &buffer)) = view_.meta;
    Done(buffer);
  }

  void AppendMean(uint32_t i) {
    Buffer buffer;
    char* page = Append(PageKind::kMean, &buffer);
    const uint32_t start = i * format::kMeanFloatsPerPage;
    std::memcpy(page + format::kPageHeaderBytes, mean_ + start,
                sizeof(float) * std::min(view_.meta.dims - start, format::kMeanFloatsPerPage));
    Done(buffer);
  }

  // Where the next epoch's mean will be.
  void AppendNoMean() {
    Buffer buffer;
    Append(PageKind::kMean, &buffer);
    Done(buffer);
  }

  void AppendNodeStripePage() {
    Buffer buffer;
    const BlockNumber block = next_;
    const format::Geometry::Part part = view_.geometry.PartAt(block);
    const PageKind kind = NodeStripeKind(view_, block);
    char* page = Append(kind, &buffer);
    if (kind == PageKind::kNodes) {
      const NodeId first = part.ordinal * view_.meta.slots_per_page;
      for (uint32_t i = 0; i < view_.meta.slots_per_page && first + i < graph_.size(); ++i) {
        FillNode(view_.Node(page, i), first + i);
      }
      if (first + view_.meta.slots_per_page > graph_.size()) RecordRoom(view_, block);
    } else if (kind == PageKind::kColumn) {
      FillColumns(page, block, part.ordinal);
    } else if (kind == PageKind::kRefinement) {
      const uint32_t per_stripe = uint32_t{view_.meta.node_pages} * view_.meta.slots_per_page;
      const NodeId first = view_.geometry.StripeOf(block) * per_stripe +
                           part.ordinal * view_.meta.refinements_per_page;
      const NodeId end = std::min((view_.geometry.StripeOf(block) + 1) * per_stripe, graph_.size());
      for (uint32_t i = 0; i < view_.meta.refinements_per_page && first + i < end; ++i) {
        std::memcpy(view_.Refinement(page, i), graph_.refinement(order_[first + i]),
                    view_.codec.refinement_bytes());
      }
    }
    Done(buffer);
  }

  void FillColumns(char* page, BlockNumber block, uint32_t ordinal) {
    const format::Geometry& geometry = view_.geometry;
    const uint32_t stripe = geometry.StripeOf(block);
    const NodeId first = geometry.FirstOfColumn(stripe, ordinal);
    const NodeId end = std::min(
        {first + geometry.column_nodes(), geometry.FirstOfStripe(stripe + 1), graph_.size()});
    for (NodeId id = first; id < end; ++id) {
      const uint32_t row = graph_.first_row_of(order_[id]);
      filter::Row attributes = view_.attributes.Get(graph_.attributes(row), 1, 0);
      if (HasOtherAttributes(row)) attributes.marks |= filter::kFurtherRows;
      view_.PutColumnRow(page, id - first, attributes);
    }
  }

  // Whether a row of the same vector has other attributes than the first.
  bool HasOtherAttributes(uint32_t first) const {
    const uint32_t bytes = view_.attributes.row_bytes();
    for (uint32_t row = graph_.row(first).next; row != kNoId; row = graph_.row(row).next) {
      if (std::memcmp(graph_.attributes(row), graph_.attributes(first), bytes) != 0) return true;
    }
    return false;
  }

  void FillNode(format::NodeSlot* slot, NodeId id) {
    const NodeId old = order_[id];
    const BuildGraph::Row& row = graph_.first_row(old);
    slot->state = format::SlotState::kLive;
    slot->code = format::LevelEpoch::Of(graph_.level(old), view_.meta.epoch);
    slot->version = 0;
    slot->tid = row.tid;
    slot->chain = row.next == kNoId ? kNoId : ChunkId(first_chunk_[id]);
    slot->set_hash(graph_.hash(old));
    std::memcpy(view_.Coded(slot), graph_.coded(old), view_.codec.coded_bytes());
    slot->neighbour_count = static_cast<uint16_t>(graph_.degree(old, 0));
    NodeId* links = view_.Links(slot);
    for (uint32_t i = 0; i < slot->neighbour_count; ++i) {
      links[i] = place_[graph_.links(old, 0)[i]];
    }
    // In order of address: what is on one page is read together.
    std::sort(links, links + slot->neighbour_count);
  }

  uint32_t AppendUppers(uint32_t done) {
    Buffer buffer;
    char* page = Append(PageKind::kUpper, &buffer);
    for (uint32_t i = 0; i < view_.meta.uppers_per_page && done < records_; ++i, ++done) {
      while (cursor_level_ == graph_.level(order_[cursor_node_])) ++cursor_node_, cursor_level_ = 0;
      const NodeId old = order_[cursor_node_];
      const uint8_t level = ++cursor_level_;
      format::UpperSlot* record = view_.Upper(page, i);
      record->state = format::SlotState::kLive;
      record->code = format::LevelEpoch::Of(level, view_.meta.epoch);
      record->version = 0;
      record->node = cursor_node_;
      record->down = level == 1 ? cursor_node_ : UpperId(done - 1);
      std::memcpy(view_.Coded(record), graph_.coded(old), view_.codec.coded_bytes());
      record->neighbour_count = graph_.degree(old, level);
      for (uint32_t n = 0; n < record->neighbour_count; ++n) {
        const NodeId other = place_[graph_.links(old, level)[n]];
        view_.Links(record)[n] = UpperId(first_record_[other] + level - 1);
      }
    }
    Done(buffer);
    return done;
  }

  uint32_t AppendChunks(uint32_t done) {
    Buffer buffer;
    char* page = Append(PageKind::kChain, &buffer);
    uint32_t i = 0;
    for (; i < view_.meta.chunks_per_page && done < chunks_; ++i, ++done) {
      if (cursor_row_ == kNoId) {
        do ++cursor_chain_;
        while (graph_.first_row(order_[cursor_chain_ - 1]).next == kNoId);
        cursor_row_ = graph_.first_row(order_[cursor_chain_ - 1]).next;
      }
      format::ChainChunk* chunk = view_.Chunk(page, i);
      chunk->node = cursor_chain_ - 1;
      for (; chunk->count < format::kChunkTids && cursor_row_ != kNoId;
           cursor_row_ = graph_.row(cursor_row_).next) {
        view_.attributes.Move(graph_.attributes(cursor_row_), 1, 0, view_.AttributesOf(chunk),
                              format::kChunkTids, chunk->count);
        chunk->tids[chunk->count++] = graph_.row(cursor_row_).tid;
      }
      chunk->next = cursor_row_ == kNoId ? kNoId : ChunkId(done + 1);
    }
    for (; i < view_.meta.chunks_per_page; ++i) view_.Chunk(page, i)->node = kNoId;
    Done(buffer);
    return done;
  }

  void FinishMeta() {
    Meta& meta = view_.meta;
    if (graph_.entry() != kNoId) {
      const NodeId entry = place_[graph_.entry()];
      meta.entry_level = graph_.top_level();
      meta.entry =
          meta.entry_level == 0 ? entry : UpperId(first_record_[entry] + meta.entry_level - 1);
    }
    meta.upper_hint = records_ == 0 ? 0 : node_blocks_ + upper_blocks_ - 1;
    meta.chain_hint = chunks_ == 0 ? 0 : leaf_blocks_ - 1;
    meta.node_count = graph_.size();
    meta.row_count = graph_.row_count();
    // L1, alone.
    pg::PageRef page = pg::ReadPage(view_.rel, kMetaBlock, BUFFER_LOCK_EXCLUSIVE, PageKind::kMeta);
    *MetaOn(page.page) = meta;
    MarkBufferDirty(page.buffer);
    pg::Release(page);
  }

  IndexView& view_;
  const BuildGraph& graph_;
  const float* mean_;
  Alloc alloc_;
  VecOf<NodeId, Alloc> order_;           // new id -> node of the graph
  VecOf<NodeId, Alloc> place_;           // and back
  VecOf<uint32_t, Alloc> first_record_;  // by new id
  VecOf<uint32_t, Alloc> first_chunk_;
  uint32_t records_ = 0;
  uint32_t chunks_ = 0;
  BlockNumber next_ = 0;
  VecOf<format::Posting, Alloc> postings_;  // by hash, then node
  VecOf<Leaf, Alloc> leaves_;
  BlockNumber leaf_blocks_ = 0;  // where these start
  BlockNumber node_blocks_ = 0;  // where the auxiliary pages start
  uint32_t upper_blocks_ = 0;
  NodeId cursor_node_ = 0;
  uint8_t cursor_level_ = 0;
  NodeId cursor_chain_ = 0;
  uint32_t cursor_row_ = kNoId;
};

}  // namespace

void WritePages(IndexView* view, const BuildGraph& graph, const float* mean,
                MemoryContext context) {
  Writer(view, graph, mean, context).Write();
}

}  // namespace ann::hnsw
