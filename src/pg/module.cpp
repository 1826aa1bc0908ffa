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

void _PG_init(void) {
  ann::simd::InitKernels();
  ann::pg::DefineSettings();
  ann::pg::InstallQueryHook();
  ann::hnsw::DefineSettings();
  ann::ivf::DefineSettings();
  ann::planner::InstallPlannerHook();
}
