// CREATE INDEX and REINDEX: README section "Build".
//
//   1. sample rows, find centroids (and pq's codebook): ivf_train.cpp
//   2. read the table: each row gets a list and its codes, and goes to a sort by list: ivf_crew.cpp
//   3. write the lists in order; then one pass of WAL
// Workers help with 1 and 2.
//
// No page has been written before step 3, so an error until then leaves an empty file. What takes
// memory (sample, sort) is kept within maintenance_work_mem.
#include <algorithm>
#include <cstring>

#include "am/vector_column.hpp"
#include "core/vec.hpp"
#include "ivf/ivf.hpp"
#include "ivf/ivf_crew.hpp"
#include "ivf/ivf_write.hpp"

#include "pg/alloc.hpp"

namespace ann::ivf {

using format::IvfFrame;
using format::IvfMeta;
using format::ListEntry;
using format::PageKind;

namespace {

using Alloc = pg::PgAllocator<std::byte>;

// Writes the pages of an index, block after block; the lists' as a ChainWriter wants it.
class Writer {
 public:
  // `view`: of the index, with its frame. Memory: of `context`.
  Writer(IndexView& view, Crew& crew, MemoryContext context)
      : view_(view), crew_(crew), context_(context), entries_(Alloc(context)) {}

  void Write() {
    const IvfFrame& shape = view_.frame->shape;
    AppendMeta();
    for (uint32_t i = 0; i < shape.frame_pages; ++i) AppendFrame(i);
    for (uint32_t i = 0; i < shape.directory_pages; ++i) AppendDirectory();
    WriteLists();
    for (uint32_t i = 0; i < shape.directory_pages; ++i) FillDirectory(i);
    FinishMeta();
  }

  BlockNumber Take() { return taken_++; }
  void Put(BlockNumber block, const char* image) {
    Buffer buffer;
    char* page = Append(&buffer);
    Assert(BufferGetBlockNumber(buffer) == block);
    std::memcpy(page, image, format::kPageSize);
    Done(buffer);
  }
  void Finish(uint32_t list, const ListEntry& entry) { entries_[list] = entry; }

 private:
  // Nobody else sees the file yet: the locks of a build (L1 to L4, one at a time) keep the
  // checkpointer off half a page.
  char* Append(Buffer* buffer) {
    CHECK_FOR_INTERRUPTS();
    *buffer = ReadBuffer(view_.rel, P_NEW);
    LockBuffer(*buffer, BUFFER_LOCK_EXCLUSIVE);
    return BufferGetPage(*buffer);
  }
  static void Done(Buffer buffer) {
    MarkBufferDirty(buffer);
    UnlockReleaseBuffer(buffer);
    pg::UnitDone();
  }

  void AppendMeta() {
    Buffer buffer;
    char* page = Append(&buffer);
    pg::InitPage(page, PageKind::kMeta, sizeof(IvfMeta));
    *MetaOn(page) = view_.meta;
    Done(buffer);
  }

  void AppendFrame(uint32_t i) {
    Buffer buffer;
    char* page = Append(&buffer);
    const size_t floats = FrameFloats(view_.meta, view_.frame->shape);
    const size_t start = size_t{i} * format::kMeanFloatsPerPage;
    pg::InitPage(page, PageKind::kFrame, format::kPageBody);
    pg::TailOf(page)->epoch = static_cast<uint16_t>(view_.frame->shape.epoch);
    std::memcpy(page + format::kPageHeaderBytes, crew_.stream() + start,
                sizeof(float) * std::min<size_t>(floats - start, format::kMeanFloatsPerPage));
    Done(buffer);
  }

  void AppendDirectory() {
    Buffer buffer;
    char* page = Append(&buffer);
    pg::InitPage(page, PageKind::kDirectory, format::kPageBody);
    pg::TailOf(page)->epoch = static_cast<uint16_t>(view_.frame->shape.epoch);
    Done(buffer);
  }

  void WriteLists() {
    const Frame& frame = *view_.frame;
    entries_.resize(frame.shape.lists, EmptyEntry(frame.shape));
    taken_ = RelationGetNumberOfBlocks(view_.rel);
    ChainWriter<Writer> chains(view_, frame, *this, context_);
    CodedRow row;
    for (int64 done = 1; crew_.sort().Next(&row); ++done) {
      chains.Add(row);
      if (done % 1024 == 0) pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_DONE, done);
    }
    chains.End();
  }

  // L2, alone.
  void FillDirectory(uint32_t i) {
    const IvfFrame& shape = view_.frame->shape;
    const pg::PageRef page = pg::ReadPage(view_.rel, shape.first_block + shape.frame_pages + i,
                                          BUFFER_LOCK_EXCLUSIVE, PageKind::kDirectory);
    if (const uint32_t n = EntriesOn(shape, i); n > 0) {
      std::memcpy(page.body(), entries_.data() + size_t{i} * format::kEntriesPerPage,
                  sizeof(ListEntry) * n);
    }
    MarkBufferDirty(page.buffer);
    pg::Release(page);
  }

