#include "ivf/ivf_index.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "am/attributes.hpp"
#include "am/opclass.hpp"
#include "am/vector_column.hpp"
#include "core/rng.hpp"
#include "ivf/ivf_calibrate.hpp"
#include "ivf/ivf_rank.hpp"

#include "pg/alloc.hpp"

namespace ann::ivf {

using format::IvfFrame;
using format::IvfMeta;
using format::PageKind;
using quant::Metric;
using quant::Quantizer;

pg::PageRef ReadInFile(Relation rel, BlockNumber block, int lock, BufferAccessStrategy strategy) {
  if (block >= RelationGetNumberOfBlocks(rel)) {
    pg::ReportCorrupted(rel, block, "there is no such page");
  }
  return pg::ReadAnyPage(rel, block, lock, strategy);
}

void* AllocAligned(MemoryContext context, size_t bytes) {
  char* memory = pg::AllocZero<char>(context, bytes + 64);
  return memory + (64 - reinterpret_cast<uintptr_t>(memory) % 64);
}

namespace {

// Blocks of fewer rows would spend more on what a block has beside its rows.
constexpr uint32_t kFewestBlockRows = 16;

// Chooses rows of a block and what follows; false: they cannot be laid out.
bool PlanSizes(IvfMeta* meta) {
  MemoryContext context =
      AllocSetContextCreate(CurrentMemoryContext, "ann ivf plan", ALLOCSET_SMALL_SIZES);
  const float* mean = pg::AllocZero<float>(context, meta->dims);
  const quant::WorkSpace space(
      static_cast<Metric>(meta->metric), meta->dims, meta->seed, mean,
      pg::AllocZero<char>(context, quant::WorkSpace::MemoryBytes(meta->dims)));
  const quant::ListCodecParams params = CodecParamsOf(*meta, 1);
  void* memory = AllocAligned(context, quant::ListCodec::MemoryBytes(params, meta->dims));
  const uint32_t second = quant::ListCodec(params, &space, mean, 1, memory).second_bytes();
  const auto record_pages = [second](uint32_t rows) -> uint32_t {
    if (second == 0) return 0;
    const uint32_t fit = format::kRecordArea / second;
    return static_cast<uint32_t>(fit > 0 ? DivUp(rows, fit)
                                         : rows * DivUp(second, format::kRecordArea));
  };
  // Whole blocks, else rows one after the other, else a record a row.
  const quant::ListCodec one(params, &space, mean, 1, memory);
  meta->code_place = format::CodePlace::kRecord;
  meta->block_rows = quant::kBlockRows;
  meta->codec_bytes = one.block_bytes();
  for (uint32_t most : {quant::kBlockRows, quant::kBlockRows / 4, 1u}) {
    const uint32_t room = format::CodecRoom(most, meta->attribute_bytes, record_pages(most));
    const uint32_t block = quant::ListCodec::RowsWithin(params, meta->dims, room);
    const uint32_t rows = std::min(block > 0 ? block : room / one.row_bytes(), most);
    if (rows == 0) continue;
    meta->code_place = block > 0 ? format::CodePlace::kBlock : format::CodePlace::kRows;
    meta->block_rows = static_cast<uint16_t>(rows);
    meta->codec_bytes = block > 0
                            ? quant::ListCodec(params, &space, mean, rows, memory).block_bytes()
                            : static_cast<uint32_t>(RoundUp(rows * one.row_bytes(), 4));
    break;
  }
  bool fits = format::PlanIvfLayout(second, meta);
  // Where codes lie row after row, blocks of fewer rows may fill a page better.
  if (fits && meta->code_place == format::CodePlace::kBlock && !one.fast_scan()) {
    for (uint32_t rows = meta->block_rows - 1u; rows >= kFewestBlockRows; --rows) {
      IvfMeta other = *meta;
      other.block_rows = static_cast<uint16_t>(rows);
      other.codec_bytes = quant::ListCodec(params, &space, mean, rows, memory).block_bytes();
      if (format::PlanIvfLayout(second, &other) &&
          other.blocks_per_page * other.block_rows > meta->blocks_per_page * meta->block_rows) {
        *meta = other;
      }
    }
  }
  MemoryContextDelete(context);
  return fits;
}

uint64_t MakeStamp() {
  return Mix64(static_cast<uint64_t>(GetCurrentTimestamp()) ^ uint64_t{MyDatabaseId} << 32 ^
               static_cast<uint64_t>(MyProcPid));
}

}  // namespace

quant::ListCodecParams CodecParamsOf(const IvfMeta& meta, float pq_margin) {
  return {static_cast<Quantizer>(meta.quantizer), meta.second_bits, meta.pq_bits, meta.pq_segments,
          pq_margin};
}

filter::AreaLayout AttributesOf(const IvfMeta& meta) {
  uint8_t attributes[format::kMaxAttributes];
  return format::UnpackAttributes(meta.attributes, attributes) ? filter::AreaLayout(attributes)
                                                               : filter::AreaLayout();
}

IvfMeta PlanMeta(Relation index, uint32_t dims, const Options& options) {
  const Metric metric = am::MetricOf(index);
  if (metric == Metric::kL1 || metric == Metric::kJaccard) {
    const bool l1 = metric == Metric::kL1;
    ereport(ERROR,
            (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
             errmsg("ivf and ivfflat indexes do not support %s distance", l1 ? "L1" : "Jaccard"),
             errhint("Use access method hnsw with operator class %s.",
                     l1 ? "vector_l1_ops" : "bit_jaccard_ops")));
  }
  IvfMeta meta{};
  meta.magic = format::kIvfMagic;
  meta.version = format::kFormatVersion;
  meta.metric = static_cast<uint8_t>(metric);
  meta.quantizer = static_cast<uint8_t>(options.quantizer);
  meta.second_bits = static_cast<uint8_t>(options.second_bits);
  meta.pq_bits = static_cast<uint8_t>(options.pq_bits);
  meta.pq_segments = static_cast<uint16_t>(options.pq_segments);
  meta.dims = dims;
  const am::AttributeBytes attributes = am::AttributesOf(index);
  meta.attribute_count = attributes.count;
  meta.attribute_bytes = attributes.row_bytes;
  meta.attributes = format::PackAttributes(attributes.of);
  // Fixed: the same table gives the same lists, on every machine.
  meta.seed = Mix64(dims);
  meta.stamp = MakeStamp();
  meta.used_epochs = 1;
  if (!PlanSizes(&meta)) {
    ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                    errmsg("codes of %u dimensions do not fit a page", dims),
                    errhint("Use fewer pq_segments, or rerank = heap.")));
  }
  return meta;
}

