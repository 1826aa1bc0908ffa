// Areas give back what was put in; filters let exactly those rows pass that a plain reading of
// their conditions does, in masks of 32 and row by row, in areas of every capacity.
#include <algorithm>
#include <array>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "filter/filter.hpp"
#include "simd/simd.hpp"
#include "simd_test_util.hpp"

namespace {

using namespace ann::filter;
using ann::format::AttributeByte;
using ann::simd::testing::Random;

// --- attributes of all widths and kinds, in no order
// ----------------------------------------------
constexpr uint8_t kAll[kMaxAttributes] = {
    AttributeByte(AttributeKind::kOrdered, 2),  AttributeByte(AttributeKind::kSignature, 8),
    AttributeByte(AttributeKind::kOrdered, 16), AttributeByte(AttributeKind::kOrdered, 1),
    AttributeByte(AttributeKind::kHash, 8),     AttributeByte(AttributeKind::kOrdered, 4),
    AttributeByte(AttributeKind::kOrdered, 8),  AttributeByte(AttributeKind::kOrdered, 16)};

// Few values, so that conditions meet rows; some at the ends of the range.
Value SomeValue(Random& random, const AreaLayout& layout, uint32_t attribute) {
  const Value most = LargestOf(layout.width(attribute));
  switch (random.Between(0, 5)) {
    case 0:
      return {};
    case 1:
      return most;
    default: {
      Value value{random.Next() % 2, random.Next() % 6};
      if (layout.kind(attribute) == AttributeKind::kSignature)
        value.low = 1ull << random.Between(0, 7) | 1ull << random.Between(0, 7);
      if (layout.width(attribute) < 16) value.high = 0;
      return value;
    }
  }
}

Row SomeRow(Random& random, const AreaLayout& layout) {
  Row row;
  for (uint32_t a = 0; a < layout.count(); ++a) {
    if (random.Between(0, 7) == 0) {
      row.SetNull(a);
    } else {
      row.values[a] = SomeValue(random, layout, a);
    }
  }
  row.marks = random.Between(0, 15) == 0 ? kFurtherRows : 0;
  return row;
}

struct Area {
  Area(Random& random, const AreaLayout& layout, uint32_t rows_in_all)
      : capacity(rows_in_all), bytes(layout.AreaBytes(rows_in_all)) {
    for (uint32_t i = 0; i < capacity; ++i) {
      rows.push_back(SomeRow(random, layout));
      layout.Put(bytes.data(), capacity, i, rows.back());
    }
  }
  uint32_t capacity;
  std::vector<char> bytes;
  std::vector<Row> rows;
};

bool IsSame(const Row& a, const Row& b) { return a.HasValuesOf(b) && a.marks == b.marks; }

TEST(AreaTest, GivesBackWhatWasPutIn) {
  Random random(1);
  for (uint32_t count = 1; count <= kMaxAttributes; ++count) {
    uint8_t bytes[kMaxAttributes] = {};
    std::copy_n(kAll, count, bytes);
    const AreaLayout layout(bytes);
    ASSERT_EQ(layout.count(), count);
    for (const uint32_t capacity : {1u, 8u, 24u, 32u, 120u, 1344u}) {
      Area area(random, layout, capacity);
      for (uint32_t i = 0; i < capacity; ++i) {
        ASSERT_TRUE(IsSame(layout.Get(area.bytes.data(), capacity, i), area.rows[i]));
      }
      // From an area to a row alone and back, elsewhere.
      std::vector<char> packed(layout.row_bytes());
      layout.Move(area.bytes.data(), capacity, 0, packed.data(), 1, 0);
      layout.Move(packed.data(), 1, 0, area.bytes.data(), capacity, capacity - 1);
      ASSERT_TRUE(IsSame(layout.Get(area.bytes.data(), capacity, capacity - 1), area.rows[0]));
    }
  }
}

TEST(AreaTest, WidestLieFirst) {
  const AreaLayout layout(kAll);
  const char* area = nullptr;
  // 16, 16, 8, 8, 8, 4, 2, 1 bytes.
  EXPECT_EQ(layout.row_bytes(), 65u);
  const std::array<uint32_t, kMaxAttributes> before = {60, 32, 0, 62, 40, 56, 48, 16};
  for (uint32_t a = 0; a < kMaxAttributes; ++a) {
    EXPECT_EQ(layout.Values(area, 32, a) - area, 32 * before[a]) << a;
  }
  EXPECT_EQ(reinterpret_cast<const char*>(layout.Nulls(area, 32)) - area, 32 * 63);
  EXPECT_EQ(layout.Marks(area, 32) - layout.Nulls(area, 32), 32);
}

TEST(AreaTest, NoAttributesTakeNothing) {
  const AreaLayout layout;
  EXPECT_EQ(layout.row_bytes(), 0u);
  layout.Put(nullptr, 8, 3, Row{});
  EXPECT_TRUE(IsSame(layout.Get(nullptr, 8, 3), Row{}));
}

TEST(AreaTest, WhatMetaPagesMaySay) {
  using ann::format::AreAttributes;
  EXPECT_TRUE(AreAttributes(kAll, 8, 65));
  EXPECT_FALSE(AreAttributes(kAll, 8, 64));
  EXPECT_FALSE(AreAttributes(kAll, 7, 49));  // an eighth is there
  const uint8_t none[8] = {};
  EXPECT_TRUE(AreAttributes(none, 0, 0));
  EXPECT_FALSE(AreAttributes(none, 0, 2));
  EXPECT_FALSE(AreAttributes(none, 1, 2));
  for (const uint8_t bad :
       {uint8_t{3}, uint8_t{17}, uint8_t{31}, AttributeByte(AttributeKind::kHash, 4),
        uint8_t{8 | 3 << 5}, uint8_t{4 | 7 << 5}}) {
    const uint8_t one[8] = {bad};
    EXPECT_FALSE(AreAttributes(one, 1, (bad & 31) + 2u)) << int{bad};
  }
  const uint8_t wide[8] = {16, 16, 16, 16, 1};
  EXPECT_FALSE(AreAttributes(wide, 5, 67));  // more than 64 bytes of values
}

// --- filters
// --------------------------------------------------------------------------------------

// A condition as one reads it.
struct Plain {
  enum Kind { kRange, kIn, kAllBits, kAnyBits, kNull, kNotNull } kind;
  uint32_t attribute;
  Value low, high;
  std::vector<Value> in;
  uint64_t bits;

