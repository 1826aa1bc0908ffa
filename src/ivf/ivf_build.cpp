// CREATE INDEX and REINDEX: README section "Build".
//
//   1. sample rows, find centroids (and pq's codebook): ivf_train.cpp
//   2. read the table: each row gets a list and its codes, and goes to a sort by list
//   3. write the lists in order; then one pass of WAL
//
// No page has been written before step 3, so an error until then leaves an empty file. What takes
// memory (sample, sort) is kept within maintenance_work_mem.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "am/opclass.hpp"
#include "am/vector_column.hpp"
#include "cluster/kmeans.hpp"
#include "cluster/nearest.hpp"
#include "core/rng.hpp"
#include "core/vec.hpp"
#include "ivf/ivf.hpp"
#include "ivf/ivf_train.hpp"
#include "ivf/ivf_write.hpp"

#include "pg/alloc.hpp"

namespace ann::ivf {

using format::IvfFrame;
using format::IvfMeta;
using format::ListEntry;
using format::PageKind;

namespace {

using Alloc = pg::PgAllocator<std::byte>;

// Rows that are assigned to lists at a time:
using cluster::kBatchRows;

struct BuildState {
  BuildState(MemoryContext cxt, IndexView* v) : context(cxt), view(v), entries(Alloc(cxt)) {}

  Relation heap;
  IndexInfo* info;
  MemoryContext context;      // lives as long as the build
  MemoryContext row_context;  // reset for each row
  IndexView* view;
  float* stream = nullptr;
  cluster::CentroidTable* centroids = nullptr;

  // The batch under way.
  float* rows = nullptr;
  float* works = nullptr;
  ItemPointerData tids[kBatchRows];
  uint32_t lists[kBatchRows];
  float distances[kBatchRows];
  uint32_t batch = 0;
  struct varlena* payload = nullptr;
  Tuplesortstate* sort = nullptr;
  TupleTableSlot* slot = nullptr;
  TupleDesc desc = nullptr;

  VecOf<ListEntry, Alloc> entries;
  uint64_t tuples = 0;  // rows in the index
  int64 tuples_seen = 0;
};

// What a sorted row is made of: TID, codes.
size_t PayloadBytes(const quant::ListCodec& codec) {
  return sizeof(format::Tid) + codec.row_bytes() + codec.second_bytes();
}

// --- assigning
// ------------------------------------------------------------------------------------

void Tick(void*, cluster::Phase, uint64_t done, uint64_t total) {
  CHECK_FOR_INTERRUPTS();
  pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_TOTAL, static_cast<int64>(total));
  pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_DONE, static_cast<int64>(done));
}

void FindLists(BuildState& state, const Options& options) {
  IndexView& view = *state.view;
  EnterPhase(BuildPhase::kSampling);
  IvfFrame& shape = view.meta.frames[0];
  shape.epoch = 1;
  shape.first_block = kMetaBlock + 1;
  cluster::Progress progress;
  progress.tick = Tick;
  state.stream = TrainOnTable(
      view, state.heap, state.info, options.lists, progress,
      [] { EnterPhase(BuildPhase::kClustering); }, &shape, state.context);
  view.frame = MakeFrame(view.meta, shape, state.stream, state.context);
}

void StartSort(BuildState& state) {
  const quant::ListCodec& codec = state.view->frame->codec;
  const IvfFrame& shape = state.view->frame->shape;
  const uint32_t dims = state.view->meta.dims;
  state.rows = pg::AllocZero<float>(state.context, size_t{kBatchRows} * dims);
  state.works = pg::AllocZero<float>(state.context, size_t{kBatchRows} * dims);
  state.centroids = pg::Construct<cluster::CentroidTable>(
      pg::AllocZero<char>(state.context, sizeof(cluster::CentroidTable)),
      state.view->frame->centroids, shape.lists, dims,
      AllocAligned(state.context, cluster::CentroidTable::Bytes(shape.lists, dims)),
      AllocAligned(state.context, cluster::CentroidTable::ScratchBytes(shape.lists)));
  state.centroids->Fill(cluster::Progress{});
  const size_t bytes = VARHDRSZ + PayloadBytes(codec);
  state.payload = reinterpret_cast<struct varlena*>(pg::AllocZero<char>(state.context, bytes));
  SET_VARSIZE(state.payload, bytes);
  state.desc = CreateTemplateTupleDesc(2);
  TupleDescInitEntry(state.desc, 1, "place", INT8OID, -1, 0);
  TupleDescInitEntry(state.desc, 2, "row", BYTEAOID, -1, 0);
  AttrNumber key = 1;
  Oid less = Int8LessOperator, collation = InvalidOid;
  bool nulls_first = false;
  state.sort = tuplesort_begin_heap(state.desc, 1, &key, &less, &collation, &nulls_first,
                                    maintenance_work_mem, nullptr, TUPLESORT_NONE);
  state.slot = MakeSingleTupleTableSlot(state.desc, &TTSOpsVirtual);
  state.entries.resize(shape.lists, ListEntry{});
}

