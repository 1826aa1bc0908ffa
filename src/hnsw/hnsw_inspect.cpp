// What ann_index_stats says of an hnsw index.
#include "hnsw/hnsw_inspect.hpp"

#include <algorithm>

#include "am/inspect.hpp"
#include "core/visited.hpp"
#include "hnsw/hnsw.hpp"
#include "hnsw/hnsw_space.hpp"
#include "hnsw/hnsw_walk.hpp"

#include "pg/alloc.hpp"

namespace ann::hnsw {

using format::PageKind;
using format::SlotState;

namespace {

using Alloc = pg::PgAllocator<std::byte>;

struct Counts {
  int64 nodes, rows, dead, free, links;
  int64 records, chunks;
  int64 node_pages, refinement_pages, upper_pages, chain_pages, spare_pages, column_pages;
};

void CountNodes(const IndexView& view, const char* page, Counts* counts) {
  for (uint32_t i = 0; i < view.meta.slots_per_page; ++i) {
    const format::NodeSlot* node = view.Node(page, i);
    switch (node->state) {
      case SlotState::kLive:
        ++counts->nodes, ++counts->rows;
        counts->links += node->neighbour_count;
        break;
      case SlotState::kDead:
        ++counts->dead;
        break;
      default:
        ++counts->free;
    }
  }
}

void CountPage(const IndexView& view, const char* page, Counts* counts) {
  if (pg::IsBlank(page)) {
    ++counts->spare_pages;
    return;
  }
  switch (pg::KindOf(page)) {
    case PageKind::kNodes:
      ++counts->node_pages;
      CountNodes(view, page, counts);
      break;
    case PageKind::kRefinement:
      ++counts->refinement_pages;
      break;
    case PageKind::kColumn:
      ++counts->column_pages;
      break;
    case PageKind::kUpper:
      ++counts->upper_pages;
      for (uint32_t i = 0; i < view.meta.uppers_per_page; ++i) {
        counts->records += view.Upper(page, i)->state != SlotState::kFree;
      }
      break;
    case PageKind::kChain:
      ++counts->chain_pages;
      for (uint32_t i = 0; i < view.meta.chunks_per_page; ++i) {
        const format::ChainChunk* chunk = view.Chunk(page, i);
        if (chunk->node == kNoId) continue;
        ++counts->chunks;
        counts->rows += chunk->count;
      }
      break;
    default:
      ++counts->spare_pages;
  }
}

Counts CountPages(const IndexView& view, BlockNumber blocks) {
  Counts counts{};
  BufferAccessStrategy strategy = GetAccessStrategy(BAS_BULKREAD);
  for (BlockNumber block = view.geometry.first_stripe(); block < blocks; ++block) {
    CHECK_FOR_INTERRUPTS();
    // L2, L3, L4 or L6, alone.
    const pg::PageRef page = pg::ReadAnyPage(view.rel, block, BUFFER_LOCK_SHARE, strategy);
    CountPage(view, page.page, &counts);
    pg::Release(page);
  }
  FreeAccessStrategy(strategy);
  return counts;
}

// Marks what links lead to from the entry point, breadth first over level 0; the number of live
// nodes among it.
int64 CountReachable(IndexView& view, MemoryContext context) {
  PageGraph graph(&view);
  const NodeId start = EntryNode(graph);
  if (start == kNoId) return 0;
  VecOf<NodeId, Alloc> queue{Alloc(context)};
  VecOf<uint8_t, Alloc> seen{Alloc(context)};
  seen.resize(graph.id_limit(), 0);
  queue.push_back(start);
  seen[start] = 1;
  int64 live = 0;
  for (size_t head = 0; head < queue.size(); ++head) {
    CHECK_FOR_INTERRUPTS();
    const format::Place at = view.geometry.NodeAt(queue[head]);
    if (at.block >= graph.blocks()) continue;
    NodeId links[graph::kMaxDegree];
    const pg::PageRef page = graph.Lock(at.block, PageKind::kNodes);
    const bool is_live =
        page.page != nullptr && view.Node(page.page, at.index)->state == SlotState::kLive;
    UnlockReleaseBuffer(page.buffer);
    live += is_live;
    const uint32_t n = graph.Neighbours(queue[head], links);
    for (uint32_t i = 0; i < n; ++i) {
      if (seen[links[i]] != 0) continue;
      seen[links[i]] = 1;
      queue.push_back(links[i]);
    }
  }
  return live;
}

}  // namespace

Datum Stats(Relation index, TupleDesc desc) {
  IndexView& view = *OpenIndex(index, CurrentMemoryContext);
  const BlockNumber blocks = RelationGetNumberOfBlocks(index);
  const Counts counts = CountPages(view, blocks);
  const int64 reachable = CountReachable(view, CurrentMemoryContext);
  const format::Meta& meta = view.meta;
  am::RowWriter row(desc);
  row.Int(meta.version)
      .Int(static_cast<int32>(meta.dims))
      .Text(am::MetricName(format::MetricByte(meta)));
  row.Int(meta.m).Int(meta.ef_construction).Int(static_cast<int32>(meta.default_ef));
  row.Int(meta.traversal_bits).Int(meta.refinement_bits);
  row.Int(view.empty() ? 0 : static_cast<int32>(meta.entry_level) + 1);
  row.Big(counts.nodes).Big(counts.rows).Big(counts.dead).Big(counts.free);
  row.Big(counts.records).Big(counts.chunks);
  row.Float(counts.nodes == 0 ? 0 : static_cast<double>(counts.links) / counts.nodes);
  row.Big(std::max<int64>(counts.nodes - reachable, 0));
  row.Big(counts.node_pages).Big(counts.refinement_pages).Big(counts.upper_pages);
  row.Big(counts.chain_pages).Big(counts.spare_pages);
  row.Big(int64{blocks} * BLCKSZ);
  row.Big(meta.epoch).Big(static_cast<int64>(meta.mean_rows)).Bool(meta.recentring != 0);
  row.Nulls(am::kAttributeStats);
  row.Int(meta.attribute_count).Int(meta.attribute_bytes).Big(counts.column_pages);
  return row.Finish();
}

}  // namespace ann::hnsw
