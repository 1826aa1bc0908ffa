// Where things lie in an hnsw index: sizes chosen once for an index, and the arithmetic from ids to
// blocks (README.md). Blocks are the server's block numbers.
#pragma once

#include <cstdint>

#include "core/ids.hpp"
#include "core/sizes.hpp"
#include "format/hnsw_format.hpp"

namespace ann::format {

struct Place {
  uint32_t block;
  uint32_t index;  // slot or record within the page
};

enum class StripePart : uint8_t { kColumn, kNodes, kRefinement };

// Chooses sizes and stripe for an index and writes them to `meta`, whose metric, bits, dims, m and
// attribute_bytes are set. `factor_bytes`, `code_bytes`, `refinement_bytes` (0: no such plane) come
// from the codec. False: a slot or record does not fit a page.
bool PlanLayout(uint32_t factor_bytes, uint32_t code_bytes, uint32_t refinement_bytes, Meta* meta);

// Rows of attributes that a column page holds: a multiple of 8.
uint32_t ColumnNodes(uint32_t attribute_bytes);

// Bytes that the slots of a page of `kind` take, of an index laid out as `meta` says.
uint32_t BodyBytes(const Meta& meta, PageKind kind);
// Bytes of one of them; 0: the page is not made of slots.
uint32_t SlotBytes(const Meta& meta, PageKind kind);
// Whether the slots of a page may end at byte `lower` of it: behind the last one, or behind any
// that only free slots follow which never held anything, so are all zeros.
bool MaySlotsEndAt(const Meta& meta, PageKind kind, const char* page, uint32_t lower);

class Geometry {
 public:
  Geometry() = default;
  explicit Geometry(const Meta& meta);

  uint32_t first_stripe() const { return first_stripe_; }
  uint32_t stripe_pages() const { return stripe_pages_; }
  uint32_t slots_per_page() const { return slots_.divisor(); }

  Place NodeAt(NodeId id) const {
    uint32_t page = slots_.Quotient(id);
    return {NodeBlock(page), id - page * slots_.divisor()};
  }
  // Of the `page`-th node page, counted over all node stripes' places.
  uint32_t NodeBlock(uint32_t page) const {
    uint32_t stripe = node_pages_.Quotient(page);
    uint32_t j = page - stripe * node_pages_.divisor();
    return StripeStart(stripe) + column_pages_ + j + RefinementsBefore(j);
  }
  Place RefinementAt(NodeId id) const;
  // The row of a column page that is the node's. There are attributes.
  Place ColumnAt(NodeId id) const {
    const uint32_t per_stripe = node_pages_.divisor() * slots_.divisor();
    const uint32_t stripe = node_pages_.Quotient(slots_.Quotient(id));
    const uint32_t o = id - stripe * per_stripe;
    const uint32_t page = column_nodes_.Quotient(o);
    return {StripeStart(stripe) + page, o - page * column_nodes_.divisor()};
  }
  // Nodes whose attributes a column page holds, and the first of those of the `ordinal`-th of a
  // stripe's column pages.
  uint32_t column_nodes() const { return column_nodes_.divisor(); }
  uint32_t column_pages() const { return column_pages_; }
  NodeId FirstOfColumn(uint32_t stripe, uint32_t ordinal) const {
    return FirstOfStripe(stripe) + ordinal * column_nodes();
  }
  NodeId FirstOfStripe(uint32_t stripe) const {
    return stripe * node_pages_.divisor() * slots_.divisor();
  }

  // Inverse: what lies at `block` of a node stripe. `ordinal`: of a node page, its number over all
  // stripes (first node id / slots_per_page); else the number within the stripe.
  struct Part {
    StripePart kind;
    uint32_t ordinal;
  };
  Part PartAt(uint32_t block) const;
  // Blocks before the stripes (meta, mean) have none.
  bool InStripes(uint32_t block) const { return block >= first_stripe_; }
  uint32_t StripeOf(uint32_t block) const { return stripe_.Quotient(block - first_stripe_); }
  uint32_t StripeStart(uint32_t stripe) const { return first_stripe_ + stripe * stripe_pages_; }
  // The ids of a file of `blocks` blocks, as if all its stripes were node stripes, are below this.
  NodeId IdLimit(uint32_t blocks) const;

 private:
  // The last node page of a stripe at or before `offset`, counted without column pages.
  uint32_t NodePageUpTo(uint32_t offset) const;
  uint32_t RefinementsBefore(uint32_t j) const {
    return refinements_per_page_ == 0
               ? 0
               : (j * slots_.divisor() + refinements_per_page_ - 1) / refinements_per_page_;
  }

  uint32_t first_stripe_ = 0;
  uint32_t stripe_pages_ = 1;
  uint32_t column_pages_ = 0;
  uint32_t refinements_per_page_ = 0;
  FastDivisor slots_;
  FastDivisor node_pages_;
  FastDivisor stripe_;
  FastDivisor column_nodes_;
};

}  // namespace ann::format
