#include "format/geometry.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace ann::format {

namespace {

// Pages of a node stripe that rounding may waste: 1 in 50.
constexpr double kMaxWaste = 0.02;
constexpr uint32_t kMaxNodePages = 256;
// Bytes that attributes may add to a row beside their own, by what of pages stays unused.
constexpr double kMaxColumnSlack = 5;

uint32_t RefinementPages(const Meta& meta, uint32_t a) {
  const uint32_t r = meta.refinements_per_page;
  return r == 0 ? 0 : static_cast<uint32_t>(DivUp(size_t{a} * meta.slots_per_page, r));
}

uint32_t ColumnPages(const Meta& meta, uint32_t a) {
  if (meta.attribute_bytes == 0) return 0;
  return static_cast<uint32_t>(
      DivUp(size_t{a} * meta.slots_per_page, ColumnNodes(meta.attribute_bytes)));
}

// The smallest stripe, by its node pages, whose pages are used well but for attributes; else the
// best one.
uint32_t PlanNodePages(const Meta& meta) {
  const uint32_t s = meta.slots_per_page, r = meta.refinements_per_page;
  double best = 2;
  uint32_t planned = 1;
  for (uint32_t a = 1; a <= kMaxNodePages && best > kMaxWaste; ++a) {
    const double ideal = a + (r == 0 ? 0.0 : double(a) * s / r);
    const double waste = 1 - ideal / (a + RefinementPages(meta, a));
    if (waste < best - 1e-9) best = waste, planned = a;
  }
  return planned;
}

// The smallest in which attributes add little to that; else the best.
uint32_t PlanWithColumns(const Meta& meta, uint32_t without) {
  const auto row_bytes = [&meta](uint32_t a, uint32_t columns) {
    return double(kPageSize) * (a + RefinementPages(meta, a) + columns) /
           (double(a) * meta.slots_per_page);
  };
  const double wanted = row_bytes(without, 0) + meta.attribute_bytes + kMaxColumnSlack;
  double best = INFINITY;
  uint32_t planned = without;
  for (uint32_t a = 1; a <= kMaxNodePages && best > wanted; ++a) {
    const double bytes = row_bytes(a, ColumnPages(meta, a));
    if (bytes < best - 1e-9) best = bytes, planned = a;
  }
  return planned;
}

void PlanStripe(Meta* meta) {
  uint32_t a = PlanNodePages(*meta);
  if (meta->attribute_bytes > 0) a = PlanWithColumns(*meta, a);
  meta->node_pages = static_cast<uint16_t>(a);
  meta->refinement_pages = static_cast<uint16_t>(RefinementPages(*meta, a));
  meta->column_pages = static_cast<uint16_t>(ColumnPages(*meta, a));
}

}  // namespace

uint32_t ColumnNodes(uint32_t attribute_bytes) {
  const uint32_t fit = kPageBody / attribute_bytes;
  // Filters test 32 rows at a time; where a page would lose more than a fortieth by that, 8.
  const uint32_t whole = fit / 32 * 32;
  return 40 * (fit - whole) <= fit ? whole : fit / 8 * 8;
}

bool PlanLayout(uint32_t factor_bytes, uint32_t code_bytes, uint32_t refinement_bytes, Meta* meta) {
  size_t slot = sizeof(NodeSlot) + factor_bytes + code_bytes + sizeof(NodeId) * 2 * meta->m;
  size_t upper = sizeof(UpperSlot) + factor_bytes + code_bytes + sizeof(RecordId) * meta->m;
  size_t chunk = RoundUp(sizeof(ChainChunk) + size_t{kChunkTids} * meta->attribute_bytes, 4);
  slot = RoundUp(slot, 4), upper = RoundUp(upper, 4);
  size_t record = RoundUp(refinement_bytes, 4);
  if (std::max({slot, upper, record, chunk}) > kPageBody) return false;
  meta->slot_bytes = static_cast<uint16_t>(slot);
  meta->slots_per_page = static_cast<uint16_t>(kPageBody / slot);
  meta->upper_slot_bytes = static_cast<uint16_t>(upper);
  meta->uppers_per_page = static_cast<uint16_t>(kPageBody / upper);
  meta->refinement_record_bytes = static_cast<uint16_t>(record);
  meta->refinements_per_page = static_cast<uint16_t>(record == 0 ? 0 : kPageBody / record);
  meta->chunk_bytes = static_cast<uint16_t>(chunk);
  meta->chunks_per_page = static_cast<uint16_t>(kPageBody / chunk);
  meta->mean_pages = static_cast<uint16_t>(DivUp(meta->dims, kMeanFloatsPerPage));
  PlanStripe(meta);
  return true;
}

