// The attributes of nodes as a filtered scan sees them (README, "Attributes").
#pragma once

#include <algorithm>
#include <bit>

#include "core/vec.hpp"
#include "filter/filter.hpp"
#include "hnsw/hnsw_walk.hpp"
#include "simd/filter_mask.hpp"

#include "pg/alloc.hpp"

namespace ann::hnsw {

class ColumnReader {
 public:
  // A sample is of about 10,000 rows where an attribute has 4 bytes.
  static constexpr uint32_t kSampledPages = 8;
  static constexpr uint32_t kSampledNodes = 2;

  ColumnReader() = default;
  // `filter` null: all rows pass.
  ColumnReader(PageGraph* graph, const filter::Filter* filter) : graph_(graph), filter_(filter) {}

  const filter::Filter* filter() const { return filter_; }

  // Whether a row of the node may pass. Read without a lock where that can be.
  bool Passes(NodeId id) {
    return filter_ == nullptr || graph_->ReadColumn(id, [&](const char* area, uint32_t index) {
      return filter_->Test(area, graph_->view().geometry.column_nodes(), index);
    });
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
  Sample TakeSample() const {
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
      uint32_t taken = 0;
      for (uint32_t j = 0; j < rows && first + j < graph_->id_limit(); j += simd::kMaskRows) {
        const uint32_t mask = masks[j / simd::kMaskRows];
        passing += static_cast<uint32_t>(std::popcount(mask));
        seen += simd::kMaskRows;
        // Those taken from a page lie apart.
        if (mask == 0 || j < taken * rows / kSampledNodes || taken == kSampledNodes) continue;
        const NodeId node = first + j + static_cast<uint32_t>(std::countr_zero(mask));
        if (node >= graph_->id_limit()) continue;
        sample.passing[sample.count++] = node, ++taken;
      }
    }
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
    for (uint32_t stripe = 0; geometry.StripeStart(stripe) < graph_->blocks(); ++stripe) {
      const NodeId end = std::min(geometry.FirstOfStripe(stripe + 1), graph_->id_limit());
      for (uint32_t page = 0; page < geometry.column_pages(); ++page) {
        CHECK_FOR_INTERRUPTS();
        const NodeId first = geometry.FirstOfColumn(stripe, page);
        if (first >= end) continue;
        const bool last = page + 1 == geometry.column_pages();
        PrefetchPage(last ? geometry.StripeStart(stripe + 1)
                          : geometry.StripeStart(stripe) + page + 1);
        if (!ReadMasks(geometry.StripeStart(stripe) + page, masks)) continue;
        for (uint32_t i = 0; i < rows && first + i < end; i += simd::kMaskRows) {
          const uint32_t left = end - first - i;
          const uint32_t in = left < simd::kMaskRows ? (uint32_t{1} << left) - 1 : ~uint32_t{0};
          const uint32_t mask = masks[i / simd::kMaskRows] & in;
          if (mask != 0) visit(first + i, mask);
        }
      }
    }
  }

 private:
  // A row takes three bytes at least.
  static constexpr uint32_t kMaxMasks = format::kPageBody / 3 / simd::kMaskRows + 1;

  // Of a column page some lines are read in three or more places, each too short for the hardware's
  // own prefetching. Inlined by force as PageGraph::Prefetch.
  [[gnu::always_inline]] void PrefetchPage(BlockNumber block) const {
    constexpr size_t kLine = 64;
    const char* area = graph_->GuessColumn(block);
    if (area == nullptr) return;
    filter_->ForColumns(area, graph_->view().geometry.column_nodes(),
                        [](const char* data, size_t bytes) {
                          for (size_t at = 0; at < bytes; at += kLine)
                            __builtin_prefetch(data + at);
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
