// A vacuum's way through the pages of an index.
#pragma once

#include <cstring>

#include "core/visited.hpp"
#include "hnsw/hnsw_space.hpp"

#include "pg/alloc.hpp"

namespace ann::hnsw {

using IdSet = VisitedSet<pg::PgAllocator<std::byte>>;

// The pages of an index one after the other, each as a copy made under a share lock: what is looked
// at for long, or beside calls that may raise errors, is not looked at under a lock.
class PageTour {
 public:
  PageTour(const IndexView& view, BufferAccessStrategy strategy, MemoryContext context)
      : view_(view), strategy_(strategy), image_(pg::AllocZero<char>(context, format::kPageSize)) {}

  // The copy that CopyPage made last.
  char* image() { return image_; }
  const char* image() const { return image_; }

  // Calls visit(block) for all places of node pages, to the file's end as it then is; no page is
  // locked, and the vacuum may be cancelled there.
  template <class Visit>
  void ForNodePages(Visit&& visit) {
    ForStripes(false, [&](BlockNumber block) {
      if (view_.geometry.PartAt(block).kind == format::StripePart::kNodes) visit(block);
    });
  }
  // The same for the blocks of auxiliary stripes.
  template <class Visit>
  void ForAuxiliaryPages(Visit&& visit) {
    ForStripes(true, visit);
  }

  // Copies a page to image(). Returns its kind; kSpare for a blank page. Locks: the page (L2, L4 or
  // L6), alone.
  format::PageKind CopyPage(BlockNumber block) {
    const pg::PageRef page = pg::ReadAnyPage(view_.rel, block, BUFFER_LOCK_SHARE, strategy_);
    const format::PageKind kind =
        pg::IsBlank(page.page) ? format::PageKind::kSpare : pg::KindOf(page.page);
    std::memcpy(image_, page.page, format::kPageSize);
    pg::Release(page);
    return kind;
  }

  // The id of a node page's first slot.
  NodeId FirstId(BlockNumber block) const {
    return view_.geometry.PartAt(block).ordinal * view_.meta.slots_per_page;
  }

 private:
  template <class Visit>
  void ForStripes(bool auxiliary, Visit&& visit) {
    BlockNumber blocks = RelationGetNumberOfBlocks(view_.rel);
    const auto exists = [&](BlockNumber block) {
      return block < blocks || block < (blocks = RelationGetNumberOfBlocks(view_.rel));
    };
    for (uint32_t stripe = 0; exists(view_.geometry.StripeStart(stripe)); ++stripe) {
      const BlockNumber start = view_.geometry.StripeStart(stripe);
      if (IsAuxiliaryStripe(view_, start) != auxiliary) continue;
      for (BlockNumber block = start; block < start + view_.geometry.stripe_pages(); ++block) {
        if (!exists(block)) break;
        pg::VacuumDelay();
        visit(block);
      }
    }
  }

  const IndexView& view_;
  BufferAccessStrategy strategy_;
  char* image_;
};

}  // namespace ann::hnsw
