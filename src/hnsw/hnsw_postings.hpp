// Postings: nodes by the value of the first attribute, so that a few rows of one value are found
// without a look at all others (README, "Postings").
#pragma once

#include "hnsw/hnsw_space.hpp"

#include "core/vec.hpp"
#include "pg/alloc.hpp"

namespace ann::hnsw {

// Pages of the directory that an index of so many rows gets.
uint32_t PostingPagesFor(double rows);

inline bool HasPostings(const IndexView& view) { return view.meta.posting_pages > 0; }
inline uint32_t PostingSlots(const format::Meta& meta) {
  return meta.posting_pages * format::kPostingSlotsPerPage;
}
uint32_t PostingHash(const filter::Value& value);
// Slots are ranges of hashes.
inline uint32_t PostingSlotOf(const format::Meta& meta, uint32_t hash) {
  return static_cast<uint32_t>(uint64_t{hash} * PostingSlots(meta) >> 32);
}
inline BlockNumber PostingSlotsBlock(const format::Meta& meta, uint32_t slot) {
  return 1 + 2 * meta.mean_pages + slot / format::kPostingSlotsPerPage;
}
inline uint32_t* SlotsOn(char* page) {
  return reinterpret_cast<uint32_t*>(page + format::kPageHeaderBytes);
}
// Whether rows of these attributes are posted: nulls are not.
inline bool IsPosted(const IndexView& view, const filter::Row& row) {
  return HasPostings(view) && !row.IsNull(0);
}

// --- writing
// ------------------------------------------------------------------------------------

// Where the entry of a row goes. Nothing, where it needs none.
struct PostingRef {
  pg::PageRef page{};
  format::Posting entry{};
  bool full = false;  // not locked: MakeRoom, then once more
};
// Locks: a page of the directory, then one of postings (L9), returned locked exclusively.
PostingRef LockPosting(const IndexView& view, NodeId node, const filter::Row& row);
void PutPosting(pg::PageEdit* edit, const PostingRef& ref);
void ReleasePosting(const PostingRef& ref);
// Makes room for an entry. No page lock may be held. Locks: L9, in the order of the README.
void MakePostingRoom(const IndexView& view, uint32_t hash);

// --- reading
// ------------------------------------------------------------------------------------

using NodeList = VecOf<NodeId, pg::PgAllocator<std::byte>>;

// Appends the nodes posted under `hash`; some may have such a row no longer, some stand there
// twice. `out` has room for a page's entries beyond `most`. False: there are more than that. Locks:
// L9, two pages at most.
bool ReadPostings(const IndexView& view, uint32_t hash, size_t most, NodeList* out);

}  // namespace ann::hnsw
