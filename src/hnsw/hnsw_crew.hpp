// The processes that link the nodes of a build together: README section "Build".
#pragma once

#include "graph/memory_graph.hpp"
#include "hnsw/hnsw_index.hpp"

#include "am/crew.hpp"
#include "pg/alloc.hpp"

namespace ann::hnsw {

using BuildGraph = graph::MemoryGraph<pg::PgAllocator<std::byte>>;

struct LinkShared;

// The leader's side.
class LinkCrew {
 public:
  // `mean`: as for MakeView. Memory: of `context`.
  LinkCrew(Relation heap, const IndexView& view, const float* mean, MemoryContext context)
      : heap_(heap), view_(view), mean_(mean), context_(context) {}

  // Freezes and links the graph: with as many workers as settings and the table's size say, none
  // where there is no shared memory for them. They have gone when it returns.
  void Link(BuildGraph* graph);
  // Gives back the shared memory in which the graph is.
  void End();

 private:
  LinkShared* Start(BuildGraph* graph);
  LinkShared* Launch(int workers);

  Relation heap_;
  const IndexView& view_;
  const float* mean_;
  MemoryContext context_;
  // Of the graph; null: it is in this process's own.
  dsm_segment* memory_ = nullptr;
  am::Workers workers_;
};

}  // namespace ann::hnsw
