// The containers and arithmetic of src/core against plain models.
#include <algorithm>
#include <limits>
#include <memory>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "core/arena.hpp"
#include "core/beam.hpp"
#include "core/rng.hpp"
#include "core/sizes.hpp"
#include "core/visited.hpp"

namespace {

using namespace ann;
using Alloc = std::allocator<char>;

// --- Beam ----------------------------------------------------------------------------------------

struct ModelEntry {
  Candidate candidate;
  bool expanded;
};

// The same contract, spelled out: a list that is sorted anew after every insertion.
class ModelBeam {
 public:
  explicit ModelBeam(uint32_t capacity) : capacity_(capacity) {}

  Candidate Insert(Candidate c) {
    Candidate dropped{0, kNoId};
    if (entries_.size() == capacity_) {
      if (c.key >= entries_.back().candidate.key) return c;
      dropped = entries_.back().candidate;
      entries_.pop_back();
    }
    entries_.push_back({c, false});
    std::stable_sort(entries_.begin(), entries_.end(), [](const auto& a, const auto& b) {
      return a.candidate.key < b.candidate.key;
    });
    return dropped;
  }
  NodeId PopNearest() {
    for (ModelEntry& e : entries_) {
      if (!e.expanded) {
        e.expanded = true;
        return e.candidate.id;
      }
    }
    return kNoId;
  }
  const std::vector<ModelEntry>& entries() const { return entries_; }

