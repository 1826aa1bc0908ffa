#include "pg/test_hooks.hpp"

#ifdef ANN_TEST_HOOKS

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include <unistd.h>

#include "pg/pg.hpp"

namespace ann::pg {

namespace {

enum class Death { kBackend, kServer };

char* stop_at;
int stop_after;
int stops_met;
int kill_after_units;
int kill_what = static_cast<int>(Death::kBackend);
bool trace_units;
int cache_kb;
int units_done;

const config_enum_entry kDeaths[] = {{"backend", static_cast<int>(Death::kBackend), false},
                                     {"server", static_cast<int>(Death::kServer), false},
                                     {nullptr, 0, false}};

// Both count from the moment when the setting is made.
void AssignStopAfter(int, void*) { stops_met = 0; }
void AssignKillAfterUnits(int, void*) { units_done = 0; }

// The key of the advisory lock to wait on at `point`; 0: none. `wanted`: "point=key,point=key";
// without a key it is 1.
int64 KeyOf(std::string_view wanted, std::string_view point) {
  while (!wanted.empty()) {
    const std::string_view entry = wanted.substr(0, wanted.find(','));
    wanted.remove_prefix(std::min(entry.size() + 1, wanted.size()));
    const size_t equals = entry.find('=');
    if (entry.substr(0, equals) != point) continue;
    return equals == entry.npos ? 1 : std::strtoll(entry.data() + equals + 1, nullptr, 10);
  }
  return 0;
}

[[noreturn]] void Die() {
  // What this backend has logged survives; what others have may be lost.
  XLogFlush(XactLastRecEnd);
  if (kill_what == static_cast<int>(Death::kServer)) {
    kill(PostmasterPid, SIGQUIT);
  } else {
    kill(MyProcPid, SIGKILL);
  }
  for (;;) pause();
}

}  // namespace

void StopPoint(const char* name) {
  // An LWLock held would stop more than this backend, and cancels could not reach it.
  if (InterruptHoldoffCount != 0) elog(PANIC, "stop point %s under a lock", name);
  const int64 key = KeyOf(stop_at, name);
  if (key == 0 || stops_met++ < stop_after) return;
  // The lock that pg_advisory_lock(key) takes.
  LOCKTAG tag;
  SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, static_cast<uint32>(key >> 32), static_cast<uint32>(key),
                       1);
  LockAcquire(&tag, ShareLock, false, false);
  LockRelease(&tag, ShareLock, false);
}

void UnitDone(Site site) {
  ++units_done;
  if (trace_units) {
    ereport(NOTICE,
            (errmsg("unit %d: %s:%u", units_done, site.file_name(), unsigned{site.line()})));
  }
  if (units_done == kill_after_units) Die();
}

size_t LimitOf(size_t bytes) {
  return cache_kb == 0 ? bytes : std::min(bytes, size_t{1024} * cache_kb);
}

void DefineTestSettings() {
  DefineCustomIntVariable(
      "ann.cache_kb", "Most memory for frames between transactions; 0: as ever.", nullptr,
      &cache_kb, 0, 0, INT_MAX, PGC_USERSET, GUC_NOT_IN_SAMPLE, nullptr, nullptr, nullptr);
  DefineCustomStringVariable("ann.stop_at", "Points where this session waits for advisory locks.",
                             "POINT=KEY,...; without a key it is 1.", &stop_at, "", PGC_USERSET,
                             GUC_NOT_IN_SAMPLE, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("ann.stop_after", "How often points of ann.stop_at are passed first.",
                          "Counted from here on, in this session.", &stop_after, 0, 0, INT_MAX,
                          PGC_USERSET, GUC_NOT_IN_SAMPLE, nullptr, AssignStopAfter, nullptr);
  DefineCustomIntVariable("ann.kill_after_units", "Change of an index after which to die; 0: none.",
                          "Counted from here on, in this session.", &kill_after_units, 0, 0,
                          INT_MAX, PGC_USERSET, GUC_NOT_IN_SAMPLE, nullptr, AssignKillAfterUnits,
                          nullptr);
  DefineCustomEnumVariable("ann.kill_what", "What dies: this backend, or the server at once.",
                           nullptr, &kill_what, static_cast<int>(Death::kBackend), kDeaths,
                           PGC_USERSET, GUC_NOT_IN_SAMPLE, nullptr, nullptr, nullptr);
  DefineCustomBoolVariable("ann.trace_units", "Tells of each change of an index by a notice.",
                           nullptr, &trace_units, false, PGC_USERSET, GUC_NOT_IN_SAMPLE, nullptr,
                           nullptr, nullptr);
}

}  // namespace ann::pg

#endif
