#include "ivf/ivf_crew.hpp"

#include <cstring>

#include "am/attributes.hpp"
#include "pg/alloc.hpp"
#include "pg/test_hooks.hpp"

namespace ann::ivf {

namespace {

enum Job : uint32_t { kTrain, kPlace, kLeave };

// What lies in the workers' shared memory.
enum Key : uint64 { kSharedKey = 1, kFrameKey, kScanKey, kSortKey };

constexpr size_t kAlignment = 64;

void* Aligned(void* memory) {
  return reinterpret_cast<void*>(RoundUp(reinterpret_cast<uintptr_t>(memory), kAlignment));
}

}  // namespace

struct CrewShared {
  // Set before workers start.
  Oid heap;
  Oid index;
  bool concurrent;
  uint32_t lists;  // that the frame's memory has room for
  // Set before the first job that needs them.
  dsm_handle sample;
  format::IvfMeta meta;
  int sort_memory_kb;

  am::JobBoard board;
  TrainingStep step;  // of the job kTrain

  // What came of placing rows, guarded by the board's mutex.
  double heap_tuples;
  uint64_t rows;
  bool broken_hot_chain;
  // So far, by all.
  pg_atomic_uint64 seen;
};

namespace {

void InitShared(CrewShared& shared) {
  am::InitBoard(shared.board);
  pg_atomic_init_u64(&shared.seen, 0);
}

// --- placing rows
// ---------------------------------------------------------------------------------

// The rows that one process reads.
class Placing {
 public:
  Placing(CrewShared& shared, const IndexView& view, const FrameMemory& frame, RowSort& sort,
          bool reports, MemoryContext context)
      : shared_(shared),
        view_(view),
        reports_(reports),
        row_context_(AllocSetContextCreate(context, "ann ivf build row", ALLOCSET_DEFAULT_SIZES)),
        table_(
            view.frame->centroids, view.frame->shape.lists, view.meta.dims, frame.table,
            AllocAligned(context, cluster::CentroidTable::ScratchBytes(view.frame->shape.lists))),
        placer_(*view.frame, table_, sort, context),
        encoder_(view.rel, context),
        attributes_(pg::AllocZero<char>(context, view.meta.attribute_bytes + 1u)) {}

  // `scan`: shared by several processes, or null.
  void Run(Relation heap, IndexInfo* info, TableScanDesc scan) {
    const double tuples =
        table_index_build_scan(heap, view_.rel, info, true, reports_, PlaceRow, this, scan);
    placer_.Flush();
    SpinLockAcquire(&shared_.board.mutex);
    shared_.heap_tuples += tuples;
    shared_.rows += placer_.rows();
    shared_.broken_hot_chain |= info->ii_BrokenHotChain;
    SpinLockRelease(&shared_.board.mutex);
  }

 private:
  static void PlaceRow(Relation, ItemPointer tid, Datum* values, bool* isnull, bool, void* arg) {
    static_cast<Placing*>(arg)->Place(*tid, values, isnull);
  }

  void Place(const ItemPointerData& tid, Datum* values, const bool* isnull) {
    MemoryContext old = MemoryContextSwitchTo(row_context_);
    const float* x = RowVector(view_, values, isnull);
    if (x != nullptr) {
      if (encoder_.layout().count() > 0) {
        encoder_.layout().Put(attributes_, 1, 0, encoder_.Encode(values, isnull));
      }
      placer_.Add(x, attributes_, tid);
    }
    MemoryContextSwitchTo(old);
    MemoryContextReset(row_context_);
    if (++seen_ % kReported != 0) return;
    const uint64_t seen = pg_atomic_add_fetch_u64(&shared_.seen, kReported);
    if (reports_) {
      pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_DONE, static_cast<int64>(seen));
    }
  }

  static constexpr uint64_t kReported = 1024;

