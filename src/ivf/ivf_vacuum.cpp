// VACUUM: README section "Vacuum".
//
//   1. every TID of every list is shown to the callback; the dead ones' live bits are cleared
//   2. pages that nothing leads to become free, as far as there are any
//   3. counts of the lists go to the directory
//
// That takes no page, so it can be done on a full disk. What does is the cleanup's: other lists for
// an index that has outgrown its own (ivf_retrain.cpp), other pages for lists of which most is
// dead, lists split and merged (ivf_drift.cpp).
//
// It may be cancelled between any two pages. Only vacuum and training clear bits and move lists,
// and there is one of them at a time (the table's lock).
#include <algorithm>
#include <cstring>

#include "ivf/ivf.hpp"
#include "ivf/ivf_drift.hpp"
#include "ivf/ivf_index.hpp"
#include "ivf/ivf_move.hpp"
#include "ivf/ivf_retrain.hpp"

#include "core/vec.hpp"
#include "pg/alloc.hpp"
#include "pg/unless_full.hpp"

namespace ann::ivf {

using format::IvfMeta;
using format::ListEntry;
using format::PageKind;

namespace {

using Alloc = pg::PgAllocator<std::byte>;

// One look at all rows, and at the pages that are left over. Without `callback` no row is dead.
class Vacuum {
 public:
  Vacuum(IndexView& view, IndexVacuumInfo* info, IndexBulkDeleteResult* stats,
         IndexBulkDeleteCallback callback, void* state, MemoryContext context)
      : view_(view),
        info_(info),
        stats_(stats),
        callback_(callback),
        state_(state),
        image_(pg::AllocZero<char>(context, format::kPageSize)),
        dead_(pg::AllocZero<uint32_t>(context, view.meta.blocks_per_page)),
        context_(context),
        counts_(Alloc(context)),
        used_(Alloc(context)) {
    // L5. Whoever adds pages holds this lock until they are theirs.
    LockRelationForExtension(view.rel, ExclusiveLock);
    settled_blocks_ = RelationGetNumberOfBlocks(view.rel);
    UnlockRelationForExtension(view.rel, ExclusiveLock);
    used_.resize(settled_blocks_, 0);
  }

  void Run() {
    const uint32_t lists = view_.frame->shape.lists;
    counts_.resize(lists, Counts{});
    for (uint32_t list = 0; list < lists; ++list) {
      if (info_->report_progress) {
        pgstat_progress_update_param(PROGRESS_SCAN_BLOCKS_TOTAL, lists);
        pgstat_progress_update_param(PROGRESS_SCAN_BLOCKS_DONE, list);
      }
      VisitList(list);
    }
    Sweep();
    for (uint32_t start = 0; start < lists; start += format::kEntriesPerPage) WriteCounts(start);
    EditMeta(&view_, [this](IvfMeta* m) { m->row_count = rows_; });
    stats_->num_index_tuples = static_cast<double>(rows_);
  }

 private:
  struct Counts {
    uint32_t live;
    uint32_t dead;
  };

  // Locks: the directory page (L2), then code pages (L3), one at a time.
  void VisitList(uint32_t list) {
    ListEntry entry;
    if (!ReadEntry(view_.rel, view_.frame->shape, list, &entry)) {
      pg::ReportCorrupted(view_.rel, EntryAt(view_.frame->shape, list).block,
                          "the page is not of the lists in use");
    }
    ChainGuard guard(view_.rel);
    for (BlockNumber block = entry.head; block != 0;) {
      pg::VacuumDelay();
      guard.Pass(block);
      const pg::PageRef page = ReadInFile(view_.rel, block, BUFFER_LOCK_SHARE, info_->strategy);
      const bool right = IsSegmentOf(page.page, list, entry.generation);
      std::memcpy(image_, page.page, format::kPageSize);
      pg::Release(page);
      if (!right) {
        pg::ReportCorrupted(view_.rel, block, "the directory leads to pages of another list");
      }
      VisitSegment(list, block);
      block = SegmentOn(image_)->next;
    }
  }

