// The attributes of nodes as a filtered scan sees them (README, "Attributes").
#pragma once

#include <algorithm>

#include "core/vec.hpp"
#include "filter/filter.hpp"
#include "hnsw/hnsw_walk.hpp"
#include "simd/filter_mask.hpp"

#include "pg/alloc.hpp"

namespace ann::hnsw {

class ColumnReader {
 public:
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

  // Calls visit(first, mask) for runs of 32 nodes of which some may pass: bit i is node first + i.
  // Slots that are free are among them. No page is locked meanwhile. There is a filter.
  template <class Visit>
  void Sweep(Visit&& visit) {
    const IndexView& view = graph_->view();
    const format::Geometry& geometry = view.geometry;
    const uint32_t rows = geometry.column_nodes();
    VecOf<uint32_t, pg::PgAllocator<std::byte>> masks{
        pg::PgAllocator<std::byte>(CurrentMemoryContext)};
    masks.resize(DivUp(rows, simd::kMaskRows));
    BufferAccessStrategy strategy = GetAccessStrategy(BAS_BULKREAD);
    for (uint32_t stripe = 0; geometry.StripeStart(stripe) < graph_->blocks(); ++stripe) {
      const NodeId end = std::min(geometry.FirstOfStripe(stripe + 1), graph_->id_limit());
      for (uint32_t page = 0; page < geometry.column_pages(); ++page) {
        CHECK_FOR_INTERRUPTS();
        const NodeId first = geometry.FirstOfColumn(stripe, page);
        if (first >= end || !ReadMasks(geometry.StripeStart(stripe) + page, strategy, &masks[0])) {
          continue;
        }
        for (uint32_t i = 0; i < rows && first + i < end; i += simd::kMaskRows) {
          const uint32_t left = end - first - i;
          const uint32_t in = left < simd::kMaskRows ? (uint32_t{1} << left) - 1 : ~uint32_t{0};
          const uint32_t mask = masks[i / simd::kMaskRows] & in;
          if (mask != 0) visit(first + i, mask);
        }
      }
    }
    FreeAccessStrategy(strategy);
  }

 private:
  // False: the page holds no attributes. Locks: the column page (L7), alone.
  bool ReadMasks(BlockNumber block, BufferAccessStrategy strategy, uint32_t* masks) const {
    const IndexView& view = graph_->view();
    if (block >= graph_->blocks()) return false;
    const pg::PageRef page = pg::ReadAnyPage(view.rel, block, BUFFER_LOCK_SHARE, strategy);
    const bool found =
        !pg::IsBlank(page.page) && pg::KindOf(page.page) == format::PageKind::kColumn;
    const uint32_t rows = view.geometry.column_nodes();
    for (uint32_t i = 0; found && i < rows; i += simd::kMaskRows) {
      masks[i / simd::kMaskRows] = filter_->Mask32(view.Column(page.page), rows, i);
    }
    pg::Release(page);
    return found;
  }

  PageGraph* graph_ = nullptr;
  const filter::Filter* filter_ = nullptr;
};

}  // namespace ann::hnsw
