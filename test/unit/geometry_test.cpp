// The addresses of src/format/README.md: no two things share a block, and every formula has its
// inverse.
#include <algorithm>
#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "format/geometry.hpp"
#include "quant/codec.hpp"

namespace {

using namespace ann;
using namespace ann::format;

double Waste(const Meta& meta, uint32_t node_pages) {
  const double s = meta.slots_per_page, r = meta.refinements_per_page;
  const double refinements = r == 0 ? 0 : node_pages * s / r;
  return 1 - (node_pages + refinements) / (node_pages + std::ceil(refinements - 1e-9));
}

double RowBytes(const Meta& meta) {
  return double(Geometry(meta).stripe_pages()) * kPageSize /
         (meta.node_pages * meta.slots_per_page);
}

void ExpectGoodStripe(const Meta& meta) {
  const double waste = Waste(meta, meta.node_pages);
  if (meta.attribute_bytes > 0 || waste <= 0.02 + 1e-9) return;
  for (uint32_t a = 1; a <= 256; ++a) {
    ASSERT_GE(Waste(meta, a), waste - 1e-6) << a << " node pages waste less";
  }
}

// Walks three stripes node by node and block by block.
void ExpectConsistent(const Meta& meta) {
  const Geometry g(meta);
  const uint32_t s = meta.slots_per_page, r = meta.refinements_per_page;
  const uint32_t stripe_pages = g.stripe_pages();
  ASSERT_EQ(stripe_pages, uint32_t{meta.node_pages} + meta.refinement_pages + meta.column_pages);
  ASSERT_EQ(g.first_stripe(), 1u + 2u * meta.mean_pages);
  ASSERT_GE(meta.column_pages * size_t{kPageBody},
            size_t{meta.node_pages} * s * meta.attribute_bytes);

  constexpr uint32_t kStripes = 3;
  std::vector<std::vector<uint8_t>> used(
      kStripes * stripe_pages, std::vector<uint8_t>(std::max({s, r, g.column_nodes()}), 0));
  auto take = [&](Place place, uint32_t limit) {
    ASSERT_GE(place.block, g.first_stripe());
    ASSERT_LT(place.block - g.first_stripe(), used.size());
    ASSERT_LT(place.index, limit);
    uint8_t& mark = used[place.block - g.first_stripe()][place.index];
    ASSERT_EQ(mark, 0) << "block " << place.block << " index " << place.index << " used twice";
    mark = 1;
  };
  const uint32_t nodes = kStripes * meta.node_pages * s;
  for (NodeId id = 0; id < nodes; ++id) {
    const uint32_t stripe = id / (meta.node_pages * s);
    const Place at = g.NodeAt(id);
    ASSERT_NO_FATAL_FAILURE(take(at, s));
    ASSERT_EQ(at.block, g.NodeBlock(id / s));
    ASSERT_EQ(at.index, id % s);
    ASSERT_EQ(g.StripeOf(at.block), stripe);
    if (meta.attribute_bytes > 0) {
      const Place column = g.ColumnAt(id);
      ASSERT_NO_FATAL_FAILURE(take(column, g.column_nodes()));
      ASSERT_EQ(g.StripeOf(column.block), stripe);
      const uint32_t ordinal = g.PartAt(column.block).ordinal;
      ASSERT_EQ(g.FirstOfColumn(stripe, ordinal) + column.index, id);
    }
    if (r == 0) continue;
    const Place refinement = g.RefinementAt(id);
    ASSERT_NO_FATAL_FAILURE(take(refinement, r));
    ASSERT_EQ(g.StripeOf(refinement.block), stripe);
    // The page of a node's refinement follows the first node page that needs it.
    const uint32_t first = g.NodeAt(id - refinement.index).block;
    ASSERT_GT(refinement.block, first);
    for (uint32_t b = first + 1; b < refinement.block; ++b) {
      ASSERT_EQ(g.PartAt(b).kind, StripePart::kRefinement);
    }
  }
  for (uint32_t stripe = 0; stripe < kStripes; ++stripe) {
    uint32_t node_pages = 0, refinement_pages = 0;
    for (uint32_t i = 0; i < stripe_pages; ++i) {
      const uint32_t block = g.StripeStart(stripe) + i;
      ASSERT_TRUE(g.InStripes(block));
      const Geometry::Part part = g.PartAt(block);
      const bool occupied = used[stripe * stripe_pages + i][0] != 0;
      if (i < meta.column_pages) {
        ASSERT_EQ(part.kind, StripePart::kColumn);
        ASSERT_EQ(part.ordinal, i);
        ASSERT_TRUE(occupied);
      } else if (part.kind == StripePart::kNodes) {
        ASSERT_EQ(part.ordinal, stripe * meta.node_pages + node_pages++);
        ASSERT_EQ(g.NodeBlock(part.ordinal), block);
        ASSERT_TRUE(occupied);
      } else {
        ASSERT_EQ(part.kind, StripePart::kRefinement);
        ASSERT_EQ(part.ordinal, refinement_pages++);
        const NodeId first = stripe * meta.node_pages * s + part.ordinal * r;
        ASSERT_EQ(g.RefinementAt(first).block, block);
        ASSERT_TRUE(occupied);
      }
    }
    ASSERT_EQ(node_pages, meta.node_pages);
    ASSERT_EQ(refinement_pages, meta.refinement_pages);
  }
  ASSERT_FALSE(g.InStripes(g.first_stripe() - 1));
  ASSERT_EQ(g.IdLimit(g.first_stripe()), 0u);
  for (uint32_t block = g.first_stripe(); block < g.StripeStart(3); ++block) {
    const bool nodes = g.PartAt(block).kind == StripePart::kNodes;
    ASSERT_EQ(g.IdLimit(block + 1), g.IdLimit(block) + (nodes ? s : 0)) << block;
  }
  ASSERT_EQ(g.IdLimit(g.StripeStart(2)), 2 * meta.node_pages * s);
  ASSERT_LE(g.IdLimit(UINT32_MAX), kMaxNodes);
}

Meta MetaFor(uint32_t dims, uint32_t m, uint32_t attribute_bytes) {
  Meta meta{};
  meta.dims = dims;
  meta.m = static_cast<uint16_t>(m);
  meta.attribute_bytes = static_cast<uint16_t>(attribute_bytes);
  return meta;
}

TEST(GeometryTest, AddressesAreInverseAndDisjoint) {
  for (const uint32_t m : {2u, 16u, 100u}) {
    for (const uint32_t code : {16u, 48u, 96u, 208u, 1000u, 4000u}) {
      for (const uint32_t refinement : {0u, 28u, 60u, 108u, 300u, 1164u, 4092u, 8160u}) {
        for (const uint32_t attributes : {0u, 3u, 10u, 23u, 66u}) {
          Meta meta = MetaFor(384, m, attributes);
          ASSERT_TRUE(PlanLayout(12, code, refinement, &meta));
          SCOPED_TRACE(::testing::Message()
                       << "S " << meta.slots_per_page << " R " << meta.refinements_per_page
                       << " attributes " << attributes);
          ASSERT_NO_FATAL_FAILURE(ExpectGoodStripe(meta));
          ASSERT_NO_FATAL_FAILURE(ExpectConsistent(meta));
        }
      }
    }
  }
}

// Filters test 32 rows at once; a page that would lose much by that has a multiple of 8.
TEST(GeometryTest, ColumnPagesAreFull) {
  for (uint32_t bytes = 3; bytes <= 66; ++bytes) {
    const uint32_t nodes = ColumnNodes(bytes);
    EXPECT_EQ(nodes % 8, 0u) << bytes;
    EXPECT_LE(nodes * bytes, kPageBody) << bytes;
    EXPECT_GE(nodes * bytes * 16, kPageBody * 15) << bytes;
  }
  EXPECT_EQ(ColumnNodes(6) % 32, 0u);
}

// What attributes add to an index: their bytes and 8 more, nulls and marks included.
TEST(GeometryTest, AttributesTakeLittle) {
  for (const uint32_t slot_code : {64u, 96u, 192u}) {
    for (const uint32_t values : {1u, 4u, 8u, 21u, 64u}) {
      Meta without = MetaFor(384, 16, 0), with = MetaFor(384, 16, values + 2);
      ASSERT_TRUE(PlanLayout(12, slot_code, 3 * slot_code, &without));
      ASSERT_TRUE(PlanLayout(12, slot_code, 3 * slot_code, &with));
      EXPECT_LE(RowBytes(with) - RowBytes(without), values + 8.0) << slot_code << " and " << values;
    }
  }
}

// Slots that fill a page alone, and many records beside few slots.
TEST(GeometryTest, ExtremeShapes) {
  for (uint32_t s = 1; s <= 60; s += 7) {
    for (uint32_t r = 0; r <= 60; r += 5) {
      Meta meta{};
      meta.slots_per_page = static_cast<uint16_t>(s);
      meta.refinements_per_page = static_cast<uint16_t>(r);
      for (const uint32_t node_pages : {1u, 2u, 7u, 64u}) {
        meta.node_pages = static_cast<uint16_t>(node_pages);
        meta.refinement_pages = static_cast<uint16_t>(r == 0 ? 0 : DivUp(node_pages * s, r));
        SCOPED_TRACE(::testing::Message() << s << " " << r << " " << node_pages);
        ASSERT_NO_FATAL_FAILURE(ExpectConsistent(meta));
      }
    }
  }
}

struct Shape {
  uint32_t dims;
  int traversal;
  int refinement;
  uint16_t slot, slots, record, records;
};

// The sizes that src/quant/README.md gives for m = 16 and 8 bits in all.
TEST(GeometryTest, SizesOfCommonShapes) {
  for (const Shape& shape :
       {Shape{128, 4, 4, 228, 35, 76, 107}, Shape{384, 2, 6, 260, 31, 300, 27},
        Shape{768, 2, 6, 356, 22, 588, 13}, Shape{1536, 2, 6, 548, 14, 1164, 7}}) {
    SCOPED_TRACE(shape.dims);
    quant::CodecParams params{};
    params.metric = quant::Metric::kL2, params.dims = shape.dims;
    params.traversal_bits = static_cast<uint8_t>(shape.traversal);
    params.refinement_bits = static_cast<uint8_t>(shape.refinement);
    std::vector<float> mean(shape.dims);
    std::vector<uint64_t> memory(quant::Codec::MemoryBytes(params) / 8 + 1);
    const quant::Codec codec(params, mean.data(), memory.data());
    Meta meta = MetaFor(shape.dims, 16, 0);
    ASSERT_TRUE(
        PlanLayout(codec.factor_bytes(), codec.code_bytes(), codec.refinement_bytes(), &meta));
    EXPECT_EQ(meta.slot_bytes, shape.slot);
    EXPECT_EQ(meta.slots_per_page, shape.slots);
    EXPECT_EQ(meta.refinement_record_bytes, shape.record);
    EXPECT_EQ(meta.refinements_per_page, shape.records);
    EXPECT_EQ(meta.chunk_bytes, 60);
    EXPECT_EQ(meta.mean_pages, 1);
  }
}

TEST(GeometryTest, PlanLayoutKnowsItsLimits) {
  // 24 + 12 + code + 128 bytes must fit 8160.
  Meta meta = MetaFor(16000, 16, 0);
  EXPECT_TRUE(PlanLayout(12, 8160 - 164, 0, &meta));
  EXPECT_EQ(meta.slot_bytes, 8160);
  EXPECT_EQ(meta.slots_per_page, 1);
  EXPECT_EQ(meta.refinements_per_page, 0);
  EXPECT_EQ(meta.refinement_pages, 0);
  EXPECT_EQ(meta.mean_pages, 8);
  EXPECT_FALSE(PlanLayout(12, 8160 - 163, 0, &meta));
  EXPECT_TRUE(PlanLayout(12, 96, 8160, &meta));
  EXPECT_EQ(meta.refinements_per_page, 1);
  EXPECT_FALSE(PlanLayout(12, 96, 8161, &meta));
  // Chunks: 60 + 8 * attribute bytes.
  meta = MetaFor(384, 16, 1012);
  EXPECT_TRUE(PlanLayout(12, 96, 300, &meta));
  meta = MetaFor(384, 16, 1013);
  EXPECT_FALSE(PlanLayout(12, 96, 300, &meta));
}

}  // namespace
