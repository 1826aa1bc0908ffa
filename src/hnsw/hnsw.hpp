// The access method's callbacks, options and settings. One file a phase:
//   hnsw_handler.cpp  routine, options, settings      hnsw_cost.cpp      planner costs
//   hnsw_build.cpp    CREATE INDEX                    hnsw_insert.cpp    INSERT, UPDATE
//   hnsw_scan.cpp     ORDER BY ... LIMIT              hnsw_vacuum.cpp    VACUUM
//   hnsw_check.cpp    check                           hnsw_inspect.cpp   statistics
#pragma once

#include "quant/codec.hpp"

#include "pg/pg.hpp"

namespace ann::hnsw {

// --- options (CREATE INDEX ... WITH) ------------------------------------------------------------
inline constexpr int kDefaultM = 16, kMinM = 2, kMaxM = 100;
inline constexpr int kDefaultEfConstruction = 64, kMinEfConstruction = 4, kMaxEfConstruction = 1000;
// Bits a dimension in all; 0: chosen by this release (8).
inline constexpr int kDefaultCodeBits = 0, kMinCodeBits = 2, kMaxCodeBits = 8;

struct Options {
  int32 vl_len_;
  int m;
  int ef_construction;
  int code_bits;
};

// The options of an index, defaults filled in.
Options OptionsOf(Relation index);

// --- settings (hnsw.*) --------------------------------------------------------------------------
extern int ef_search;          // shows 40 until set
extern bool ef_search_is_set;  // false: the index's own default_ef holds
extern int iterative_scan;     // am::IterativeScan
extern int max_scan_tuples;    // 0: no limit
extern double scan_mem_multiplier;

inline constexpr int kDefaultEfSearch = 40;
// The least of an index that was built on too few rows to be calibrated: .97 at 384 dimensions, .98
// at 128.
inline constexpr int kUncalibratedEf = 80;
// Far above what calibration gives; more is damage.
inline constexpr uint32_t kMaxDefaultEf = 10000;
inline constexpr uint32_t kMaxCalibratedSize = 32 * 256;  // 2^32 nodes

// Called once, when the library is loaded.
void DefineSettings();

// --- progress of CREATE INDEX (pg_stat_progress_create_index.phase) ------------------------------
// Report with pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, ...).
enum class BuildPhase : int64 {
  kInitializing = PROGRESS_CREATEIDX_SUBPHASE_INITIALIZE,
  kSampling,
  kLoading,
  kLinking,
  kWriting,
};

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
bytea* ParseOptions(Datum reloptions, bool validate);
// The callbacks of scans.
void SetScan(IndexAmRoutine* routine);

}  // namespace ann::hnsw
