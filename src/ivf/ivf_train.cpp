#include "ivf/ivf_train.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "am/vector_column.hpp"
#include "core/rng.hpp"
#include "ivf/ivf_calibrate.hpp"
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

// A clustering that has been done, in memory of the context.
struct Clustering {
  Clustering(const cluster::KMeansParams& params, const float* rows, uint64_t n,
             const cluster::Progress& progress, MemoryContext context)
      : block(Prepared(params, n, context)),
        kmeans(block, rows, AllocAligned(context, cluster::KMeans::ScratchBytes(params))) {
    kmeans.Run(progress);
  }
  static void* Prepared(const cluster::KMeansParams& params, uint64_t n, MemoryContext context) {
    void* block = AllocAligned(context, cluster::KMeans::BlockBytes(params, n));
    cluster::KMeans::Init(block, params, n);
    return block;
  }
  void* block;
  cluster::KMeans kmeans;
};

// Rows that pq's codebook is made from: 256 a centroid.
constexpr uint64_t kCodebookRows = 65536;

// The segments' clusterings of pq.
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
  const Clustering clustering(params, rows, count, *training.progress, context);
  const cluster::KMeans& kmeans = clustering.kmeans;
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

Sample::Sample(const IvfMeta& meta, uint64_t most, MemoryContext context)
    : meta_(meta),
      context_(context),
      most_(most),
      floats_(pg::AllocZero<float>(context, std::max<uint64_t>(most, 1) * meta.dims)) {}

void Sample::Add(const float* x) {
  std::memcpy(floats_ + rows_ * meta_.dims, x, sizeof(float) * meta_.dims);
  ++rows_;
}

void Sample::FindMean(float* mean) const {
  const uint32_t dims = meta_.dims;
  double* sums = pg::AllocZero<double>(context_, dims);
  for (uint64_t row = 0; row < rows_; ++row) {
    const float* x = floats_ + row * dims;
    double factor = 1;
    if (static_cast<Metric>(meta_.metric) == Metric::kCosine) {
      double norm = 0;
      for (uint32_t i = 0; i < dims; ++i) norm += double(x[i]) * x[i];
      factor = 1 / std::sqrt(norm);
    }
    for (uint32_t i = 0; i < dims; ++i) sums[i] += x[i] * factor;
  }
  for (uint32_t i = 0; i < dims && rows_ > 0; ++i) {
    const float value = static_cast<float>(sums[i] / static_cast<double>(rows_));
    // Sums that left float's range centre nothing.
    mean[i] = std::isfinite(value) ? value : 0;
  }
  pfree(sums);
}

float* Sample::Train(uint32_t lists, double table_rows, const UserCentroids* given, IvfFrame* shape,
                     const cluster::Progress& progress, MemoryContext context) {
  const uint32_t dims = meta_.dims;
  const bool pq = static_cast<Quantizer>(meta_.quantizer) == Quantizer::kPq;
  const quant::ListCodecParams params = CodecParamsOf(meta_, 1);
  shape->codebook_floats = pq ? static_cast<uint32_t>(quant::PqCodebookFloats(params, dims)) : 0;
  shape->pq_margin = 1;
  shape->patience = kLeastPatience;
  shape->lists = 1;
  float* mean = pg::AllocZero<float>(context_, dims);
  FindMean(mean);
  const quant::WorkSpace space(static_cast<Metric>(meta_.metric), dims, meta_.seed, mean,
                               pg::AllocZero<char>(context_, quant::WorkSpace::MemoryBytes(dims)));
  float* work = pg::AllocZero<float>(context_, dims);
  for (uint64_t row = 0; row < rows_; ++row) {
    CHECK_FOR_INTERRUPTS();
    float* x = floats_ + row * dims;
    space.Transform(x, work);
    // Rows whose numbers leave float's range say nothing about where the others are.
    for (uint32_t i = 0; i < dims; ++i) x[i] = std::isfinite(work[i]) ? work[i] : 0;
  }
  const float* centroids = nullptr;
  if (given != nullptr) {
    shape->lists = lists;
    centroids = WorkVectors(*given, space, context_);
  } else if (rows_ > 0 && lists > 1) {
    cluster::KMeansParams clustering;
    clustering.dims = dims;
    clustering.lists = static_cast<uint32_t>(std::min<uint64_t>(lists, rows_));
    clustering.seed = meta_.seed;
    const Clustering done(clustering, floats_, rows_, progress, context_);
    shape->lists = done.kmeans.lists();
    centroids = done.kmeans.centroids();
  }
  shape->frame_pages =
      static_cast<uint32_t>(DivUp(FrameFloats(meta_, *shape), format::kMeanFloatsPerPage));
  shape->directory_pages = DirectoryPages(shape->lists);
  float* stream = pg::AllocZero<float>(context, FrameFloats(meta_, *shape));
  std::memcpy(stream, mean, sizeof(float) * dims);
  if (centroids != nullptr) {
    std::memcpy(stream + dims + shape->codebook_floats, centroids,
                sizeof(float) * dims * shape->lists);
  }
  if (centroids != nullptr) {
    const Calibrated what{
        space, floats_, rows_, table_rows, stream + dims + shape->codebook_floats, shape->lists};
    shape->patience = CalibratePatience(what, progress, context_);
  }
  if (pq && rows_ > 0) TrainCodebook(*shape, space, stream, progress);
  return stream;
}