void AssignBatch(BuildState& state) {
  const Frame& frame = *state.view->frame;
  const uint32_t dims = state.view->meta.dims;
  for (uint32_t i = 0; i < state.batch; ++i) {
    float* work = state.works + size_t{i} * dims;
    frame.space.Transform(state.rows + size_t{i} * dims, work);
    for (uint32_t d = 0; d < dims; ++d) {
      if (std::isnan(work[d])) work[d] = 0;
    }
  }
  cluster::Progress progress;
  state.centroids->Nearest(state.works, state.batch, state.lists, state.distances, progress);
  for (uint32_t i = 0; i < state.batch; ++i) {
    const uint32_t list = state.lists[i];
    uint8_t* at = reinterpret_cast<uint8_t*>(VARDATA(state.payload));
    std::memcpy(at, &state.tids[i], sizeof(format::Tid));
    at += sizeof(format::Tid);
    frame.codec.Encode(state.rows + size_t{i} * dims, state.works + size_t{i} * dims,
                       frame.Centroid(list), at,
                       frame.codec.second_bytes() > 0 ? at + frame.codec.row_bytes() : nullptr);
    ListEntry& entry = state.entries[list];
    entry.spread += std::isfinite(state.distances[i]) ? state.distances[i] : 0;
    ++entry.live;
    ExecClearTuple(state.slot);
    // Rows of a list in the order of the table.
    state.slot->tts_values[0] =
        Int64GetDatum(static_cast<int64>(uint64_t{list} << 40 | state.tuples++));
    state.slot->tts_values[1] = PointerGetDatum(state.payload);
    state.slot->tts_isnull[0] = state.slot->tts_isnull[1] = false;
    ExecStoreVirtualTuple(state.slot);
    tuplesort_puttupleslot(state.sort, state.slot);
  }
  state.batch = 0;
}

void AssignRow(Relation, ItemPointer tid, Datum* values, bool* isnull, bool, void* arg) {
  BuildState& state = *static_cast<BuildState*>(arg);
  MemoryContext old = MemoryContextSwitchTo(state.row_context);
  const float* x = RowVector(*state.view, values, isnull);
  if (x != nullptr) {
    const uint32_t dims = state.view->meta.dims;
    std::memcpy(state.rows + size_t{state.batch} * dims, x, sizeof(float) * dims);
    state.tids[state.batch] = *tid;
    if (++state.batch == kBatchRows) AssignBatch(state);
  }
  if (++state.tuples_seen % 1024 == 0) {
    pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_DONE, state.tuples_seen);
  }
  MemoryContextSwitchTo(old);
  MemoryContextReset(state.row_context);
}

// --- writing
// --------------------------------------------------------------------------------------

// Writes the pages of an index, block after block.
class Writer {
 public:
  explicit Writer(BuildState& state)
      : state_(state), view_(*state.view), packer_(view_, view_.frame->codec, state.context) {
    blocks_ = pg::AllocZero<BlockNumber>(state.context, view_.meta.record_pages + 1u);
  }

  void Write() {
    const IvfFrame& shape = view_.frame->shape;
    AppendMeta();
    for (uint32_t i = 0; i < shape.frame_pages; ++i) AppendFrame(i);
    for (uint32_t i = 0; i < shape.directory_pages; ++i) AppendDirectory();
    WriteLists();
    for (uint32_t i = 0; i < shape.directory_pages; ++i) FillDirectory(i);
    FinishMeta();
  }

 private:
  // Nobody else sees the file yet: the locks of a build (L1 to L4, one at a time) keep the
  // checkpointer off half a page.
  char* Append(Buffer* buffer) {
    CHECK_FOR_INTERRUPTS();
    *buffer = ReadBuffer(view_.rel, P_NEW);
    Assert(BufferGetBlockNumber(*buffer) == next_);
    LockBuffer(*buffer, BUFFER_LOCK_EXCLUSIVE);
    ++next_;
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
    std::memcpy(page + format::kPageHeaderBytes, state_.stream + start,
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
    for (ListEntry& entry : state_.entries) {
      entry.generation = FirstGeneration(view_.frame->shape.epoch);
    }
    TupleTableSlot* slot = MakeSingleTupleTableSlot(state_.desc, &TTSOpsMinimalTuple);
    const quant::ListCodec& codec = view_.frame->codec;
    int64 done = 0;
    while (tuplesort_gettupleslot(state_.sort, true, false, slot, nullptr)) {
      bool isnull;
      const uint32_t list =
          static_cast<uint32_t>(DatumGetInt64(slot_getattr(slot, 1, &isnull)) >> 40);
      const Datum row = slot_getattr(slot, 2, &isnull);
      const uint8_t* at = reinterpret_cast<const uint8_t*>(
          VARDATA_ANY(reinterpret_cast<const struct varlena*>(DatumGetPointer(row))));
      if (!packer_.empty() && (packer_.full() || list != list_)) AppendSegment(list == list_);
      list_ = list;
      format::Tid tid;
      std::memcpy(&tid, at, sizeof tid);
      at += sizeof tid;
      packer_.Add(tid, at, codec.second_bytes() > 0 ? at + codec.row_bytes() : nullptr);
      if (++done % 1024 == 0) pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_DONE, done);
    }
    if (!packer_.empty()) AppendSegment(false);
    ExecDropSingleTupleTableSlot(slot);
  }

