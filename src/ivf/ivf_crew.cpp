#include "ivf/ivf_crew.hpp"

#include <cstring>

#include <sys/statvfs.h>

#include "am/attributes.hpp"
#include "pg/alloc.hpp"
#include "pg/test_hooks.hpp"

namespace ann::ivf {

namespace {

enum class Job : uint32_t { kTrain, kPlace, kLeave };

// What lies in the workers' shared memory.
enum Key : uint64 { kSharedKey = 1, kFrameKey, kScanKey, kSortKey, kQueryKey, kBufferKey, kWalKey };

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

  // The job under way. `mutex` guards what follows, up to `next`.
  slock_t mutex;
  uint64_t number;  // of jobs so far
  Job job;
  TrainingStep step;
  bool open;    // workers may join
  int working;  // workers that have joined and not left
  int joined;   // in all
  ConditionVariable posted;
  ConditionVariable left;
  uint32_t chunks;
  pg_atomic_uint32 next;

  // What came of placing rows, guarded by `mutex`.
  double heap_tuples;
  uint64_t rows;
  bool broken_hot_chain;
  // So far, by all.
  pg_atomic_uint64 seen;
};

namespace {

// --- jobs
// -----------------------------------------------------------------------------------------

void InitJobs(CrewShared& shared) {
  SpinLockInit(&shared.mutex);
  ConditionVariableInit(&shared.posted);
  ConditionVariableInit(&shared.left);
  pg_atomic_init_u32(&shared.next, 0);
  pg_atomic_init_u64(&shared.seen, 0);
}

void Post(CrewShared& shared, Job job, TrainingStep step, uint32_t chunks) {
  SpinLockAcquire(&shared.mutex);
  ++shared.number;
  shared.job = job;
  shared.step = step;
  shared.open = true;
  shared.joined = 0;
  shared.chunks = chunks;
  pg_atomic_write_u32(&shared.next, 0);
  SpinLockRelease(&shared.mutex);
  ConditionVariableBroadcast(&shared.posted);
}

// By who has joined.
template <class Work>
void TakeChunks(CrewShared& shared, Work&& work) {
  for (;;) {
    const uint32_t chunk = pg_atomic_fetch_add_u32(&shared.next, 1);
    if (chunk >= shared.chunks) return;
    work(chunk);
  }
}

// Ends a job: waits for those who have joined; how many there were.
int Await(CrewShared& shared) {
  int joined = 0;
  ConditionVariablePrepareToSleep(&shared.left);
  for (;;) {
    SpinLockAcquire(&shared.mutex);
    shared.open = shared.working > 0;
    joined = shared.joined;
    const bool over = !shared.open;
    SpinLockRelease(&shared.mutex);
    if (over) break;
    ConditionVariableSleep(&shared.left, WAIT_EVENT_PARALLEL_CREATE_INDEX_SCAN);
  }
  ConditionVariableCancelSleep();
  return joined;
}

// Waits for a job other than number `last`, and joins it.
Job Join(CrewShared& shared, uint64_t* last) {
  Job job{};
  ConditionVariablePrepareToSleep(&shared.posted);
  for (;;) {
    SpinLockAcquire(&shared.mutex);
    const bool joins = shared.open && shared.number != *last;
    if (joins) {
      *last = shared.number;
      job = shared.job;
      ++shared.working;
      ++shared.joined;
    }
    SpinLockRelease(&shared.mutex);
    if (joins) break;
    ConditionVariableSleep(&shared.posted, WAIT_EVENT_PARALLEL_CREATE_INDEX_SCAN);
  }
  ConditionVariableCancelSleep();
  return job;
}

void Leave(CrewShared& shared) {
  SpinLockAcquire(&shared.mutex);
  --shared.working;
  SpinLockRelease(&shared.mutex);
  ConditionVariableSignal(&shared.left);
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
    SpinLockAcquire(&shared_.mutex);
    shared_.heap_tuples += tuples;
    shared_.rows += placer_.rows();
    shared_.broken_hot_chain |= info->ii_BrokenHotChain;
    SpinLockRelease(&shared_.mutex);
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

// Whether shared memory can be had, so that a build need not fail where it is scarce (containers
// have 64 MB of it). Half of it is left to others.
bool FitsSharedMemory(size_t bytes) {
  struct statvfs shm;
  if (dynamic_shared_memory_type != DSM_IMPL_POSIX || statvfs("/dev/shm", &shm) != 0) return true;
  return bytes <= uint64_t{shm.f_bavail} * shm.f_frsize / 2;
}

}  // namespace

// --- the leader
// -----------------------------------------------------------------------------------

void Crew::Start(int lists, const UserCentroids* given) {
  plan_ = PlanTraining(*view_, heap_, info_, lists, given, context_);
  const size_t bytes = FrameMemory::Bytes(view_->meta, plan_.lists);
  const int workers =
      FitsSharedMemory(bytes)
          ? plan_create_index_workers(RelationGetRelid(heap_), RelationGetRelid(view_->rel))
          : 0;
  if (workers == 0 || !Launch(workers, bytes)) {
    shared_ = pg::AllocZero<CrewShared>(context_, 1);
    InitJobs(*shared_);
    frame_ = FrameMemory(AllocAligned(context_, bytes), view_->meta, plan_.lists);
  }
  PrepareSample();
}

// False: there is no shared memory for workers, or the server has none to spare.
bool Crew::Launch(int workers, size_t frame_bytes) {
  snapshot_ = info_->ii_Concurrent ? RegisterSnapshot(GetTransactionSnapshot()) : SnapshotAny;
  EnterParallelMode();
  workers_ = CreateParallelContext("$libdir/ann", "ann_ivf_build_worker", workers);
  const size_t scan_bytes = table_parallelscan_estimate(heap_, snapshot_);
  const size_t sort_bytes = tuplesort_estimate_shared(workers + 1);
  const char* query = debug_query_string != nullptr ? debug_query_string : "";
  const struct {
    Key key;
    size_t bytes;
  } pieces[] = {{kSharedKey, sizeof(CrewShared)},
                {kFrameKey, frame_bytes + kAlignment},
                {kScanKey, scan_bytes},
                {kSortKey, sort_bytes},
                {kQueryKey, std::strlen(query) + 1},
                {kBufferKey, mul_size(sizeof(BufferUsage), static_cast<Size>(workers))},
                {kWalKey, mul_size(sizeof(WalUsage), static_cast<Size>(workers))}};
  for (const auto& piece : pieces) {
    shm_toc_estimate_chunk(&workers_->estimator, piece.bytes);
    shm_toc_estimate_keys(&workers_->estimator, 1);
  }
  InitializeParallelDSM(workers_);
  if (workers_->seg == nullptr) {
    End();
    return false;
  }
  for (const auto& piece : pieces) {
    void* memory = shm_toc_allocate(workers_->toc, piece.bytes);
    std::memset(memory, 0, piece.key == kFrameKey ? 0 : piece.bytes);
    shm_toc_insert(workers_->toc, piece.key, memory);
  }
  const auto lookup = [this](Key key) { return shm_toc_lookup(workers_->toc, key, false); };
  shared_ = static_cast<CrewShared*>(lookup(kSharedKey));
  InitJobs(*shared_);
  shared_->heap = RelationGetRelid(heap_);
  shared_->index = RelationGetRelid(view_->rel);
  shared_->concurrent = info_->ii_Concurrent;
  shared_->lists = plan_.lists;
  shared_->meta = view_->meta;
  frame_ = FrameMemory(Aligned(lookup(kFrameKey)), view_->meta, plan_.lists);
  table_parallelscan_initialize(heap_, static_cast<ParallelTableScanDesc>(lookup(kScanKey)),
                                snapshot_);
  tuplesort_initialize_shared(static_cast<Sharedsort*>(lookup(kSortKey)), workers + 1,
                              workers_->seg);
  std::strcpy(static_cast<char*>(lookup(kQueryKey)), query);
  LaunchParallelWorkers(workers_);
  if (workers_->nworkers_launched == 0) {
    End();
    return false;
  }
  shared_->sort_memory_kb = maintenance_work_mem / (workers_->nworkers_launched + 1);
  return true;
}

// The sample is given back when lists have been found: its memory is not the workers'.
void Crew::PrepareSample() {
  training_context_ = AllocSetContextCreate(context_, "ann ivf training", ALLOCSET_DEFAULT_SIZES);
  const size_t bytes = Training::Bytes(view_->meta, plan_);
  if (workers_ != nullptr && FitsSharedMemory(bytes)) {
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
  Post(*crew.shared_, Job::kTrain, step, chunks);
  pg::StopPoint("build.posted");
  TakeChunks(*crew.shared_,
             [&](uint32_t chunk) { crew.training_->RunChunk(step, chunk, progress); });
  Await(*crew.shared_);
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
  if (workers_ == nullptr) {
    sort_ = MakeSort(maintenance_work_mem, nullptr);
    Placing(*shared_, *view_, frame_, *sort_, true, context_).Run(heap_, info_, nullptr);
    return shared_->heap_tuples;
  }
  auto* scan = static_cast<ParallelTableScanDesc>(shm_toc_lookup(workers_->toc, kScanKey, false));
  auto* sort = static_cast<Sharedsort*>(shm_toc_lookup(workers_->toc, kSortKey, false));
  Post(*shared_, Job::kPlace, {}, 0);
  pg::StopPoint("build.placing");
  PlaceShare(*shared_, *view_, frame_, heap_, info_, scan, sort, true, context_);
  const int joined = Await(*shared_);
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

// Lets the workers go, and counts what they have read and written as this process's.
void Crew::Disband() {
  Post(*shared_, Job::kLeave, {}, 0);
  WaitForParallelWorkersToFinish(workers_);
  auto* buffers = static_cast<BufferUsage*>(shm_toc_lookup(workers_->toc, kBufferKey, false));
  auto* wal = static_cast<WalUsage*>(shm_toc_lookup(workers_->toc, kWalKey, false));
  for (int i = 0; i < workers_->nworkers_launched; ++i) {
    InstrAccumParallelQuery(&buffers[i], &wal[i]);
  }
}

void Crew::End() {
  if (sort_ != nullptr) sort_->End();
  if (workers_ == nullptr) return;
  if (IsMVCCSnapshot(snapshot_)) UnregisterSnapshot(snapshot_);
  DestroyParallelContext(workers_);
  workers_ = nullptr;
  ExitParallelMode();
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
    for (Job job; (job = Join(shared_, &last)) != Job::kLeave; Leave(shared_)) {
      if (job == Job::kTrain) {
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
    TakeChunks(shared_,
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
  debug_query_string = static_cast<char*>(shm_toc_lookup(toc, kQueryKey, false));
  pgstat_report_activity(STATE_RUNNING, debug_query_string);
  InstrStartParallelQuery();
  Worker(segment, toc).Run();
  auto* buffers = static_cast<BufferUsage*>(shm_toc_lookup(toc, kBufferKey, false));
  auto* wal = static_cast<WalUsage*>(shm_toc_lookup(toc, kWalKey, false));
  InstrEndParallelQuery(&buffers[ParallelWorkerNumber], &wal[ParallelWorkerNumber]);
}
