// The structs of an hnsw index's pages. README.md in this folder has them as tables.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/ids.hpp"
#include "format/attribute_bytes.hpp"
#include "format/page_format.hpp"

namespace ann::format {

inline constexpr uint32_t kMagic = 0x4E4E4148;  // "HANN"

enum class SlotState : uint8_t { kFree = 0, kLive = 1, kDead = 2 };

// A node's level and the epoch of its code (Meta::epoch), in one byte beside the slot's state.
inline constexpr uint8_t kMaxLevel = 15;
inline constexpr uint32_t kEpochMask = 15;
struct LevelEpoch {
  uint8_t packed;
  uint8_t level() const { return packed & kMaxLevel; }
  uint8_t epoch() const { return packed >> 4; }
  static LevelEpoch Of(uint32_t level, uint32_t epoch) {
    return {static_cast<uint8_t>(level | (epoch & kEpochMask) << 4)};
  }
};

struct NodeSlot {
  SlotState state;
  LevelEpoch code;
  uint16_t version;
  Tid tid;
  uint16_t neighbour_count;
  RecordId chain;
  uint32_t hash_low;
  uint32_t hash_high;

  uint8_t level() const { return code.level(); }
  uint64_t hash() const { return uint64_t{hash_high} << 32 | hash_low; }
  void set_hash(uint64_t h) {
    hash_low = static_cast<uint32_t>(h);
    hash_high = static_cast<uint32_t>(h >> 32);
  }
};
static_assert(sizeof(NodeSlot) == 24 && alignof(NodeSlot) == 4);
static_assert(offsetof(NodeSlot, tid) == 4 && offsetof(NodeSlot, neighbour_count) == 10 &&
              offsetof(NodeSlot, chain) == 12 && offsetof(NodeSlot, hash_low) == 16);

struct UpperSlot {
  SlotState state;
  LevelEpoch code;
  uint16_t version;
  NodeId node;
  RecordId down;
  uint32_t neighbour_count;

  uint8_t level() const { return code.level(); }
};
static_assert(sizeof(UpperSlot) == 16 && alignof(UpperSlot) == 4);
static_assert(offsetof(UpperSlot, node) == 4 && offsetof(UpperSlot, down) == 8);

inline constexpr uint32_t kChunkTids = 8;
struct ChainChunk {
  NodeId node;
  RecordId next;
  uint8_t count;
  uint8_t unused[3];
  Tid tids[kChunkTids];
};
// Then come the attributes of these rows, in an area of kChunkTids.
static_assert(sizeof(ChainChunk) == 60 && offsetof(ChainChunk, tids) == 12);

// A page of postings: nodes by the hash of the first attribute's value. Free when it has no slots.
struct PostingsHead {
  uint32_t first_slot;
  uint32_t end_slot;
  uint32_t next;  // block of the next page of these slots, or 0
  uint32_t count;
};
struct Posting {
  uint32_t hash;
  NodeId node;
};
inline constexpr uint32_t kPostingsPerPage = (kPageBody - sizeof(PostingsHead)) / sizeof(Posting);
// Of the directory: blocks of postings' first pages.
inline constexpr uint32_t kPostingSlotsPerPage = kPageBody / sizeof(uint32_t);
inline constexpr uint32_t kMaxPostingPages = 64;
static_assert(sizeof(PostingsHead) == 16 && offsetof(PostingsHead, next) == 8 &&
              sizeof(Posting) == 8 && offsetof(Posting, node) == 4 && kPostingsPerPage == 1018);

// Block 0. All up to `seed` is frozen when the index is built.
struct Meta {
  uint32_t magic;
  uint16_t version;
  uint8_t metric;          // quant::Metric, and kSparse
  uint8_t traversal_bits;  // bits a dimension in the node slot
  uint8_t refinement_bits;
  uint8_t attribute_count;
  uint16_t m;
  uint16_t ef_construction;
  uint16_t attribute_bytes;  // of one row: values, nulls, marks
  uint32_t dims;
  uint16_t slot_bytes;
  uint16_t slots_per_page;
  uint16_t refinement_record_bytes;
  uint16_t refinements_per_page;
  uint16_t upper_slot_bytes;
  uint16_t uppers_per_page;
  uint16_t chunk_bytes;
  uint16_t chunks_per_page;
  uint16_t mean_pages;  // of one mean; there are two
  uint16_t node_pages;
  uint16_t refinement_pages;
  uint16_t column_pages;
  uint8_t attributes[kMaxAttributes];  // format/attribute_bytes.hpp
  uint64_t seed;
  // Codes belong to an epoch: a mean and what follows here. Those of epoch e are numbered e % 2.
  float l1_step[2];     // grid step of the L1 code
  float max_norm[2];    // largest norm under inner product
  uint32_t epoch;       // of new codes
  uint16_t default_ef;  // ef_search that suits this index while the user has set none
  // Nodes that it was found for: 256 times the logarithm to base 2; 0: not known.
  uint16_t calibrated_size;
  // What inserts and vacuum change. kNoId, level 0: the index is empty.
  RecordId entry;  // a record of `entry_level`; a node id when that is 0
  uint32_t entry_level;
  uint32_t upper_hint;  // blocks that may have room, or 0
  uint32_t chain_hint;
  uint32_t spare_hint;     // the first spare block of an auxiliary stripe, or 0
  uint16_t recentring;     // 1: codes of epoch - 1 may be left
  uint16_t posting_pages;  // of the directory of postings; 0: the index has none. Frozen
  uint32_t node_count;     // as of the last build or vacuum
  uint32_t posting_hint;   // block of a page of postings that may be free, or 0
  uint64_t row_count;
  uint64_t mean_rows;  // that the mean of the epoch stands for
};
// In Meta::metric: the vectors are sparse. Then traversal_bits says how many entries a code has
// room for (quant::kEntryUnit times as many).
inline constexpr uint8_t kSparse = 0x80;
constexpr bool IsSparse(const Meta& meta) { return (meta.metric & kSparse) != 0; }
constexpr uint8_t MetricByte(const Meta& meta) { return meta.metric & ~kSparse; }
static_assert(sizeof(Meta) == 136 && alignof(Meta) == 8);
static_assert(offsetof(Meta, dims) == 16 && offsetof(Meta, attributes) == 44 &&
              offsetof(Meta, seed) == 56 && offsetof(Meta, entry) == 88 &&
              offsetof(Meta, recentring) == 108 && offsetof(Meta, posting_pages) == 110 &&
              offsetof(Meta, node_count) == 112 && offsetof(Meta, posting_hint) == 116);

static_assert(kOnDisk<NodeSlot> && kOnDisk<UpperSlot> && kOnDisk<ChainChunk> && kOnDisk<Meta> &&
              kOnDisk<PostingsHead> && kOnDisk<Posting>);

}  // namespace ann::format
