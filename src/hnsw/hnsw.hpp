// The access method's callbacks, options and settings. One file a phase:
//   hnsw_handler.cpp  routine, options, settings      hnsw_cost.cpp      planner costs
//   hnsw_build.cpp    CREATE INDEX                    hnsw_insert.cpp    INSERT, UPDATE
//   hnsw_scan.cpp     ORDER BY ... LIMIT              hnsw_vacuum.cpp    VACUUM
//   hnsw_validate.cpp operator classes                hnsw_check.cpp     check, statistics
#pragma once

#include "quant/codec.hpp"

#include "pg/pg.hpp"

namespace ann::hnsw {

// --- options (CREATE INDEX ... WITH) ------------------------------------------------------------
inline constexpr int kDefaultM = 16, kMinM = 2, kMaxM = 100;
inline constexpr int kDefaultEfConstruction = 64, kMinEfConstruction = 4, kMaxEfConstruction = 1000;
// Bits a dimension in all; 0: chosen by this release (8).
inline constexpr int kDefaultCodeBits = 0, kMinCodeBits = 2, kMaxCodeBits = 8;
inline constexpr int kMaxDims = 16000;

struct Options {
  int32 vl_len_;
  int m;
  int ef_construction;
  int code_bits;
};

// The options of an index, defaults filled in.
Options OptionsOf(Relation index);

// --- settings (hnsw.*) --------------------------------------------------------------------------
enum class IterativeScan : int { kOff, kRelaxedOrder, kStrictOrder };

extern int ef_search;          // shows 40 until set
extern bool ef_search_is_set;  // false: the index's own default_ef holds
extern int iterative_scan;     // IterativeScan
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

// --- operator classes ---------------------------------------------------------------------------
// An operator class has one operator, strategy 1, FOR ORDER BY float_ops, and these functions, as
// pgvector's have: 1 tells the metric; 2, the norm, beside the negative inner product makes it
// cosine.
inline constexpr int kDistanceFunction = 1, kNormFunction = 2, kNumSupportFunctions = 2;
// The metric of an index, from its operator class. Errors: 0A000 when that has a function 1 that is
// none of ours.
quant::Metric MetricOf(Relation index);
// Dimensions of the indexed column. Errors: 22023 when it has none, 54000 above kMaxDims.
int DimsOf(Relation index);

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
bool Validate(Oid opclass);
IndexScanDesc BeginScan(Relation index, int nkeys, int norderbys);
void Rescan(IndexScanDesc scan, ScanKey keys, int nkeys, ScanKey orderbys, int norderbys);
bool GetTuple(IndexScanDesc scan, ScanDirection direction);
void EndScan(IndexScanDesc scan);

}  // namespace ann::hnsw