  void VisitSegment(uint32_t list, BlockNumber block) {
    CheckSegment(view_, {InvalidBuffer, image_, block});
    NoteUsed(block);
    for (uint32_t i = 0; i < view_.meta.record_pages; ++i) {
      NoteUsed(RecordTableOn(view_, image_)[i]);
    }
    const uint32_t rows = SegmentOn(image_)->rows;
    bool any = false;
    for (uint32_t b = 0; b * view_.meta.block_rows < rows; ++b) {
      const format::Tid* tids = TidsOn(view_, image_, b);
      const uint32_t n = RowsOfBlock(view_, rows, b), live = BlockOn(view_, image_, b)->live;
      dead_[b] = 0;
      for (uint32_t i = 0; i < n; ++i) {
        if ((live >> i & 1) == 0) {
          ++counts_[list].dead;
        } else if (IsDead(tids[i])) {
          dead_[b] |= uint32_t{1} << i;
          ++counts_[list].dead;
        } else {
          ++counts_[list].live;
        }
      }
      any |= dead_[b] != 0;
    }
    pg::StopPoint("vacuum.read");
    if (any) Clear(block);
  }

  void NoteUsed(BlockNumber block) {
    if (block < settled_blocks_) used_[block] = 1;
  }

  // Deleting must come to its end on a full disk, too: what is left then is the cleanup's.
  void Sweep() {
    const bool in_cleanup = callback_ == nullptr;
    const bool all =
        SweepPages(view_, used_.data(), settled_blocks_, in_cleanup, info_->strategy, context_);
    if (!all) {
      NoteUntidy(&view_);
    } else if (view_.meta.untidy != 0) {
      NoteTidy(&view_);
    }
  }

  bool IsDead(const format::Tid& tid) {
    ItemPointerData item;
    std::memcpy(&item, &tid, sizeof item);
    if (callback_ != nullptr && callback_(&item, state_)) {
      ++stats_->tuples_removed;
      return true;
    }
    ++rows_;
    return false;
  }

  // L3, alone. Rows may have been added since.
  void Clear(BlockNumber block) {
    const pg::PageRef page =
        pg::ReadPage(view_.rel, block, BUFFER_LOCK_EXCLUSIVE, PageKind::kCodes);
    CheckSegment(view_, page);
    const uint32_t used =
        view_.layout.SegmentEnd(SegmentOn(page.page)->rows) - format::kPageHeaderBytes;
    pg::PageEdit edit = pg::PageEdit::Begin(view_.rel);
    char* image = edit.EditTo(page, used, used);
    const uint32_t rows = SegmentOn(image_)->rows;
    for (uint32_t b = 0; b * view_.meta.block_rows < rows; ++b) {
      BlockOn(view_, image, b)->live &= ~dead_[b];
    }
    edit.Finish();
    pg::Release(page);
  }

  // L2, alone.
  void WriteCounts(uint32_t start) {
    const pg::PageRef page = pg::ReadPage(view_.rel, EntryAt(view_.frame->shape, start).block,
                                          BUFFER_LOCK_EXCLUSIVE, PageKind::kDirectory);
    pg::PageEdit edit = pg::PageEdit::Begin(view_.rel);
    char* image = edit.EditTo(page, format::kPageBody, format::kPageBody);
    for (uint32_t i = 0; i < format::kEntriesPerPage && start + i < counts_.size(); ++i) {
      EntryOn(image, i)->live = counts_[start + i].live;
      EntryOn(image, i)->dead = counts_[start + i].dead;
    }
    edit.Finish();
    pg::Release(page);
  }

