// Training anew: README section "Retraining".
//
//   1. a sample of the table's rows gives the centroids; frame and an empty directory are written
//   2. the meta page says that these lists are being filled: from here on inserts add each row to
//      both, and mark it as a twin in the lists in use
//   3. every row of the lists in use that is no twin is coded for the others, in the order of the
//      table; its vector comes from there, or, where it may be gone, from its code
//   4. these are written list by list, each list in front of what inserts have put there
//   5. the meta page names the other lists; the pages of the former ones become free
#include "ivf/ivf_retrain.hpp"

#include <algorithm>
#include <cstring>

#include "am/inspect.hpp"
#include "cluster/nearest.hpp"
#include "ivf/ivf_chain.hpp"
#include "ivf/ivf_move.hpp"
#include "ivf/ivf_rows.hpp"
#include "ivf/ivf_sort.hpp"
#include "ivf/ivf_space.hpp"
#include "ivf/ivf_split.hpp"
#include "ivf/ivf_train.hpp"
#include "ivf/ivf_write.hpp"

#include "pg/alloc.hpp"
#include "pg/cleanup_snapshot.hpp"
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
// When all slots are used: so many times the rows are.
constexpr double kGrownWithoutSlots = 1.5;

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

using Alloc = pg::PgAllocator<std::byte>;
using Tids = VecOf<uint64_t, Alloc>;

// In the order of the table.
uint64_t Packed(const format::Tid& stored) {
  ItemPointerData tid;
  std::memcpy(&tid, &stored, sizeof tid);
  return uint64_t{ItemPointerGetBlockNumberNoCheck(&tid)} << 16 |
         ItemPointerGetOffsetNumberNoCheck(&tid);
}

// Where a ChainWriter's lists go: pages that are taken, four by one WAL record, before they are
// written, so that nobody else takes them; a list that is complete comes before what the directory
// names.
class NewPages {
 public:
  NewPages(IndexView& view, const IvfFrame& shape) : view_(view), shape_(shape) {}

  BlockNumber Take() {
    if (next_ == kAtOnce) Reserve();
    return blocks_[next_++];
  }

  // Locks: the page (L6), which nothing leads to.
  void Put(BlockNumber block, const char* image) {
    const pg::PageRef page = ReadInFile(view_.rel, block, BUFFER_LOCK_EXCLUSIVE);
    pg::PageEdit edit = pg::PageEdit::Begin(view_.rel);
    std::memcpy(edit.EditWhole(page), image, format::kPageSize);
    edit.Finish();
    pg::Release(page);
  }

  // Locks: the directory page (L2), the last of the new pages (L3) under it.
  void Finish(uint32_t list, const ListEntry& added) {
    const EntryPlace at = EntryAt(shape_, list);
    const pg::PageRef directory =
        pg::ReadPage(view_.rel, at.block, BUFFER_LOCK_EXCLUSIVE, PageKind::kDirectory);
    const BlockNumber behind = EntryOn(directory.page, at.index)->head;
    pg::PageRef tail{};
    if (behind != 0) {
      tail = pg::ReadPage(view_.rel, added.tail, BUFFER_LOCK_EXCLUSIVE, PageKind::kCodes);
    }
    pg::PageEdit edit = pg::PageEdit::Begin(view_.rel);
    ListEntry* entry =
        EntryOn(edit.EditTo(directory, format::kPageBody, format::kPageBody), at.index);
    entry->head = added.head;
    if (behind == 0) entry->tail = added.tail;
    entry->run = added.run;
    entry->live += added.live;
    entry->rows = added.rows;
    entry->mean_square = added.mean_square;
    if (behind != 0) {
      const uint32_t used =
          view_.layout.SegmentEnd(SegmentOn(tail.page)->rows) - format::kPageHeaderBytes;
      SegmentOn(edit.EditTo(tail, used, used))->next = behind;
    }
    edit.Finish();
    if (behind != 0) pg::Release(tail);
    pg::Release(directory);
  }

