#include "hnsw/hnsw_index.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "am/opclass.hpp"
#include "am/vector_column.hpp"
#include "hnsw/hnsw.hpp"
#include "pg/alloc.hpp"

namespace ann::hnsw {

using format::Meta;
using quant::Metric;

namespace {

// Two bits navigate as well as floats from about 256 dimensions up, four below (README, "Planes").
constexpr uint32_t kTwoBitDims = 256;
constexpr int kTotalBits = 8;

int TraversalBits(Metric metric, uint32_t dims, int total) {
  if (quant::IsOfBits(metric)) return 1;
  if (metric == Metric::kL1) return total >= 8 ? 8 : total >= 4 ? 4 : 2;
  return total >= 4 && dims < kTwoBitDims ? 4 : 2;
}

bool TryLayout(Meta* meta, int traversal, int refinement) {
  meta->traversal_bits = static_cast<uint8_t>(traversal);
  meta->refinement_bits = static_cast<uint8_t>(refinement);
  const Metric metric = static_cast<Metric>(format::MetricByte(*meta));
  if (format::IsSparse(*meta)) {
    const uint32_t entries = static_cast<uint32_t>(traversal) * quant::kEntryUnit;
    const bool fits =
        format::PlanLayout(sizeof(quant::SparseFactors), entries * sizeof(uint32_t), 0, meta);
    meta->mean_pages = 0;
    return fits;
  }
  if (quant::IsOfBits(metric)) {
    const bool fits =
        format::PlanLayout(quant::BitFactorBytes(metric), quant::BitCodeBytes(meta->dims), 0, meta);
    meta->mean_pages = 0;
    return fits;
  }
  const size_t code = simd::PlaneBytes(traversal, meta->dims);
  const bool l1 = metric == Metric::kL1, ip = metric == Metric::kInnerProduct;
  const size_t factors = l1 ? sizeof(float) : sizeof(quant::Factors) + (ip ? sizeof(float) : 0);
  size_t refined = 0;
  if (refinement > 0) {
    refined = sizeof(quant::RefinementFactors) +
              simd::PlaneBytes(refinement == 6 ? 4 : refinement, meta->dims) +
              (refinement == 6 ? simd::PlaneBytes(2, meta->dims) : 0);
  }
  return format::PlanLayout(static_cast<uint32_t>(factors), static_cast<uint32_t>(code),
                            static_cast<uint32_t>(refined), meta);
}

// Fewer bits where a slot or a record would not fit a page: refinement first.
bool PlanBits(Meta* meta, int total) {
  const Metric metric = static_cast<Metric>(meta->metric);
  const bool refined = metric != Metric::kL1 && !quant::IsOfBits(metric);
  const int fewest = quant::IsOfBits(metric) ? 1 : 2;
  for (int traversal = TraversalBits(metric, meta->dims, total); traversal >= fewest;
       traversal /= 2) {
    int refinement = !refined ? 0 : std::clamp(total - traversal, 0, 6) / 2 * 2;
    for (; refinement >= 0; refinement -= 2) {
      if (TryLayout(meta, traversal, refinement)) return true;
    }
  }
  return false;
}

quant::Codec MakeCodec(const Meta& meta, uint32_t epoch, const float* mean, MemoryContext context) {
  const quant::CodecParams params = ParamsOf(meta, epoch);
  return quant::Codec(params, mean,
                      pg::AllocZero<char>(context, quant::Codec::MemoryBytes(params)));
}

}  // namespace

void SetEntries(Meta* meta, uint32_t entries) {
  int units = static_cast<int>(std::clamp<size_t>(DivUp(entries, quant::kEntryUnit), 2, 127));
  while (units > 1 && !TryLayout(meta, units, 0)) --units;
}

Meta PlanMeta(Metric metric, bool sparse, uint32_t dims, const am::AttributeBytes& attributes,
              const Options& options, uint64_t seed) {
  Meta meta{};
  meta.magic = format::kMagic;
  meta.version = format::kFormatVersion;
  meta.metric = static_cast<uint8_t>(static_cast<uint8_t>(metric) | (sparse ? format::kSparse : 0));
  meta.dims = dims;
  meta.m = static_cast<uint16_t>(options.m);
  meta.ef_construction = static_cast<uint16_t>(options.ef_construction);
  meta.attribute_count = attributes.count;
  meta.attribute_bytes = attributes.row_bytes;
  std::copy_n(attributes.of, format::kMaxAttributes, meta.attributes);
  meta.seed = seed;
  meta.default_ef = kUncalibratedEf;
  meta.entry = kNoId;
  if (quant::IsOfBits(metric) && options.code_bits != kDefaultCodeBits) {
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                    errmsg("option \"code_bits\" is not for strings of bits"),
                    errdetail("An index keeps them whole.")));
  }
  if (sparse) {
    if (options.code_bits != kDefaultCodeBits) {
      ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                      errmsg("option \"code_bits\" is not for sparse vectors")));
    }
    SetEntries(&meta, kDefaultEntries);
    return meta;
  }
  const int total = options.code_bits == kDefaultCodeBits ? kTotalBits : options.code_bits;
  if (!PlanBits(&meta, total)) {
    ereport(ERROR,
            (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
             errmsg("a node of %u dimensions with m = %d does not fit a page", dims, options.m),
             errhint("Use a smaller m.")));
  }
  return meta;
}

