// Training anew: README section "Retraining".
//
//   1. a sample of the table's rows gives the centroids; frame and an empty directory are written
//   2. the meta page says that these lists are being filled: from here on inserts add each row to
//      both, and mark it as a twin in the lists in use
//   3. every row of the lists in use that is no twin is added to the others; its vector comes from
//      the table
//   4. the meta page names the other lists; the pages of the former ones become free
#include "ivf/ivf_retrain.hpp"

#include <algorithm>
#include <cstring>

#include "am/inspect.hpp"
#include "ivf/ivf_insert.hpp"
#include "ivf/ivf_move.hpp"
#include "ivf/ivf_space.hpp"
#include "ivf/ivf_train.hpp"

#include "pg/alloc.hpp"
#include "pg/entry.hpp"

namespace ann::ivf {

using format::IvfFrame;
using format::IvfMeta;
using format::ListEntry;
using format::PageKind;

namespace {

// Other lists are made when there should be so many times as many, and the index has so many times
// the rows: more lists than a clustering finds (rows may all be equal) are not looked for again and
// again. Where the number of lists follows the rows it is as their root.
constexpr uint32_t kOutgrownLists = 2;
constexpr double kOutgrownRows = 2, kOutgrownRowsOfAutomatic = 4;
// Where the lists are given: mean, codebook and patience are found anew when there are so many
// times as many rows, and enough to tell something.
constexpr double kGrown = 4;
constexpr double kFewestRows = 1000;

void Tick(void*, cluster::Phase, uint64_t, uint64_t) { pg::VacuumDelay(); }

// Copies each code page of all lists to `image`, and calls `visit`. Only under the table's lock for
// vacuum. Locks: L2, L3, one at a time.
template <class Visit>
void VisitSegments(const IndexView& view, const IvfFrame& shape, char* image, Visit&& visit) {
  for (uint32_t list = 0; list < shape.lists; ++list) {
    ListEntry entry{};
    bool right = ReadEntry(view.rel, shape, list, &entry);
    ChainGuard guard(view.rel);
    for (BlockNumber block = entry.head; right && block != 0; block = SegmentOn(image)->next) {
      pg::VacuumDelay();
      guard.Pass(block);
      const pg::PageRef page = ReadInFile(view.rel, block, BUFFER_LOCK_SHARE);
      std::memcpy(image, page.page, format::kPageSize);
      pg::Release(page);
      right = IsSegmentOf(image, list, entry.generation);
      if (!right) break;
      CheckSegment(view, {InvalidBuffer, image, block});
      visit();
    }
    if (!right) {
      pg::ReportCorrupted(view.rel, EntryAt(shape, list).block,
                          "the directory leads to pages of another list");
    }
  }
}

// The table's rows by TID.
class RowReader {
 public:
  RowReader(Relation heap, Relation index, MemoryContext context)
      : heap_(heap),
        row_context_(AllocSetContextCreate(context, "ann ivf retrain row", ALLOCSET_SMALL_SIZES)),
        fetch_(table_index_fetch_begin(heap)),
        slot_(table_slot_create(heap, nullptr)),
        info_(BuildIndexInfo(index)),
        executor_(CreateExecutorState()) {
    GetPerTupleExprContext(executor_)->ecxt_scantuple = slot_;
  }

  // The vector of a row that some snapshot may see; null: none may. Good until the next call.
  const float* Read(const IndexView& view, const format::Tid& stored) {
    MemoryContextReset(row_context_);
    ResetPerTupleExprContext(executor_);
    ItemPointerData tid;
    std::memcpy(&tid, &stored, sizeof tid);
    SnapshotData snapshot;
    InitNonVacuumableSnapshot(snapshot, GlobalVisTestFor(heap_));
    bool call_again = false;
    if (!table_index_fetch_tuple(fetch_, &tid, &snapshot, slot_, &call_again, nullptr)) {
      return nullptr;
    }
    MemoryContext old = MemoryContextSwitchTo(row_context_);
    Datum values[INDEX_MAX_KEYS];
    bool nulls[INDEX_MAX_KEYS];
    FormIndexDatum(info_, slot_, executor_, values, nulls);
    const float* x = RowVector(view, values, nulls);
    MemoryContextSwitchTo(old);
    return x;
  }

  void Close() {
    table_index_fetch_end(fetch_);
    ExecDropSingleTupleTableSlot(slot_);
    FreeExecutorState(executor_);
    MemoryContextDelete(row_context_);
  }

 private:
  Relation heap_;
  MemoryContext row_context_;
  IndexFetchTableData* fetch_;
  TupleTableSlot* slot_;
  IndexInfo* info_;
  EState* executor_;
};

class Trainer {
 public:
  Trainer(Relation heap, IndexView& view, MemoryContext context)
      : heap_(heap),
        view_(view),
        context_(context),
        image_(pg::AllocZero<char>(context, format::kPageSize)) {}

