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
    // The latter: temp_file_limit.
    const int code = error->sqlerrcode;
    if (code != ERRCODE_DISK_FULL && code != ERRCODE_CONFIGURATION_LIMIT_EXCEEDED) {
      ReThrowError(error);
    }
    RestoreVacuumSnapshot();
    ereport(WARNING, (errcode(code), errmsg("%s: there is no room on disk", what),
                      errdetail("%s", error->message), errhint("A later VACUUM goes on.")));
    FreeErrorData(error);
  }
  PG_END_TRY();
  MemoryContextSwitchTo(context);
  CurrentResourceOwner = owner;
  return done;
}

}  // namespace ann::pg
