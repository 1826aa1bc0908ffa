// An index as its pages are read: meta page, geometry, codec, and where things lie in a slot.
#pragma once

#include "core/ids.hpp"
#include "filter/area.hpp"
#include "format/geometry.hpp"
#include "format/hnsw_format.hpp"
#include "quant/codec.hpp"

#include "am/attributes.hpp"
#include "pg/page.hpp"

namespace ann::hnsw {

// Which codec a code is of: the view's epoch, the one before it, or another, in which case the view
// is older than a re-centring (ReloadFrames).
enum class Frame : uint8_t { kCurrent = 0, kPrevious = 1, kUnknown = 2 };
inline constexpr int kFrames = 2;

struct IndexView {
  Relation rel;
  format::Meta meta;
  format::Geometry geometry;
  filter::AreaLayout attributes;  // none: of no bytes
  quant::Codec codec;             // of meta.epoch
  quant::Codec previous_codec;    // of the epoch before, while codes of it may be left
  uint8_t* recoded;               // memory of InCurrentFrame
  MemoryContext context;
  // Called when the codecs have changed: what was made with them must be made anew.
  void (*reloaded)(void* arg);
  void* reloaded_arg;
  uint32_t links_at;        // in a node slot
  uint32_t upper_links_at;  // in an upper record

  uint32_t max_links() const { return 2u * meta.m; }

  Frame FrameOf(format::LevelEpoch code) const {
    if (code.epoch() == (meta.epoch & format::kEpochMask)) return Frame::kCurrent;
    return meta.recentring != 0 && code.epoch() == ((meta.epoch - 1) & format::kEpochMask)
               ? Frame::kPrevious
               : Frame::kUnknown;
  }
  const quant::Codec& CodecOf(Frame frame) const {
    return frame == Frame::kPrevious ? previous_codec : codec;
  }
  // A code as the view's epoch has it; good until the next call.
  const uint8_t* InCurrentFrame(Frame frame, const uint8_t* coded) const {
    if (frame == Frame::kCurrent) return coded;
    codec.Recode(previous_codec, coded, nullptr, recoded, nullptr);
    return recoded;
  }

  // Slots of a page, by its address in a buffer or in an edit.
  format::NodeSlot* Node(char* page, uint32_t slot) const {
    return reinterpret_cast<format::NodeSlot*>(page + NodeOffset(slot));
  }
  const format::NodeSlot* Node(const char* page, uint32_t slot) const {
    return reinterpret_cast<const format::NodeSlot*>(page + NodeOffset(slot));
  }
  uint32_t NodeOffset(uint32_t slot) const {
    return format::kPageHeaderBytes + slot * meta.slot_bytes;
  }
  uint8_t* Coded(format::NodeSlot* node) const { return reinterpret_cast<uint8_t*>(node + 1); }
  const uint8_t* Coded(const format::NodeSlot* node) const {
    return reinterpret_cast<const uint8_t*>(node + 1);
  }
  NodeId* Links(format::NodeSlot* node) const {
    return reinterpret_cast<NodeId*>(reinterpret_cast<char*>(node) + links_at);
  }
  const NodeId* Links(const format::NodeSlot* node) const {
    return reinterpret_cast<const NodeId*>(reinterpret_cast<const char*>(node) + links_at);
  }

  format::UpperSlot* Upper(char* page, uint32_t slot) const {
    return reinterpret_cast<format::UpperSlot*>(page + UpperOffset(slot));
  }
  uint32_t UpperOffset(uint32_t slot) const {
    return format::kPageHeaderBytes + slot * meta.upper_slot_bytes;
  }
  const format::UpperSlot* Upper(const char* page, uint32_t slot) const {
    return Upper(const_cast<char*>(page), slot);
  }
  uint8_t* Coded(format::UpperSlot* record) const { return reinterpret_cast<uint8_t*>(record + 1); }
  const uint8_t* Coded(const format::UpperSlot* record) const {
    return reinterpret_cast<const uint8_t*>(record + 1);
  }
  RecordId* Links(format::UpperSlot* record) const {
    return reinterpret_cast<RecordId*>(reinterpret_cast<char*>(record) + upper_links_at);
  }
  const RecordId* Links(const format::UpperSlot* record) const {
    return reinterpret_cast<const RecordId*>(reinterpret_cast<const char*>(record) +
                                             upper_links_at);
  }

  format::ChainChunk* Chunk(char* page, uint32_t slot) const {
    return reinterpret_cast<format::ChainChunk*>(page + format::kPageHeaderBytes +
                                                 slot * meta.chunk_bytes);
  }
  const format::ChainChunk* Chunk(const char* page, uint32_t slot) const {
    return Chunk(const_cast<char*>(page), slot);
  }
  // The attributes of a chunk's rows: an area of kChunkTids.
  char* AttributesOf(format::ChainChunk* chunk) const { return reinterpret_cast<char*>(chunk + 1); }
  const char* AttributesOf(const format::ChainChunk* chunk) const {
    return reinterpret_cast<const char*>(chunk + 1);
  }
  // Those of nodes: a column page is an area of geometry.column_nodes().
  bool has_attributes() const { return attributes.count() > 0; }
  char* Column(char* page) const { return page + format::kPageHeaderBytes; }
  const char* Column(const char* page) const { return page + format::kPageHeaderBytes; }
  filter::Row ColumnRow(const char* page, uint32_t index) const {
    return attributes.Get(Column(page), geometry.column_nodes(), index);
  }
  void PutColumnRow(char* page, uint32_t index, const filter::Row& row) const {
    attributes.Put(Column(page), geometry.column_nodes(), index, row);
  }

