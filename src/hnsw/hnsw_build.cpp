// CREATE INDEX and REINDEX: README section "Build".
//
//   1. sample rows: the mean, and under L1 the grid step
//   2. read the table: each vector becomes codes in an arena, equal ones share a node
//   3. link the nodes, in memory, several processes together
//   4. write pages in an order that keeps neighbours together; then one pass of WAL
//
// Rows that come after maintenance_work_mem is used up are inserted into the finished pages one by
// one. No page has been written before step 4, so an error until then leaves an empty file.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>

#include "am/opclass.hpp"
#include "am/vector_column.hpp"
#include "graph/calibrate.hpp"
#include "hnsw/hnsw.hpp"
#include "hnsw/hnsw_calibrate.hpp"
#include "hnsw/hnsw_crew.hpp"
#include "hnsw/hnsw_index.hpp"
#include "hnsw/hnsw_insert.hpp"
#include "hnsw/hnsw_postings.hpp"
#include "hnsw/hnsw_recentre.hpp"
#include "hnsw/hnsw_space.hpp"
#include "hnsw/hnsw_writer.hpp"

#include "pg/alloc.hpp"

namespace ann::hnsw {

using format::Meta;
using format::PageKind;
using quant::Metric;

namespace {

using Alloc = pg::PgAllocator<std::byte>;
using Graph = BuildGraph;

constexpr uint32_t kSampleRows = 10000;
constexpr uint32_t kMostEntryUnits = 127;
constexpr double kLostShare = 0.005;

bool IsSparse(Relation index) { return am::ColumnTypeOf(index) == am::ColumnType::kSparseVector; }

struct BuildState {
  Relation heap;
  Relation index;
  IndexInfo* info;
  MemoryContext context;      // lives as long as the build
  MemoryContext row_context;  // reset for each row
  Meta meta;
  float* mean;
  double* sums;  // of the sample
  double* squares;
  uint64_t sampled;
  uint32_t* counts;  // of sampled sparse vectors: their elements
  double* lost;      // by units of entries: shares of rows that codes leave out, summed
  uint64_t sampled_blocks;
  VecOf<uint32_t, Alloc>* sampled_values;  // hashes of the first attribute's
  IndexView* view;
  Graph* graph;
  am::AttributeEncoder* encoder;  // null: there are no attributes
  char* packed;                   // attributes of a row
  double tuples;                  // rows in the index
  int64 tuples_seen;
  Inserter* inserter;  // of further rows, once the graph is in pages
};

void EnterPhase(BuildPhase phase) {
  pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, static_cast<int64>(phase));
}

// The vector of a row to be indexed, or null.
quant::VectorRef RowVector(const BuildState& state, Datum* values, const bool* isnull) {
  if (isnull[0]) return nullptr;
  return am::IndexedVector(state.index, values[0], state.meta.dims);
}

double Norm(const float* x, uint32_t dims) {
  double sum = 0;
  for (uint32_t i = 0; i < dims; ++i) sum += double(x[i]) * x[i];
  return std::sqrt(sum);
}

void AddToSums(BuildState& state, const float* x) {
  const uint32_t dims = state.meta.dims;
  double factor = 1;
  if (static_cast<Metric>(state.meta.metric) == Metric::kCosine) {
    const double norm = Norm(x, dims);
    factor = norm > 0 ? 1 / norm : 0;
  }
  for (uint32_t i = 0; i < dims; ++i) {
    const double value = x[i] * factor;
    state.sums[i] += value;
    state.squares[i] += value * value;
  }
}

// Codes keep the largest elements.
void AddToLost(BuildState& state, const SparseView& x) {
  const bool l1 = static_cast<Metric>(format::MetricByte(state.meta)) == Metric::kL1;
  double* sizes = pg::AllocZero<double>(state.row_context, x.count + size_t{1});
  double left = 0;
  for (uint32_t i = 0; i < x.count; ++i) {
    sizes[i] = l1 ? std::fabs(x.values[i]) : double{x.values[i]} * x.values[i];
    left += sizes[i];
  }
  std::sort(sizes, sizes + x.count, std::greater<>());
  const double whole = left;
  for (uint32_t i = 0; i < x.count && left > 0; ++i) {
    left -= sizes[i];
    const uint32_t kept = i + 1;
    if (kept % quant::kEntryUnit == 0 && kept / quant::kEntryUnit <= kMostEntryUnits) {
      state.lost[kept / quant::kEntryUnit] += std::max(0.0, left / whole);
    }
  }
}

void SampleRow(Relation, ItemPointer, Datum* values, bool* isnull, bool, void* arg) {
  BuildState& state = *static_cast<BuildState*>(arg);
  MemoryContext old = MemoryContextSwitchTo(state.row_context);
  const quant::VectorRef x = RowVector(state, values, isnull);
  if (x != nullptr) {
    if (state.sums != nullptr) AddToSums(state, x.floats());
    // A block may bring the sample beyond its size.
    if (state.counts != nullptr && state.sampled < kSampleRows) {
      state.counts[state.sampled] = x.sparse().count;
      AddToLost(state, x.sparse());
    }
    ++state.sampled;
    if (state.sampled_values != nullptr) {
      const filter::Row row = state.encoder->Encode(values, isnull);
      if (!row.IsNull(0)) state.sampled_values->push_back(PostingHash(row.values[0]));
    }
  }
  MemoryContextSwitchTo(old);
  MemoryContextReset(state.row_context);
}

void FinishSample(BuildState& state) {
  const uint32_t dims = state.meta.dims;
  const double n = static_cast<double>(state.sampled);
  double variance = 0;
  for (uint32_t i = 0; i < dims && n > 0; ++i) {
    const double mean = state.sums[i] / n;
    variance += std::max(0.0, state.squares[i] / n - mean * mean) / dims;
    // Sums that left float's range centre nothing.
    state.mean[i] = std::isfinite(static_cast<float>(mean)) ? static_cast<float>(mean) : 0;
  }
  state.meta.l1_step[0] = GridStep(state.meta.traversal_bits, variance);
}

// Codes with room for all elements of 19 in 20 rows, and for all but kLostShare of the squares of
// all rows: the few longest may be those that inner products are largest with.
void PlanEntries(BuildState& state) {
  const size_t counted = std::min<uint64_t>(state.sampled, kSampleRows);
  if (counted == 0) return;
  const size_t at = counted * 19 / 20;
  std::nth_element(state.counts, state.counts + at, state.counts + counted);
  size_t units = DivUp(state.counts[at], quant::kEntryUnit);
  const double most = kLostShare * static_cast<double>(counted);
  while (units < kMostEntryUnits && state.lost[units] > most) ++units;
  SetEntries(&state.meta, static_cast<uint32_t>(units * quant::kEntryUnit));
}

// Rows from random blocks: a table is often ordered by what its vectors mean.
void SampleRows(BuildState& state) {
  EnterPhase(BuildPhase::kSampling);
  if (state.meta.mean_pages > 0) {
    state.mean = pg::AllocZero<float>(state.context, state.meta.dims);
    state.sums = pg::AllocZero<double>(state.context, state.meta.dims);
    state.squares = pg::AllocZero<double>(state.context, state.meta.dims);
  } else if (format::IsSparse(state.meta)) {
    state.counts = pg::AllocZero<uint32_t>(state.context, kSampleRows);
    state.lost = pg::AllocZero<double>(state.context, kMostEntryUnits + 1);
  }
  const BlockNumber blocks = RelationGetNumberOfBlocks(state.heap);
  BlockSamplerData sampler;
  BlockSampler_Init(&sampler, blocks, kSampleRows, static_cast<uint32>(Mix64(state.meta.seed)));
  while (BlockSampler_HasMore(&sampler) && state.sampled < kSampleRows) {
    CHECK_FOR_INTERRUPTS();
    ++state.sampled_blocks;
    table_index_build_range_scan(state.heap, state.index, state.info, false, false, false,
                                 BlockSampler_Next(&sampler), 1, SampleRow, &state, nullptr);
  }
  if (state.sums != nullptr) FinishSample(state);
  if (state.counts != nullptr) PlanEntries(state);
}

// Postings pay where the first attribute has many values, as far as the sample tells.
void PlanPostings(BuildState& state) {
  constexpr size_t kManyValues = 64;
  if (state.sampled_values == nullptr) return;
  VecOf<uint32_t, Alloc>& values = *state.sampled_values;
  std::sort(values.begin(), values.end());
  const size_t distinct = std::unique(values.begin(), values.end()) - values.begin();
  if (distinct < std::min<uint64_t>(kManyValues, state.sampled / 2)) return;
  const double rows = static_cast<double>(state.sampled) * RelationGetNumberOfBlocks(state.heap) /
                      static_cast<double>(std::max<uint64_t>(state.sampled_blocks, 1));
  state.meta.posting_pages = static_cast<uint16_t>(PostingPagesFor(rows));
}

void WriteGraph(BuildState& state);

void AddRow(Relation, ItemPointer tid, Datum* values, bool* isnull, bool, void* arg) {
  BuildState& state = *static_cast<BuildState*>(arg);
  MemoryContext old = MemoryContextSwitchTo(state.row_context);
  const quant::VectorRef x = RowVector(state, values, isnull);
  if (x != nullptr && am::IsIndexable(state.view->metric(), x, state.meta.dims)) {
    if (state.inserter == nullptr && state.graph->bytes() > size_t{1024} * maintenance_work_mem) {
      ereport(NOTICE, (errmsg("hnsw graph no longer fits into maintenance_work_mem after %.0f rows",
                              state.tuples),
                       errdetail("The other rows are added one by one, which takes longer."),
                       errhint("Increase maintenance_work_mem to speed up the build.")));
      MemoryContextSwitchTo(old);
      WriteGraph(state);
      MemoryContextSwitchTo(state.row_context);
    }
    format::Tid row;
    std::memcpy(&row, tid, sizeof row);
    filter::Row attributes;
    if (state.encoder != nullptr) attributes = state.encoder->Encode(values, isnull);
    if (state.inserter != nullptr) {
      InsertRow(state.inserter, x, row, attributes);
    } else {
      state.view->attributes.Put(state.packed, 1, 0, attributes);
      state.graph->AddRow(row, quant::HashVector(x, state.meta.dims, state.meta.seed), x,
                          state.packed);
    }
    ++state.tuples;
  }
  if (++state.tuples_seen % 1024 == 0) {
    pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_DONE, state.tuples_seen);
  }
  MemoryContextSwitchTo(old);
  MemoryContextReset(state.row_context);
}