uint32_t BodyBytes(const Meta& meta, PageKind kind) {
  switch (kind) {
    case PageKind::kNodes:
      return uint32_t{meta.slots_per_page} * meta.slot_bytes;
    case PageKind::kRefinement:
      return uint32_t{meta.refinements_per_page} * meta.refinement_record_bytes;
    case PageKind::kUpper:
      return uint32_t{meta.uppers_per_page} * meta.upper_slot_bytes;
    case PageKind::kChain:
      return uint32_t{meta.chunks_per_page} * meta.chunk_bytes;
    case PageKind::kColumn:
      return meta.attribute_bytes == 0 ? 0
                                       : ColumnNodes(meta.attribute_bytes) * meta.attribute_bytes;
    case PageKind::kMeta:
      return sizeof(Meta);
    default:
      return kPageBody;
  }
}

uint32_t SlotBytes(const Meta& meta, PageKind kind) {
  switch (kind) {
    case PageKind::kNodes:
      return meta.slot_bytes;
    case PageKind::kRefinement:
      return meta.refinement_record_bytes;
    case PageKind::kUpper:
      return meta.upper_slot_bytes;
    default:
      return 0;
  }
}

bool MaySlotsEndAt(const Meta& meta, PageKind kind, const char* page, uint32_t lower) {
  const uint32_t end = kPageHeaderBytes + BodyBytes(meta, kind);
  if (lower == end) return true;
  const uint32_t slot = SlotBytes(meta, kind);
  if (slot == 0 || lower < kPageHeaderBytes || lower > end) return false;
  if ((lower - kPageHeaderBytes) % slot != 0) return false;
  static const char kZeros[kPageSize] = {};
  return std::memcmp(page + lower, kZeros, end - lower) == 0;
}

Geometry::Geometry(const Meta& meta)
    : first_stripe_(1u + 2u * meta.mean_pages + meta.posting_pages),
      stripe_pages_(uint32_t{meta.node_pages} + meta.refinement_pages + meta.column_pages),
      column_pages_(meta.column_pages),
      refinements_per_page_(meta.refinements_per_page),
      slots_(meta.slots_per_page),
      node_pages_(meta.node_pages),
      stripe_(stripe_pages_),
      column_nodes_(meta.attribute_bytes == 0 ? 1 : ColumnNodes(meta.attribute_bytes)) {}

Place Geometry::RefinementAt(NodeId id) const {
  const uint32_t s = slots_.divisor(), r = refinements_per_page_;
  uint32_t page = slots_.Quotient(id);
  uint32_t stripe = node_pages_.Quotient(page);
  uint32_t o = id - stripe * node_pages_.divisor() * s;
  uint32_t k = o / r;
  return {StripeStart(stripe) + column_pages_ + k * r / s + 1 + k, o - k * r};
}

uint32_t Geometry::NodePageUpTo(uint32_t offset) const {
  // j + ceil(jS/R) <= offset, which grows with j.
  uint32_t low = 0, high = node_pages_.divisor() - 1;
  while (low < high) {
    uint32_t mid = (low + high + 1) / 2;
    if (mid + RefinementsBefore(mid) <= offset) {
      low = mid;
    } else {
      high = mid - 1;
    }
  }
  return low;
}

Geometry::Part Geometry::PartAt(uint32_t block) const {
  uint32_t stripe = StripeOf(block);
  uint32_t offset = block - StripeStart(stripe);
  if (offset < column_pages_) return {StripePart::kColumn, offset};
  offset -= column_pages_;
  const uint32_t low = NodePageUpTo(offset);
  if (low + RefinementsBefore(low) == offset) {
    return {StripePart::kNodes, stripe * node_pages_.divisor() + low};
  }
  return {StripePart::kRefinement, offset - low - 1};
}

NodeId Geometry::IdLimit(uint32_t blocks) const {
  if (blocks <= first_stripe_) return 0;
  const uint32_t stripe = StripeOf(blocks - 1);
  const uint32_t offset = blocks - 1 - StripeStart(stripe);
  uint64_t pages = uint64_t{stripe} * node_pages_.divisor();
  if (offset >= column_pages_) pages += NodePageUpTo(offset - column_pages_) + 1;
  const uint64_t ids = pages * slots_.divisor();
  return static_cast<NodeId>(std::min<uint64_t>(ids, kMaxNodes));
}

}  // namespace ann::format