  CrewShared& shared_;
  const IndexView& view_;
  bool reports_;
  MemoryContext row_context_;  // reset for each row
  cluster::CentroidTable table_;
  RowPlacer placer_;
  am::AttributeEncoder encoder_;
  char* attributes_;  // of the row at hand, packed
  uint64_t seen_ = 0;
};

// Places this process's share of the rows, as one of a sort that processes share.
void PlaceShare(CrewShared& shared, const IndexView& view, const FrameMemory& frame, Relation heap,
                IndexInfo* info, ParallelTableScanDesc scan, Sharedsort* sort, bool reports,
                MemoryContext context) {
  SortCoordinateData coordinate{};
  coordinate.isWorker = true;
  coordinate.nParticipants = -1;
  coordinate.sharedsort = sort;
  RowSort rows(view, view.frame->codec, shared.sort_memory_kb, &coordinate, context);
  Placing(shared, view, frame, rows, reports, context)
      .Run(heap, info, table_beginscan_parallel(heap, scan));
  rows.Sort();
  rows.End();
}

void Tick(void*, cluster::Phase, uint64_t done, uint64_t total) {
  CHECK_FOR_INTERRUPTS();
  pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_TOTAL, static_cast<int64>(total));
  pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_DONE, static_cast<int64>(done));
}

void TickOfWorker(void*, cluster::Phase, uint64_t, uint64_t) { CHECK_FOR_INTERRUPTS(); }

}  // namespace

// --- the leader
// -----------------------------------------------------------------------------------

void Crew::Start(int lists, const UserCentroids* given) {
  plan_ = PlanTraining(*view_, heap_, info_, lists, given, context_);
  const size_t bytes = FrameMemory::Bytes(view_->meta, plan_.lists);
  const int workers =
      am::FitsSharedMemory(bytes)
          ? plan_create_index_workers(RelationGetRelid(heap_), RelationGetRelid(view_->rel))
          : 0;
  if (workers == 0 || !Launch(workers, bytes)) {
    shared_ = pg::AllocZero<CrewShared>(context_, 1);
    InitShared(*shared_);
    frame_ = FrameMemory(AllocAligned(context_, bytes), view_->meta, plan_.lists);
  }
  PrepareSample();
}

// False: there is no shared memory for workers, or the server has none to spare.
bool Crew::Launch(int workers, size_t frame_bytes) {
  snapshot_ = info_->ii_Concurrent ? RegisterSnapshot(GetTransactionSnapshot()) : SnapshotAny;
  const am::SharedPiece pieces[] = {
      {kSharedKey, sizeof(CrewShared)},
      {kFrameKey, frame_bytes + kAlignment, false},
      {kScanKey, table_parallelscan_estimate(heap_, snapshot_)},
      {kSortKey, static_cast<size_t>(tuplesort_estimate_shared(workers + 1))}};
  if (!workers_.Prepare("ann_ivf_build_worker", workers, pieces)) {
    ForgetSnapshot();
    return false;
  }
  shared_ = static_cast<CrewShared*>(workers_.Find(kSharedKey));
  InitShared(*shared_);
  shared_->heap = RelationGetRelid(heap_);
  shared_->index = RelationGetRelid(view_->rel);
  shared_->concurrent = info_->ii_Concurrent;
  shared_->lists = plan_.lists;
  shared_->meta = view_->meta;
  frame_ = FrameMemory(Aligned(workers_.Find(kFrameKey)), view_->meta, plan_.lists);
  table_parallelscan_initialize(heap_, static_cast<ParallelTableScanDesc>(workers_.Find(kScanKey)),
                                snapshot_);
  tuplesort_initialize_shared(static_cast<Sharedsort*>(workers_.Find(kSortKey)), workers + 1,
                              workers_.segment());
  if (!workers_.Launch()) {
    ForgetSnapshot();
    return false;
  }
  shared_->sort_memory_kb = maintenance_work_mem / (workers_.launched() + 1);
  return true;
}

