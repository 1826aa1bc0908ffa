// VACUUM: README section "Vacuum".
//
//   1. every TID of every list is shown to the callback; the dead ones' live bits are cleared
//   2. lists of which most is dead get other pages; counts of the lists go to the directory
//   3. pages that nothing leads to become free, as far as there are any
//
// Then the cleanup finds other lists for an index that has outgrown its own (ivf_retrain.cpp).
//
// It may be cancelled between any two pages. Only vacuum and training clear bits and move lists,
// and there is one of them at a time (the table's lock).
#include <cstring>

#include "ivf/ivf.hpp"
#include "ivf/ivf_drift.hpp"
#include "ivf/ivf_index.hpp"
#include "ivf/ivf_move.hpp"
#include "ivf/ivf_retrain.hpp"

#include "core/vec.hpp"
#include "pg/alloc.hpp"

namespace ann::ivf {

using format::IvfMeta;
using format::ListEntry;
using format::PageKind;

namespace {

using Alloc = pg::PgAllocator<std::byte>;

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
    SweepPages(view_, used_.data(), settled_blocks_, info_->strategy, context_);
    for (uint32_t list = 0; list < lists; ++list) {
      const Counts& c = counts_[list];
      if (c.dead > c.live) Repack(list);
    }
    for (uint32_t start = 0; start < lists; start += format::kEntriesPerPage) WriteCounts(start);
    WriteRowCount();
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

  void Repack(uint32_t list) {
    RepackList(view_, list, context_);
    counts_[list].dead = 0;
    ++stats_->pages_newly_deleted;
  }

  bool IsDead(const format::Tid& tid) {
    ItemPointerData item;
    std::memcpy(&item, &tid, sizeof item);
    if (callback_(&item, state_)) {
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

  // L1, alone.
  void WriteRowCount() {
    const pg::PageRef page =
        pg::ReadPage(view_.rel, kMetaBlock, BUFFER_LOCK_EXCLUSIVE, PageKind::kMeta);
    pg::PageEdit edit = pg::PageEdit::Begin(view_.rel);
    MetaOn(edit.EditTo(page, sizeof(IvfMeta), sizeof(IvfMeta)))->row_count = rows_;
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
  DiscardTraining(view, context);
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
  RetrainIfOutgrown(info, *stats);
  RegroupLists(info);
  IndexFreeSpaceMapVacuum(info->index);
  stats->num_pages = RelationGetNumberOfBlocks(info->index);
  return stats;
}

}  // namespace ann::ivf
