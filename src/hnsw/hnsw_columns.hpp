// The attributes of nodes as a filtered scan sees them (README, "Attributes").
#pragma once

#include <algorithm>
#include <bit>

#include "core/vec.hpp"
#include "filter/filter.hpp"
#include "hnsw/hnsw_walk.hpp"
#include "simd/filter_mask.hpp"

#include "pg/alloc.hpp"
#include "pg/test_hooks.hpp"

namespace ann::hnsw {

class ColumnReader {
 public:
  // A sample is of about 10,000 rows where an attribute has 4 bytes.
  static constexpr uint32_t kSampledPages = 8;
  static constexpr uint32_t kSampledNodes = 4;

  ColumnReader() = default;
  // `filter` null: all rows pass.
  ColumnReader(PageGraph* graph, const filter::Filter* filter) : graph_(graph), filter_(filter) {}

  const filter::Filter* filter() const { return filter_; }

  // Whether a row of the node may pass. Read without a lock where that can be; where the node has
  // rows of other values, with one.
  bool Passes(NodeId id) {
    if (filter_ == nullptr) return true;
    bool own = false;
    const bool may = graph_->ReadColumn(id, [&](const char* area, uint32_t index) {
      const uint32_t rows = graph_->view().geometry.column_nodes();
      own = filter_->TestValues(area, rows, index);
      return own || filter_->Test(area, rows, index);
    });
    if (own || !may) return own;
    pg::StopPoint("scan.column");
    return AnyRowPasses(id);
  }
  // Whether the node's own row passes. The node's page is share-locked.
  bool OwnRowPasses(NodeId id) {
    return filter_ == nullptr || graph_->ReadColumn(id, [&](const char* area, uint32_t index) {
      return filter_->TestValues(area, graph_->view().geometry.column_nodes(), index);
    });
  }
  // Whether the `i`-th row of a chunk does.
  bool Passes(const format::ChainChunk* chunk, uint32_t i) const {
    return filter_ == nullptr ||
           filter_->TestValues(graph_->view().AttributesOf(chunk), format::kChunkTids, i);
  }

  struct Sample {
    double rate;   // of the nodes that pass
    double pages;  // of columns in the index
    uint32_t count;
    NodeId passing[kSampledPages * kSampledNodes];  // some of them
  };
  // A few pages from all over the index. There is a filter.
  Sample TakeSample() {
    const format::Geometry& geometry = graph_->view().geometry;
    const uint32_t rows = geometry.column_nodes();
    Sample sample{0, static_cast<double>(graph_->id_limit()) / rows, 0, {}};
    uint64_t passing = 0, seen = 0;
    BlockNumber last = InvalidBlockNumber;
    for (uint32_t i = 0; i < kSampledPages; ++i) {
      const NodeId id =
          static_cast<NodeId>((2 * i + 1) * uint64_t{graph_->id_limit()} / (2 * kSampledPages));
      const format::Place at = geometry.ColumnAt(id);
      uint32_t masks[kMaxMasks];
      if (at.block == last || !ReadMasks(at.block, masks)) continue;
      last = at.block;
      const NodeId first = id - at.index;
      // A page may have room for more rows than its stripe has nodes.
      const NodeId end =
          std::min(geometry.FirstOfStripe(geometry.StripeOf(at.block) + 1), graph_->id_limit());
      uint32_t taken = 0;
      for (uint32_t j = 0; j < rows && first + j < end; j += simd::kMaskRows) {
        const uint32_t mask = masks[j / simd::kMaskRows];
        passing += static_cast<uint32_t>(std::popcount(mask));
        seen += simd::kMaskRows;
        // Those taken from a page lie apart.
        if (mask == 0 || j < taken * rows / kSampledNodes || taken == kSampledNodes) continue;
        const NodeId node = first + j + static_cast<uint32_t>(std::countr_zero(mask));
        if (node >= end) continue;
        sample.passing[sample.count++] = node, ++taken;
      }
    }
    // Nodes whose rows have several values are in the masks whatever these are.
    uint32_t true_ones = 0;
    for (uint32_t i = 0; i < sample.count; ++i) {
      if (!Passes(sample.passing[i])) continue;
      sample.passing[true_ones++] = sample.passing[i];
    }
    if (sample.count > 0) passing = passing * true_ones / sample.count;
    sample.count = true_ones;
    // None among so many: half a one.
    sample.rate = seen == 0 ? 1
                            : std::min(1.0, std::max(static_cast<double>(passing), 0.5) /
                                                static_cast<double>(seen));
    return sample;
  }