float GridStep(int bits, double variance) {
  // The grid reaches so many standard deviations on each side: beyond it values are clipped.
  const double reach = bits == 8 ? 6.0 : bits == 4 ? 2.5 : 1.5;
  const float step = static_cast<float>(reach * std::sqrt(variance) / (1 << (bits - 1)));
  return std::isfinite(step) ? step : 0;
}

quant::CodecParams ParamsOf(const Meta& meta, uint32_t epoch) {
  return {static_cast<Metric>(format::MetricByte(meta)),
          meta.dims,
          meta.traversal_bits,
          meta.refinement_bits,
          meta.seed,
          meta.l1_step[epoch % 2],
          meta.max_norm[epoch % 2],
          epoch > 0,
          format::IsSparse(meta)};
}

bool MayPost(const Meta& meta) {
  return meta.attribute_count > 0 &&
         format::KindOfAttribute(meta.attributes[0]) != format::AttributeKind::kSignature;
}

namespace {

bool IsTraversal(const Meta& meta) {
  if (format::IsSparse(meta)) return meta.traversal_bits >= 1 && meta.traversal_bits <= 127;
  const Metric metric = static_cast<Metric>(format::MetricByte(meta));
  if (quant::IsOfBits(metric)) return meta.traversal_bits == 1;
  return meta.traversal_bits == 2 || meta.traversal_bits == 4 ||
         (meta.traversal_bits == 8 && metric == Metric::kL1);
}

}  // namespace

