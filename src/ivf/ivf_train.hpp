// Finding lists: centroids, and the codebook of pq, from a sample of rows.
#pragma once

#include "cluster/kmeans.hpp"
#include "cluster/nearest.hpp"
#include "core/rng.hpp"

#include "ivf/ivf_calibrate.hpp"
#include "ivf/ivf_index.hpp"
#include "ivf/ivf_user_centroids.hpp"

namespace ann::ivf {

// Lists that suit so many rows, when the user has set none.
uint32_t AutomaticLists(double rows);
// Lists to be made of so many rows: `wanted` (0: automatic), or fewer if the rows are few.
uint32_t ListsFor(int wanted, double rows);

// More improve nothing that can be told from chance (README, "Build").
inline constexpr uint32_t kSampleRowsPerList = 64;

// What a look at some of a table's rows says of lists for all of them.
struct TrainingPlan {
  double rows;                 // of the table, about
  double density;              // rows a block
  uint32_t lists;              // at most so many will be made
  uint64_t sample;             // rows to make them from
  const UserCentroids* given;  // their centroids; null: they are found
};

// A frame of so many lists, all but epoch, place and what training finds out.
format::IvfFrame PlanFrame(const format::IvfMeta& meta, uint32_t lists);

// The floats of a frame with its centroids as kernels want them: what is found by training, in
// memory that processes may share.
struct FrameMemory {
  static size_t Bytes(const format::IvfMeta& meta, uint32_t lists);
  FrameMemory() = default;
  // `memory`: Bytes, 64-aligned. `lists`: those it has room for.
  FrameMemory(void* memory, const format::IvfMeta& meta, uint32_t lists);

  float* stream = nullptr;  // mean, codebook, centroids
  void* table = nullptr;    // of a cluster::CentroidTable
};

// The parts of a training that are cut into chunks, which touch nothing in common.
enum class TrainingStep : uint32_t {
  kTransform,
  kCluster,
  kAssign,
  kCalibrate,
  kResiduals,
  kSegments
};

// Who does the chunks of a step: all below `chunks`, each once.
struct Hands {
  void (*run)(void* context, TrainingStep step, uint32_t chunks);
  void* context;
};

// A training: a sample of rows, and what is made of it. A view, of one process, of memory that
// processes may share.
class Training {
 public:
  // Of the memory, which is 64-aligned. Within maintenance_work_mem, if `plan` is.
  static size_t Bytes(const format::IvfMeta& meta, const TrainingPlan& plan);
  static void Init(void* memory, const format::IvfMeta& meta, const TrainingPlan& plan);
  // Scratch is of `context`.
  Training(void* memory, const FrameMemory& frame, MemoryContext context);

  // One process adds rows as the user gave them, any number: those kept are a fair sample. Then it
  // runs the training, with others' help. Without rows and given centroids there is one list
  // around 0.
  void Add(const float* x);
  uint64_t rows() const;
  // `given`: as in the plan.
  void Run(const Hands& hands, const UserCentroids* given, const cluster::Progress& progress);
  // What came of it: all but epoch and place.
  const format::IvfFrame& shape() const;
  // Once trained.
  cluster::CentroidTable Table();

  // Any process, while another one is in Run().
  void RunChunk(TrainingStep step, uint32_t chunk, const cluster::Progress& progress);

 private:
  struct Header;

  void FindMean();
  void TransformRows(uint64_t begin, uint64_t end);
  uint32_t FindCentroids(const Hands& hands, const cluster::Progress& progress);
  void FindCodebook(const Hands& hands, const cluster::Progress& progress);
  void AssignRows(uint64_t begin, uint64_t end, const cluster::Progress& progress);
  void SubtractCentroids(uint64_t begin, uint64_t end, const cluster::Progress& progress);
  void TrainSegment(uint32_t segment, const cluster::Progress& progress);
  const quant::WorkSpace& Space();
  cluster::KMeans Clustering();
  Calibration* SampleCalibration();
  void ForgetCalibration();
  float* Centroids() const;
  uint64_t CodebookRows() const;
  float* RowAt(uint64_t row) const;

  Header* header_;
  float* floats_;
  uint32_t* lists_of_;  // by row, when lists have been found
  float* streaks_;      // by chunk of the calibration
  void* clustering_;
  FrameMemory frame_;
  MemoryContext context_;
  Rng rng_;
  uint64_t seen_ = 0;
  // Made when they are needed first.
  quant::WorkSpace* space_ = nullptr;
  void* clustering_scratch_ = nullptr;
  void* table_scratch_ = nullptr;
  float* segment_scratch_ = nullptr;
  Calibration* calibration_ = nullptr;
  MemoryContext calibration_context_ = nullptr;
};

// The floats of a row to be indexed, or null.
const float* RowVector(const IndexView& view, Datum* values, const bool* isnull);

// Plans lists for a table's rows. `info`: the index's; ii_Concurrent if others may write. `lists`,
// `given`: as the user set them.
TrainingPlan PlanTraining(const IndexView& view, Relation heap, IndexInfo* info, int lists,
                          const UserCentroids* given, MemoryContext context);
// Adds rows of blocks all over the table.
void SampleTable(const IndexView& view, Relation heap, IndexInfo* info, const TrainingPlan& plan,
                 Training* training, MemoryContext context);

// All of it by this process, in memory of `context`: a frame of the lists that a table's rows want,
// `shape` (all but epoch and place) and the stream of its pages.
float* TrainOnTable(const IndexView& view, Relation heap, IndexInfo* info, int lists,
                    const UserCentroids* given, const cluster::Progress& progress,
                    format::IvfFrame* shape, MemoryContext context);

}  // namespace ann::ivf