// The sample is given back when lists have been found: its memory is not the workers'.
void Crew::PrepareSample() {
  training_context_ = AllocSetContextCreate(context_, "ann ivf training", ALLOCSET_DEFAULT_SIZES);
  const size_t bytes = Training::Bytes(view_->meta, plan_);
  if (workers_.any() && am::FitsSharedMemory(bytes)) {
    sample_ = dsm_create(bytes, DSM_CREATE_NULL_IF_MAXSEGMENTS);
  }
  if (sample_ != nullptr) shared_->sample = dsm_segment_handle(sample_);
  void* memory =
      sample_ != nullptr ? dsm_segment_address(sample_) : AllocAligned(training_context_, bytes);
  Training::Init(memory, view_->meta, plan_);
  training_ = pg::Construct<Training>(pg::AllocZero<Training>(training_context_, 1), memory, frame_,
                                      training_context_);
}

void Crew::SampleRows() { SampleTable(*view_, heap_, info_, plan_, training_, training_context_); }

void Crew::RunStep(void* arg, TrainingStep step, uint32_t chunks) {
  Crew& crew = *static_cast<Crew*>(arg);
  cluster::Progress progress;
  progress.tick = Tick;
  if (crew.sample_ == nullptr) {
    for (uint32_t chunk = 0; chunk < chunks; ++chunk) {
      crew.training_->RunChunk(step, chunk, progress);
    }
    return;
  }
  crew.shared_->step = step;
  am::PostJob(crew.shared_->board, kTrain, chunks);
  pg::StopPoint("build.posted");
  am::TakeChunks(crew.shared_->board,
                 [&](uint32_t chunk) { crew.training_->RunChunk(step, chunk, progress); });
  am::AwaitWorkers(crew.shared_->board);
}

void Crew::FindLists() {
  cluster::Progress progress;
  progress.tick = Tick;
  training_->Run({RunStep, this}, plan_.given, progress);
  format::IvfFrame& shape = view_->meta.frames[0];
  const format::IvfFrame place = shape;
  shape = training_->shape();
  shape.epoch = place.epoch;
  shape.first_block = place.first_block;
  if (sample_ != nullptr) dsm_detach(sample_);
  sample_ = nullptr;
  MemoryContextDelete(training_context_);
  view_->frame = MakeFrame(view_->meta, shape, frame_.stream, nullptr, context_);
  shared_->meta = view_->meta;
}

double Crew::PlaceRows() {
  if (!workers_.any()) {
    sort_ = MakeSort(maintenance_work_mem, nullptr);
    Placing(*shared_, *view_, frame_, *sort_, true, context_).Run(heap_, info_, nullptr);
    return shared_->heap_tuples;
  }
  auto* scan = static_cast<ParallelTableScanDesc>(workers_.Find(kScanKey));
  auto* sort = static_cast<Sharedsort*>(workers_.Find(kSortKey));
  am::PostJob(shared_->board, kPlace, 0);
  pg::StopPoint("build.placing");
  PlaceShare(*shared_, *view_, frame_, heap_, info_, scan, sort, true, context_);
  const int joined = am::AwaitWorkers(shared_->board);
  Disband();
  ereport(DEBUG1, (errmsg_internal("index \"%s\": %d processes have read the table",
                                   RelationGetRelationName(view_->rel), joined + 1)));
  info_->ii_BrokenHotChain |= shared_->broken_hot_chain;
  SortCoordinateData coordinate{};
  coordinate.nParticipants = joined + 1;
  coordinate.sharedsort = sort;
  sort_ = MakeSort(maintenance_work_mem, &coordinate);
  return shared_->heap_tuples;
}

RowSort* Crew::MakeSort(int memory_kb, SortCoordinate coordinate) {
  return pg::Construct<RowSort>(pg::AllocZero<RowSort>(context_, 1), *view_, view_->frame->codec,
                                memory_kb, coordinate, context_);
}

uint64_t Crew::rows() const { return shared_->rows; }

void Crew::Disband() {
  am::PostJob(shared_->board, kLeave, 0);
  workers_.Finish();
}

