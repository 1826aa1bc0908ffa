#include "pg/unless_full.hpp"

#include "pg/cleanup_snapshot.hpp"
#include "pg/pg.hpp"

namespace ann::pg {

bool UnlessDiskFull(const char* what, void (*work)(void* arg), void* arg) {
  if (IsInParallelMode()) {
    work(arg);
    return true;
  }
  const MemoryContext context = CurrentMemoryContext;
  const ResourceOwner owner = CurrentResourceOwner;
  BeginInternalSubTransaction(nullptr);
  MemoryContextSwitchTo(context);
  // Written between setjmp and longjmp.
  volatile bool done = false;
  PG_TRY();
  {
    work(arg);
    ReleaseCurrentSubTransaction();
    done = true;
  }
  PG_CATCH();
  {
    MemoryContextSwitchTo(context);
    ErrorData* error = CopyErrorData();
    FlushErrorState();
    RollbackAndReleaseCurrentSubTransaction();
    if (error->sqlerrcode != ERRCODE_DISK_FULL) ReThrowError(error);
    RestoreVacuumSnapshot();
    ereport(WARNING, (errcode(ERRCODE_DISK_FULL), errmsg("%s: the disk is full", what),
                      errdetail("%s", error->message), errhint("A later VACUUM goes on.")));
    FreeErrorData(error);
  }
  PG_END_TRY();
  MemoryContextSwitchTo(context);
  CurrentResourceOwner = owner;
  return done;
}

}  // namespace ann::pg
