#include "pg/cleanup_snapshot.hpp"

#include "pg/pg.hpp"

namespace ann::pg {

namespace {

// Whether no snapshot holds this backend's xmin any more. The active one is gone either way.
bool DropSnapshots() {
  PopActiveSnapshot();
  InvalidateCatalogSnapshot();
  return !TransactionIdIsValid(MyProc->xmin);
}

// Only while xid and xmin are unset: others' horizons would seem to go back.
void SetInVacuum(bool in_vacuum) {
  LWLockAcquire(ProcArrayLock, LW_EXCLUSIVE);
  if (in_vacuum) {
    MyProc->statusFlags |= PROC_IN_VACUUM;
  } else {
    MyProc->statusFlags &= static_cast<uint8>(~PROC_IN_VACUUM);
  }
  ProcGlobal->statusFlags[MyProc->pgxactoff] = MyProc->statusFlags;
  LWLockRelease(ProcArrayLock);
}

}  // namespace

bool BeginCleanupSnapshot() {
  // Workers that start take the leader's snapshot over.
  if (IsInParallelMode() || (MyProc->statusFlags & PROC_IN_VACUUM) == 0 || !ActiveSnapshotSet() ||
      TransactionIdIsValid(GetTopTransactionIdIfAny())) {
    return false;
  }
  const bool free = DropSnapshots();
  if (free) SetInVacuum(false);
  PushActiveSnapshot(GetTransactionSnapshot());
  return free;
}

void EndCleanupSnapshot() {
  // What ran in between may have been given an xid, or hold a snapshot of its own.
  if (DropSnapshots() && !TransactionIdIsValid(GetTopTransactionIdIfAny())) SetInVacuum(true);
  PushActiveSnapshot(GetTransactionSnapshot());
}

void RestoreVacuumSnapshot() {
  if (ActiveSnapshotSet()) return;
  InvalidateCatalogSnapshot();
  if (!TransactionIdIsValid(MyProc->xmin) && !TransactionIdIsValid(GetTopTransactionIdIfAny())) {
    SetInVacuum(true);
  }
  PushActiveSnapshot(GetTransactionSnapshot());
}

}  // namespace ann::pg