  bool Passes(const Row& row) const {
    if (kind == kNull) return row.IsNull(attribute);
    if (row.IsNull(attribute)) return false;
    const Value value = row.values[attribute];
    switch (kind) {
      case kRange:
        return value >= low && value <= high;
      case kIn:
        return std::find(in.begin(), in.end(), value) != in.end();
      case kAllBits:
        return (value.low & bits) == bits;
      case kAnyBits:
        return (value.low & bits) != 0;
      default:
        return true;
    }
  }
  void AddTo(Filter& filter) {
    switch (kind) {
      case kRange:
        return filter.AddRange(attribute, low, high);
      case kIn:
        return filter.AddIn(attribute, in.data(), static_cast<uint32_t>(in.size()));
      case kAllBits:
        return filter.AddAllBits(attribute, bits);
      case kAnyBits:
        return filter.AddAnyBits(attribute, bits);
      case kNull:
        return filter.AddNull(attribute);
      case kNotNull:
        return filter.AddNotNull(attribute);
    }
  }
};

Plain SomeCondition(Random& random, const AreaLayout& layout) {
  Plain plain{};
  plain.attribute = static_cast<uint32_t>(random.Between(0, static_cast<int>(layout.count()) - 1));
  if (layout.kind(plain.attribute) == AttributeKind::kSignature) {
    plain.kind = random.Between(0, 1) == 0 ? Plain::kAllBits : Plain::kAnyBits;
    plain.bits = random.Next() & random.Next() & 0xFF;
  } else {
    const int dice = random.Between(0, 9);
    plain.kind = dice < 5   ? Plain::kRange
                 : dice < 8 ? Plain::kIn
                 : dice < 9 ? Plain::kNull
                            : Plain::kNotNull;
  }
  plain.low = SomeValue(random, layout, plain.attribute);
  plain.high = SomeValue(random, layout, plain.attribute);
  // Sets that are met by tests for equality, and others; now and then an empty one.
  const int size = random.Between(0, 2) == 0 ? 40 : random.Between(0, 6);
  for (int i = 0; i < size; ++i) {
    Value value = SomeValue(random, layout, plain.attribute);
    value.low += i >= 20 ? static_cast<uint64_t>(i) % 50 : 0;
    value.low &= LargestOf(layout.width(plain.attribute)).low;
    plain.in.push_back(value);
  }
  return plain;
}

void ExpectAsRead(const Filter& filter, std::vector<Plain>& conditions, const Area& area) {
  for (uint32_t first = 0; first < area.capacity; first += 32) {
    uint32_t wanted = 0;
    for (uint32_t i = 0; i < 32 && first + i < area.capacity; ++i) {
      const Row& row = area.rows[first + i];
      const bool passes = std::all_of(conditions.begin(), conditions.end(),
                                      [&](const Plain& plain) { return plain.Passes(row); });
      // A filter that no row passes needs no marks either.
      const bool marked = row.marks != 0 && !filter.never();
      if (filter.never()) {
        ASSERT_FALSE(passes);
      }
      wanted |= uint32_t{passes || marked} << i;
      ASSERT_EQ(filter.TestValues(area.bytes.data(), area.capacity, first + i), passes);
      ASSERT_EQ(filter.Test(area.bytes.data(), area.capacity, first + i), passes || marked);
    }
    ASSERT_EQ(filter.Mask32(area.bytes.data(), area.capacity, first), wanted) << first;
  }
}

class FilterTest : public ann::simd::testing::EveryTarget {};
INSTANTIATE_TEST_SUITE_P(Targets, FilterTest, ::testing::ValuesIn(ann::simd::Targets()),
                         ann::simd::testing::NameOfTarget);

TEST_P(FilterTest, ConjunctionsAsOneReadsThem) {
  Random random(3);
  const AreaLayout layout(kAll);
  std::vector<Area> areas;
  for (const uint32_t capacity : {1u, 8u, 32u, 56u, 120u, 320u})
    areas.emplace_back(random, layout, capacity);
  int some = 0, never = 0;
  for (int round = 0; round < 3000; ++round) {
    std::vector<Plain> conditions;
    const int n = random.Between(1, 4);
    for (int i = 0; i < n; ++i) conditions.push_back(SomeCondition(random, layout));
    Filter filter(layout);
    ASSERT_TRUE(filter.empty());
    std::vector<Plain> kept = conditions;  // AddIn sorts in place
    for (Plain& plain : kept) plain.AddTo(filter);
    ASSERT_FALSE(filter.empty());
    never += filter.never();
    some += filter.Mask32(areas.back().bytes.data(), 320, 0) != 0;
    for (const Area& area : areas) ASSERT_NO_FATAL_FAILURE(ExpectAsRead(filter, conditions, area));
  }
  EXPECT_GT(some, 500);
  EXPECT_GT(never, 100);
}

TEST(FilterRulesTest, ContradictionsAreKnown) {
  const AreaLayout layout(kAll);
  const auto never = [&](auto&& add) {
    Filter filter(layout);
    add(filter);
    return filter.never();
  };
  EXPECT_TRUE(never([](Filter& f) {
    f.AddRange(0, {0, 5}, {0, 9}), f.AddRange(0, {0, 10}, {0, 12});
  }));
  EXPECT_FALSE(never([](Filter& f) {
    f.AddRange(0, {0, 5}, {0, 9}), f.AddRange(0, {0, 9}, {0, 12});
  }));
  EXPECT_TRUE(never([](Filter& f) { f.AddNull(0), f.AddRange(0, {0, 5}, {0, 9}); }));
  EXPECT_TRUE(never([](Filter& f) { f.AddNotNull(0), f.AddNull(0); }));
  EXPECT_TRUE(never([](Filter& f) { f.AddIn(0, nullptr, 0); }));
  EXPECT_TRUE(never([](Filter& f) { f.AddAnyBits(1, 0); }));
  Value in[] = {{0, 3}, {0, 1}, {0, 3}}, other[] = {{0, 2}, {0, 3}}, third[] = {{0, 2}};
  EXPECT_FALSE(never([&](Filter& f) { f.AddIn(0, in, 3), f.AddIn(0, other, 2); }));
  EXPECT_TRUE(never([&](Filter& f) { f.AddIn(0, in, 2), f.AddIn(0, third, 1); }));
  EXPECT_TRUE(never([&](Filter& f) { f.AddRange(0, {0, 4}, {0, 9}), f.AddIn(0, in, 2); }));
}

}  // namespace
