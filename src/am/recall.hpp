// How well and how fast an index finds the nearest rows of its own table.
//
// A sample of the table's rows are the queries, each left out of its own answer. The exact answers
// to all of them come from one pass over the table; the index is searched through the server's
// interface, with the settings of the session. A row found is a hit if it is no farther than the
// k-th of the exact answer, so rows of equal distance stand for each other.
#pragma once

#include <cstdint>

#include "am/inspect.hpp"
#include "core/vec.hpp"
#include "quant/codec.hpp"

#include "pg/alloc.hpp"

namespace ann::am {

inline constexpr int kMostNearest = 1000, kMostQueries = 10000;

struct RecallFigures {
  uint32_t queries;
  bool known;  // else there is nothing to be found: one row at most has a vector
  double recall;
  double low, high;          // its 95 % confidence interval
  double ms_median, ms_p99;  // of a search, without planning and the way to the client
};

class RecallProbe {
 public:
  // Memory: of `context`. `opened`, and the active snapshot, must stay. Takes two passes over the
  // table: for the sample, which is the same for the same rows each time, and for the exact
  // answers. Errors: 53400 when both do not fit into maintenance_work_mem.
  RecallProbe(const Opened& opened, uint32_t k, uint32_t sample, MemoryContext context);
  void Prepare();
  // Searches for all queries, with the settings as they are. No lock may be held.
  RecallFigures Measure();
  void Close();

 private:
  using Alloc = pg::PgAllocator<std::byte>;

  struct Query {
    uint64_t rank;  // those of the least are the sample
    ItemPointerData tid;
    MemoryContext memory;
    Datum value;
    quant::VectorRef x;
    size_t bytes;

    friend bool operator<(const Query& a, const Query& b) { return a.rank < b.rank; }
  };
  // What a search has found of what it should have.
  struct Found {
    uint32_t hits;
    uint32_t wanted;
    double ms;
  };

  template <class Visit>
  void ForRows(Visit visit);
  bool ReadSlot(Datum* value, quant::VectorRef* x);
  void Sample();
  void TakeQuery(uint64_t rank, Datum value);
  void FindNearest();
  Found Search(uint32_t query);
  RecallFigures Summarize(const VecOf<Found, Alloc>& found) const;

  float* Nearest(uint32_t query) { return nearest_.data() + size_t{query} * k_; }

  Relation heap_, index_;
  uint32_t k_, wanted_;
  quant::Metric metric_;
  uint32_t dims_;
  MemoryContext context_, row_context_;
  TupleTableSlot* slot_;
  IndexInfo* info_;
  EState* executor_;
  ExprState* predicate_;
  size_t bytes_ = 0;
  VecOf<Query, Alloc> queries_;    // while sampling: a heap
  VecOf<float, Alloc> nearest_;    // k by query, each a heap
  VecOf<uint32_t, Alloc> counts_;  // of these, by query
};

}  // namespace ann::am
