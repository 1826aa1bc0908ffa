#include "hnsw/hnsw_walk.hpp"

namespace ann::hnsw {

// L2, L3 or L6; the caller releases it.
pg::PageRef PageGraph::Lock(BlockNumber block, format::PageKind kind) {
  pg::PageRef ref{reader_.Pin(block), nullptr, block};
  LockBuffer(ref.buffer, BUFFER_LOCK_SHARE);
  char* page = BufferGetPage(ref.buffer);
  if (pg::IsBlank(page)) return ref;
  if (pg::TailOf(page)->page_id != format::kPageId || pg::KindOf(page) != kind) {
    pg::ReportCorrupted(view_->rel, block, "unexpected kind of page");
  }
  ref.page = page;
  return ref;
}

void PageGraph::CheckLinks(format::Place at) {
  const pg::PageRef page = Lock(at.block, format::PageKind::kNodes);
  if (page.page != nullptr) {
    const format::NodeSlot* node = view_->Node(page.page, at.index);
    const NodeId* links = view_->Links(node);
    const NodeId limit = view_->geometry.IdLimit(RelationGetNumberOfBlocks(view_->rel));
    const bool in_use =
        node->state != format::SlotState::kFree && node->neighbour_count <= view_->max_links();
    for (uint32_t i = 0; in_use && i < node->neighbour_count; ++i) {
      if (links[i] >= limit) {
        pg::ReportCorrupted(view_->rel, at.block, "a link leads out of the file");
      }
    }
  }
  UnlockReleaseBuffer(page.buffer);
}

void PageGraph::Refine(const quant::SearchQuery* queries, const NodeId* ids, uint32_t n,
                       quant::Estimate* out) {
  constexpr uint32_t kAhead = 4;
  const uint32_t refinement_bytes = view_->codec.refinement_bytes();
  const bool refined = refinement_bytes > 0;
  for (uint32_t i = 0; i < n + kAhead; ++i) {
    if (i < n) {
      const format::Place at = view_->geometry.NodeAt(ids[i]);
      Prefetch(at.block, view_->NodeOffset(at.index), ScoredBytes());
      if (refined) {
        const format::Place fine = view_->geometry.RefinementAt(ids[i]);
        Prefetch(fine.block,
                 format::kPageHeaderBytes + fine.index * view_->meta.refinement_record_bytes,
                 refinement_bytes);
      }
    }
    if (i < kAhead) continue;
    const NodeId id = ids[i - kAhead];
    const format::Place at = view_->geometry.NodeAt(id);
    out[i - kAhead] = ReadCoded<format::NodeSlot>(at, [&](const format::NodeSlot* node,
                                                          Frame frame) {
      if (node->state == format::SlotState::kFree) return kGone;
      const quant::Codec& codec = view_->CodecOf(frame);
      const quant::SearchQuery& query = queries[static_cast<int>(frame)];
      if (!refined) return codec.Coarse(query, view_->Coded(node));
      const format::Place fine = view_->geometry.RefinementAt(id);
      return ReadSlot(fine, format::PageKind::kRefinement, [&](const char* fine_page) {
        return codec.Refined(query, view_->Coded(node), view_->Refinement(fine_page, fine.index));
      });
    });
  }
}

}  // namespace ann::hnsw
