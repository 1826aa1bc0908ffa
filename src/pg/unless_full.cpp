#include "pg/unless_full.hpp"

#include "pg/cleanup_snapshot.hpp"
#include "pg/pg.hpp"

namespace ann::pg {

namespace {

// What the work holds: a subtransaction's, or, where none may begin, a resource owner's. README,
// "Work that can wait".
class Held {
 public:
  Held() : context_(CurrentMemoryContext), owner_(CurrentResourceOwner), own_(nullptr) {
    if (IsInParallelMode()) {
      own_ = ResourceOwnerCreate(owner_, "ann work that can wait");
      CurrentResourceOwner = own_;
    } else {
      BeginInternalSubTransaction(nullptr);
      MemoryContextSwitchTo(context_);
    }
  }

  // The work is done.
  void Keep() {
    if (own_ == nullptr) {
      ReleaseCurrentSubTransaction();
    } else {
      Release(true);
    }
    Restore();
  }

  // An error has ended it.
  void Drop() {
    if (own_ == nullptr) {
      RollbackAndReleaseCurrentSubTransaction();
    } else {
      LWLockReleaseAll();
      pgstat_report_wait_end();
      AbortOwnBufferIO();
      UnlockBuffers();
      LockErrorCleanup();
      Release(false);
    }
    Restore();
  }

  MemoryContext context() const { return context_; }

 private:
  void Release(bool done) {
    ResourceOwnerRelease(own_, RESOURCE_RELEASE_BEFORE_LOCKS, done, false);
    ResourceOwnerRelease(own_, RESOURCE_RELEASE_LOCKS, done, false);
    ResourceOwnerRelease(own_, RESOURCE_RELEASE_AFTER_LOCKS, done, false);
    CurrentResourceOwner = owner_;
    ResourceOwnerDelete(own_);
  }

  void Restore() {
    MemoryContextSwitchTo(context_);
    CurrentResourceOwner = owner_;
  }

  MemoryContext context_;
  ResourceOwner owner_;
  ResourceOwner own_;  // null: it is a subtransaction
};

}  // namespace

bool UnlessDiskFull(const char* what, void (*work)(void* arg), void* arg) {
  Held held;
  // Written between setjmp and longjmp.
  volatile bool done = false;
  PG_TRY();
  {
    work(arg);
    held.Keep();
    done = true;
  }
  PG_CATCH();
  {
    MemoryContextSwitchTo(held.context());
    ErrorData* error = CopyErrorData();
    FlushErrorState();
    // Before any other error goes on, too: out of a subtransaction it would end that alone, and
    // leave the session in a transaction block.
    held.Drop();
    const int code = error->sqlerrcode;
    // The latter: temp_file_limit.
    if (code != ERRCODE_DISK_FULL && code != ERRCODE_CONFIGURATION_LIMIT_EXCEEDED) {
      ReThrowError(error);
    }
    RestoreVacuumSnapshot();
    ereport(WARNING, (errcode(code), errmsg("%s: there is no room on disk", what),
                      errdetail("%s", error->message), errhint("A later VACUUM goes on.")));
    FreeErrorData(error);
  }
  PG_END_TRY();
  return done;
}

}  // namespace ann::pg