namespace {

bool HasPlausibleAttributes(const IvfMeta& meta) {
  uint8_t attributes[format::kMaxAttributes];
  return format::UnpackAttributes(meta.attributes, attributes) &&
         format::AreAttributes(attributes, meta.attribute_count, meta.attribute_bytes);
}

}  // namespace

void CheckMeta(Relation rel, const IvfMeta& meta) {
  if (meta.magic != format::kIvfMagic) {
    pg::ReportCorrupted(rel, kMetaBlock, "the meta page is not of an ann ivf index");
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
  const bool pq = meta.quantizer == static_cast<uint8_t>(Quantizer::kPq);
  const bool staged = pq || meta.quantizer == static_cast<uint8_t>(Quantizer::kRabitq);
  const Metric metric = static_cast<Metric>(meta.metric);
  const bool bits = metric == Metric::kHamming;
  const bool plausible =
      meta.metric >= 1 && (meta.metric <= 3 || bits) && meta.quantizer >= 1 &&
      meta.quantizer <= 5 && bits == (meta.quantizer == static_cast<uint8_t>(Quantizer::kBits)) &&
      meta.dims >= 1 && meta.dims <= static_cast<uint32_t>(am::MaxDims(metric)) &&
      meta.second_bits <= (staged ? 8 : 0) && meta.second_bits % 2 == 0 &&
      HasPlausibleAttributes(meta) &&
      (pq ? (meta.pq_bits == 4 || meta.pq_bits == 8) && meta.pq_segments >= 1 &&
                meta.pq_segments <= meta.dims
          : meta.pq_bits == 0 && meta.pq_segments == 0) &&
      meta.training <= 1 && meta.untidy <= 1 && meta.current <= 1;
  IvfMeta planned = meta;
  if (!plausible || !PlanSizes(&planned) || std::memcmp(&planned, &meta, sizeof meta) != 0) {
    pg::ReportCorrupted(rel, kMetaBlock, "the meta page contradicts itself");
  }
  const uint64_t blocks = RelationGetNumberOfBlocks(rel);
  for (uint32_t i = 0; i <= meta.training; ++i) {
    const IvfFrame& shape = meta.frames[meta.current ^ i];
    const size_t codebook =
        pq ? quant::PqCodebookFloats(CodecParamsOf(meta, 1), meta.dims) : size_t{0};
    if (shape.lists < 1 || shape.codebook_floats != codebook ||
        shape.frame_pages != DivUp(FrameFloats(meta, shape), format::kMeanFloatsPerPage) ||
        shape.slots < shape.lists || shape.slots > format::SlotsFor(kMaxLists) ||
        shape.directory_pages != DirectoryPages(shape.slots) || shape.first_block < 1 ||
        shape.patience < kLeastPatience ||
        uint64_t{shape.first_block} + shape.frame_pages + shape.directory_pages > blocks) {
      pg::ReportCorrupted(rel, kMetaBlock, "the lists lie outside of the file");
    }
  }
  // A column that has lost its dimensions since (ALTER TYPE keeps the index) says nothing.
  const int dims = TupleDescAttr(RelationGetDescr(rel), 0)->atttypmod;
  if (metric != am::MetricOf(rel) || (dims > 0 && meta.dims != static_cast<uint32_t>(dims))) {
    pg::ReportCorrupted(rel, kMetaBlock, "metric or dimensions are not the column's");
  }
  if (meta.attributes != format::PackAttributes(am::AttributesOf(rel).of)) {
    pg::ReportCorrupted(rel, kMetaBlock, "the attributes are not those of the columns");
  }
}

uint32_t NewestEpoch(const IvfMeta& meta) {
  return std::max(meta.frames[0].epoch, meta.frames[1].epoch);
}

bool WasUsed(Relation rel, const IvfMeta& meta, uint32_t epoch) {
  const uint32_t age = NewestEpoch(meta) - epoch;
  if (age >= 64) {
    ereport(ERROR, (errcode(ERRCODE_OBJECT_IN_USE),
                    errmsg("index \"%s\" was trained anew too often while a row was added",
                           RelationGetRelationName(rel))));
  }
  return (meta.used_epochs >> age & 1) != 0;
}

// Locks: the meta page (L1), alone or under L3.
IvfMeta ReadMeta(Relation rel) {
  const pg::PageRef page = pg::ReadPage(rel, kMetaBlock, BUFFER_LOCK_SHARE, PageKind::kMeta);
  const IvfMeta meta = *MetaOn(page.page);
  pg::Release(page);
  return meta;
}

Frame* MakeFrame(const IvfMeta& meta, const IvfFrame& shape, const float* floats,
                 const uint8_t* in_use, MemoryContext context) {
  Frame* frame = pg::Construct<Frame>(pg::AllocZero<Frame>(context, 1));
  frame->shape = shape;
  frame->mean = floats;
  frame->centroids = floats + FirstCentroid(meta, shape);
  frame->in_use = in_use;
  frame->space = quant::WorkSpace(static_cast<Metric>(meta.metric), meta.dims, meta.seed, floats,
                                  AllocAligned(context, quant::WorkSpace::MemoryBytes(meta.dims)));
  const quant::ListCodecParams params = CodecParamsOf(meta, shape.pq_margin);
  frame->codec =
      quant::ListCodec(params, &frame->space, floats + meta.dims, CodecRows(meta),
                       AllocAligned(context, quant::ListCodec::MemoryBytes(params, meta.dims)));
  frame->codes = pg::Construct<CentroidCodes>(pg::AllocZero<CentroidCodes>(context, 1), context);
  return frame;
}

// --- the cache of frames
// --------------------------------------------------------------------------

namespace {

// Frames stay in the backend's memory from one transaction to the next, up to this much in all. A
// larger one goes at the end of the transaction. Whoever has a frame holds nothing: what the
// transaction under way has used stays to its end, which no scan and no statement outlives.
constexpr size_t kCacheBytes = size_t{256} << 20;

struct Cached {
  Cached* next;
  Oid index;
  IvfMeta meta;  // as it was checked last
  pg::RelationFile file;
  Frame* frame;
  float* stream;
  uint8_t* lists_in_use;
  MemoryContext context;
  size_t bytes;   // all that it takes
  bool in_use;    // by the transaction under way
  bool doubtful;  // the index has changed, or is gone, since it was looked at
};

Cached* cache;  // the latest first

size_t CacheLimit() { return pg::LimitOf(kCacheBytes); }

void Drop(Cached** at) {
  Cached* entry = *at;
  *at = entry->next;
  MemoryContextDelete(entry->context);
}

// Drops what `condition` is true of and no transaction uses.
template <class Condition>
void DropIf(Condition&& condition) {
  for (Cached** at = &cache; *at != nullptr;) {
    if (!(*at)->in_use && condition(**at)) {
      Drop(at);
    } else {
      at = &(*at)->next;
    }
  }
}

// Drops the least recent frames until `bytes` more fit. Where these are beyond all limits, the
// others stay.
void MakeRoom(size_t bytes) {
  const size_t limit = CacheLimit();
  if (bytes > limit) return;
  size_t taken = bytes;
  for (const Cached* entry = cache; entry != nullptr; entry = entry->next) {
    if (entry->in_use && entry->bytes <= limit) taken += entry->bytes;
  }
  DropIf([limit, &taken](const Cached& entry) {
    if (taken + entry.bytes > limit) return true;
    taken += entry.bytes;
    return false;
  });
}

void EndTransaction(XactEvent event, void*) {
  switch (event) {
    case XACT_EVENT_PRE_COMMIT:
    case XACT_EVENT_PARALLEL_PRE_COMMIT:
    case XACT_EVENT_PRE_PREPARE:
      return;
    default:
      break;
  }
  for (Cached* entry = cache; entry != nullptr; entry = entry->next) {
    // Scans may have added to what a frame holds.
    if (entry->in_use) entry->bytes = MemoryContextMemAllocated(entry->context, true);
    entry->in_use = false;
  }
  DropIf([](const Cached& entry) { return entry.doubtful; });
  MakeRoom(0);
}

// An index was dropped, built anew, or something else has changed about it.
void Doubt(Datum, Oid relation) {
  const auto concerned = [relation](const Cached& entry) {
    return relation == InvalidOid || relation == entry.index;
  };
  for (Cached* entry = cache; entry != nullptr; entry = entry->next) {
    if (concerned(*entry)) entry->doubtful = true;
  }
  DropIf(concerned);
}

void StartCache() {
  static bool started;
  if (started) return;
  started = true;
  RegisterXactCallback(EndTransaction, nullptr);
  CacheRegisterRelcacheCallback(Doubt, Datum{0});
}

bool IsOf(const Cached& entry, Relation rel) {
  const pg::RelationFile file = pg::FileOf(rel);
  return entry.index == RelationGetRelid(rel) && memcmp(&entry.file, &file, sizeof file) == 0;
}

// Frames that the index has had before.
void DropFormer(Relation rel, const IvfMeta& meta) {
  DropIf([rel, &meta](const Cached& entry) {
    return IsOf(entry, rel) && (entry.meta.stamp != meta.stamp ||
                                entry.frame->shape.epoch < meta.frames[meta.current].epoch);
  });
}

// Reads floats [from, to) of a frame's stream. False: its pages are of another epoch by now. Locks:
// the frame's pages (L4), one at a time.
bool ReadStream(Relation rel, const IvfFrame& shape, float* floats, size_t from, size_t to) {
  for (size_t at = from; at < to;) {
    CHECK_FOR_INTERRUPTS();
    const size_t i = at / format::kMeanFloatsPerPage, skip = at % format::kMeanFloatsPerPage;
    const size_t n = std::min<size_t>(to - at, format::kMeanFloatsPerPage - skip);
    const pg::PageRef page =
        ReadInFile(rel, shape.first_block + static_cast<uint32_t>(i), BUFFER_LOCK_SHARE);
    const bool right = IsPartOf(page.page, PageKind::kFrame, shape);
    if (right) std::memcpy(floats + at, page.body() + skip * sizeof(float), n * sizeof(float));
    pg::Release(page);
    if (!right) return false;
    at += n;
  }
  return std::all_of(floats + from, floats + to, [](float x) { return std::isfinite(x); });
}

// Which lists of a frame were in use at its revision: what was retired since is left in, so that
// who comes to it learns that there are others. False: the pages are of another epoch by now.
// Locks: the directory (L2), one page at a time.
bool ReadStates(Relation rel, const IvfFrame& shape, uint8_t* in_use) {
  pg::StopPoint("frame.states");
  for (uint32_t start = 0; start < shape.lists; start += format::kEntriesPerPage) {
    const pg::PageRef page = ReadInFile(rel, EntryAt(shape, start).block, BUFFER_LOCK_SHARE);
    const bool right = IsPartOf(page.page, PageKind::kDirectory, shape);
    const uint32_t n = std::min(shape.lists - start, format::kEntriesPerPage);
    for (uint32_t i = 0; right && i < n; ++i) {
      const format::ListEntry& entry = *EntryOn(page.page, i);
      in_use[start + i] =
          entry.state == format::ListState::kInUse || entry.revision > shape.revision;
    }
    pg::Release(page);
    if (!right) return false;
  }
  return true;
}

// Reads what lists have come to a frame, and which have left it. `shape`: as it is now.
bool ReadChanges(Relation rel, const IvfMeta& meta, const IvfFrame& shape, Cached* entry) {
  Frame& frame = *entry->frame;
  const size_t first = FirstCentroid(meta, shape);
  if (!ReadStream(rel, shape, entry->stream, first + size_t{frame.shape.lists} * meta.dims,
                  first + size_t{shape.lists} * meta.dims) ||
      !ReadStates(rel, shape, entry->lists_in_use)) {
    return false;
  }
  frame.shape = shape;
  return true;
}

// Whether these are shapes of one frame, as far as it ever was.
bool IsSameFrame(const IvfFrame& a, const IvfFrame& b) {
  return a.epoch == b.epoch && a.first_block == b.first_block && a.slots == b.slots &&
         a.lists <= b.lists && a.revision <= b.revision;
}

// The cached frame, which becomes the latest; null: there is none.
const Frame* FindFrame(Relation rel, const IvfMeta& meta, const IvfFrame& shape) {
  for (Cached** at = &cache; *at != nullptr; at = &(*at)->next) {
    Cached* entry = *at;
    if (!IsOf(*entry, rel) || entry->meta.stamp != meta.stamp ||
        !IsSameFrame(entry->frame->shape, shape)) {
      continue;
    }
    entry->in_use = true;
    if (entry->frame->shape.revision != shape.revision && !ReadChanges(rel, meta, shape, entry)) {
      return nullptr;
    }
    entry->doubtful = false;
    entry->meta = meta;
    *at = entry->next;
    entry->next = cache;
    cache = entry;
    return entry->frame;
  }
  return nullptr;
}

// A frame from the cache, or read into it; null: it is not the index's any more.
const Frame* LoadFrame(Relation rel, const IvfMeta& meta, const IvfFrame& shape) {
  DropFormer(rel, meta);
  if (const Frame* found = FindFrame(rel, meta, shape)) return found;
  StartCache();
  const size_t floats = FrameFloats(meta, shape);
  // What the frame will make of its centroids when it is used often is counted from the start.
  const size_t codes = CentroidCodes::Bytes(shape.slots, meta.dims);
  MakeRoom(floats * sizeof(float) + codes);
  // Until it is complete it is the statement's.
  MemoryContext context =
      AllocSetContextCreate(CurrentMemoryContext, "ann ivf lists", ALLOCSET_SMALL_SIZES);
  float* stream = pg::AllocZero<float>(context, floats);
  uint8_t* in_use = pg::AllocZero<uint8_t>(context, shape.slots);
  if (!ReadStream(rel, shape, stream, 0,
                  FirstCentroid(meta, shape) + size_t{shape.lists} * meta.dims) ||
      !ReadStates(rel, shape, in_use)) {
    MemoryContextDelete(context);
    return nullptr;
  }
  Cached* entry = pg::AllocZero<Cached>(context, 1);
  entry->index = RelationGetRelid(rel);
  entry->meta = meta;
  entry->file = pg::FileOf(rel);
  entry->frame = MakeFrame(meta, shape, stream, in_use, context);
  entry->stream = stream;
  entry->lists_in_use = in_use;
  entry->context = context;
  entry->bytes = MemoryContextMemAllocated(context, true) + codes;
  entry->in_use = true;
  MemoryContextSetParent(context, CacheMemoryContext);
  entry->next = cache;
  cache = entry;
  return entry->frame;
}

// Whether a meta page that says the same has been checked: planning the layout takes microseconds.
// Its last fields may differ.
bool WasChecked(Relation rel, const IvfMeta& meta) {
  for (const Cached* entry = cache; entry != nullptr; entry = entry->next) {
    if (IsOf(*entry, rel) && std::memcmp(&entry->meta, &meta, offsetof(IvfMeta, row_count)) == 0) {
      return true;
    }
  }
  return false;
}

}  // namespace

void Refresh(IndexView* view) {
  // Each failure means that lists were trained anew since the meta page was read.
  constexpr int kAttempts = 10;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    view->meta = ReadMeta(view->rel);
    if (!WasChecked(view->rel, view->meta)) CheckMeta(view->rel, view->meta);
    view->attributes = AttributesOf(view->meta);
    const IvfMeta& meta = view->meta;
    view->frame = LoadFrame(view->rel, meta, meta.frames[meta.current]);
    const bool both = meta.training != 0 && view->frames == Frames::kAll;
    view->training = both ? LoadFrame(view->rel, meta, meta.frames[1 - meta.current]) : nullptr;
    if (view->frame != nullptr && (view->training != nullptr || !both)) return;
  }
  pg::ReportCorrupted(view->rel, view->meta.frames[view->meta.current].first_block,
                      "the centroids are not of the index");
}

