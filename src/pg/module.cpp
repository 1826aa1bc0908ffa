// What happens when the server loads the library. This is the only place in src/pg that knows of
// the folders above it.
#include "simd/simd.hpp"

#include "pg/running.hpp"

extern "C" {
PG_MODULE_MAGIC;
PGDLLEXPORT void _PG_init(void);
}

namespace ann {
namespace pg {
void DefineSettings();
}
namespace hnsw {
void DefineSettings();
}
namespace ivf {
void DefineSettings();
}
namespace planner {
void InstallPlannerHook();
}
}  // namespace ann

namespace {

// pgvector's library defines settings of the same names, in sessions that used a database before it
// was switched to ann (shim/README.md).
void RefuseBesidePgvector() {
  constexpr const char* kSetting = "ivfflat.probes";
  if (GetConfigOption(kSetting, true, false) == nullptr) return;
  if ((GetConfigOptionFlags(kSetting, true) & GUC_CUSTOM_PLACEHOLDER) != 0) return;
  ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                  errmsg("this session has loaded pgvector's library, and cannot load ann's, too"),
                  errhint("Connect again.")));
}

// What a search has allocated goes back to the C library at its end, which returns what lies free
// at the heap's end to the system once that is more than 128 kB: a search would have the 150 kB
// of its bitmap and lists mapped and cleared anew, 21 page faults and 3 calls of brk, a tenth of
// its time. glibc sets that limit to twice the largest block freed so far, and keeps to it.
void KeepFreedMemory() {
  constexpr Size kLargestSearch = 1 << 20;
  pfree(MemoryContextAlloc(CurrentMemoryContext, kLargestSearch));
}

}  // namespace

void _PG_init(void) {
  RefuseBesidePgvector();
  KeepFreedMemory();
  ann::simd::InitKernels();
  ann::pg::DefineSettings();
  ann::pg::InstallQueryHook();
  ann::hnsw::DefineSettings();
  ann::ivf::DefineSettings();
  ann::planner::InstallPlannerHook();
}