void LinkNodes(BuildState& state, LinkCrew* crew) {
  Graph& graph = *state.graph;
  EnterPhase(BuildPhase::kLinking);
  crew->Link(&graph);
  const uint32_t calibrated =
      graph::Calibration(graph, state.view->codec, Alloc(state.context), [] {
        CHECK_FOR_INTERRUPTS();
      }).Run();
  SetDefaultEf(&state.view->meta, calibrated, graph.size());
}

void WriteGraph(BuildState& state) {
  LinkCrew crew(state.heap, *state.view, state.mean, state.context);
  LinkNodes(state, &crew);
  EnterPhase(BuildPhase::kWriting);
  Meta& meta = state.view->meta;
  meta.max_norm[0] = state.graph->max_norm();
  meta.mean_rows = std::max<uint64_t>(state.sampled, state.graph->size());
  WritePages(state.view, *state.graph, state.mean, state.context);
  if (RelationNeedsWAL(state.index)) pg::LogPages(state.index);
  FreeSpaceMapVacuum(state.index);
  state.graph->Free();
  crew.End();
  state.inserter = StartInserts(state.view, state.context);
}

}  // namespace

IndexBuildResult* Build(Relation heap, Relation index, IndexInfo* info) {
  if (RelationGetNumberOfBlocks(index) != 0) {
    elog(ERROR, "index \"%s\" already contains data", RelationGetRelationName(index));
  }
  BuildState state{};
  state.heap = heap;
  state.index = index;
  state.info = info;
  state.context =
      AllocSetContextCreate(CurrentMemoryContext, "ann hnsw build", ALLOCSET_DEFAULT_SIZES);
  state.row_context =
      AllocSetContextCreate(state.context, "ann hnsw build row", ALLOCSET_DEFAULT_SIZES);
  const uint32_t dims = static_cast<uint32_t>(am::DimsOf(index));
  // The seed is fixed: the same table gives the same index, on every machine.
  const am::AttributeBytes attributes = am::AttributesOf(index);
  state.meta = PlanMeta(am::MetricOf(index), IsSparse(index), dims, attributes, OptionsOf(index),
                        Mix64(dims));
  if (attributes.count > 0) {
    state.encoder = pg::Construct<am::AttributeEncoder>(
        pg::AllocZero<am::AttributeEncoder>(state.context, 1), index, state.context);
  }
  state.packed = pg::AllocZero<char>(state.context, attributes.row_bytes + 2);
  if (am::MayIdentify(index)) {
    using Hashes = VecOf<uint32_t, Alloc>;
    state.sampled_values =
        pg::Construct<Hashes>(pg::AllocZero<Hashes>(state.context, 1), Alloc(state.context));
  }
  if (state.meta.mean_pages > 0 || IsSparse(index) || state.sampled_values != nullptr) {
    SampleRows(state);
  }
  PlanPostings(state);
  state.view = MakeView(index, state.meta, state.mean, state.context);

  EnterPhase(BuildPhase::kLoading);
  pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_TOTAL,
                               static_cast<int64>(std::max(heap->rd_rel->reltuples, 0.0f)));
  void* memory = pg::AllocZero<char>(state.context, sizeof(Graph));
  state.graph =
      pg::Construct<Graph>(memory, Alloc(state.context), state.view->codec,
                           graph::BuildParams{state.meta.m, state.meta.ef_construction,
                                              state.meta.seed, state.meta.attribute_bytes});
  const double heap_tuples =
      table_index_build_scan(heap, index, info, false, true, AddRow, &state, nullptr);
  pg::StopPoint("build.loaded");
  if (state.inserter == nullptr) {
    WriteGraph(state);
  } else {
    AdaptInVacuum(index, nullptr);
  }

  IndexBuildResult* result = static_cast<IndexBuildResult*>(palloc0(sizeof(IndexBuildResult)));
  result->heap_tuples = heap_tuples;
  result->index_tuples = state.tuples;
  MemoryContextDelete(state.context);
  return result;
}

