#include "hnsw/hnsw_postings.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/rng.hpp"

namespace ann::hnsw {

using format::kPostingSlotsPerPage;
using format::kPostingsPerPage;
using format::PageKind;
using format::Posting;
using format::PostingsHead;

namespace {

// A page that is split between two readings is read once more; so often it is damage.
constexpr int kAttempts = 1000;

[[noreturn]] void ReportSlot(const IndexView& view, BlockNumber block) {
  pg::ReportCorrupted(view.rel, block, "a slot of postings leads to a page of others");
}

// L9, alone.
BlockNumber HeadOf(const IndexView& view, uint32_t slot) {
  const pg::PageRef page = pg::ReadPage(view.rel, PostingSlotsBlock(view.meta, slot),
                                        BUFFER_LOCK_SHARE, PageKind::kPostingSlots);
  const BlockNumber head = SlotsOn(page.page)[slot % kPostingSlotsPerPage];
  pg::Release(page);
  return head;
}

// A page of postings. L9.
pg::PageRef ReadPostingsPage(const IndexView& view, BlockNumber block, int lock) {
  if (block >= RelationGetNumberOfBlocks(view.rel)) {
    pg::ReportCorrupted(view.rel, kMetaBlock, "postings lead out of the file");
  }
  const pg::PageRef page = pg::ReadPage(view.rel, block, lock, PageKind::kPostings);
  const PostingsHead* head = PostingsOn(page.page);
  if (head->count > kPostingsPerPage || head->first_slot > head->end_slot ||
      head->end_slot > PostingSlots(view.meta)) {
    pg::ReportCorrupted(view.rel, block, "a page with an impossible number of postings");
  }
  return page;
}

bool Holds(const PostingsHead* head, uint32_t slot) {
  return head->first_slot <= slot && slot < head->end_slot;
}

// The first page of a slot's postings, locked (L9); no page when there are none yet.
pg::PageRef LockHead(const IndexView& view, uint32_t slot, int lock) {
  BlockNumber block = 0;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    block = HeadOf(view, slot);
    if (block == 0) return {};
    const pg::PageRef page = ReadPostingsPage(view, block, lock);
    if (Holds(PostingsOn(page.page), slot)) return page;
    // Split since.
    pg::Release(page);
  }
  ReportSlot(view, block);
}

// Where a page is best split: the first slot of the upper part. Its two halves are as equal as
// slots allow, so that a value of many rows has its page to itself after two splits.
uint32_t SplitAt(const IndexView& view, const PostingsHead* head) {
  uint32_t slots[kPostingsPerPage];
  const uint32_t n = head->count;
  for (uint32_t i = 0; i < n; ++i) slots[i] = PostingSlotOf(view.meta, EntriesOf(head)[i].hash);
  std::nth_element(slots, slots + n / 2, slots + n);
  const uint32_t middle = slots[n / 2];
  const auto below = [&](uint32_t limit) {
    return std::count_if(slots, slots + n, [limit](uint32_t slot) { return slot < limit; });
  };
  const auto off = [&](uint32_t limit) { return std::abs(2 * below(limit) - int64_t{n}); };
  if (middle <= head->first_slot) return head->first_slot + 1;
  if (middle + 1 >= head->end_slot) return middle;
  return off(middle) <= off(middle + 1) ? middle : middle + 1;
}

// Halves a page. Entries of slots from `at` on go to `to`, which is free.
void Split(const IndexView& view, uint32_t at, char* directory, PostingsHead* from,
           BlockNumber to_block, PostingsHead* to) {
  *to = {at, from->end_slot, 0, 0};
  uint32_t kept = 0;
  for (uint32_t i = 0; i < from->count; ++i) {
    const Posting entry = EntriesOf(from)[i];
    const bool moves = PostingSlotOf(view.meta, entry.hash) >= at;
    EntriesOf(moves ? to : from)[moves ? to->count++ : kept++] = entry;
  }
  from->count = kept;
  from->end_slot = at;
  for (uint32_t slot = to->first_slot; slot < to->end_slot; ++slot) {
    SlotsOn(directory)[slot % kPostingSlotsPerPage] = to_block;
  }
}

// The first page hands its entries to a second one: entries are added to the first only.
void Spill(PostingsHead* from, BlockNumber to_block, PostingsHead* to) {
  *to = *from;
  std::memcpy(EntriesOf(to), EntriesOf(from), from->count * sizeof(Posting));
  from->next = to_block;
  from->count = 0;
}

void Begin(uint32_t slot, char* directory, BlockNumber block, PostingsHead* head) {
  const uint32_t first = slot / kPostingSlotsPerPage * kPostingSlotsPerPage;
  *head = {first, first + kPostingSlotsPerPage, 0, 0};
  std::fill_n(SlotsOn(directory), kPostingSlotsPerPage, block);
}

// The pages are locked. `head` null: the directory's page leads nowhere yet.
void WriteRoom(const IndexView& view, uint32_t slot, const pg::PageRef& directory,
               const pg::PageRef& head, const pg::PageRef& free) {
  pg::PageEdit edit = pg::PageEdit::Begin(view.rel, view.meta);
  PostingsHead* to = PostingsOn(edit.Edit(free));
  if (head.page == nullptr) {
    Begin(slot, edit.Edit(directory), free.block, to);
  } else {
    const PostingsHead* old = PostingsOn(static_cast<const char*>(head.page));
    PostingsHead* from = PostingsOn(edit.Edit(head));
    if (old->next == 0 && old->end_slot - old->first_slot > 1) {
      Split(view, SplitAt(view, old), edit.Edit(directory), from, free.block, to);
    } else {
      Spill(from, free.block, to);
    }
  }
  edit.Finish();
}

// Locks: a page of the directory, the first of postings, then the free one (all L9). False: `free`
// is not free any more.
bool UseFreePage(const IndexView& view, uint32_t slot, BlockNumber free_block) {
  const pg::PageRef directory = pg::ReadPage(view.rel, PostingSlotsBlock(view.meta, slot),
                                             BUFFER_LOCK_EXCLUSIVE, PageKind::kPostingSlots);
  const BlockNumber block = SlotsOn(directory.page)[slot % kPostingSlotsPerPage];
  pg::PageRef head{};
  bool done = false;
  if (block != 0) {
    head = ReadPostingsPage(view, block, BUFFER_LOCK_EXCLUSIVE);
    if (!Holds(PostingsOn(head.page), slot)) ReportSlot(view, block);
    // Somebody else, or a vacuum, has made room.
    done = PostingsOn(head.page)->count < kPostingsPerPage;
  }
  if (!done) {
    const pg::PageRef free = ReadPostingsPage(view, free_block, BUFFER_LOCK_EXCLUSIVE);
    done = PostingsOn(free.page)->end_slot == 0;
    if (done) WriteRoom(view, slot, directory, head, free);
    pg::Release(free);
  }
  if (head.page != nullptr) pg::Release(head);
  pg::Release(directory);
  return done;
}

}  // namespace