  // Calls visit(first, mask) for runs of 32 nodes of which some may pass: bit i is node first + i.
  // Slots that are free are among them. No page is locked meanwhile. There is a filter.
  template <class Visit>
  void Sweep(Visit&& visit) {
    const IndexView& view = graph_->view();
    const format::Geometry& geometry = view.geometry;
    const uint32_t rows = geometry.column_nodes();
    uint32_t masks[kMaxMasks];
    const uint32_t per_stripe = geometry.column_pages();
    const auto block_of = [&](uint32_t n) {
      return geometry.StripeStart(n / per_stripe) + n % per_stripe;
    };
    for (uint32_t n = 0; n < kPagesAhead; ++n) PrefetchPage(block_of(n));
    for (uint32_t n = 0; geometry.StripeStart(n / per_stripe) < graph_->blocks(); ++n) {
      CHECK_FOR_INTERRUPTS();
      const uint32_t stripe = n / per_stripe;
      const NodeId end = std::min(geometry.FirstOfStripe(stripe + 1), graph_->id_limit());
      const NodeId first = geometry.FirstOfColumn(stripe, n % per_stripe);
      if (first >= end) continue;
      PrefetchPage(block_of(n + kPagesAhead));
      if (!ReadMasks(block_of(n), masks)) continue;
      for (uint32_t i = 0; i < rows && first + i < end; i += simd::kMaskRows) {
        const uint32_t left = end - first - i;
        const uint32_t in = left < simd::kMaskRows ? (uint32_t{1} << left) - 1 : ~uint32_t{0};
        const uint32_t mask = masks[i / simd::kMaskRows] & in;
        if (mask != 0) visit(first + i, mask);
      }
    }
  }

 private:
  // A page's masks take less time than memory that is busy.
  static constexpr uint32_t kPagesAhead = 2;
  // A longer chain passes untested.
  static constexpr uint32_t kMaxChunksTested = 64;
  // A row takes three bytes at least.
  static constexpr uint32_t kMaxMasks = format::kPageBody / 3 / simd::kMaskRows + 1;

  // Whether a row of the node passes; one of a damaged chain does. Its own row is looked at again:
  // a vacuum may have moved one there out of the chain since. Locks: the node page shared, under it
  // a column page, then chain pages one by one (L2, L7, L4).
  bool AnyRowPasses(NodeId id) {
    const IndexView& view = graph_->view();
    const format::Place at = view.geometry.NodeAt(id);
    bool passes = false;
    const pg::PageRef page = graph_->Lock(at.block, format::PageKind::kNodes);
    if (page.page != nullptr) {
      const format::NodeSlot* node = view.Node(page.page, at.index);
      const bool live = node->state == format::SlotState::kLive;
      passes = live && OwnRowPasses(id);
      RecordId next = live ? node->chain : kNoId;
      for (uint32_t read = 0; next != kNoId && !passes; ++read) {
        const format::Place chunk_at = view.ChunkAt(next);
        // Emission reads the chain, and says what is wrong with it.
        if (chunk_at.block >= graph_->blocks() || read == kMaxChunksTested) {
          passes = true;
          break;
        }
        // L4, under the node page.
        const pg::PageRef chain =
            pg::ReadPage(view.rel, chunk_at.block, BUFFER_LOCK_SHARE, format::PageKind::kChain);
        const format::ChainChunk* chunk = view.Chunk(chain.page, chunk_at.index);
        for (uint32_t i = 0; i < chunk->count && i < format::kChunkTids && !passes; ++i) {
          passes = Passes(chunk, i);
        }
        next = chunk->next;
        pg::Release(chain);
      }
    }
    UnlockReleaseBuffer(page.buffer);
    return passes;
  }

  // Of a column page some lines are read in three or more places, each too short for the hardware's
  // own prefetching. Inlined by force as PageGraph::Prefetch.
  [[gnu::always_inline]] void PrefetchPage(BlockNumber block) const {
    constexpr size_t kLine = 64;
    const char* area = graph_->GuessColumn(block);
    if (area == nullptr) return;
    filter_->ForColumns(
        area, graph_->view().geometry.column_nodes(),
        [](const char* data, size_t bytes) __attribute__((always_inline)) {
          for (size_t at = 0; at < bytes; at += kLine) __builtin_prefetch(data + at);
        });
  }

  // False: the page holds no attributes.
  bool ReadMasks(BlockNumber block, uint32_t* masks) const {
    const uint32_t rows = graph_->view().geometry.column_nodes();
    return block < graph_->blocks() && graph_->ReadColumnPage(block, [&](const char* area) {
      for (uint32_t i = 0; i < rows; i += simd::kMaskRows) {
        masks[i / simd::kMaskRows] = filter_->Mask32(area, rows, i);
      }
    });
  }

  PageGraph* graph_ = nullptr;
  const filter::Filter* filter_ = nullptr;
};

}  // namespace ann::hnsw