  // What was taken and not written.
  void GiveBack() {
    OwnedPage left[kAtOnce];
    size_t n = 0;
    while (next_ < kAtOnce) {
      left[n++] = {blocks_[next_++], PageKind::kRecords, 0, FirstGeneration(shape_.epoch)};
    }
    FreePages(view_.rel, left, n);
  }

 private:
  static constexpr int kAtOnce = MAX_GENERIC_XLOG_PAGES;

  void Reserve() {
    pg::VacuumDelay();
    pg::PageRef pages[kAtOnce];
    for (pg::PageRef& page : pages) page = TakePage(view_.rel);
    pg::PageEdit edit = pg::PageEdit::Begin(view_.rel);
    for (int i = 0; i < kAtOnce; ++i) {
      blocks_[i] = pages[i].block;
      InitRecords(edit.EditWhole(pages[i]), 0, FirstGeneration(shape_.epoch), pages[i].block, 0);
    }
    edit.Finish();
    for (const pg::PageRef& page : pages) pg::Release(page);
    next_ = 0;
  }

  IndexView& view_;
  const IvfFrame shape_;
  BlockNumber blocks_[kAtOnce];
  int next_ = kAtOnce;
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
    const float* stream =
        TrainOnTable(view_, heap_, info, ListsOption(view_.rel), given, progress, &shape, context_);
    shape.epoch = NewestEpoch(meta) + 1;
    // Pages that a free space map from before a crash took for free may be somebody's by now: then
    // others behind them are taken.
    do {
      shape.first_block = AppendBlank(view_.rel, shape.frame_pages + shape.directory_pages);
    } while (!WriteFramePages(shape, stream));
    EditMeta(&view_, [&shape](IvfMeta* m) {
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
      const auto fill = [&shape, i](char* body) {
        ListEntry* entries = reinterpret_cast<ListEntry*>(body);
        std::fill_n(entries, EntriesOn(shape, i), EmptyEntry(shape));
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

  // Steps 3 and 4.
  void CopyRows() {
    MemoryContext own = AllocSetContextCreate(context_, "ann ivf copy", ALLOCSET_DEFAULT_SIZES);
    const Frame& frame = *view_.training;
    const uint32_t lists = frame.shape.lists, dims = view_.meta.dims;
    const cluster::CentroidTable table(
        frame.centroids, lists, dims, AllocAligned(own, cluster::CentroidTable::Bytes(lists, dims)),
        AllocAligned(own, cluster::CentroidTable::ScratchBytes(lists)));
    cluster::Progress progress;
    progress.tick = Tick;
    table.Fill(progress);
    RowSort sort(view_, frame.codec, maintenance_work_mem / 2, nullptr, own);
    RowPlacer placer(frame, table, sort, own);
    PlaceRows(placer, own);
    placer.Flush();
    copied_ = placer.rows();
    pg::StopPoint("retrain.coded");
    sort.Sort();
    NewPages pages(view_, frame.shape);
    ChainWriter<NewPages> writer(view_, frame, pages, own);
    for (CodedRow row; sort.Next(&row);) writer.Add(row);
    writer.End();
    pages.GiveBack();
    sort.End();
    MemoryContextDelete(own);
  }

  // Codes all rows that are no twins, in the order of the table.
  void PlaceRows(RowPlacer& placer, MemoryContext own) {
    Tuplesortstate* tids = tuplesort_begin_datum(INT8OID, Int8LessOperator, InvalidOid, false,
                                                 maintenance_work_mem / 4, nullptr, TUPLESORT_NONE);
    VisitSegments(view_, view_.frame->shape, image_, [this, tids] { NoteRows(tids); });
    tuplesort_performsort(tids);
    RowReader rows(heap_, view_.rel, own);
    Tids unseen{Alloc(own)};
    const size_t most = size_t{1024} * maintenance_work_mem / 8 / sizeof(uint64_t);
    for (Datum value; pg::NextSorted(tids, &value);) {
      pg::VacuumDelay();
      const uint64_t packed = static_cast<uint64_t>(DatumGetInt64(value));
      ItemPointerData tid;
      ItemPointerSet(&tid, static_cast<BlockNumber>(packed >> 16),
                     static_cast<OffsetNumber>(packed & 0xFFFF));
      if (const float* x = ReadVector(rows, tid)) {
        placer.Add(x, rows.attributes(), tid);
      } else {
        unseen.push_back(packed);
      }
      if (unseen.size() == most) PlaceUnseen(placer, unseen);
    }
    PlaceUnseen(placer, unseen);
    rows.Close();
    tuplesort_end(tids);
  }

  // Of the page in image_.
  void NoteRows(Tuplesortstate* tids) {
    const uint32_t written = SegmentOn(image_)->rows;
    for (uint32_t b = 0; b * view_.meta.block_rows < written; ++b) {
      const format::BlockHeader header = *BlockOn(view_, image_, b);
      const uint32_t twins = header.twin_epoch == view_.training->shape.epoch ? header.twins : 0;
      for (uint32_t left = header.live & ~twins; left != 0; left &= left - 1) {
        const uint64_t packed = Packed(TidsOn(view_, image_, b)[__builtin_ctz(left)]);
        tuplesort_putdatum(tids, Int64GetDatum(static_cast<int64>(packed)), false);
      }
    }
  }

  // The vector of a row that a snapshot of now sees, or that is not committed yet. Null: neither,
  // or not all of it is sure to be there; some older snapshot may see the row, here or on a
  // standby.
  const float* ReadVector(RowReader& rows, const ItemPointerData& tid) {
    format::Tid stored;
    std::memcpy(&stored, &tid, sizeof stored);
    if (const float* x = rows.Read(view_, stored, GetActiveSnapshot())) return x;
    PushActiveSnapshot(GetLatestSnapshot());
    const float* x = rows.Read(view_, stored, GetActiveSnapshot());
    PopActiveSnapshot();
    return x != nullptr ? x : rows.ReadUncommitted(view_, stored);
  }

  // Codes rows by what their present codes say of them. `unseen`: sorted; empty afterwards.
  void PlaceUnseen(RowPlacer& placer, Tids& unseen) {
    if (unseen.empty()) return;
    const Frame& from = *view_.frame;
    MemoryContext own = AllocSetContextCreate(context_, "ann ivf unseen", ALLOCSET_DEFAULT_SIZES);
    for (uint32_t list = 0; list < from.shape.lists; ++list) {
      ListEntry entry{};
      if (ReadEntry(view_.rel, from.shape, list, &entry) && entry.head != 0) {
        PlaceUnseenOf(placer, unseen, list, entry, own);
      }
      MemoryContextReset(own);
    }
    MemoryContextDelete(own);
    unseen.clear();
  }

  void PlaceUnseenOf(RowPlacer& placer, const Tids& unseen, uint32_t list, const ListEntry& entry,
                     MemoryContext own) {
    const Frame& from = *view_.frame;
    float* x = pg::AllocZero<float>(own, view_.meta.dims);
    float* work = pg::AllocZero<float>(own, view_.meta.dims);
    ListReader reader(view_, from, list, own);
    reader.Start(entry);
    for (ListRow row; reader.Next(&row);) {
      const bool is_twin = row.is_twin && row.twin_epoch == view_.training->shape.epoch;
      if (is_twin || !std::binary_search(unseen.begin(), unseen.end(), Packed(row.tid))) continue;
      const float prior =
          from.codec.Reconstruct(from.Centroid(list), row.code, row.second, x, work);
      ItemPointerData tid;
      std::memcpy(&tid, &row.tid, sizeof tid);
      placer.Add(x, row.attributes, tid, prior);
    }
  }

  // Step 5.
  void Switch() {
    const IvfFrame former = view_.frame->shape;
    const uint64_t rows = copied_;
    EditMeta(&view_, [rows](IvfMeta* m) {
      m->current = 1 - m->current;
      m->training = 0;
      m->trained_rows = rows;
      m->used_epochs |= 1;
    });
    pg::StopPoint("retrain.switched");
    FreeFrame(view_, former, context_);
    // So that the next retraining, and inserts, find them.
    IndexFreeSpaceMapVacuum(view_.rel);
  }

  Relation heap_;
  IndexView& view_;
  MemoryContext context_;
  char* image_;
  uint64_t copied_ = 0;
};

}  // namespace

namespace {

// Whether no list can be split any more, and that is worth a training: for there are more rows, or
// rows have come and gone, which is told by lists that were merged. A training that the same rows
// would follow with as many splits changes nothing.
bool HasNoSlots(const IndexView& view, double rows) {
  const IvfFrame& shape = view.frame->shape;
  return shape.lists > 1 && SlotsInARow(shape) < 2 &&
         (rows >= kGrownWithoutSlots * static_cast<double>(view.meta.trained_rows) ||
          shape.revision >= shape.slots / 8);
}

// Whether an index of so many rows wants other lists.
bool HasOutgrown(const IndexView& view, double rows) {
  if (CentroidsOptionOf(view.rel) != nullptr) {
    return rows >= std::max(kFewestRows, kGrown * static_cast<double>(view.meta.trained_rows));
  }
  if (HasNoSlots(view, rows)) return true;
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
  const bool was_tidy = NoteUntidy(view);
  Trainer(heap, *view, context).Run(given);
  if (was_tidy) NoteTidy(view);
}

void RetrainIfOutgrown(IndexVacuumInfo* info, const IndexBulkDeleteResult& stats) {
  MemoryContext context =
      AllocSetContextCreate(CurrentMemoryContext, "ann ivf retrain", ALLOCSET_DEFAULT_SIZES);
  MemoryContext old = MemoryContextSwitchTo(context);
  IndexView* view = OpenIndex(info->index, context);
  // Rows of the table need not be rows of the index: these are counted if the others are many.
  bool outgrown = HasOutgrown(*view, info->num_heap_tuples);
  if (outgrown) {
    outgrown = HasOutgrown(
        *view, stats.estimated_count ? CountRows(*view, context) : stats.num_index_tuples);
  }
  // Where the rows cannot be kept from other vacuums, a later one does it.
  if (outgrown && pg::BeginCleanupSnapshot()) {
    // Vacuum has it locked.
    const Relation heap =
        table_open(IndexGetRelation(RelationGetRelid(info->index), false), NoLock);
    Retrain(heap, view, WARNING, context);
    table_close(heap, NoLock);
    pg::EndCleanupSnapshot();
  }
  MemoryContextSwitchTo(old);
  MemoryContextDelete(context);
}

}  // namespace ann::ivf

ANN_FUNCTION(ann_retrain)
{
  const ann::am::Opened opened = ann::am::OpenMaintained(PG_GETARG_OID(0), "ann_retrain()");
  const ann::am::TableOwner owner = ann::am::BecomeTableOwner(opened);
  if (opened.index->rd_indam->ambuild != ann::ivf::Build) {
    ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
                    errmsg("\"%s\" is not an ivf index", RelationGetRelationName(opened.index))));
  }
  ann::ivf::IndexView* view = ann::ivf::OpenIndex(opened.index, CurrentMemoryContext);
  ann::ivf::Retrain(opened.heap, view, ERROR, CurrentMemoryContext);
  ann::am::BecomeCallerAgain(owner);
  ann::am::CloseInspected(opened, ann::am::kMaintenanceLock);
  PG_RETURN_VOID();
}
