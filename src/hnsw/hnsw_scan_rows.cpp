// Rows of nodes, and the set of rows that a scan may be kept to: README, "Filters".
#include <cstring>

#include "hnsw/hnsw_scan.hpp"

namespace ann::hnsw {

namespace {

void AddTid(ScanState& s, BlockNumber block, const format::Tid& stored) {
  const ItemPointerData tid = s.table_end.RowAt(s.scan, block, stored);
  if (s.rows == nullptr || s.rows->Contains(tid)) s.emission.AddTid(tid);
}

}  // namespace

uint32_t ReadTids(ScanState& s, NodeId id) {
  const IndexView& view = *s.view;
  const format::Place at = view.geometry.NodeAt(id);
  const size_t before = s.emission.tid_count();
  uint64_t rows_seen = 0;  // of the chain
  const pg::PageRef page = s.graph.Lock(at.block, format::PageKind::kNodes);
  if (page.page != nullptr) {
    const format::NodeSlot* node = view.Node(page.page, at.index);
    if (node->state == format::SlotState::kLive) {
      if (s.columns.OwnRowPasses(id)) AddTid(s, at.block, node->tid);
      for (RecordId next = node->chain; next != kNoId;) {
        const format::Place chunk_at = view.ChunkAt(next);
        const BlockNumber blocks = RelationGetNumberOfBlocks(view.rel);
        if (chunk_at.block >= blocks) {
          pg::ReportCorrupted(view.rel, at.block, "a chain leads out of the file");
        }
        // L4, under the node page.
        const pg::PageRef chain =
            pg::ReadPage(view.rel, chunk_at.block, BUFFER_LOCK_SHARE, format::PageKind::kChain);
        const format::ChainChunk* chunk = view.Chunk(chain.page, chunk_at.index);
        if (chunk->node != id || chunk->count > format::kChunkTids || chunk->count == 0) {
          pg::ReportCorrupted(view.rel, chunk_at.block, "a chain holds a chunk of another node");
        }
        for (uint32_t i = 0; i < chunk->count; ++i) {
          if (s.columns.Passes(chunk, i)) AddTid(s, chunk_at.block, chunk->tids[i]);
        }
        rows_seen += chunk->count;
        next = chunk->next;
        pg::Release(chain);
        // Each chunk is used once, so a chain longer than the index, which may have grown since the
        // scan began, is a circle.
        if (rows_seen > uint64_t{view.meta.chunks_per_page} * format::kChunkTids * blocks) {
          pg::ReportCorrupted(view.rel, chunk_at.block, "a chain runs in a circle");
        }
      }
    }
  }
  UnlockReleaseBuffer(page.buffer);
  return static_cast<uint32_t>(s.emission.tid_count() - before);
}

bool IsOfSet(ScanState& s, NodeId id) {
  ItemPointerData tid;
  bool chained = false;
  const bool live = s.graph.UseNode(id, [&](const format::NodeSlot* node) {
    std::memcpy(&tid, &node->tid, sizeof tid);
    chained = node->chain != kNoId;
    return node->state == format::SlotState::kLive;
  });
  if (!live) return false;
  if (s.rows->Contains(tid) || !chained) return s.rows->Contains(tid);
  const size_t before = s.emission.tid_count();
  const bool found = ReadTids(s, id) > 0;
  s.emission.DropTids(before);
  return found;
}

double ShareOfSet(const ScanState& s) {
  const double nodes = std::max<double>(s.graph.id_limit(), 1);
  const double blocks = std::max<double>(RelationGetNumberOfBlocks(s.scan->heapRelation), 1);
  const double rows = static_cast<double>(s.rows->rows()) +
                      static_cast<double>(s.rows->lossy_blocks()) * nodes / blocks;
  return std::clamp(rows / nodes, 0.5 / nodes, 1.0);
}

uint32_t NodesOfSet(ScanState& s, BlockNumber block, NodeId* ids) {
  const IndexView& view = *s.view;
  if (view.geometry.PartAt(block).kind != format::StripePart::kNodes) return 0;
  uint32_t found = 0, kept = 0;
  bool sure[kMostSlots];
  // L2, alone.
  const pg::PageRef page = pg::ReadAnyPage(view.rel, block, BUFFER_LOCK_SHARE);
  if (!pg::IsBlank(page.page) && pg::KindOf(page.page) == format::PageKind::kNodes) {
    const NodeId first = view.geometry.PartAt(block).ordinal * view.meta.slots_per_page;
    for (uint32_t i = 0; i < view.meta.slots_per_page; ++i) {
      const format::NodeSlot* node = view.Node(page.page, i);
      if (node->state != format::SlotState::kLive) continue;
      ItemPointerData tid;
      std::memcpy(&tid, &node->tid, sizeof tid);
      sure[found] = s.rows->Contains(tid);
      if (sure[found] || node->chain != kNoId) ids[found++] = first + i;
    }
  }
  pg::Release(page);
  for (uint32_t i = 0; i < found; ++i) {
    if (sure[i] || IsOfSet(s, ids[i])) ids[kept++] = ids[i];
  }
  return kept;
}

void SampleSet(ScanState& s) {
  // Nodes of a page are near each other, so few are taken of each.
  constexpr uint32_t kPages = 64, kOfPage = 2;
  constexpr uint32_t kMost = ColumnReader::kSampledPages * ColumnReader::kSampledNodes;
  const BlockNumber first = s.view->geometry.first_stripe();
  if (s.graph.blocks() <= first) return;
  const uint64_t blocks = s.graph.blocks() - first;
  BlockNumber last = InvalidBlockNumber;
  for (uint32_t i = 0; i < kPages; ++i) {
    const BlockNumber block = first + static_cast<BlockNumber>(i * blocks / kPages);
    if (block == last) continue;
    last = block;
    NodeId ids[kMostSlots];
    const uint32_t n = NodesOfSet(s, block, ids);
    uint32_t taken = 0;
    for (uint32_t j = 0; j < n && taken < kOfPage && s.sample.count < kMost; ++j) {
      if (ids[j] >= s.graph.id_limit() || !s.columns.Passes(ids[j])) continue;
      s.sample.passing[s.sample.count++] = ids[j], ++taken;
    }
  }
}

void ListSet(ScanState& s) {
  ++s.searches;
  s.ways |= am::kWayRows;
  s.swept += s.rows->rows();
  uint32_t id = 0;
  am::RowFetcher& fetcher = am::OpaqueOf<ScanState>(s.scan).fetcher;
  s.rows->ForEach([&](const ItemPointerData& tid) {
    float key;
    if (fetcher.Fetch(s.scan, s.view->metric(), s.x, s.view->meta.dims, &tid, 1, &key)) {
      s.emission.PushExact(id++, tid, key);
    }
  });
}

}  // namespace ann::hnsw