uint32_t PostingPagesFor(double rows) {
  // A slot for a page that is half full.
  const double slots = rows / (0.5 * kPostingsPerPage);
  return static_cast<uint32_t>(
      std::clamp(std::ceil(slots / kPostingSlotsPerPage), 1.0, double{format::kMaxPostingPages}));
}

uint32_t PostingHash(const filter::Value& value) {
  return static_cast<uint32_t>(Mix64(value.low ^ Mix64(value.high)) >> 32);
}

// L9.
PostingRef LockPosting(const IndexView& view, NodeId node, const filter::Row& row) {
  if (!IsPosted(view, row)) return {};
  PostingRef ref{{}, {PostingHash(row.values[0]), node}, false};
  const pg::PageRef head =
      LockHead(view, PostingSlotOf(view.meta, ref.entry.hash), BUFFER_LOCK_EXCLUSIVE);
  ref.full = head.page == nullptr || PostingsOn(head.page)->count == kPostingsPerPage;
  if (!ref.full) {
    ref.page = head;
  } else if (head.page != nullptr) {
    pg::Release(head);
  }
  return ref;
}

void PutPosting(pg::PageEdit* edit, const PostingRef& ref) {
  if (ref.page.page == nullptr) return;
  PostingsHead* head = PostingsOn(edit->Edit(ref.page));
  EntriesOf(head)[head->count++] = ref.entry;
}

void ReleasePosting(const PostingRef& ref) {
  if (ref.page.page != nullptr) pg::Release(ref.page);
}

void MakePostingRoom(const IndexView& view, uint32_t hash) {
  BlockNumber block;
  do {
    const FreeSlot free = FindRecord(view, PageKind::kPostings);
    block = free.page.block;
    pg::Release(free.page);
  } while (!UseFreePage(view, PostingSlotOf(view.meta, hash), block));
}

bool ReadPostings(const IndexView& view, uint32_t hash, size_t most, NodeList* out) {
  // L9, here and below.
  pg::PageRef page = LockHead(view, PostingSlotOf(view.meta, hash), BUFFER_LOCK_SHARE);
  const BlockNumber blocks = RelationGetNumberOfBlocks(view.rel);
  for (BlockNumber read = 0; page.page != nullptr; ++read) {
    const PostingsHead* head = PostingsOn(page.page);
    for (uint32_t i = 0; i < head->count; ++i) {
      if (EntriesOf(head)[i].hash == hash) out->push_back(EntriesOf(head)[i].node);
    }
    if (head->next == 0 || out->size() > most) break;
    if (read > blocks) pg::ReportCorrupted(view.rel, page.block, "postings run in a circle");
    // The next is locked before this one is let go: a vacuum may move its entries up.
    const pg::PageRef next = ReadPostingsPage(view, head->next, BUFFER_LOCK_SHARE);
    pg::Release(page);
    page = next;
  }
  if (page.page != nullptr) pg::Release(page);
  return out->size() <= most;
}

}  // namespace ann::hnsw
