// Settings that belong to no access method: ann.*, all for developers.
#include "simd/simd.hpp"

#include "pg/guc.hpp"
#include "pg/test_hooks.hpp"

namespace ann::pg {

bool unpinned_reads = true;
int recentre_rows = 1000;

namespace {

char* simd_target;

bool CheckSimdTarget(char** value, void**, GucSource) {
  if ((*value)[0] == '\0') return true;
  for (const char* target : simd::Targets()) {
    if (strcmp(target, *value) == 0) return true;
  }
  GUC_check_errdetail("This CPU or build has no such target.");
  return false;
}

void AssignSimdTarget(const char* value, void*) {
  simd::SetTarget(value[0] != '\0' ? value : simd::Targets().back());
}

const char* ShowSimdTarget() { return simd::TargetName(); }

}  // namespace

void DefineSettings() {
  DefineCustomStringVariable("ann.simd_target", "Instruction set that the distance kernels use.",
                             "Empty: the best that the CPU has.", &simd_target, "", PGC_USERSET,
                             GUC_NOT_IN_SAMPLE, CheckSimdTarget, AssignSimdTarget, ShowSimdTarget);
  DefineCustomBoolVariable(
      "ann.unpinned_reads", "Lets index scans estimate distances from pages that they do not pin.",
      "Off: each page is pinned and share-locked for each candidate.", &unpinned_reads, true,
      PGC_USERSET, GUC_NOT_IN_SAMPLE, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("ann.recentre_rows",
                          "Number of vectors at which an index that was created empty re-centres.",
                          "And again each time it has grown tenfold.", &recentre_rows, 1000, 1,
                          INT_MAX, PGC_USERSET, GUC_NOT_IN_SAMPLE, nullptr, nullptr, nullptr);
  DefineTestSettings();
  MarkGUCPrefixReserved("ann");
}

}  // namespace ann::pg