  void Run(const UserCentroids* given) {
    WriteFrame(given);
    pg::StopPoint("retrain.begun");
    CopyRows();
    pg::StopPoint("retrain.copied");
    Switch();
  }

 private:
  // Step 1 and 2.
  void WriteFrame(const UserCentroids* given) {
    const IvfMeta& meta = view_.meta;
    IndexInfo* info = BuildIndexInfo(view_.rel);
    // Others write meanwhile: rows are those that a snapshot sees.
    info->ii_Concurrent = true;
    cluster::Progress progress;
    progress.tick = Tick;
    IvfFrame shape{};
    float* stream = TrainOnTable(
        view_, heap_, info, ListsOption(view_.rel), given, progress, [] {}, &shape, context_);
    shape.epoch = NewestEpoch(meta) + 1;
    // Pages that a free space map from before a crash took for free may be somebody's by now: then
    // others behind them are taken.
    do {
      shape.first_block = AppendBlank(view_.rel, shape.frame_pages + shape.directory_pages);
    } while (!WriteFramePages(shape, stream));
    pfree(stream);
    EditMeta([&shape](IvfMeta* m) {
      m->used_epochs <<= 1;
      m->frames[1 - m->current] = shape;
      m->training = 1;
    });
  }

  // False: a page is somebody else's. The others are found by the next vacuum.
  bool WriteFramePages(const IvfFrame& shape, const float* stream) {
    const size_t floats = FrameFloats(view_.meta, shape);
    for (uint32_t i = 0; i < shape.frame_pages; ++i) {
      const size_t start = size_t{i} * format::kMeanFloatsPerPage;
      const size_t n = std::min<size_t>(floats - start, format::kMeanFloatsPerPage);
      const auto fill = [stream, start, n](char* body) {
        std::memcpy(body, stream + start, n * sizeof(float));
      };
      if (!WritePage(shape, i, PageKind::kFrame, fill)) return false;
    }
    for (uint32_t i = 0; i < shape.directory_pages; ++i) {
      const uint32_t entries_here =
          std::min(shape.lists - i * format::kEntriesPerPage, format::kEntriesPerPage);
      const auto fill = [&shape, entries_here](char* body) {
        ListEntry* entries = reinterpret_cast<ListEntry*>(body);
        for (uint32_t e = 0; e < entries_here; ++e) {
          entries[e].generation = FirstGeneration(shape.epoch);
        }
      };
      if (!WritePage(shape, shape.frame_pages + i, PageKind::kDirectory, fill)) return false;
    }
    return true;
  }

  // False: the page is not blank. Locks: the page (L6), which nothing leads to yet.
  template <class Fill>
  bool WritePage(const IvfFrame& shape, uint32_t i, PageKind kind, Fill&& fill) {
    CHECK_FOR_INTERRUPTS();
    const pg::PageRef page = ReadInFile(view_.rel, shape.first_block + i, BUFFER_LOCK_EXCLUSIVE);
    if (!pg::IsBlank(page.page)) {
      pg::Release(page);
      return false;
    }
    pg::PageEdit edit = pg::PageEdit::Begin(view_.rel);
    char* image = edit.EditWhole(page);
    pg::InitPage(image, kind, format::kPageBody);
    pg::TailOf(image)->epoch = static_cast<uint16_t>(shape.epoch);
    fill(image + format::kPageHeaderBytes);
    edit.Finish();
    pg::Release(page);
    return true;
  }

  // Locks: the meta page (L1), alone.
  template <class Change>
  void EditMeta(Change&& change) {
    const pg::PageRef page =
        pg::ReadPage(view_.rel, kMetaBlock, BUFFER_LOCK_EXCLUSIVE, PageKind::kMeta);
    pg::PageEdit edit = pg::PageEdit::Begin(view_.rel);
    change(MetaOn(edit.EditTo(page, sizeof(IvfMeta), sizeof(IvfMeta))));
    edit.Finish();
    pg::Release(page);
    Refresh(&view_);
  }

  // Step 3. Locks: the lists' pages (L2, L3), one at a time.
  void CopyRows() {
    const IvfFrame from = view_.frame->shape;
    RowReader rows(heap_, view_.rel, context_);
    Inserter* inserter = StartInserts(&view_, context_);
    const uint32_t epoch = view_.training->shape.epoch;
    VisitSegments(view_, from, image_,
                  [this, &rows, inserter, epoch] { CopySegment(rows, inserter, epoch); });
    rows.Close();
  }

  void CopySegment(RowReader& rows, Inserter* inserter, uint32_t epoch) {
    const uint32_t written = SegmentOn(image_)->rows;
    for (uint32_t b = 0; b * view_.meta.block_rows < written; ++b) {
      const format::BlockHeader header = *BlockOn(view_, image_, b);
      uint32_t left = header.live & ~(header.twin_epoch == epoch ? header.twins : 0);
      for (; left != 0; left &= left - 1) {
        CHECK_FOR_INTERRUPTS();
        const format::Tid tid = TidsOn(view_, image_, b)[__builtin_ctz(left)];
        const float* x = rows.Read(view_, tid);
        if (x == nullptr) continue;
        if (!InsertTrained(inserter, x, tid)) {
          elog(ERROR, "training of index \"%s\" was discarded", RelationGetRelationName(view_.rel));
        }
        ++copied_;
      }
    }
  }

