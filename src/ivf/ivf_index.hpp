// An index as its pages are read: meta page, frames, directory, and how pages are locked.
#pragma once

#include "filter/area.hpp"
#include "format/ivf_format.hpp"
#include "quant/list_codec.hpp"

#include "ivf/ivf.hpp"
#include "pg/page.hpp"

namespace ann::ivf {

inline constexpr BlockNumber kMetaBlock = 0;

// Zeroed memory at a multiple of 64, as codecs and kernels want it. Goes with its context only.
void* AllocAligned(MemoryContext context, size_t bytes);

// The lists of an epoch: what vectors are coded and compared with. Lives in the backend's cache, to
// the end of the transaction at least. When lists have been split or merged it is brought up to
// date where it is: new lists are added, none changes or goes.
class CentroidCodes;
struct Frame {
  format::IvfFrame shape;
  const float* mean;
  const float* centroids;  // work vectors
  quant::WorkSpace space;
  quant::ListCodec codec;
  CentroidCodes* codes;   // ivf_rank.hpp
  const uint8_t* in_use;  // by slot; null: all lists are

  const float* Centroid(uint32_t list) const { return centroids + size_t{list} * space.dims(); }
  bool IsInUse(uint32_t list) const { return in_use == nullptr || in_use[list] != 0; }
};

// Which of an index's frames a view loads: writers want the one that is being filled, too.
enum class Frames { kInUse, kAll };

// Where the attributes of rows lie. Errors: ERRCODE_INDEX_CORRUPTED is CheckMeta's.
filter::AreaLayout AttributesOf(const format::IvfMeta& meta);

struct IndexView {
  IndexView(Relation index, const format::IvfMeta& m)
      : rel(index), meta(m), layout(meta), attributes(AttributesOf(m)) {}
  IndexView(const IndexView&) = delete;

  Relation rel;
  format::IvfMeta meta;
  format::IvfLayout layout;
  filter::AreaLayout attributes;
  const Frame* frame = nullptr;     // in use
  const Frame* training = nullptr;  // being filled, if one is; null where only kInUse is loaded
  Frames frames = Frames::kAll;