  void FinishMeta() {
    view_.meta.row_count = view_.meta.trained_rows = crew_.rows();
    // L1, alone.
    const pg::PageRef page =
        pg::ReadPage(view_.rel, kMetaBlock, BUFFER_LOCK_EXCLUSIVE, PageKind::kMeta);
    *MetaOn(page.page) = view_.meta;
    MarkBufferDirty(page.buffer);
    pg::Release(page);
  }

  IndexView& view_;
  Crew& crew_;
  MemoryContext context_;
  VecOf<ListEntry, Alloc> entries_;
  BlockNumber taken_ = 0;
};

void ReportTotal(double rows) {
  pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_TOTAL, static_cast<int64>(rows));
  pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_DONE, 0);
}

}  // namespace

IndexBuildResult* Build(Relation heap, Relation index, IndexInfo* info) {
  if (RelationGetNumberOfBlocks(index) != 0) {
    elog(ERROR, "index \"%s\" already contains data", RelationGetRelationName(index));
  }
  MemoryContext context =
      AllocSetContextCreate(CurrentMemoryContext, "ann ivf build", ALLOCSET_DEFAULT_SIZES);
  MemoryContext old = MemoryContextSwitchTo(context);
  const uint32_t dims = static_cast<uint32_t>(am::DimsOf(index));
  const Options options = OptionsOf(index, dims);
  IndexView view(index, PlanMeta(index, dims, options));
  view.meta.frames[0].epoch = 1;
  view.meta.frames[0].first_block = kMetaBlock + 1;
  Crew crew(heap, &view, info, context);

  EnterPhase(BuildPhase::kSampling);
  bool failed;
  crew.Start(options.lists, ReadUserCentroids(view, heap, ERROR, context, &failed));
  crew.SampleRows();
  EnterPhase(BuildPhase::kClustering);
  crew.FindLists();
  EnterPhase(BuildPhase::kAssigning);
  ReportTotal(crew.planned_rows());
  const double heap_tuples = crew.PlaceRows();
  // Processes report by the thousand.
  pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_DONE, static_cast<int64>(heap_tuples));
  pg::StopPoint("build.assigned");
  EnterPhase(BuildPhase::kSorting);
  crew.sort().Sort();
  pg::StopPoint("build.sorted");
  EnterPhase(BuildPhase::kWriting);
  ReportTotal(static_cast<double>(crew.rows()));
  Writer(view, crew, context).Write();
  const double rows = static_cast<double>(crew.rows());
  crew.End();
  if (RelationNeedsWAL(index)) pg::LogPages(index);

  MemoryContextSwitchTo(old);
  IndexBuildResult* result = static_cast<IndexBuildResult*>(palloc0(sizeof(IndexBuildResult)));
  result->heap_tuples = heap_tuples;
  result->index_tuples = rows;
  MemoryContextDelete(context);
  return result;
}

namespace {

// Locks: the new page, alone (L1 to L4).
template <class Fill>
void AppendToInitFork(Relation index, PageKind kind, uint32_t body_bytes, Fill&& fill) {
  const Buffer buffer = ReadBufferExtended(index, INIT_FORKNUM, P_NEW, RBM_NORMAL, nullptr);
  LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
  char* page = BufferGetPage(buffer);
  START_CRIT_SECTION();
  pg::InitPage(page, kind, body_bytes);
  fill(page);
  MarkBufferDirty(buffer);
  log_newpage_buffer(buffer, true);
  END_CRIT_SECTION();
  UnlockReleaseBuffer(buffer);
  pg::UnitDone();
}

}  // namespace

// The init fork of an unlogged index: an index of no rows, one list around 0.
void BuildEmpty(Relation index) {
  const uint32_t dims = static_cast<uint32_t>(am::DimsOf(index));
  IvfMeta meta = PlanMeta(index, dims, OptionsOf(index, dims));
  IvfFrame& shape = meta.frames[0];
  shape = PlanFrame(meta, 1);
  shape.epoch = 1;
  shape.first_block = kMetaBlock + 1;
  const uint16_t epoch = static_cast<uint16_t>(shape.epoch);
  AppendToInitFork(index, PageKind::kMeta, sizeof(IvfMeta),
                   [&meta](char* page) { *MetaOn(page) = meta; });
  for (uint32_t i = 0; i < shape.frame_pages; ++i) {
    AppendToInitFork(index, PageKind::kFrame, format::kPageBody,
                     [epoch](char* page) { pg::TailOf(page)->epoch = epoch; });
  }
  AppendToInitFork(index, PageKind::kDirectory, format::kPageBody, [&shape, epoch](char* page) {
    pg::TailOf(page)->epoch = epoch;
    *EntryOn(page, 0) = EmptyEntry(shape);
  });
}

}  // namespace ann::ivf
