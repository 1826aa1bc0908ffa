#include "ivf/ivf_train.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "am/vector_column.hpp"
#include "cluster/carver.hpp"
#include "simd/simd.hpp"

#include "pg/alloc.hpp"

namespace ann::ivf {

using format::IvfFrame;
using format::IvfMeta;
using quant::Metric;
using quant::Quantizer;

namespace {

// Fewer rows than this are one list: looking at all of them takes no longer than choosing.
constexpr double kFewestRows = 1000;
// Rows a list must have on average.
constexpr double kFewestRowsPerList = 4;
// Rows that a mean wants, however few the lists are; and that a codebook of pq wants, 256 a
// centroid of a segment of 8 bits.
constexpr uint64_t kMeanRows = 4096, kCodebookRows = 65536;
// Rows whose errors say what a codebook is worth.
constexpr uint64_t kCalibrationRows = 2000;
constexpr uint32_t kChunkRows = 4096;

bool IsPq(const IvfMeta& meta) { return static_cast<Quantizer>(meta.quantizer) == Quantizer::kPq; }

uint32_t CodebookFloats(const IvfMeta& meta) {
  if (!IsPq(meta)) return 0;
  return static_cast<uint32_t>(quant::PqCodebookFloats(CodecParamsOf(meta, 1), meta.dims));
}

cluster::KMeansParams ClusteringOf(const IvfMeta& meta, uint32_t lists) {
  cluster::KMeansParams params;
  params.dims = meta.dims;
  params.lists = lists;
  params.seed = meta.seed;
  return params;
}

uint32_t ChunksOf(uint64_t rows) { return static_cast<uint32_t>(DivUp(rows, kChunkRows)); }

// The clustering of a segment of pq, by one process.
struct SegmentTraining {
  const cluster::Progress* progress;
  MemoryContext context;
  uint64_t seed;
};

void ClusterSegment(void* arg, const float* rows, size_t count, uint32_t dims, uint32_t clusters,
                    float* centroids) {
  const SegmentTraining& training = *static_cast<SegmentTraining*>(arg);
  cluster::KMeansParams params;
  params.dims = dims;
  params.lists = clusters;
  params.seed = training.seed;
  MemoryContext context =
      AllocSetContextCreate(training.context, "ann ivf segment", ALLOCSET_DEFAULT_SIZES);
  void* block = AllocAligned(context, cluster::KMeans::BlockBytes(params, count));
  cluster::KMeans::Init(block, params, count);
  const cluster::KMeans kmeans(block, rows,
                               AllocAligned(context, cluster::KMeans::ScratchBytes(params)));
  kmeans.Run(*training.progress);
  std::memset(centroids, 0, sizeof(float) * clusters * dims);
  std::memcpy(centroids, kmeans.centroids(), sizeof(float) * kmeans.lists() * dims);
  MemoryContextDelete(context);
}

}  // namespace

uint32_t AutomaticLists(double rows) {
  if (rows < kFewestRows) return 1;
  return static_cast<uint32_t>(std::clamp(4 * std::sqrt(rows), 1.0, double{kMaxLists}));
}

uint32_t ListsFor(int wanted, double rows) {
  if (wanted == 0) return AutomaticLists(rows);
  return static_cast<uint32_t>(
      std::clamp(rows / kFewestRowsPerList, 1.0, static_cast<double>(wanted)));
}

// --- memory
// ---------------------------------------------------------------------------------------

IvfFrame PlanFrame(const IvfMeta& meta, uint32_t lists) {
  IvfFrame shape{};
  shape.codebook_floats = CodebookFloats(meta);
  shape.pq_margin = 1;
  shape.patience = kLeastPatience;
  shape.lists = lists;
  shape.slots = format::SlotsFor(lists);
  shape.frame_pages =
      static_cast<uint32_t>(DivUp(FrameFloats(meta, shape), format::kMeanFloatsPerPage));
  shape.directory_pages = DirectoryPages(shape.slots);
  return shape;
}

FrameMemory::FrameMemory(void* memory, const IvfMeta& meta, uint32_t lists) {
  cluster::Carver carver(memory);
  stream = carver.Take<float>(FrameFloats(meta, PlanFrame(meta, lists)));
  table = carver.Take<char>(cluster::CentroidTable::Bytes(lists, meta.dims));
}

size_t FrameMemory::Bytes(const IvfMeta& meta, uint32_t lists) {
  cluster::Carver carver(nullptr);
  carver.Take<float>(FrameFloats(meta, PlanFrame(meta, lists)));
  carver.Take<char>(cluster::CentroidTable::Bytes(lists, meta.dims));
  return carver.used();
}

// At the start of the memory.
struct Training::Header {
  IvfMeta meta;
  uint64_t most;
  uint64_t rows;
  IvfFrame shape;  // its lists are those wanted, until they are found
};

size_t Training::Bytes(const IvfMeta& meta, const TrainingPlan& plan) {
  cluster::Carver carver(nullptr);
  carver.Take<Header>(1);
  carver.Take<float>(plan.sample * meta.dims);
  carver.Take<uint32_t>(plan.sample);
  carver.Take<float>(size_t{kCalibrationChunks} * kStreaksPerChunk);
  if (plan.given == nullptr) {
    carver.Take<char>(cluster::KMeans::BlockBytes(ClusteringOf(meta, plan.lists),
                                                  std::max<uint64_t>(plan.sample, 1)));
  }
  return carver.used();
}

void Training::Init(void* memory, const IvfMeta& meta, const TrainingPlan& plan) {
  Header& header = *static_cast<Header*>(memory);
  header.meta = meta;
  header.most = plan.sample;
  header.rows = 0;
  header.shape = PlanFrame(meta, plan.lists);
}

Training::Training(void* memory, const FrameMemory& frame, MemoryContext context)
    : header_(static_cast<Header*>(memory)),
      frame_(frame),
      context_(context),
      rng_(header_->meta.seed) {
  cluster::Carver carver(memory);
  carver.Take<Header>(1);
  floats_ = carver.Take<float>(header_->most * header_->meta.dims);
  lists_of_ = carver.Take<uint32_t>(header_->most);
  streaks_ = carver.Take<float>(size_t{kCalibrationChunks} * kStreaksPerChunk);
  clustering_ = carver.Take<char>(0);
}

uint64_t Training::rows() const { return header_->rows; }
const IvfFrame& Training::shape() const { return header_->shape; }
float* Training::RowAt(uint64_t row) const { return floats_ + row * header_->meta.dims; }
float* Training::Centroids() const {
  return frame_.stream + header_->meta.dims + header_->shape.codebook_floats;
}

const quant::WorkSpace& Training::Space() {
  if (space_ == nullptr) {
    const IvfMeta& meta = header_->meta;
    space_ = pg::Construct<quant::WorkSpace>(
        pg::AllocZero<quant::WorkSpace>(context_, 1), static_cast<Metric>(meta.metric), meta.dims,
        meta.seed, frame_.stream,
        pg::AllocZero<char>(context_, quant::WorkSpace::MemoryBytes(meta.dims)));
  }
  return *space_;
}

cluster::KMeans Training::Clustering() {
  if (clustering_scratch_ == nullptr) {
    const cluster::KMeansParams params = ClusteringOf(header_->meta, header_->shape.lists);
    clustering_scratch_ = AllocAligned(context_, cluster::KMeans::ScratchBytes(params));
  }
  return cluster::KMeans(clustering_, floats_, clustering_scratch_);
}

cluster::CentroidTable Training::Table() {
  const uint32_t lists = header_->shape.lists;
  if (table_scratch_ == nullptr) {
    table_scratch_ = AllocAligned(context_, cluster::CentroidTable::ScratchBytes(lists));
  }
  return cluster::CentroidTable(Centroids(), lists, header_->meta.dims, frame_.table,
                                table_scratch_);
}

Calibration* Training::SampleCalibration() {
  if (calibration_ == nullptr) {
    calibration_context_ =
        AllocSetContextCreate(context_, "ann ivf calibration", ALLOCSET_DEFAULT_SIZES);
    calibration_ = StartCalibration(
        {Space(), floats_, lists_of_, header_->rows, Centroids(), header_->shape.lists},
        calibration_context_);
  }
  return calibration_;
}

void Training::ForgetCalibration() {
  if (calibration_ != nullptr) MemoryContextDelete(calibration_context_);
  calibration_ = nullptr;
}

// --- steps
// ----------------------------------------------------------------------------------------

void Training::Add(const float* x) {
  const size_t bytes = sizeof(float) * header_->meta.dims;
  ++seen_;
  if (header_->rows < header_->most) {
    std::memcpy(RowAt(header_->rows++), x, bytes);
    return;
  }
  // Each of the rows seen is kept with the same probability (Vitter 1985, algorithm R).
  const uint64_t place = rng_.Next() % seen_;
  if (place < header_->most) std::memcpy(RowAt(place), x, bytes);
}

void Training::Run(const Hands& hands, const UserCentroids* given,
                   const cluster::Progress& progress) {
  Header& header = *header_;
  uint32_t lists = 1;
  std::memset(frame_.stream, 0, sizeof(float) * FrameFloats(header.meta, header.shape));
  if (header.rows > 0) {
    FindMean();
    hands.run(hands.context, TrainingStep::kTransform, ChunksOf(header.rows));
  }
  if (given != nullptr) {
    lists = given->count;
    const float* works = WorkVectors(*given, Space(), context_);
    std::memcpy(Centroids(), works, sizeof(float) * header.meta.dims * lists);
  } else if (header.rows > 0 && header.shape.lists > 1) {
    lists = FindCentroids(hands, progress);
  }
  header.shape = PlanFrame(header.meta, lists);
  Table().Fill(progress);
  if (header.shape.lists > 1) {
    if (header.rows > 0) hands.run(hands.context, TrainingStep::kAssign, ChunksOf(header.rows));
    if (CanCalibrate(header.rows, header.shape.lists)) {
      hands.run(hands.context, TrainingStep::kCalibrate, kCalibrationChunks);
      header.shape.patience = PatienceOf(streaks_);
    }
  }
  if (IsPq(header.meta) && header.rows > 0) FindCodebook(hands, progress);
}

void Training::RunChunk(TrainingStep step, uint32_t chunk, const cluster::Progress& progress) {
  const uint64_t begin = uint64_t{chunk} * kChunkRows;
  if (step != TrainingStep::kCalibrate) ForgetCalibration();
  switch (step) {
    case TrainingStep::kTransform:
      TransformRows(begin, std::min(begin + kChunkRows, header_->rows));
      break;
    case TrainingStep::kCluster:
      Clustering().RunChunk(chunk, progress);
      break;
    case TrainingStep::kAssign:
      AssignRows(begin, std::min(begin + kChunkRows, header_->rows), progress);
      break;
    case TrainingStep::kCalibrate:
      RunCalibrationChunk(SampleCalibration(), chunk, streaks_ + chunk * kStreaksPerChunk);
      break;
    case TrainingStep::kResiduals:
      SubtractCentroids(begin, std::min(begin + kChunkRows, CodebookRows()), progress);
      break;
    case TrainingStep::kSegments:
      TrainSegment(chunk, progress);
      break;
  }
}

void Training::AssignRows(uint64_t begin, uint64_t end, const cluster::Progress& progress) {
  float distances[kChunkRows];
  Table().Nearest(RowAt(begin), end - begin, lists_of_ + begin, distances, progress);
}

void Training::FindMean() {
  const IvfMeta& meta = header_->meta;
  double* sums = pg::AllocZero<double>(context_, meta.dims);
  for (uint64_t row = 0; row < header_->rows; ++row) {
    const float* x = RowAt(row);
    double factor = 1;
    if (static_cast<Metric>(meta.metric) == Metric::kCosine) {
      factor = 1 / std::sqrt(simd::Floats().squared_norm(x, meta.dims));
    }
    for (uint32_t i = 0; i < meta.dims; ++i) sums[i] += x[i] * factor;
  }
  for (uint32_t i = 0; i < meta.dims; ++i) {
    const float value = static_cast<float>(sums[i] / static_cast<double>(header_->rows));
    // Sums that left float's range centre nothing.
    frame_.stream[i] = std::isfinite(value) ? value : 0;
  }
  pfree(sums);
}

void Training::TransformRows(uint64_t begin, uint64_t end) {
  const uint32_t dims = header_->meta.dims;
  const quant::WorkSpace& space = Space();
  float* work = pg::AllocZero<float>(context_, dims);
  for (uint64_t row = begin; row < end; ++row) {
    CHECK_FOR_INTERRUPTS();
    float* x = RowAt(row);
    space.Transform(x, work);
    // Rows whose numbers leave float's range say nothing about where the others are.
    for (uint32_t i = 0; i < dims; ++i) x[i] = std::isfinite(work[i]) ? work[i] : 0;
  }
  pfree(work);
}

// How many it has found.
uint32_t Training::FindCentroids(const Hands& hands, const cluster::Progress& progress) {
  cluster::KMeans::Init(clustering_, ClusteringOf(header_->meta, header_->shape.lists),
                        header_->rows);
  const cluster::KMeans kmeans = Clustering();
  while (!kmeans.done()) {
    hands.run(hands.context, TrainingStep::kCluster, kmeans.chunks());
    kmeans.Advance(progress);
  }
  std::memcpy(Centroids(), kmeans.centroids(), sizeof(float) * header_->meta.dims * kmeans.lists());
  return kmeans.lists();
}

// --- pq

// A sample of the sample, from all over the table.
uint64_t Training::CodebookRows() const { return std::min(header_->rows, kCodebookRows); }

// The sample's rows become residuals, and are used up.
void Training::FindCodebook(const Hands& hands, const cluster::Progress& progress) {
  const IvfMeta& meta = header_->meta;
  const uint64_t rows = CodebookRows();
  for (uint64_t row = 0; row < rows; ++row) {
    std::memmove(RowAt(row), RowAt(row * header_->rows / rows), sizeof(float) * meta.dims);
  }
  hands.run(hands.context, TrainingStep::kResiduals, ChunksOf(rows));
  hands.run(hands.context, TrainingStep::kSegments, meta.pq_segments);
  const quant::ListCodecParams params = CodecParamsOf(meta, 1);
  const quant::ListCodec codec(
      params, &Space(), frame_.stream + meta.dims, 1,
      AllocAligned(context_, quant::ListCodec::MemoryBytes(params, meta.dims)));
  header_->shape.pq_margin = quant::CalibratePq(codec, floats_, std::min(rows, kCalibrationRows));
}

void Training::SubtractCentroids(uint64_t begin, uint64_t end, const cluster::Progress& progress) {
  const uint32_t dims = header_->meta.dims;
  uint32_t lists[kChunkRows];
  float distances[kChunkRows];
  Table().Nearest(RowAt(begin), end - begin, lists, distances, progress);
  for (uint64_t row = begin; row < end; ++row) {
    const float* centroid = Centroids() + size_t{lists[row - begin]} * dims;
    simd::Transforms().subtract(RowAt(row), centroid, RowAt(row), dims);
  }
}

void Training::TrainSegment(uint32_t segment, const cluster::Progress& progress) {
  const IvfMeta& meta = header_->meta;
  const quant::ListCodecParams params = CodecParamsOf(meta, 1);
  const uint64_t rows = CodebookRows();
  if (segment_scratch_ == nullptr) {
    segment_scratch_ =
        pg::AllocZero<float>(context_, quant::PqTrainingFloats(params, meta.dims, rows));
  }
  SegmentTraining training{&progress, context_, meta.seed};
  quant::TrainPqSegment(params, meta.dims, floats_, rows, segment, ClusterSegment, &training,
                        segment_scratch_, frame_.stream + meta.dims);
}

// --- sampling a table
// -----------------------------------------------------------------------------

const float* RowVector(const IndexView& view, Datum* values, const bool* isnull) {
  if (isnull[0]) return nullptr;
  const float* x =
      am::AsFloats(am::IndexedVector(view.rel, values[0], view.meta.dims), view.meta.dims);
  return am::IsIndexable(view.metric(), x, view.meta.dims) ? x : nullptr;
}

namespace {

// Blocks from which the number of rows is estimated; more, if they hold fewer than kFewestRows.
constexpr BlockNumber kCountedBlocks = 200;

struct Sampling {
  const IndexView& view;
  Relation heap;
  IndexInfo* info;
  MemoryContext row_context;  // reset for each row
  Training* training;         // null: rows are only counted
  uint64_t counted;
};

void SampleRow(Relation, ItemPointer, Datum* values, bool* isnull, bool, void* arg) {
  Sampling& s = *static_cast<Sampling*>(arg);
  MemoryContext old = MemoryContextSwitchTo(s.row_context);
  const float* x = RowVector(s.view, values, isnull);
  if (x != nullptr) {
    ++s.counted;
    if (s.training != nullptr) s.training->Add(x);
  }
  MemoryContextSwitchTo(old);
  MemoryContextReset(s.row_context);
}

// Shows the rows of `wanted` random blocks, or all, to SampleRow; how many there were. Blocks all
// over the table: it is often ordered by what its vectors mean.
BlockNumber VisitBlocks(Sampling& s, BlockNumber blocks, double wanted, uint64_t seed) {
  BlockSamplerData sampler;
  BlockSampler_Init(
      &sampler, blocks,
      static_cast<int>(std::min<double>({wanted, static_cast<double>(blocks), INT_MAX})),
      static_cast<uint32>(Mix64(seed)));
  BlockNumber visited = 0;
  s.counted = 0;
  for (; BlockSampler_HasMore(&sampler); ++visited) {
    CHECK_FOR_INTERRUPTS();
    table_index_build_range_scan(s.heap, s.view.rel, s.info, false, false, false,
                                 BlockSampler_Next(&sampler), 1, SampleRow, &s, nullptr);
  }
  return visited;
}

}  // namespace

TrainingPlan PlanTraining(const IndexView& view, Relation heap, IndexInfo* info, int lists,
                          const UserCentroids* given, MemoryContext context) {
  MemoryContext own = AllocSetContextCreate(context, "ann ivf count", ALLOCSET_DEFAULT_SIZES);
  Sampling sampling{view, heap, info, own, nullptr, 0};
  const BlockNumber blocks = RelationGetNumberOfBlocks(heap);
  // A partial index may have few rows, all over a large table.
  BlockNumber visited = 0;
  for (double wanted = kCountedBlocks; visited < blocks; wanted *= 4) {
    visited = VisitBlocks(sampling, blocks, wanted, view.meta.seed);
    if (sampling.counted >= kFewestRows || wanted >= INT_MAX) break;
  }
  MemoryContextDelete(own);
  TrainingPlan plan{};
  plan.density = visited > 0 ? static_cast<double>(sampling.counted) / visited : 0;
  plan.rows = plan.density * blocks;
  plan.given = given;
  plan.lists = given != nullptr ? given->count : ListsFor(lists, plan.rows);
  const uint64_t least = IsPq(view.meta) ? kCodebookRows : kMeanRows;
  const uint64_t per_list = std::max<uint64_t>(kSampleRowsPerList, DivUp(least, plan.lists));
  // A margin for what the estimate may be off by.
  plan.sample = cluster::KMeans::SampleRows(
      ClusteringOf(view.meta, plan.lists), static_cast<uint64_t>(plan.rows * 1.1) + 1,
      static_cast<uint32_t>(per_list), size_t{1024} * maintenance_work_mem);
  return plan;
}

void SampleTable(const IndexView& view, Relation heap, IndexInfo* info, const TrainingPlan& plan,
                 Training* training, MemoryContext context) {
  if (plan.density == 0) return;
  MemoryContext own = AllocSetContextCreate(context, "ann ivf sample", ALLOCSET_DEFAULT_SIZES);
  Sampling sampling{view, heap, info, own, training, 0};
  VisitBlocks(sampling, RelationGetNumberOfBlocks(heap),
              static_cast<double>(plan.sample) / plan.density * 1.02 + 1, view.meta.seed + 1);
  MemoryContextDelete(own);
}

// --- by one process
// -------------------------------------------------------------------------------

namespace {

struct Alone {
  Training* training;
  const cluster::Progress& progress;
};

void RunAlone(void* arg, TrainingStep step, uint32_t chunks) {
  const Alone& alone = *static_cast<Alone*>(arg);
  for (uint32_t chunk = 0; chunk < chunks; ++chunk) {
    alone.training->RunChunk(step, chunk, alone.progress);
  }
}

}  // namespace

float* TrainOnTable(const IndexView& view, Relation heap, IndexInfo* info, int lists,
                    const UserCentroids* given, const cluster::Progress& progress, IvfFrame* shape,
                    MemoryContext context) {
  MemoryContext own = AllocSetContextCreate(context, "ann ivf training", ALLOCSET_DEFAULT_SIZES);
  const TrainingPlan plan = PlanTraining(view, heap, info, lists, given, own);
  void* memory = AllocAligned(own, Training::Bytes(view.meta, plan));
  Training::Init(memory, view.meta, plan);
  const FrameMemory frame(AllocAligned(context, FrameMemory::Bytes(view.meta, plan.lists)),
                          view.meta, plan.lists);
  Training training(memory, frame, own);
  SampleTable(view, heap, info, plan, &training, own);
  Alone alone{&training, progress};
  training.Run({RunAlone, &alone}, given, progress);
  *shape = training.shape();
  MemoryContextDelete(own);
  return frame.stream;
}

}  // namespace ann::ivf