  void AppendSegment(bool more) {
    ListEntry& entry = state_.entries[list_];
    const BlockNumber block = next_;
    const uint32_t records = packer_.record_pages();
    for (uint32_t i = 0; i < records; ++i) blocks_[i] = block + 1 + i;
    Buffer buffer;
    char* page = Append(&buffer);
    packer_.FillSegment(page, list_, entry.generation, blocks_);
    if (more) SegmentOn(page)->next = block + 1 + records;
    Done(buffer);
    for (uint32_t i = 0; i < records; ++i) {
      page = Append(&buffer);
      packer_.FillRecords(page, i, list_, entry.generation, block);
      Done(buffer);
    }
    if (entry.head == 0) entry.head = block;
    entry.tail = block;
    entry.run += 1 + records;
    packer_.Clear();
  }

  // L2, alone.
  void FillDirectory(uint32_t i) {
    const IvfFrame& shape = view_.frame->shape;
    const pg::PageRef page = pg::ReadPage(view_.rel, shape.first_block + shape.frame_pages + i,
                                          BUFFER_LOCK_EXCLUSIVE, PageKind::kDirectory);
    const uint32_t start = i * format::kEntriesPerPage;
    std::memcpy(page.body(), state_.entries.data() + start,
                sizeof(ListEntry) * std::min(shape.lists - start, format::kEntriesPerPage));
    MarkBufferDirty(page.buffer);
    pg::Release(page);
  }

  void FinishMeta() {
    view_.meta.row_count = view_.meta.trained_rows = state_.tuples;
    // L1, alone.
    const pg::PageRef page =
        pg::ReadPage(view_.rel, kMetaBlock, BUFFER_LOCK_EXCLUSIVE, PageKind::kMeta);
    *MetaOn(page.page) = view_.meta;
    MarkBufferDirty(page.buffer);
    pg::Release(page);
  }

  BuildState& state_;
  IndexView& view_;
  SegmentPacker packer_;
  BlockNumber* blocks_;
  BlockNumber next_ = 0;
  uint32_t list_ = 0;
};

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
  IndexView* view = pg::Construct<IndexView>(pg::AllocZero<IndexView>(context, 1), index,
                                             PlanMeta(am::MetricOf(index), dims, options));
  BuildState& state =
      *pg::Construct<BuildState>(pg::AllocZero<BuildState>(context, 1), context, view);
  state.heap = heap;
  state.info = info;
  state.row_context = AllocSetContextCreate(context, "ann ivf build row", ALLOCSET_DEFAULT_SIZES);
  FindLists(state, options);

  EnterPhase(BuildPhase::kAssigning);
  pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_TOTAL,
                               static_cast<int64>(std::max(heap->rd_rel->reltuples, 0.0f)));
  StartSort(state);
  const double heap_tuples =
      table_index_build_scan(heap, index, info, false, true, AssignRow, &state, nullptr);
  AssignBatch(state);
  pg::StopPoint("build.assigned");
  EnterPhase(BuildPhase::kSorting);
  tuplesort_performsort(state.sort);
  EnterPhase(BuildPhase::kWriting);
  pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_TOTAL, static_cast<int64>(state.tuples));
  Writer(state).Write();
  tuplesort_end(state.sort);
  ExecDropSingleTupleTableSlot(state.slot);
  if (RelationNeedsWAL(index)) pg::LogPages(index);

  MemoryContextSwitchTo(old);
  IndexBuildResult* result = static_cast<IndexBuildResult*>(palloc0(sizeof(IndexBuildResult)));
  result->heap_tuples = heap_tuples;
  result->index_tuples = static_cast<double>(state.tuples);
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
  IvfMeta meta = PlanMeta(am::MetricOf(index), dims, OptionsOf(index, dims));
  IvfFrame& shape = meta.frames[0];
  shape.epoch = 1;
  shape.first_block = kMetaBlock + 1;
  Sample(meta, 0, CurrentMemoryContext)
      .Train(1, 0, &shape, cluster::Progress{}, CurrentMemoryContext);
  const uint16_t epoch = static_cast<uint16_t>(shape.epoch);
  AppendToInitFork(index, PageKind::kMeta, sizeof(IvfMeta),
                   [&meta](char* page) { *MetaOn(page) = meta; });
  for (uint32_t i = 0; i < shape.frame_pages; ++i) {
    AppendToInitFork(index, PageKind::kFrame, format::kPageBody,
                     [epoch](char* page) { pg::TailOf(page)->epoch = epoch; });
  }
  AppendToInitFork(index, PageKind::kDirectory, format::kPageBody, [epoch](char* page) {
    pg::TailOf(page)->epoch = epoch;
    EntryOn(page, 0)->generation = FirstGeneration(epoch);
  });
}

}  // namespace ann::ivf
