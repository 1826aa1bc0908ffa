// What the pages of all access methods have in common. README.md in this folder.
#pragma once

#include <cstddef>
#include <bit>
#include <cstdint>
#include <type_traits>

namespace ann::format {

// What the server fixes; asserted in src/pg/format_check.cpp.
inline constexpr uint32_t kPageSize = 8192;
inline constexpr uint32_t kPageHeaderBytes = 24;

// Versions are powers of two: one flipped bit makes no other of one.
inline constexpr uint16_t kFormatVersion = 4;
constexpr bool IsReadable(uint16_t version) {
  return std::has_single_bit(version) && version <= kFormatVersion;
}
inline constexpr uint16_t kPageId = 0xFFA1;
// What pgvector's hnsw and ivfflat pages have in its place.
inline constexpr uint16_t kPgvectorHnswPageId = 0xFF90, kPgvectorIvfflatPageId = 0xFF84;

enum class PageKind : uint16_t {
  kMeta = 1,  // of any access method
  // hnsw
  kNodes = 2,
  kRefinement = 3,
  kUpper = 4,
  kChain = 5,
  kColumn = 6,
  kMean = 7,
  // A block of an auxiliary stripe that holds nothing yet.
  kSpare = 8,
  kPostings = 9,
  kPostingSlots = 10,
  // ivf
  kFrame = 16,
  kDirectory = 17,
  kCodes = 18,
  kRecords = 19,
  // Of no list: whoever finds it takes it.
  kFree = 20,
};

// The last 8 bytes of every page.
struct PageTail {
  PageKind kind;
  uint16_t version;
  uint16_t epoch;  // of the mean on a page of it; else 0
  uint16_t page_id;
};
static_assert(sizeof(PageTail) == 8 && offsetof(PageTail, page_id) == 6);

inline constexpr uint32_t kPageBody = kPageSize - kPageHeaderBytes - sizeof(PageTail);  // 8160

// A heap TID as the server stores it.
struct Tid {
  uint16_t block_high;
  uint16_t block_low;
  uint16_t offset;
};
static_assert(sizeof(Tid) == 6 && alignof(Tid) == 2);

inline constexpr uint32_t kMeanFloatsPerPage = kPageBody / sizeof(float);

template <class T>
inline constexpr bool kOnDisk = std::is_trivially_copyable_v<T>&& std::is_standard_layout_v<T>;
static_assert(kOnDisk<PageTail> && kOnDisk<Tid>);

}  // namespace ann::format