void Crew::ForgetSnapshot() {
  if (IsMVCCSnapshot(snapshot_)) UnregisterSnapshot(snapshot_);
}

void Crew::End() {
  if (sort_ != nullptr) sort_->End();
  if (!workers_.any()) return;
  ForgetSnapshot();
  workers_.End();
}

// --- workers
// --------------------------------------------------------------------------------------

namespace {

class Worker {
 public:
  Worker(dsm_segment* segment, shm_toc* toc)
      : shared_(*static_cast<CrewShared*>(shm_toc_lookup(toc, kSharedKey, false))),
        frame_(Aligned(shm_toc_lookup(toc, kFrameKey, false)), shared_.meta, shared_.lists),
        scan_(static_cast<ParallelTableScanDesc>(shm_toc_lookup(toc, kScanKey, false))),
        sort_(static_cast<Sharedsort*>(shm_toc_lookup(toc, kSortKey, false))),
        context_(
            AllocSetContextCreate(CurrentMemoryContext, "ann ivf worker", ALLOCSET_DEFAULT_SIZES)),
        training_context_(
            AllocSetContextCreate(context_, "ann ivf training", ALLOCSET_DEFAULT_SIZES)) {
    tuplesort_attach_shared(sort_, segment);
  }

  void Run() {
    heap_ = table_open(shared_.heap, shared_.concurrent ? ShareUpdateExclusiveLock : ShareLock);
    const LOCKMODE lock = shared_.concurrent ? RowExclusiveLock : AccessExclusiveLock;
    index_ = index_open(shared_.index, lock);
    uint64_t last = 0;
    for (uint32_t job; (job = am::JoinJob(shared_.board, &last)) != kLeave;
         am::LeaveJob(shared_.board)) {
      if (job == kTrain) {
        Train();
      } else {
        ForgetSample();
        Place();
      }
    }
    ForgetSample();
    index_close(index_, lock);
    table_close(heap_, shared_.concurrent ? ShareUpdateExclusiveLock : ShareLock);
  }

 private:
  void Train() {
    pg::StopPoint("build.helping");
    if (sample_ == nullptr) {
      sample_ = dsm_attach(shared_.sample);
      if (sample_ == nullptr) elog(ERROR, "could not map the sample of an index build");
      training_ = pg::Construct<Training>(pg::AllocZero<Training>(training_context_, 1),
                                          dsm_segment_address(sample_), frame_, training_context_);
    }
    cluster::Progress progress;
    progress.tick = TickOfWorker;
    am::TakeChunks(shared_.board,
                   [&](uint32_t chunk) { training_->RunChunk(shared_.step, chunk, progress); });
  }

  void ForgetSample() {
    if (sample_ != nullptr) dsm_detach(sample_);
    sample_ = nullptr;
    MemoryContextReset(training_context_);
  }

  void Place() {
    pg::StopPoint("build.reading");
    IndexView view(index_, shared_.meta);
    view.frame = MakeFrame(view.meta, view.meta.frames[0], frame_.stream, nullptr, context_);
    IndexInfo* info = BuildIndexInfo(index_);
    info->ii_Concurrent = shared_.concurrent;
    PlaceShare(shared_, view, frame_, heap_, info, scan_, sort_, false, context_);
  }

  CrewShared& shared_;
  FrameMemory frame_;
  ParallelTableScanDesc scan_;
  Sharedsort* sort_;
  MemoryContext context_;
  MemoryContext training_context_;
  Relation heap_ = nullptr;
  Relation index_ = nullptr;
  dsm_segment* sample_ = nullptr;
  Training* training_ = nullptr;
};

}  // namespace

}  // namespace ann::ivf

extern "C" {
PGDLLEXPORT void ann_ivf_build_worker(dsm_segment* segment, shm_toc* toc);
}

void ann_ivf_build_worker(dsm_segment* segment, shm_toc* toc) {
  using namespace ann::ivf;
  ann::am::BeginWork(toc);
  Worker(segment, toc).Run();
  ann::am::EndWork(toc);
}