namespace {

// Locks: the new page, alone (L1; pages of the mean are not written again).
void AppendToInitFork(Relation index, PageKind kind, const Meta* meta) {
  Buffer buffer = ReadBufferExtended(index, INIT_FORKNUM, P_NEW, RBM_NORMAL, nullptr);
  LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
  char* page = BufferGetPage(buffer);
  START_CRIT_SECTION();
  pg::InitPage(page, kind, meta != nullptr ? sizeof(Meta) : format::kPageBody);
  if (meta != nullptr) *MetaOn(page) = *meta;
  MarkBufferDirty(buffer);
  log_newpage_buffer(buffer, true);
  END_CRIT_SECTION();
  UnlockReleaseBuffer(buffer);
  pg::UnitDone();
}

}  // namespace

// The init fork of an unlogged index: an index of no rows.
void BuildEmpty(Relation index) {
  const uint32_t dims = static_cast<uint32_t>(am::DimsOf(index));
  Meta meta = PlanMeta(am::MetricOf(index), IsSparse(index), dims, am::AttributesOf(index),
                       OptionsOf(index), Mix64(dims));
  if (am::MayIdentify(index)) meta.posting_pages = static_cast<uint16_t>(PostingPagesFor(0));
  AppendToInitFork(index, PageKind::kMeta, &meta);
  for (uint32_t i = 0; i < 2u * meta.mean_pages; ++i)
    AppendToInitFork(index, PageKind::kMean, nullptr);
  for (uint32_t i = 0; i < meta.posting_pages; ++i)
    AppendToInitFork(index, PageKind::kPostingSlots, nullptr);
}

}  // namespace ann::hnsw