void RefreshOther(IndexView* view) {
  const IvfMeta before = view->meta;
  Refresh(view);
  const IvfMeta& now = view->meta;
  if (std::memcmp(now.frames, before.frames, sizeof now.frames) == 0 &&
      now.current == before.current && now.training == before.training) {
    pg::ReportCorrupted(view->rel, before.frames[before.current].first_block,
                        "a page of the lists in use is not theirs");
  }
}

IndexView* OpenIndex(Relation rel, MemoryContext context, Frames frames) {
  IndexView* view =
      pg::Construct<IndexView>(MemoryContextAllocZero(context, sizeof(IndexView)), rel, IvfMeta{});
  view->frames = frames;
  Refresh(view);
  return view;
}

// --- pages of lists ----------------------------------------------------------------------------

bool IsPartOf(const char* page, PageKind kind, const IvfFrame& shape) {
  return !pg::IsBlank(page) && pg::KindOf(page) == kind &&
         pg::TailOf(page)->epoch == static_cast<uint16_t>(shape.epoch);
}

// Locks: the directory page (L2), alone.
bool ReadEntry(Relation rel, const IvfFrame& shape, uint32_t list, format::ListEntry* entry) {
  const EntryPlace at = EntryAt(shape, list);
  const pg::PageRef page = ReadInFile(rel, at.block, BUFFER_LOCK_SHARE);
  const bool right = IsPartOf(page.page, PageKind::kDirectory, shape);
  if (right) *entry = *EntryOn(page.page, at.index);
  pg::Release(page);
  return right;
}

