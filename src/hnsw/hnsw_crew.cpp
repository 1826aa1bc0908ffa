#include "hnsw/hnsw_crew.hpp"

#include <cstring>

#include "graph/linker.hpp"

#include "pg/test_hooks.hpp"

namespace ann::hnsw {

struct LinkShared {
  am::JobBoard board;
  format::Meta meta;
  dsm_handle graph;
};

namespace {

using Alloc = pg::PgAllocator<std::byte>;
using Linker = graph::Linker<Alloc>;

enum Job : uint32_t { kLink, kTrim, kLeave };

// What lies in the workers' shared memory.
enum Key : uint64 { kSharedKey = 1, kMeanKey };

// Consecutive rows are often alike, and what is linked at the same time does not see each other, so
// chunks are not small; the last ones are waited for, so they are not large: some 10 ms.
constexpr uint32_t kChunkNodes = 128;

uint32_t ChunksOf(uint32_t nodes) { return static_cast<uint32_t>(DivUp(nodes, kChunkNodes)); }

graph::BuildParams ParamsOf(const format::Meta& meta) {
  return {meta.m, meta.ef_construction, meta.seed, meta.attribute_bytes};
}

// Takes chunks of a job over nodes from `first` on; progress(nodes): about as many have been done.
template <class Progress>
void Work(am::JobBoard& board, uint32_t job, uint32_t first, uint32_t nodes, Linker& linker,
          Progress&& progress) {
  am::TakeChunks(board, [&](uint32_t chunk) {
    const NodeId begin = first + chunk * kChunkNodes;
    const NodeId end = std::min(begin + kChunkNodes, nodes);
    for (NodeId id = begin; id < end; ++id) {
      CHECK_FOR_INTERRUPTS();
      if (job == kLink) {
        linker.Link(id);
      } else {
        linker.Trim(id);
      }
    }
    progress(end);
  });
}

// The first nodes, which the leader links before there are workers.
uint32_t LinkedAlone(uint32_t nodes) { return std::min(nodes, graph::kLinkedAlone); }
uint32_t FirstOf(uint32_t job, uint32_t nodes) { return job == kLink ? LinkedAlone(nodes) : 0; }

}  // namespace

// --- the leader
// -----------------------------------------------------------------------------------

void LinkCrew::Link(BuildGraph* graph) {
  const uint32_t nodes = graph->size();
  pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_TOTAL, nodes);
  LinkShared& shared = *Start(graph);
  Linker& linker =
      *pg::Construct<Linker>(pg::AllocZero<Linker>(context_, 1), Alloc(context_), graph->space());
  for (NodeId id = 0; id < LinkedAlone(nodes); ++id) {
    CHECK_FOR_INTERRUPTS();
    linker.Link(id);
  }
  int joined = 0;
  for (const Job job : {kLink, kTrim}) {
    const uint32_t first = FirstOf(job, nodes);
    am::PostJob(shared.board, job, ChunksOf(nodes - first));
    pg::StopPoint(job == kLink ? "build.linking" : "build.trimming");
    Work(shared.board, job, first, nodes, linker, [job](uint32_t done) {
      if (job == kLink) pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_DONE, done);
    });
    joined = std::max(joined, am::AwaitWorkers(shared.board));
  }
  if (!workers_.any()) return;
  am::PostJob(shared.board, kLeave, 0);
  workers_.Finish();
  workers_.End();
  ereport(DEBUG1, (errmsg_internal("index \"%s\": %d processes have linked the nodes",
                                   RelationGetRelationName(view_.rel), joined + 1)));
}

LinkShared* LinkCrew::Start(BuildGraph* graph) {
  const int workers =
      graph->size() > graph::kLinkedAlone
          ? plan_create_index_workers(RelationGetRelid(heap_), RelationGetRelid(view_.rel))
          : 0;
  if (workers > 0) {
    const size_t bytes = graph->SharedBytes();
    if (am::FitsSharedMemory(bytes)) memory_ = dsm_create(bytes, DSM_CREATE_NULL_IF_MAXSEGMENTS);
  }
  graph->Freeze(memory_ != nullptr ? dsm_segment_address(memory_) : nullptr);
  LinkShared* shared = memory_ != nullptr ? Launch(workers) : nullptr;
  if (shared == nullptr) {
    shared = pg::AllocZero<LinkShared>(context_, 1);
    am::InitBoard(shared->board);
  }
  return shared;
}

// Null: there is no shared memory for workers, or the server has none to spare.
LinkShared* LinkCrew::Launch(int workers) {
  const size_t mean_bytes = mean_ != nullptr ? sizeof(float) * view_.meta.dims : 0;
  const am::SharedPiece pieces[] = {{kSharedKey, sizeof(LinkShared)}, {kMeanKey, mean_bytes}};
  if (!workers_.Prepare("ann_hnsw_build_worker", workers, pieces)) return nullptr;
  LinkShared* shared = static_cast<LinkShared*>(workers_.Find(kSharedKey));
  am::InitBoard(shared->board);
  shared->meta = view_.meta;
  shared->graph = dsm_segment_handle(memory_);
  if (mean_ != nullptr) std::memcpy(workers_.Find(kMeanKey), mean_, mean_bytes);
  return workers_.Launch() ? shared : nullptr;
}

void LinkCrew::End() {
  if (memory_ != nullptr) dsm_detach(memory_);
}

// --- workers
// --------------------------------------------------------------------------------------

namespace {

// A worker reads neither table nor index.
void HelpLinking(LinkShared& shared, const float* mean) {
  MemoryContext context =
      AllocSetContextCreate(CurrentMemoryContext, "ann hnsw worker", ALLOCSET_DEFAULT_SIZES);
  const IndexView& view =
      *MakeView(nullptr, shared.meta, shared.meta.mean_pages > 0 ? mean : nullptr, context);
  dsm_segment* memory = dsm_attach(shared.graph);
  if (memory == nullptr) elog(ERROR, "could not map the graph of an index build");
  using Space = graph::LinkSpace<Alloc>;
  Space& space = *pg::Construct<Space>(pg::AllocZero<Space>(context, 1), Alloc(context), view.codec,
                                       ParamsOf(shared.meta), dsm_segment_address(memory));
  Linker& linker = *pg::Construct<Linker>(pg::AllocZero<Linker>(context, 1), Alloc(context), space);
  uint64_t last = 0;
  for (uint32_t job; (job = am::JoinJob(shared.board, &last)) != kLeave;
       am::LeaveJob(shared.board)) {
    pg::StopPoint("build.joined");
    Work(shared.board, job, FirstOf(job, space.size()), space.size(), linker, [](uint32_t) {});
  }
  dsm_detach(memory);
}

}  // namespace

}  // namespace ann::hnsw

extern "C" {
PGDLLEXPORT void ann_hnsw_build_worker(dsm_segment* segment, shm_toc* toc);
}

void ann_hnsw_build_worker(dsm_segment*, shm_toc* toc) {
  using namespace ann::hnsw;
  ann::am::BeginWork(toc);
  HelpLinking(*static_cast<LinkShared*>(shm_toc_lookup(toc, kSharedKey, false)),
              static_cast<float*>(shm_toc_lookup(toc, kMeanKey, false)));
  ann::am::EndWork(toc);
}
