#include "am/crew.hpp"

#include <cstring>

#include <sys/statvfs.h>

#include "core/sizes.hpp"

namespace ann::am {

namespace {

// What Workers adds to the pieces of its user.
enum OwnKey : uint64 { kQueryKey = 1000, kBufferKey, kWalKey };

}  // namespace

void InitBoard(JobBoard& board) {
  SpinLockInit(&board.mutex);
  ConditionVariableInit(&board.posted);
  ConditionVariableInit(&board.left);
  pg_atomic_init_u32(&board.next, 0);
}

void PostJob(JobBoard& board, uint32_t job, uint32_t chunks) {
  SpinLockAcquire(&board.mutex);
  ++board.number;
  board.job = job;
  board.open = true;
  board.joined = 0;
  board.chunks = chunks;
  pg_atomic_write_u32(&board.next, 0);
  SpinLockRelease(&board.mutex);
  ConditionVariableBroadcast(&board.posted);
}

int AwaitWorkers(JobBoard& board) {
  int joined = 0;
  ConditionVariablePrepareToSleep(&board.left);
  for (;;) {
    SpinLockAcquire(&board.mutex);
    board.open = board.working > 0;
    joined = board.joined;
    const bool over = !board.open;
    SpinLockRelease(&board.mutex);
    if (over) break;
    ConditionVariableSleep(&board.left, WAIT_EVENT_PARALLEL_CREATE_INDEX_SCAN);
  }
  ConditionVariableCancelSleep();
  return joined;
}

uint32_t JoinJob(JobBoard& board, uint64_t* last) {
  uint32_t job = 0;
  ConditionVariablePrepareToSleep(&board.posted);
  for (;;) {
    SpinLockAcquire(&board.mutex);
    const bool joins = board.open && board.number != *last;
    if (joins) {
      *last = board.number;
      job = board.job;
      ++board.working;
      ++board.joined;
    }
    SpinLockRelease(&board.mutex);
    if (joins) break;
    ConditionVariableSleep(&board.posted, WAIT_EVENT_PARALLEL_CREATE_INDEX_SCAN);
  }
  ConditionVariableCancelSleep();
  return job;
}

void LeaveJob(JobBoard& board) {
  SpinLockAcquire(&board.mutex);
  --board.working;
  SpinLockRelease(&board.mutex);
  ConditionVariableSignal(&board.left);
}

bool FitsSharedMemory(size_t bytes) {
  struct statvfs shm;
  if (dynamic_shared_memory_type != DSM_IMPL_POSIX || statvfs("/dev/shm", &shm) != 0) return true;
  return bytes <= uint64_t{shm.f_bavail} * shm.f_frsize / 2;
}

bool Workers::Prepare(const char* function, int workers, std::span<const SharedPiece> pieces) {
  EnterParallelMode();
  context_ = CreateParallelContext("$libdir/ann", function, workers);
  const char* query = debug_query_string != nullptr ? debug_query_string : "";
  const SharedPiece own[] = {
      {kQueryKey, std::strlen(query) + 1},
      {kBufferKey, mul_size(sizeof(BufferUsage), static_cast<Size>(workers))},
      {kWalKey, mul_size(sizeof(WalUsage), static_cast<Size>(workers))}};
  const auto estimate = [this](const SharedPiece& piece) {
    shm_toc_estimate_chunk(&context_->estimator, piece.bytes);
    shm_toc_estimate_keys(&context_->estimator, 1);
  };
  for (const SharedPiece& piece : pieces) estimate(piece);
  for (const SharedPiece& piece : own) estimate(piece);
  InitializeParallelDSM(context_);
  if (context_->seg == nullptr) {
    End();
    return false;
  }
  const auto allocate = [this](const SharedPiece& piece) {
    void* memory = shm_toc_allocate(context_->toc, piece.bytes);
    if (piece.zeroed) std::memset(memory, 0, piece.bytes);
    shm_toc_insert(context_->toc, piece.key, memory);
  };
  for (const SharedPiece& piece : pieces) allocate(piece);
  for (const SharedPiece& piece : own) allocate(piece);
  std::strcpy(static_cast<char*>(Find(kQueryKey)), query);
  return true;
}

bool Workers::Launch() {
  LaunchParallelWorkers(context_);
  if (context_->nworkers_launched > 0) return true;
  End();
  return false;
}

void Workers::Finish() {
  WaitForParallelWorkersToFinish(context_);
  auto* buffers = static_cast<BufferUsage*>(Find(kBufferKey));
  auto* wal = static_cast<WalUsage*>(Find(kWalKey));
  for (int i = 0; i < context_->nworkers_launched; ++i) {
    InstrAccumParallelQuery(&buffers[i], &wal[i]);
  }
}

void Workers::End() {
  DestroyParallelContext(context_);
  context_ = nullptr;
  ExitParallelMode();
}

void BeginWork(shm_toc* toc) {
  debug_query_string = static_cast<char*>(shm_toc_lookup(toc, kQueryKey, false));
  pgstat_report_activity(STATE_RUNNING, debug_query_string);
  InstrStartParallelQuery();
}

void EndWork(shm_toc* toc) {
  auto* buffers = static_cast<BufferUsage*>(shm_toc_lookup(toc, kBufferKey, false));
  auto* wal = static_cast<WalUsage*>(shm_toc_lookup(toc, kWalKey, false));
  InstrEndParallelQuery(&buffers[ParallelWorkerNumber], &wal[ParallelWorkerNumber]);
}

}  // namespace ann::am