void CheckMeta(Relation rel, const Meta& meta) {
  if (meta.magic != format::kMagic) {
    pg::ReportCorrupted(rel, kMetaBlock, "the meta page is not of an ann hnsw index");
  }
  if (!format::IsReadable(meta.version)) {
    ereport(ERROR, (errcode(ERRCODE_INDEX_CORRUPTED),
                    errmsg("index \"%s\" has format version %u, which this release cannot read",
                           RelationGetRelationName(rel), meta.version),
                    errdetail("It reads versions 1, 2 and %u.", format::kFormatVersion),
                    errhint("REINDEX INDEX \"%s\" builds it anew from the table.",
                            RelationGetRelationName(rel))));
  }
  // The layout follows from these; whatever else stands there is damage.
  const bool plausible =
      format::MetricByte(meta) >= 1 &&
      format::MetricByte(meta) <= (format::IsSparse(meta) ? 4 : 6) && meta.dims >= 1 &&
      (format::IsSparse(meta) ||
       meta.dims <= static_cast<uint32_t>(am::MaxDims(static_cast<Metric>(meta.metric)))) &&
      meta.m >= kMinM && meta.m <= kMaxM && IsTraversal(meta) && meta.refinement_bits <= 6 &&
      meta.refinement_bits % 2 == 0 &&
      format::AreAttributes(meta.attributes, meta.attribute_count, meta.attribute_bytes) &&
      meta.entry_level <= 15 && meta.ef_construction >= kMinEfConstruction &&
      meta.ef_construction <= kMaxEfConstruction && meta.default_ef >= 1 &&
      meta.default_ef <= kMaxDefaultEf && meta.calibrated_size <= kMaxCalibratedSize &&
      meta.recentring <= std::min(meta.epoch, 1u) && (meta.mean_pages > 0 || meta.epoch == 0) &&
      meta.posting_pages <= (MayPost(meta) ? format::kMaxPostingPages : 0);
  Meta planned = meta;
  if (!plausible || !TryLayout(&planned, meta.traversal_bits, meta.refinement_bits) ||
      std::memcmp(&planned, &meta, sizeof meta) != 0) {
    pg::ReportCorrupted(rel, kMetaBlock, "the meta page contradicts itself");
  }
  // A column that has lost its dimensions since (ALTER TYPE keeps the index) says nothing.
  const int dims = TupleDescAttr(RelationGetDescr(rel), 0)->atttypmod;
  if (static_cast<Metric>(format::MetricByte(meta)) != am::MetricOf(rel) ||
      format::IsSparse(meta) != (am::ColumnTypeOf(rel) == am::ColumnType::kSparseVector) ||
      (dims > 0 && meta.dims != static_cast<uint32_t>(dims))) {
    pg::ReportCorrupted(rel, kMetaBlock, "metric or dimensions are not the column's");
  }
  const am::AttributeBytes attributes = am::AttributesOf(rel);
  if (std::memcmp(attributes.of, meta.attributes, sizeof meta.attributes) != 0) {
    pg::ReportCorrupted(rel, kMetaBlock, "attributes are not those of the columns");
  }
}

IndexView* MakeView(Relation rel, const Meta& meta, const float* mean, MemoryContext context) {
  IndexView* view = pg::AllocZero<IndexView>(context, 1);
  view->rel = rel;
  view->meta = meta;
  view->geometry = format::Geometry(meta);
  view->attributes = filter::AreaLayout(meta.attributes);
  view->codec = MakeCodec(meta, meta.epoch, mean, context);
  view->context = context;
  view->links_at = static_cast<uint32_t>(
      RoundUp(sizeof(format::NodeSlot) + view->codec.coded_bytes(), sizeof(NodeId)));
  view->upper_links_at = static_cast<uint32_t>(
      RoundUp(sizeof(format::UpperSlot) + view->codec.coded_bytes(), sizeof(RecordId)));
  return view;
}

namespace {

// Locks: the meta page (L1), alone.
Meta ReadMeta(Relation rel) {
  const pg::PageRef page =
      pg::ReadPage(rel, kMetaBlock, BUFFER_LOCK_SHARE, format::PageKind::kMeta);
  const Meta meta = *MetaOn(page.page);
  pg::Release(page);
  return meta;
}

// False: the pages hold the mean of another epoch, the meta page has changed since it was read.
bool ReadMean(Relation rel, const Meta& meta, uint32_t epoch, float* mean) {
  for (uint32_t i = 0; i < meta.mean_pages; ++i) {
    const uint32_t start = i * format::kMeanFloatsPerPage;
    const uint32_t n = std::min(meta.dims - start, format::kMeanFloatsPerPage);
    const pg::PageRef part =
        pg::ReadPage(rel, MeanBlock(meta, epoch) + i, BUFFER_LOCK_SHARE, format::PageKind::kMean);
    std::memcpy(mean + start, part.body(), n * sizeof(float));
    const uint16_t of = pg::TailOf(part.page)->epoch;
    pg::Release(part);
    if (of != static_cast<uint16_t>(epoch)) return false;
  }
  return true;
}

// Reads a meta page and the means that belong to it; means[1] while codes of the epoch before may
// be left. Codes without a mean are all of one epoch.
Meta ReadFrames(Relation rel, MemoryContext context, float* means[kFrames]) {
  // Each failure means that a whole re-centring has begun since the meta page was read.
  constexpr int kAttempts = 10;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const Meta meta = ReadMeta(rel);
    CheckMeta(rel, meta);
    if (meta.mean_pages == 0) return meta;
    means[0] = pg::AllocZero<float>(context, meta.dims);
    if (meta.recentring != 0) means[1] = pg::AllocZero<float>(context, meta.dims);
    if (ReadMean(rel, meta, meta.epoch, means[0]) &&
        (meta.recentring == 0 || ReadMean(rel, meta, meta.epoch - 1, means[1]))) {
      return meta;
    }
  }
  pg::ReportCorrupted(rel, 1, "the mean is not of the index's epoch");
}

