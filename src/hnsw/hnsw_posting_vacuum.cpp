#include "hnsw/hnsw_posting_vacuum.hpp"

#include <algorithm>

#include "hnsw/hnsw_postings.hpp"
#include "hnsw/hnsw_walk.hpp"

namespace ann::hnsw {

using format::kPostingsPerPage;
using format::PageKind;
using format::Posting;
using format::PostingsHead;
using format::SlotState;

namespace {

bool Before(const Posting& a, const Posting& b) {
  return a.hash != b.hash ? a.hash < b.hash : a.node < b.node;
}
bool Same(const Posting& a, const Posting& b) { return a.hash == b.hash && a.node == b.node; }

class PostingCleaner {
 public:
  PostingCleaner(IndexView& view, PageTour& tour, const IdSet& dead, MemoryContext context)
      : view_(view),
        tour_(tour),
        dead_(dead),
        graph_(&view),
        sorted_(pg::PgAllocator<std::byte>(context)) {}

  void Visit(BlockNumber block) {
    if (tour_.CopyPage(block) != PageKind::kPostings) return;
    const PostingsHead* head = PostingsOn(tour_.image());
    if (head->end_slot == 0) return;
    if (head->count > kPostingsPerPage) {
      pg::ReportCorrupted(view_.rel, block, "a page with an impossible number of postings");
    }
    sorted_.assign(EntriesOf(head), EntriesOf(head) + head->count);
    std::sort(sorted_.begin(), sorted_.end(), Before);
    const bool twice = std::adjacent_find(sorted_.begin(), sorted_.end(), Same) != sorted_.end();
    if (twice || std::any_of(sorted_.begin(), sorted_.end(),
                             [this](const Posting& p) { return dead_.Contains(p.node); })) {
      DropDead(block);
    }
    for (const Posting& entry : sorted_) {
      if (!dead_.Contains(entry.node) && !IsOwn(entry)) DropIfStale(block, entry);
    }
    while (Merge(block)) pg::VacuumDelay();
    graph_.ReportHits();
  }

 private:
  // Dead nodes' slots are not used anew before they are freed, which comes later. L9, alone.
  void DropDead(BlockNumber block) {
    const pg::PageRef page =
        pg::ReadPage(view_.rel, block, BUFFER_LOCK_EXCLUSIVE, PageKind::kPostings);
    pg::PageEdit edit = pg::PageEdit::Begin(view_.rel, view_.meta);
    PostingsHead* head = PostingsOn(edit.Edit(page));
    Posting* entries = EntriesOf(head);
    Posting* end = std::remove_if(entries, entries + head->count,
                                  [this](const Posting& p) { return dead_.Contains(p.node); });
    std::sort(entries, end, Before);
    head->count = static_cast<uint32_t>(std::unique(entries, end, Same) - entries);
    edit.Finish();
    pg::Release(page);
  }

  // Whether it is of the value of the node's own row, or of a node that has come since.
  bool IsOwn(const Posting& entry) {
    return entry.node >= graph_.id_limit() ||
           graph_.ReadColumn(entry.node, [&](const char* area, uint32_t index) {
             return IsOf(view_.attributes.Get(area, view_.geometry.column_nodes(), index), entry);
           });
  }
  static bool IsOf(const filter::Row& row, const Posting& entry) {
    return !row.IsNull(0) && PostingHash(row.values[0]) == entry.hash;
  }

  // While the node's page is locked no row joins it. Locks: the node page shared (L2), under it its
  // column page (L7), chain pages one by one (L4), the page of postings (L9).
  void DropIfStale(BlockNumber block, const Posting& entry) {
    pg::VacuumDelay();
    const format::Place at = view_.geometry.NodeAt(entry.node);
    if (at.block >= graph_.blocks()) {
      pg::ReportCorrupted(view_.rel, block, "a posting of a node outside of the file");
    }
    const pg::PageRef page = pg::ReadPage(view_.rel, at.block, BUFFER_LOCK_SHARE, PageKind::kNodes);
    const format::NodeSlot* node = view_.Node(page.page, at.index);
    if (node->state != SlotState::kLive || !HasRow(node, entry)) Drop(block, entry);
    pg::Release(page);
  }