void ChainGuard::LookAgain(BlockNumber block) {
  most_ = RelationGetNumberOfBlocks(rel_);
  if (passed_ > most_) pg::ReportCorrupted(rel_, block, "a list runs in a circle");
}

bool IsSegmentOf(const char* page, uint32_t list, uint32_t generation) {
  if (pg::IsBlank(page) || pg::KindOf(page) != PageKind::kCodes) return false;
  const format::SegmentHeader* segment = SegmentOn(const_cast<char*>(page));
  return segment->list == list && segment->generation == generation && segment->closed == 0;
}

void CheckSegment(const IndexView& view, const pg::PageRef& page) {
  const format::SegmentHeader* segment = SegmentOn(page.page);
  if (segment->rows > view.layout.segment_rows()) {
    pg::ReportCorrupted(view.rel, page.block, "a code page holds more rows than fit");
  }
}

bool IsRecordsOf(const char* page, uint32_t list, uint32_t generation, BlockNumber segment,
                 uint32_t ordinal) {
  if (pg::IsBlank(page) || pg::KindOf(page) != PageKind::kRecords) return false;
  const format::RecordsHeader* records = RecordsOn(const_cast<char*>(page));
  return records->list == list && records->generation == generation &&
         records->segment == segment && records->ordinal == ordinal;
}

void InitSegment(const IndexView& view, char* page, uint32_t list, uint32_t generation) {
  pg::InitPage(page, PageKind::kCodes, view.layout.SegmentEnd(0) - format::kPageHeaderBytes);
  *SegmentOn(page) = {list, generation, 0, 0, 0};
}

void InitRecords(char* page, uint32_t list, uint32_t generation, BlockNumber segment,
                 uint32_t ordinal) {
  pg::InitPage(page, PageKind::kRecords, sizeof(format::RecordsHeader));
  *RecordsOn(page) = {list, generation, segment, ordinal};
}

}  // namespace ann::ivf