  IndexView& view_;
  IndexVacuumInfo* info_;
  IndexBulkDeleteResult* stats_;
  IndexBulkDeleteCallback callback_;
  void* state_;
  char* image_;     // the code page at hand
  uint32_t* dead_;  // by block of it
  MemoryContext context_;
  VecOf<Counts, Alloc> counts_;  // by list
  VecOf<uint8_t, Alloc> used_;   // by block: something leads to it
  BlockNumber settled_blocks_;
  uint64_t rows_ = 0;
};

// Lists of which most is dead get other pages. Those with the fewest rows come first: they need few
// pages, or none, and leave theirs to the others.
void RepackLists(IndexView* view, IndexBulkDeleteResult* stats, MemoryContext context) {
  struct Wasteful {
    uint32_t live;
    uint32_t list;
  };
  VecOf<Wasteful, Alloc> wasteful{Alloc(context)};
  for (uint32_t list = 0; list < view->frame->shape.lists; ++list) {
    ListEntry entry;
    if (!ReadEntry(view->rel, view->frame->shape, list, &entry)) {
      pg::ReportCorrupted(view->rel, EntryAt(view->frame->shape, list).block,
                          "the page is not of the lists in use");
    }
    if (entry.dead > entry.live) wasteful.push_back({entry.live, list});
  }
  if (wasteful.empty()) return;
  std::sort(wasteful.begin(), wasteful.end(),
            [](const Wasteful& a, const Wasteful& b) { return a.live < b.live; });
  const bool was_tidy = NoteUntidy(view);
  for (const Wasteful& w : wasteful) RepackList(*view, w.list, context);
  if (was_tidy) NoteTidy(view);
  stats->pages_newly_deleted += static_cast<BlockNumber>(wasteful.size());
}

// What the cleanup of a vacuum has to do with.
struct Order {
  IndexVacuumInfo* info;
  IndexBulkDeleteResult* stats;
  MemoryContext context;
};

void PutInOrder(const Order& order) {
  MemoryContext old = MemoryContextSwitchTo(order.context);
  IndexView* view = OpenIndex(order.info->index, order.context);
  EndTraining(view);
  if (view->meta.untidy != 0) {
    Vacuum(*view, order.info, order.stats, nullptr, nullptr, order.context).Run();
    order.stats->estimated_count = false;
  }
  RetrainIfOutgrown(order.info, *order.stats);
  Refresh(view);
  RepackLists(view, order.stats, order.context);
  RegroupLists(order.info);
  MemoryContextSwitchTo(old);
}

}  // namespace

IndexBulkDeleteResult* BulkDelete(IndexVacuumInfo* info, IndexBulkDeleteResult* stats,
                                  IndexBulkDeleteCallback callback, void* state) {
  if (stats == nullptr) {
    stats = static_cast<IndexBulkDeleteResult*>(palloc0(sizeof(IndexBulkDeleteResult)));
  }
  MemoryContext context =
      AllocSetContextCreate(CurrentMemoryContext, "ann ivf vacuum", ALLOCSET_DEFAULT_SIZES);
  MemoryContext old = MemoryContextSwitchTo(context);
  IndexView* view = OpenIndex(info->index, context);
  EndTraining(view);
  Vacuum(*view, info, stats, callback, state, context).Run();
  MemoryContextSwitchTo(old);
  MemoryContextDelete(context);
  return stats;
}

IndexBulkDeleteResult* VacuumCleanup(IndexVacuumInfo* info, IndexBulkDeleteResult* stats) {
  if (info->analyze_only) return stats;
  if (stats == nullptr) {
    // Nothing was deleted: what was true then and what has been inserted since is not counted
    // again.
    stats = static_cast<IndexBulkDeleteResult*>(palloc0(sizeof(IndexBulkDeleteResult)));
    stats->num_index_tuples = static_cast<double>(ReadMeta(info->index).row_count);
    stats->estimated_count = true;
  }
  Order order{
      info, stats,
      AllocSetContextCreate(CurrentMemoryContext, "ann ivf cleanup", ALLOCSET_DEFAULT_SIZES)};
  pg::UnlessDiskFull(
      psprintf("index \"%s\" was not put in order", RelationGetRelationName(info->index)),
      [](void* arg) { PutInOrder(*static_cast<Order*>(arg)); }, &order);
  MemoryContextDelete(order.context);
  IndexFreeSpaceMapVacuum(info->index);
  stats->num_pages = RelationGetNumberOfBlocks(info->index);
  return stats;
}

}  // namespace ann::ivf