 private:
  uint32_t capacity_;
  std::vector<ModelEntry> entries_;
};

void ExpectEqual(const Beam<Alloc>& beam, const ModelBeam& model, uint32_t capacity) {
  ASSERT_EQ(beam.size(), model.entries().size());
  for (uint32_t i = 0; i < beam.size(); ++i) {
    ASSERT_EQ(beam.at(i).id, model.entries()[i].candidate.id);
    ASSERT_EQ(beam.at(i).key, model.entries()[i].candidate.key);
    ASSERT_EQ(beam.expanded(i), model.entries()[i].expanded);
  }
  ASSERT_EQ(beam.full(), beam.size() == capacity);
  ASSERT_EQ(beam.bound(), beam.full() ? model.entries().back().candidate.key
                                      : std::numeric_limits<float>::infinity());
}

TEST(BeamTest, DoesWhatASortedListDoes) {
  Rng rng(1);
  Beam<Alloc> beam{Alloc()};
  for (const uint32_t capacity : {1u, 2u, 3u, 10u, 64u, 400u}) {
    beam.Reset(capacity);
    ModelBeam model(capacity);
    for (NodeId id = 0; id < 1500; ++id) {
      if (rng.Next() % 3 == 0) {
        ASSERT_EQ(beam.PopNearest(), model.PopNearest());
      }
      // Few different keys, so that equal ones are common, and ids up to the largest.
      const float key = OrderableKey(rng.Next() % 50 == 0 ? std::numeric_limits<float>::quiet_NaN()
                                                          : static_cast<float>(rng.Next() % 200));
      const Candidate c{key, id % 2 == 0 ? id : kMaxNodes - id};
      const Candidate a = beam.Insert(c), b = model.Insert(c);
      ASSERT_EQ(a.id, b.id);
      ASSERT_EQ(a.key, b.key);
      ASSERT_NO_FATAL_FAILURE(ExpectEqual(beam, model, capacity));
    }
    while (model.PopNearest() != kNoId) ASSERT_NE(beam.PopNearest(), kNoId);
    EXPECT_EQ(beam.PopNearest(), kNoId);
  }
}

TEST(BeamTest, NanIsFarthest) {
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(OrderableKey(std::numeric_limits<float>::quiet_NaN()), infinity);
  EXPECT_EQ(OrderableKey(-infinity), -infinity);
  EXPECT_EQ(OrderableKey(3), 3.0f);
}

TEST(BeamTest, OrderIsByKeyThenId) {
  EXPECT_TRUE(Nearer({1, 9}, {2, 3}));
  EXPECT_TRUE(Nearer({1, 3}, {1, 9}));
  EXPECT_FALSE(Nearer({1, 3}, {1, 3}));
  EXPECT_FALSE(Nearer({2, 3}, {1, 9}));
}

// --- VisitedSet ----------------------------------------------------------------------------------

void CompareWithSet(VisitedSet<Alloc>& visited, uint32_t ids, uint32_t range, uint64_t seed) {
  std::set<NodeId> model;
  Rng rng(seed);
  for (uint32_t i = 0; i < ids; ++i) {
    const NodeId id = static_cast<NodeId>(rng.Next() % range);
    ASSERT_EQ(visited.Contains(id), model.contains(id));
    ASSERT_EQ(visited.Insert(id), model.insert(id).second);
    ASSERT_FALSE(visited.Insert(id));
    ASSERT_TRUE(visited.Contains(id));
  }
  ASSERT_EQ(visited.count(), model.size());
  for (uint32_t i = 0; i < 1000; ++i) {
    const NodeId id = static_cast<NodeId>(rng.Next() % range);
    ASSERT_EQ(visited.Contains(id), model.contains(id));
  }
}

// Few ids of a large range stay a table, many of a small one become a bitmap.
TEST(VisitedSetTest, DoesWhatASetDoes) {
  VisitedSet<Alloc> visited{Alloc()};
  uint64_t seed = 2;
  for (const uint32_t expected : {0u, 100u, 5000u}) {
    for (const uint32_t range : {1u, 100u, 3000u, 100000u, kMaxNodes}) {
      for (const uint32_t id_limit : {0u, 100u, range}) {
        visited.Reset(expected, id_limit);
        EXPECT_EQ(visited.count(), 0u);
        EXPECT_FALSE(visited.Contains(0));
        ASSERT_NO_FATAL_FAILURE(CompareWithSet(visited, 20000, range, seed++));
      }
    }
  }
}

TEST(VisitedSetTest, BitmapTakesIdsBeyondItsEnd) {
  VisitedSet<Alloc> visited{Alloc()};
  visited.Reset(0);
  for (NodeId id = 0; id < 5000; ++id) ASSERT_TRUE(visited.Insert(id));
  EXPECT_FALSE(visited.Contains(10'000'000));
  EXPECT_TRUE(visited.Insert(10'000'000));
  EXPECT_FALSE(visited.Insert(10'000'000));
  EXPECT_FALSE(visited.Contains(9'999'999));
  EXPECT_TRUE(visited.Contains(4999));
  EXPECT_EQ(visited.count(), 5001u);
}

TEST(VisitedSetTest, AnAbsurdGuessIsOnlyAGuess) {
  VisitedSet<Alloc> visited{Alloc()};
  visited.Reset(std::numeric_limits<uint32_t>::max());
  EXPECT_TRUE(visited.Insert(7));
  EXPECT_FALSE(visited.Insert(7));
}

// --- Arena ---------------------------------------------------------------------------------------

TEST(ArenaTest, BlocksAreZeroedStayAndKeepTheirContents) {
  for (const size_t stride : {size_t{8}, size_t{320}, size_t{24008}, size_t{3} << 20}) {
    Arena<Alloc> arena(Alloc(), stride);
    const uint32_t n = static_cast<uint32_t>((size_t{7} << 20) / stride) + 3;
    std::vector<uint8_t*> where;
    for (uint32_t i = 0; i < n; ++i) {
      uint8_t* block = arena.Append();
      ASSERT_EQ(reinterpret_cast<uintptr_t>(block) % 8, 0u);
      ASSERT_EQ(std::count(block, block + stride, 0), static_cast<long>(stride));
      std::fill(block, block + stride, static_cast<uint8_t>(i * 7 + 1));
      where.push_back(block);
    }
    ASSERT_EQ(arena.size(), n);
    EXPECT_GE(arena.bytes(), n * stride);
    EXPECT_LE(arena.bytes(), n * stride + std::max<size_t>(stride, 2 << 20));
    for (uint32_t i = 0; i < n; ++i) {
      ASSERT_EQ(arena[i], where[i]);
      ASSERT_EQ(arena[i][0], static_cast<uint8_t>(i * 7 + 1));
      ASSERT_EQ(arena[i][stride - 1], static_cast<uint8_t>(i * 7 + 1));
    }
    arena.Free();
    EXPECT_EQ(arena.size(), 0u);
    EXPECT_EQ(arena.bytes(), 0u);
  }
}

TEST(ArenaTest, RemoveLastGivesBlocksAndChunksBack) {
  constexpr size_t kStride = 1 << 18;  // four blocks a chunk
  Arena<Alloc> arena(Alloc(), kStride);
  for (int i = 0; i < 9; ++i) *arena.Append() = static_cast<uint8_t>(i);
  const size_t bytes = arena.bytes();
  arena.RemoveLast();
  EXPECT_EQ(arena.size(), 8u);
  EXPECT_LT(arena.bytes(), bytes);
  EXPECT_EQ(*arena.Append(), 0);
  EXPECT_EQ(arena.bytes(), bytes);
  for (uint32_t i = 0; i < 8; ++i) EXPECT_EQ(*arena[i], i);
  while (arena.size() > 0) arena.RemoveLast();
  EXPECT_EQ(arena.bytes(), 0u);
}

// --- sizes and random bits -----------------------------------------------------------------------

void ExpectDivides(uint32_t n, uint32_t d) {
  ASSERT_EQ(FastDivisor(d).Quotient(n), n / d) << n << " / " << d;
}

TEST(FastDivisorTest, EqualsDivision) {
  constexpr uint32_t kMax = std::numeric_limits<uint32_t>::max();
  Rng rng(3);
  for (uint32_t i = 0; i < 6000; ++i) {
    const uint32_t d = i < 3000 ? i + 1 : static_cast<uint32_t>(rng.Next() >> (32 + i % 32)) | 1;
    EXPECT_EQ(FastDivisor(d).divisor(), d);
    for (const uint32_t n :
         {0u, 1u, d - 1, d, d + 1, kMax, kMax - 1, kMax / d * d, kMax / d * d - 1, 1u << 31}) {
      ASSERT_NO_FATAL_FAILURE(ExpectDivides(n, d));
    }
    for (int k = 0; k < 20; ++k) {
      ASSERT_NO_FATAL_FAILURE(ExpectDivides(static_cast<uint32_t>(rng.Next()), d));
    }
  }
  for (const uint32_t d : {kMax, kMax - 1, 1u << 31}) {
    for (const uint32_t n : {0u, d - 1, d, kMax}) ASSERT_NO_FATAL_FAILURE(ExpectDivides(n, d));
  }
}

TEST(SizesTest, RoundUpAndDivUp) {
  EXPECT_EQ(RoundUp(0, 8), 0u);
  EXPECT_EQ(RoundUp(1, 8), 8u);
  EXPECT_EQ(RoundUp(8, 8), 8u);
  EXPECT_EQ(DivUp(0, 7), 0u);
  EXPECT_EQ(DivUp(7, 7), 1u);
  EXPECT_EQ(DivUp(8, 7), 2u);
}

// Indexes on disk depend on these values: splitmix64 as published.
TEST(RngTest, ValuesAreFixed) {
  Rng rng(1234567);
  EXPECT_EQ(rng.Next(), 6457827717110365317u);
  EXPECT_EQ(rng.Next(), 3203168211198807973u);
  EXPECT_EQ(rng.Next(), 9817491932198370423u);
  EXPECT_EQ(rng.Next(), 4593380528125082431u);
  EXPECT_EQ(rng.Next(), 16408922859458223821u);
  EXPECT_EQ(Mix64(1), 0x5692161d100b05e5u);
}

TEST(RngTest, UnitIsUniformAndNeverZero) {
  Rng rng(4);
  double sum = 0, squares = 0;
  constexpr int kSamples = 100000;
  for (int i = 0; i < kSamples; ++i) {
    const double u = rng.NextUnit();
    ASSERT_GT(u, 0);
    ASSERT_LE(u, 1);
    sum += u, squares += u * u;
  }
  EXPECT_NEAR(sum / kSamples, 0.5, 0.005);
  EXPECT_NEAR(squares / kSamples, 1.0 / 3, 0.005);
}

}  // namespace
