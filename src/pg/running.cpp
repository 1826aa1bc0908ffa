#include "pg/running.hpp"

namespace ann::pg {

namespace {

// On the stack of its ExecutorRun.
struct Running {
  const QueryDesc* query;
  const Running* outer;
};

const Running* running;
ExecutorRun_hook_type next_hook;

void RunQuery(QueryDesc* query, ScanDirection direction, uint64 count ANN_EXECUTE_ONCE_PARAMETER) {
  const Running here{query, running};
  running = &here;
  PG_TRY();
  {
    (next_hook != nullptr ? next_hook : standard_ExecutorRun)(query, direction,
                                                              count ANN_EXECUTE_ONCE_ARGUMENT);
  }
  PG_FINALLY();
  { running = here.outer; }
  PG_END_TRY();
}

}  // namespace

void InstallQueryHook() {
  next_hook = ExecutorRun_hook;
  ExecutorRun_hook = RunQuery;
}

const QueryDesc* RunningQuery() { return running != nullptr ? running->query : nullptr; }

}  // namespace ann::pg
