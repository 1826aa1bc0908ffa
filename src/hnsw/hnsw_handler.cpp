// What the server asks for first: the routine of access method hnsw, its options (WITH) and its
// settings (hnsw.*).
#include "quant/codec.hpp"

#include "am/costs.hpp"
#include "am/inspect.hpp"
#include "am/opclass.hpp"
#include "am/routine.hpp"
#include "hnsw/hnsw.hpp"
#include "hnsw/hnsw_inspect.hpp"
#include "pg/entry.hpp"
#include "pg/pg.hpp"

#include <climits>
#include <cstddef>

namespace ann::hnsw {

int ef_search = kDefaultEfSearch;
bool ef_search_is_set = false;
int iterative_scan = static_cast<int>(am::IterativeScan::kStrictOrder);
int max_scan_tuples = 0;
double scan_mem_multiplier = 1;

namespace {

relopt_kind option_kind;

// 40 may be the default or somebody's choice. The difference travels in `extra`, which the server
// saves and restores with the value (RESET, SET LOCAL, rollback): null means default.
bool CheckEfSearch(int*, void** extra, GucSource source) {
  if (source == PGC_S_DEFAULT) return true;
  *extra = pg::SettingExtra(1);
  return *extra != nullptr;
}

void AssignEfSearch(int, void* extra) { ef_search_is_set = extra != nullptr; }

void DefineOptions() {
  option_kind = add_reloption_kind();
  add_int_reloption(option_kind, "m", "Max number of connections", kDefaultM, kMinM, kMaxM,
                    AccessExclusiveLock);
  add_int_reloption(option_kind, "ef_construction",
                    "Size of the dynamic candidate list for construction", kDefaultEfConstruction,
                    kMinEfConstruction, kMaxEfConstruction, AccessExclusiveLock);
  // Below the range, as "not given" must differ from every number a user may give.
  add_int_reloption(option_kind, "code_bits", "Bits a dimension that the index keeps",
                    kDefaultCodeBits, kMinCodeBits, kMaxCodeBits, AccessExclusiveLock);
}

char* BuildPhaseName(int64 phase) {
  switch (static_cast<BuildPhase>(phase)) {
    case BuildPhase::kInitializing:
      return pstrdup("initializing");
    case BuildPhase::kSampling:
      return pstrdup("sampling rows");
    case BuildPhase::kLoading:
      return pstrdup("loading tuples");
    case BuildPhase::kLinking:
      return pstrdup("linking nodes");
    case BuildPhase::kWriting:
      return pstrdup("writing pages");
  }
  return nullptr;
}

}  // namespace

void DefineSettings() {
  DefineOptions();
  am::RegisterInspection({Build, CheckIndex, Stats});
  am::RegisterCosts(CostEstimate);
  DefineCustomIntVariable("hnsw.ef_search", "Number of candidates that a search keeps.",
                          "Until it is set, each index uses the number found when it was built.",
                          &ef_search, kDefaultEfSearch, 1, INT_MAX, PGC_USERSET, GUC_EXPLAIN,
                          CheckEfSearch, AssignEfSearch, nullptr);
  am::DefineIterativeScan("hnsw.iterative_scan", &iterative_scan, am::IterativeScan::kStrictOrder);
  DefineCustomIntVariable("hnsw.max_scan_tuples", "Number of rows after which a scan ends.",
                          "0 means no limit.", &max_scan_tuples, 0, 0, INT_MAX, PGC_USERSET,
                          GUC_EXPLAIN, nullptr, nullptr, nullptr);
  DefineCustomRealVariable("hnsw.scan_mem_multiplier", "Multiple of work_mem that a scan may use.",
                           nullptr, &scan_mem_multiplier, 1, 1, 1000, PGC_USERSET, GUC_EXPLAIN,
                           nullptr, nullptr, nullptr);
  MarkGUCPrefixReserved("hnsw");
}

bytea* ParseOptions(Datum reloptions, bool validate) {
  static const relopt_parse_elt kElements[] = {
      {"m", RELOPT_TYPE_INT, offsetof(Options, m)},
      {"ef_construction", RELOPT_TYPE_INT, offsetof(Options, ef_construction)},
      {"code_bits", RELOPT_TYPE_INT, offsetof(Options, code_bits)},
  };
  auto* options = static_cast<Options*>(build_reloptions(
      reloptions, validate, option_kind, sizeof(Options), kElements, lengthof(kElements)));
  // A beam narrower than the lists it fills would leave them short.
  if (validate && options != nullptr && options->ef_construction < 2 * options->m) {
    ereport(ERROR,
            (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
             errmsg("ef_construction must be greater than or equal to 2 * m"),
             errdetail("ef_construction is %d, m is %d.", options->ef_construction, options->m)));
  }
  return reinterpret_cast<bytea*>(options);
}

Options OptionsOf(Relation index) {
  if (index->rd_options != nullptr) return *reinterpret_cast<Options*>(index->rd_options);
  return Options{0, kDefaultM, kDefaultEfConstruction, kDefaultCodeBits};
}

}  // namespace ann::hnsw

ANN_FUNCTION(ann_hnsw_handler)
{
  IndexAmRoutine* routine = ann::am::NewRoutine();
  routine->ambuild = ann::hnsw::Build;
  routine->ambuildempty = ann::hnsw::BuildEmpty;
  routine->aminsert = ann::hnsw::Insert;
  routine->ambulkdelete = ann::hnsw::BulkDelete;
  routine->amvacuumcleanup = ann::hnsw::VacuumCleanup;
  routine->amcostestimate = ann::hnsw::CostEstimate;
  routine->amoptions = ann::hnsw::ParseOptions;
  routine->ambuildphasename = ann::hnsw::BuildPhaseName;
  routine->amvalidate = ann::am::Validate;
  ann::hnsw::SetScan(routine);
  PG_RETURN_POINTER(routine);
}