  quant::Metric metric() const { return static_cast<quant::Metric>(meta.metric); }
  // Of the frame in use, as of the last Refresh.
  uint32_t revision() const { return meta.frames[meta.current].revision; }
};

// A meta page for an index that has no pages yet: layout chosen, nothing stored.
// Errors: 54000 when rows cannot be laid out on pages, or there are too many attributes.
format::IvfMeta PlanMeta(Relation index, uint32_t dims, const Options& options);
quant::ListCodecParams CodecParamsOf(const format::IvfMeta& meta, float pq_margin);
// Rows of a block as the codec counts them.
inline uint32_t CodecRows(const format::IvfMeta& meta) {
  switch (meta.code_place) {
    case format::CodePlace::kBlock:
      return meta.block_rows;
    case format::CodePlace::kRows:
      return quant::kBlockRows;
    default:
      return 1;
  }
}

// A frame in memory of `context`. `floats`: the stream of its pages (mean, codebook, centroids),
// and `in_use` (by slot; null: all lists are), must outlive it.
Frame* MakeFrame(const format::IvfMeta& meta, const format::IvfFrame& shape, const float* floats,
                 const uint8_t* in_use, MemoryContext context);
// Where the centroids begin in the stream.
inline size_t FirstCentroid(const format::IvfMeta& meta, const format::IvfFrame& shape) {
  return meta.dims + size_t{shape.codebook_floats};
}
inline size_t FrameFloats(const format::IvfMeta& meta, const format::IvfFrame& shape) {
  return FirstCentroid(meta, shape) + size_t{shape.slots} * meta.dims;
}

// Reads the meta page. Errors: ERRCODE_INDEX_CORRUPTED. Locks: the meta page (L1), alone or under
// a code page (L3).
format::IvfMeta ReadMeta(Relation rel);
// Checks a meta page. Errors: ERRCODE_INDEX_CORRUPTED, also for a format of another release.
void CheckMeta(Relation rel, const format::IvfMeta& meta);
// Opens an index; memory of the view from `context`.
IndexView* OpenIndex(Relation rel, MemoryContext context, Frames frames = Frames::kAll);
// Brings the view up to date. Locks: as ReadMeta, alone.
void Refresh(IndexView* view);
// The same when a page was not of the lists that the view knows: so there are others now.
// Errors: ERRCODE_INDEX_CORRUPTED when there are not.
void RefreshOther(IndexView* view);
uint32_t NewestEpoch(const format::IvfMeta& meta);
// Whether lists that were being trained have ever come into use. Errors: 55006 when that was 64
// epochs ago.
bool WasUsed(Relation rel, const format::IvfMeta& meta, uint32_t epoch);
inline format::IvfMeta* MetaOn(char* page) {
  return reinterpret_cast<format::IvfMeta*>(page + format::kPageHeaderBytes);
}

// A page of any kind of ours that another page names; it may be blank. Errors:
// ERRCODE_INDEX_CORRUPTED, also when the file has no such page.
pg::PageRef ReadInFile(Relation rel, BlockNumber block, int lock,
                       BufferAccessStrategy strategy = nullptr);

// --- directory
struct EntryPlace {
  BlockNumber block;
  uint32_t index;
};
inline EntryPlace EntryAt(const format::IvfFrame& shape, uint32_t list) {
  return {shape.first_block + shape.frame_pages + list / format::kEntriesPerPage,
          list % format::kEntriesPerPage};
}
inline format::ListEntry* EntryOn(char* page, uint32_t index) {
  return reinterpret_cast<format::ListEntry*>(page + format::kPageHeaderBytes) + index;
}
// False: the index has other lists by now. The list need not be in use. Locks: the directory page
// (L2), alone.
bool ReadEntry(Relation rel, const format::IvfFrame& shape, uint32_t list,
               format::ListEntry* entry);
// Whether a page of a directory (or frame) is of these lists.
bool IsPartOf(const char* page, format::PageKind kind, const format::IvfFrame& shape);
inline uint32_t DirectoryPages(uint32_t slots) {
  return static_cast<uint32_t>(DivUp(slots, format::kEntriesPerPage));
}
// The generation that a list of an epoch starts with.
inline uint32_t FirstGeneration(uint32_t epoch) { return epoch << 16; }
// Entries of lists on a frame's i-th directory page; spare slots lie behind them.
inline uint32_t EntriesOn(const format::IvfFrame& shape, uint32_t i) {
  const uint32_t start = std::min(i * format::kEntriesPerPage, shape.lists);
  return std::min(shape.lists - start, format::kEntriesPerPage);
}
// Of a list in use without rows.
inline format::ListEntry EmptyEntry(const format::IvfFrame& shape) {
  format::ListEntry entry{};
  entry.generation = FirstGeneration(shape.epoch);
  entry.state = format::ListState::kInUse;
  return entry;
}

// --- code pages
inline format::SegmentHeader* SegmentOn(char* page) {
  return reinterpret_cast<format::SegmentHeader*>(page + format::kPageHeaderBytes);
}
inline uint32_t* RecordTableOn(const IndexView& view, char* page) {
  return reinterpret_cast<uint32_t*>(page + view.layout.RecordTable());
}
inline format::BlockHeader* BlockOn(const IndexView& view, char* page, uint32_t block) {
  return reinterpret_cast<format::BlockHeader*>(page + view.layout.BlockAt(block));
}
inline format::Tid* TidsOn(const IndexView& view, char* page, uint32_t block) {
  return reinterpret_cast<format::Tid*>(page + view.layout.TidsAt(block));
}
// The area of a block's attributes, of AttributeCapacity(block_rows) rows.
inline char* AttributesOn(const IndexView& view, char* page, uint32_t block) {
  return page + view.layout.AttributesAt(block);
}
inline uint8_t* CodesOn(const IndexView& view, char* page, uint32_t block) {
  return reinterpret_cast<uint8_t*>(page + view.layout.CodesAt(block));
}
// Rows of a block, written ones.
inline uint32_t RowsOfBlock(const IndexView& view, uint32_t rows, uint32_t block) {
  return std::min<uint32_t>(rows - block * view.meta.block_rows, view.meta.block_rows);
}
// Whether a block's codes are in the order that is scanned fast: it is full.
inline bool IsSealed(const IndexView& view, const quant::ListCodec& codec, uint32_t rows_of_block) {
  return view.meta.code_place == format::CodePlace::kBlock && codec.fast_scan() &&
         rows_of_block == view.meta.block_rows;
}

// A row as a list gets it and gives it back.
struct StoredRow {
  format::Tid tid;
  const char* attributes;  // packed: an area of one row
  const uint8_t* code;     // codec.row_bytes()
  const uint8_t* second;   // codec.second_bytes(); null: there is no second stage
};

inline format::RecordsHeader* RecordsOn(char* page) {
  return reinterpret_cast<format::RecordsHeader*>(page + format::kPageHeaderBytes);
}

// Counts the code pages of a chain. Errors: ERRCODE_INDEX_CORRUPTED when there are more than the
// file has pages, which may have grown meanwhile: it runs in a circle.
class ChainGuard {
 public:
  explicit ChainGuard(Relation rel) : ChainGuard(rel, RelationGetNumberOfBlocks(rel)) {}
  // `blocks`: pages that the file had some time ago.
  ChainGuard(Relation rel, BlockNumber blocks) : rel_(rel), most_(blocks) {}
  void Pass(BlockNumber block) {
    if (passed_++ == most_) LookAgain(block);
  }

 private:
  void LookAgain(BlockNumber block);
  Relation rel_;
  BlockNumber passed_ = 0;
  BlockNumber most_;
};

// Whether a page is a code page of this list and generation; else the list has other pages now.
bool IsSegmentOf(const char* page, uint32_t list, uint32_t generation);
// What a code page of a list says of itself. Errors: ERRCODE_INDEX_CORRUPTED.
void CheckSegment(const IndexView& view, const pg::PageRef& page);
// Whether a page holds the records of place `ordinal` of a code page.
bool IsRecordsOf(const char* page, uint32_t list, uint32_t generation, BlockNumber segment,
                 uint32_t ordinal);

// Fills a page that is new to the list. The slot area is empty.
void InitSegment(const IndexView& view, char* page, uint32_t list, uint32_t generation);
void InitRecords(char* page, uint32_t list, uint32_t generation, BlockNumber segment,
                 uint32_t ordinal);

}  // namespace ann::ivf