void SetPrevious(IndexView* view, const float* mean) {
  if (view->meta.recentring == 0) return;
  view->previous_codec = MakeCodec(view->meta, view->meta.epoch - 1, mean, view->context);
  view->recoded = pg::AllocZero<uint8_t>(view->context, view->codec.coded_bytes());
}

}  // namespace

IndexView* OpenIndex(Relation rel, MemoryContext context) {
  float* means[kFrames] = {};
  const Meta meta = ReadFrames(rel, context, means);
  const BlockNumber entry_block = meta.entry_level == 0
                                      ? format::Geometry(meta).NodeAt(meta.entry).block
                                      : meta.entry / meta.uppers_per_page;
  // Else a file that has lost its end would pass for an index without rows.
  if (meta.entry != kNoId && entry_block >= RelationGetNumberOfBlocks(rel)) {
    pg::ReportCorrupted(rel, kMetaBlock, "the entry point lies outside of the file");
  }
  IndexView* view = MakeView(rel, meta, means[0], context);
  SetPrevious(view, means[1]);
  return view;
}

void ReloadFrames(IndexView* view) {
  const uint32_t epoch = view->meta.epoch;
  float* means[kFrames] = {};
  view->meta = ReadFrames(view->rel, view->context, means);
  if (view->meta.epoch == epoch) {
    pg::ReportCorrupted(view->rel, kMetaBlock, "a code of an epoch that the index does not have");
  }
  view->codec = MakeCodec(view->meta, view->meta.epoch, means[0], view->context);
  SetPrevious(view, means[1]);
  if (view->reloaded != nullptr) view->reloaded(view->reloaded_arg);
}

void RefreshFrames(IndexView* view) {
  const Meta meta = ReadMeta(view->rel);
  if (meta.epoch != view->meta.epoch) {
    ReloadFrames(view);
  } else {
    view->meta.mean_rows = meta.mean_rows;
    view->meta.calibrated_size = meta.calibrated_size;
    view->meta.recentring = meta.recentring;
  }
}

// Locks: the meta page (L1), alone.
bool IsEpochCurrent(const IndexView& view) {
  const pg::PageRef page =
      pg::ReadPage(view.rel, kMetaBlock, BUFFER_LOCK_SHARE, format::PageKind::kMeta);
  const bool current = MetaOn(page.page)->epoch == view.meta.epoch;
  pg::Release(page);
  return current;
}

// Locks: the meta page (L1), alone.
void ReloadEntry(IndexView* view) {
  const pg::PageRef page =
      pg::ReadPage(view->rel, kMetaBlock, BUFFER_LOCK_SHARE, format::PageKind::kMeta);
  view->meta.entry = MetaOn(page.page)->entry;
  view->meta.entry_level = MetaOn(page.page)->entry_level;
  // The re-centring under way when the view was made may have ended.
  if (MetaOn(page.page)->epoch == view->meta.epoch) {
    view->meta.recentring = MetaOn(page.page)->recentring;
  }
  pg::Release(page);
}

}  // namespace ann::hnsw