// pq's codebook, from the sample's residuals; floats_ become these.
void Sample::TrainCodebook(IvfFrame& shape, const quant::WorkSpace& space, float* stream,
                           const cluster::Progress& progress) {
  const uint32_t dims = meta_.dims;
  const float* centroids = stream + dims + shape.codebook_floats;
  for (uint64_t row = 0; row < rows_; ++row) {
    CHECK_FOR_INTERRUPTS();
    float* x = floats_ + row * dims;
    const float* centroid = centroids;
    float least = INFINITY;
    for (uint32_t list = 0; list < shape.lists; ++list) {
      const float* c = centroids + size_t{list} * dims;
      const float distance = simd::Floats().l2_squared(x, c, dims);
      if (distance < least) least = distance, centroid = c;
    }
    simd::Transforms().subtract(x, centroid, x, dims);
  }
  quant::ListCodecParams params = CodecParamsOf(meta_, 1);
  const uint64_t rows = std::min<uint64_t>(rows_, kCodebookRows);
  SegmentTraining training{&progress, context_, meta_.seed};
  float* scratch = pg::AllocZero<float>(context_, quant::PqTrainingFloats(params, dims, rows));
  quant::TrainPq(params, dims, floats_, rows, ClusterSegment, &training, scratch, stream + dims);
  const quant::ListCodec codec(params, &space, stream + dims, 1,
                               AllocAligned(context_, quant::ListCodec::MemoryBytes(params, dims)));
  shape.pq_margin = quant::CalibratePq(codec, floats_, std::min<uint64_t>(rows, 2000));
}

// --- sampling a table
// -----------------------------------------------------------------------------

const float* RowVector(const IndexView& view, Datum* values, const bool* isnull) {
  if (isnull[0]) return nullptr;
  const float* x = am::VectorFloats(values[0], view.meta.dims);
  return am::IsIndexable(view.metric(), x, view.meta.dims) ? x : nullptr;
}

namespace {

// Blocks from which the number of rows is estimated.
constexpr BlockNumber kCountedBlocks = 200;

struct Sampling {
  const IndexView& view;
  Relation heap;
  IndexInfo* info;
  MemoryContext row_context;  // reset for each row
  Sample* sample;
  uint64_t counted;
};

void CountRow(Relation, ItemPointer, Datum* values, bool* isnull, bool, void* arg) {
  Sampling& s = *static_cast<Sampling*>(arg);
  MemoryContext old = MemoryContextSwitchTo(s.row_context);
  const float* x = RowVector(s.view, values, isnull);
  if (x != nullptr) {
    ++s.counted;
    if (s.sample != nullptr && !s.sample->full()) s.sample->Add(x);
  }
  MemoryContextSwitchTo(old);
  MemoryContextReset(s.row_context);
}

// Shows the rows of up to `wanted` random blocks to CountRow; how many there were. A table is often
// ordered by what its vectors mean.
BlockNumber VisitBlocks(Sampling& s, BlockNumber blocks, BlockNumber wanted, uint64_t seed) {
  BlockSamplerData sampler;
  BlockSampler_Init(&sampler, blocks, static_cast<int>(std::min<BlockNumber>(wanted, INT_MAX)),
                    static_cast<uint32>(Mix64(seed)));
  BlockNumber visited = 0;
  s.counted = 0;
  for (; BlockSampler_HasMore(&sampler); ++visited) {
    CHECK_FOR_INTERRUPTS();
    if (s.sample != nullptr && s.sample->full()) break;
    table_index_build_range_scan(s.heap, s.view.rel, s.info, false, false, false,
                                 BlockSampler_Next(&sampler), 1, CountRow, &s, nullptr);
  }
  return visited;
}

}  // namespace

float* TrainOnTable(const IndexView& view, Relation heap, IndexInfo* info, int lists,
                    const UserCentroids* given, const cluster::Progress& progress,
                    void (*sampled)(), IvfFrame* shape, MemoryContext context) {
  MemoryContext own = AllocSetContextCreate(context, "ann ivf sample", ALLOCSET_DEFAULT_SIZES);
  MemoryContext rows_of = AllocSetContextCreate(own, "ann ivf sample row", ALLOCSET_DEFAULT_SIZES);
  Sampling sampling{view, heap, info, rows_of, nullptr, 0};
  const BlockNumber blocks = RelationGetNumberOfBlocks(heap);
  const BlockNumber visited = VisitBlocks(sampling, blocks, kCountedBlocks, view.meta.seed);
  const double density = visited > 0 ? static_cast<double>(sampling.counted) / visited : 0;
  const double rows = density * blocks;

  cluster::KMeansParams params;
  params.dims = view.meta.dims;
  params.lists = given != nullptr ? given->count : ListsFor(lists, rows);
  // A margin for what the estimate may be off by.
  const uint64_t wanted =
      cluster::KMeans::SampleRows(params, static_cast<uint64_t>(rows * 1.1) + 1, kSampleRowsPerList,
                                  size_t{1024} * maintenance_work_mem);
  Sample sample(view.meta, wanted, own);
  sampling.sample = &sample;
  const double spread = density > 0 ? wanted / density * 1.02 + 1 : 0;
  VisitBlocks(sampling, blocks, static_cast<BlockNumber>(std::min<double>(spread, blocks)),
              view.meta.seed + 1);
  sampled();
  float* stream = sample.Train(params.lists, rows, given, shape, progress, context);
  MemoryContextDelete(own);
  return stream;
}

}  // namespace ann::ivf
