// Processes that build an index together: README section "Crews".
//
// The leader posts jobs on a board; workers come, take chunks of the job under way, and wait for
// the next one. Nobody waits for a worker that has not come yet: one that is late only does less.
#pragma once

#include <span>

#include "pg/pg.hpp"

namespace ann::am {

// Of zeroed memory: InitBoard. A crew of one has a board of its own.
struct JobBoard {
  // `mutex` guards what follows, up to `next`.
  slock_t mutex;
  uint64_t number;  // of jobs so far
  uint32_t job;
  bool open;    // workers may join
  int working;  // workers that have joined and not left
  int joined;   // in all
  ConditionVariable posted;
  ConditionVariable left;
  uint32_t chunks;
  pg_atomic_uint32 next;
};

void InitBoard(JobBoard& board);
// The leader: posts a job; waits for those who have joined it, which ends it, and tells how many
// there were.
void PostJob(JobBoard& board, uint32_t job, uint32_t chunks);
int AwaitWorkers(JobBoard& board);
// A worker: waits for a job other than number `last`, and joins it; leaves it.
uint32_t JoinJob(JobBoard& board, uint64_t* last);
void LeaveJob(JobBoard& board);

// By who has joined, and the leader: work(chunk) for one chunk after the other, while there are
// any.
template <class Work>
void TakeChunks(JobBoard& board, Work&& work) {
  for (;;) {
    const uint32_t chunk = pg_atomic_fetch_add_u32(&board.next, 1);
    if (chunk >= board.chunks) return;
    work(chunk);
  }
}

// Whether shared memory can be had, so that a build need not fail where it is scarce (containers
// have 64 MB of it). Half of it is left to others.
bool FitsSharedMemory(size_t bytes);

// A piece of the memory that leader and workers share; keys from 1.
struct SharedPiece {
  uint64 key;
  size_t bytes;
  bool zeroed = true;
};

// The leader's workers. From Prepare to End the transaction is in parallel mode; an error ends the
// workers with it.
class Workers {
 public:
  // `function`: of the library, run by each worker, between BeginWork and EndWork. False, and
  // ended: the server has no shared memory for it.
  bool Prepare(const char* function, int workers, std::span<const SharedPiece> pieces);
  // The pieces are ready. False, and ended: no worker could be started.
  bool Launch();
  bool any() const { return context_ != nullptr; }
  int launched() const { return context_->nworkers_launched; }
  void* Find(uint64 key) const { return shm_toc_lookup(context_->toc, key, false); }
  dsm_segment* segment() const { return context_->seg; }
  // Waits until all have ended, and counts what they have read and written as this process's.
  void Finish();
  void End();

 private:
  ParallelContext* context_ = nullptr;
};

void BeginWork(shm_toc* toc);
void EndWork(shm_toc* toc);

}  // namespace ann::am