  // L7, then L4, under the node page.
  bool HasRow(const format::NodeSlot* node, const Posting& entry) {
    if (IsOwn(entry)) return true;
    uint64_t read = 0;
    for (RecordId next = node->chain; next != kNoId;) {
      const format::Place at = view_.ChunkAt(next);
      if (at.block >= RelationGetNumberOfBlocks(view_.rel) ||
          ++read > uint64_t{view_.meta.chunks_per_page} * graph_.blocks()) {
        pg::ReportCorrupted(view_.rel, at.block, "a chain leads nowhere");
      }
      const pg::PageRef page =
          pg::ReadPage(view_.rel, at.block, BUFFER_LOCK_SHARE, PageKind::kChain);
      const format::ChainChunk* chunk = view_.Chunk(page.page, at.index);
      bool found = false;
      for (uint32_t i = 0; i < chunk->count && i < format::kChunkTids && !found; ++i) {
        found = IsOf(view_.attributes.Get(view_.AttributesOf(chunk), format::kChunkTids, i), entry);
      }
      next = chunk->next;
      pg::Release(page);
      if (found) return true;
    }
    return false;
  }

  // It may have gone to another page: then it stays. L9, under the node page.
  void Drop(BlockNumber block, const Posting& entry) {
    const pg::PageRef page =
        pg::ReadPage(view_.rel, block, BUFFER_LOCK_EXCLUSIVE, PageKind::kPostings);
    const Posting* entries = EntriesOf(PostingsOn(page.page));
    const uint32_t n = std::min(PostingsOn(page.page)->count, kPostingsPerPage);
    const Posting* found =
        std::find_if(entries, entries + n, [&](const Posting& p) { return Same(p, entry); });
    if (found != entries + n) {
      pg::PageEdit edit = pg::PageEdit::Begin(view_.rel, view_.meta);
      PostingsHead* head = PostingsOn(edit.Edit(page));
      EntriesOf(head)[found - entries] = EntriesOf(head)[--head->count];
      edit.Finish();
    }
    pg::Release(page);
  }

  // Takes over the entries of the chain's next page, if the two leave room. L9, in the order of the
  // chain.
  bool Merge(BlockNumber block) {
    constexpr uint32_t kMostMerged = kPostingsPerPage * 3 / 4;
    const pg::PageRef page =
        pg::ReadPage(view_.rel, block, BUFFER_LOCK_EXCLUSIVE, PageKind::kPostings);
    const BlockNumber next = PostingsOn(page.page)->next;
    bool merged = false;
    if (next != 0) {
      const pg::PageRef other =
          pg::ReadPage(view_.rel, next, BUFFER_LOCK_EXCLUSIVE, PageKind::kPostings);
      const uint32_t n = PostingsOn(other.page)->count;
      merged = n <= kPostingsPerPage && PostingsOn(page.page)->count + n <= kMostMerged;
      if (merged) {
        pg::PageEdit edit = pg::PageEdit::Begin(view_.rel, view_.meta);
        PostingsHead* to = PostingsOn(edit.Edit(page));
        PostingsHead* from = PostingsOn(edit.Edit(other));
        std::copy_n(EntriesOf(from), n, EntriesOf(to) + to->count);
        to->count += n;
        to->next = from->next;
        *from = {};
        edit.Finish();
      }
      pg::Release(other);
    }
    pg::Release(page);
    return merged;
  }

  IndexView& view_;
  PageTour& tour_;
  const IdSet& dead_;
  PageGraph graph_;
  VecOf<Posting, pg::PgAllocator<std::byte>> sorted_;
};

}  // namespace

void CleanPostings(IndexView& view, PageTour& tour, const IdSet& dead, MemoryContext context) {
  if (!HasPostings(view)) return;
  PostingCleaner cleaner(view, tour, dead, context);
  tour.ForAuxiliaryPages([&cleaner](BlockNumber block) { cleaner.Visit(block); });
}

}  // namespace ann::hnsw
