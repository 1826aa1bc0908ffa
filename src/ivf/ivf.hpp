// The access methods' callbacks, options and settings. One file a phase:
//   ivf_handler.cpp  routines, options, settings     ivf_cost.cpp    planner costs
//   ivf_build.cpp    CREATE INDEX                    ivf_insert.cpp  INSERT, UPDATE
//   ivf_scan.cpp     ORDER BY ... LIMIT              ivf_vacuum.cpp  VACUUM
//   ivf_check.cpp    check                           ivf_inspect.cpp statistics
#pragma once

#include "quant/list_codec.hpp"

#include "am/emission.hpp"
#include "pg/pg.hpp"

namespace ann::ivf {

// --- options (CREATE INDEX ... WITH) ------------------------------------------------------------
// 0: chosen from the number of rows.
inline constexpr int kDefaultLists = 0, kMaxLists = 262144;
// pgvector's.
inline constexpr int kFlatDefaultLists = 100, kFlatMaxProbes = 32768;
inline constexpr int kDefaultRabitqBits = 8, kMinRabitqBits = 1, kMaxRabitqBits = 8;
// 0: a quarter of the dimensions.
inline constexpr int kDefaultPqSegments = 0, kMaxPqSegments = 16000;
inline constexpr int kDefaultPqBits = 4, kMinPqBits = 4, kMaxPqBits = 8;

enum class Rerank : int { kAuto, kIndex, kHeap };

// What both access methods' options come to.
struct Options {
  int lists;
  quant::Quantizer quantizer;
  int second_bits;  // 0: no second stage
  int pq_segments;
  int pq_bits;
};

// The options of an index of so many dimensions, defaults filled in. Errors: 22023 when they
// contradict each other or the dimensions.
Options OptionsOf(Relation index, uint32_t dims);
// Option `lists` alone: others that were set later may contradict the dimensions.
int ListsOption(Relation index);

// The table that gives an index its centroids (option `centroids`), or null. Memory: the current
// context.
const char* CentroidsOptionOf(Relation index);

// --- settings (ivf.*, ivfflat.*) ----------------------------------------------------------------
struct Settings {
  int probes;      // lists of the first round; -1: until more bring nothing
  int max_probes;  // 0: no limit
  am::IterativeScan iterative_scan;
  float epsilon;  // standard deviations that the first stage's bounds allow for
};
// Those that hold for an index: each of the two access methods has its own.
Settings SettingsOf(Relation index);
// The same for planning, where the index is not open.
Settings SettingsOf(Oid access_method);

// Called once, when the library is loaded.
void DefineSettings();

// --- progress of CREATE INDEX (pg_stat_progress_create_index.phase) ------------------------------
enum class BuildPhase : int64 {
  kInitializing = PROGRESS_CREATEIDX_SUBPHASE_INITIALIZE,
  kSampling,
  kClustering,
  kAssigning,
  kSorting,
  kWriting,
};
inline void EnterPhase(BuildPhase phase) {
  pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, static_cast<int64>(phase));
}

// --- callbacks ----------------------------------------------------------------------------------
IndexBuildResult* Build(Relation heap, Relation index, IndexInfo* info);
void BuildEmpty(Relation index);
bool Insert(Relation index, Datum* values, bool* nulls, ItemPointer tid, Relation heap,
            IndexUniqueCheck check_unique, bool index_unchanged, IndexInfo* info);
IndexBulkDeleteResult* BulkDelete(IndexVacuumInfo* info, IndexBulkDeleteResult* stats,
                                  IndexBulkDeleteCallback callback, void* state);
IndexBulkDeleteResult* VacuumCleanup(IndexVacuumInfo* info, IndexBulkDeleteResult* stats);
void CostEstimate(PlannerInfo* root, IndexPath* path, double loop_count, Cost* startup_cost,
                  Cost* total_cost, Selectivity* selectivity, double* correlation, double* pages);
// The callbacks of scans.
void SetScan(IndexAmRoutine* routine);

}  // namespace ann::ivf