  uint8_t* Refinement(char* page, uint32_t record) const {
    return reinterpret_cast<uint8_t*>(page) + format::kPageHeaderBytes +
           record * meta.refinement_record_bytes;
  }
  const uint8_t* Refinement(const char* page, uint32_t record) const {
    return Refinement(const_cast<char*>(page), record);
  }

  // Records of auxiliary pages are numbered by block.
  format::Place UpperAt(RecordId id) const {
    return {id / meta.uppers_per_page, id % meta.uppers_per_page};
  }
  format::Place ChunkAt(RecordId id) const {
    return {id / meta.chunks_per_page, id % meta.chunks_per_page};
  }
  RecordId UpperId(format::Place at) const { return at.block * meta.uppers_per_page + at.index; }
  RecordId ChunkId(format::Place at) const { return at.block * meta.chunks_per_page + at.index; }

  quant::Metric metric() const { return codec.params().metric; }
  bool empty() const { return meta.entry == kNoId; }
};

// A page of postings.
inline const format::PostingsHead* PostingsOn(const char* page) {
  return reinterpret_cast<const format::PostingsHead*>(page + format::kPageHeaderBytes);
}
inline format::PostingsHead* PostingsOn(char* page) {
  return const_cast<format::PostingsHead*>(PostingsOn(static_cast<const char*>(page)));
}
inline const format::Posting* EntriesOf(const format::PostingsHead* head) {
  return reinterpret_cast<const format::Posting*>(head + 1);
}
inline format::Posting* EntriesOf(format::PostingsHead* head) {
  return reinterpret_cast<format::Posting*>(head + 1);
}

inline constexpr BlockNumber kMetaBlock = 0;

// A meta page for an index that does not exist yet: layout chosen, nothing stored.
// Errors: 54000 when a node cannot be made to fit a page.
// Sparse vectors: the most entries up to `entries` that a code has room for.
void SetEntries(format::Meta* meta, uint32_t entries);
inline constexpr uint32_t kDefaultEntries = 256;

format::Meta PlanMeta(quant::Metric metric, bool sparse, uint32_t dims,
                      const am::AttributeBytes& attributes, const struct Options& options,
                      uint64_t seed);
// The step of an L1 grid for values of this variance; 0 when it is not a float.
float GridStep(int bits, double variance);
// The codec parameters of an epoch, which is meta's or the one before.
quant::CodecParams ParamsOf(const format::Meta& meta, uint32_t epoch);

// The first block of an epoch's mean.
inline BlockNumber MeanBlock(const format::Meta& meta, uint32_t epoch) {
  return 1 + epoch % 2 * meta.mean_pages;
}

// A view over `meta` and the mean of its epoch (dims floats that outlive it; null: there is none);
// memory for the codec from `context`. No codes of another epoch may be there.
IndexView* MakeView(Relation rel, const format::Meta& meta, const float* mean,
                    MemoryContext context);
// Reads both from the index. Errors: ERRCODE_INDEX_CORRUPTED; 0A000 for a format of another
// release.
IndexView* OpenIndex(Relation rel, MemoryContext context);

// Reads the meta page and the means again, when a code of an unknown epoch was met. No page lock
// may be held. Errors: ERRCODE_INDEX_CORRUPTED when the view knew them already.
void ReloadFrames(IndexView* view);
// Brings a view that is kept for long up to date.
void RefreshFrames(IndexView* view);
// Whether the view's epoch is that of new codes. Locks: the meta page (L1), for the moment of
// reading, under the page (L2, L6) that a code is about to be written to.
bool IsEpochCurrent(const IndexView& view);

// Reads the entry point again: a vacuum may have freed the one that the view was opened with.
void ReloadEntry(IndexView* view);

// The meta page's struct, on a page in a buffer or in an edit.
inline format::Meta* MetaOn(char* page) {
  return reinterpret_cast<format::Meta*>(page + format::kPageHeaderBytes);
}
// Changes the meta page by change(meta), in a record of its own. Locks: the meta page (L1), alone.
template <class Change>
void ChangeMeta(const IndexView& view, Change&& change) {
  const pg::PageRef page =
      pg::ReadPage(view.rel, kMetaBlock, BUFFER_LOCK_EXCLUSIVE, format::PageKind::kMeta);
  pg::PageEdit edit = pg::PageEdit::Begin(view.rel, view.meta);
  change(MetaOn(edit.Edit(page)));
  edit.Finish();
  pg::Release(page);
}
// Whether there may be postings: the first attribute's values can be told apart.
bool MayPost(const format::Meta& meta);
// Checks a meta page. Errors as OpenIndex.
void CheckMeta(Relation rel, const format::Meta& meta);

}  // namespace ann::hnsw