  // Step 4.
  void Switch() {
    const IvfFrame former = view_.frame->shape;
    const uint64_t rows = copied_;
    EditMeta([rows](IvfMeta* m) {
      m->current = 1 - m->current;
      m->training = 0;
      m->trained_rows = rows;
      m->used_epochs |= 1;
    });
    pg::StopPoint("retrain.switched");
    FreeFrame(view_, former, context_);
  }

  Relation heap_;
  IndexView& view_;
  MemoryContext context_;
  char* image_;
  uint64_t copied_ = 0;
};

}  // namespace

namespace {

// Whether an index of so many rows wants other lists.
bool HasOutgrown(const IndexView& view, double rows) {
  if (CentroidsOptionOf(view.rel) != nullptr) {
    return rows >= std::max(kFewestRows, kGrown * static_cast<double>(view.meta.trained_rows));
  }
  const int wanted = ListsOption(view.rel);
  return ListsFor(wanted, rows) >= kOutgrownLists * view.frame->shape.lists &&
         rows >= (wanted == 0 ? kOutgrownRowsOfAutomatic : kOutgrownRows) *
                     static_cast<double>(view.meta.trained_rows);
}

// The rows of the lists in use.
double CountRows(const IndexView& view, MemoryContext context) {
  uint64_t rows = 0;
  char* image = pg::AllocZero<char>(context, format::kPageSize);
  VisitSegments(view, view.frame->shape, image, [&view, image, &rows] {
    for (uint32_t b = 0; b * view.meta.block_rows < SegmentOn(image)->rows; ++b) {
      rows += static_cast<uint32_t>(__builtin_popcount(BlockOn(view, image, b)->live));
    }
  });
  return static_cast<double>(rows);
}

}  // namespace

void Retrain(Relation heap, IndexView* view, int elevel, MemoryContext context) {
  bool failed;
  const UserCentroids* given = ReadUserCentroids(*view, heap, elevel, context, &failed);
  if (failed) return;
  DiscardTraining(view, context);
  Trainer(heap, *view, context).Run(given);
}

void RetrainIfOutgrown(IndexVacuumInfo* info, const IndexBulkDeleteResult& stats) {
  MemoryContext context =
      AllocSetContextCreate(CurrentMemoryContext, "ann ivf retrain", ALLOCSET_DEFAULT_SIZES);
  MemoryContext old = MemoryContextSwitchTo(context);
  IndexView* view = OpenIndex(info->index, context);
  DiscardTraining(view, context);
  // Rows of the table need not be rows of the index: these are counted if the others are many.
  bool outgrown = HasOutgrown(*view, info->num_heap_tuples);
  if (outgrown) {
    outgrown = HasOutgrown(
        *view, stats.estimated_count ? CountRows(*view, context) : stats.num_index_tuples);
  }
  if (outgrown) {
    // Vacuum has it locked.
    const Relation heap =
        table_open(IndexGetRelation(RelationGetRelid(info->index), false), NoLock);
    Retrain(heap, view, WARNING, context);
    table_close(heap, NoLock);
  }
  MemoryContextSwitchTo(old);
  MemoryContextDelete(context);
}

}  // namespace ann::ivf

ANN_FUNCTION(ann_retrain)
{
  const Oid id = PG_GETARG_OID(0);
  const ann::am::Opened opened = ann::am::OpenInspected(id, ShareUpdateExclusiveLock);
  if (!ann::pg::OwnsRelation(id)) {
    aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_INDEX, RelationGetRelationName(opened.index));
  }
  if (opened.index->rd_indam->ambuild != ann::ivf::Build) {
    ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
                    errmsg("\"%s\" is not an ivf index", RelationGetRelationName(opened.index))));
  }
  // Functions of the index's expressions and predicate run as the table's owner, whoever calls this
  // (a superuser may), and find what they find in a maintenance command.
  Oid user;
  int security;
  GetUserIdAndSecContext(&user, &security);
  SetUserIdAndSecContext(opened.heap->rd_rel->relowner, security | SECURITY_RESTRICTED_OPERATION);
  const int settings = NewGUCNestLevel();
  ann::pg::RestrictSearchPath();
  ann::ivf::IndexView* view = ann::ivf::OpenIndex(opened.index, CurrentMemoryContext);
  ann::ivf::Retrain(opened.heap, view, ERROR, CurrentMemoryContext);
  AtEOXact_GUC(false, settings);
  SetUserIdAndSecContext(user, security);
  ann::am::CloseInspected(opened, ShareUpdateExclusiveLock);
  PG_RETURN_VOID();
}
