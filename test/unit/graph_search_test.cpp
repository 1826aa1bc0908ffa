// Selection, search and order on graphs small enough to see through.
#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "graph/memory_graph.hpp"
#include "graph/order.hpp"
#include "graph/search.hpp"
#include "graph/select.hpp"
#include "unit_data.hpp"

namespace {

using namespace ann;
using namespace ann::graph;
using namespace ann::testing;
using Alloc = std::allocator<char>;

// --- selection
// ------------------------------------------------------------------------------------

// Algorithm 4 of Malkov and Yashunin 2018 as printed, without extendCandidates.
std::vector<NodeId> ReferenceSelect(const std::vector<Vector>& points,
                                    const std::vector<Candidate>& working, uint32_t limit,
                                    bool keep_pruned) {
  std::vector<Candidate> result, discarded;
  for (const Candidate& e : working) {
    if (result.size() >= limit) break;
    const bool nearer_to_all = std::all_of(result.begin(), result.end(), [&](const Candidate& r) {
      return static_cast<float>(SquaredDistance(points[e.id], points[r.id])) >= e.key;
    });
    (nearer_to_all ? result : discarded).push_back(e);
  }
  if (keep_pruned) {
    for (size_t i = 0; i < discarded.size() && result.size() < limit; ++i) {
      result.push_back(discarded[i]);
    }
  }
  std::vector<NodeId> ids;
  for (const Candidate& c : result) ids.push_back(c.id);
  std::sort(ids.begin(), ids.end());
  return ids;
}

TEST(SelectTest, IsAlgorithm4) {
  Rng rng(1);
  Gaussian gaussian(1);
  for (int round = 0; round < 300; ++round) {
    const size_t dims = 1 + rng.Next() % 8, n = rng.Next() % 120;
    const uint32_t limit = 1 + static_cast<uint32_t>(rng.Next() % 40);
    std::vector<Vector> points;
    std::vector<Candidate> candidates;
    // Half of the rounds on a lattice, where equal distances abound.
    const bool lattice = round % 2 == 0;
    auto make = [&] {
      Vector v = gaussian.Make(dims, lattice ? 2 : 1);
      for (float& value : v) value = lattice ? std::round(value) : value;
      return v;
    };
    const Vector centre = make();
    for (size_t i = 0; i < n; ++i) {
      // Some equal points.
      points.push_back(i > 3 && rng.Next() % 8 == 0 ? points[i / 2] : make());
      candidates.push_back(
          {static_cast<float>(SquaredDistance(points[i], centre)), static_cast<NodeId>(i)});
    }
    std::sort(candidates.begin(), candidates.end(), Nearer);
    const std::vector<NodeId> expected = ReferenceSelect(points, candidates, limit, true);
    std::vector<NodeId> prepared;
    const uint32_t taken = SelectNeighbours(
        std::span<Candidate>(candidates), limit,
        [&](uint32_t t, NodeId id) {
          ASSERT_EQ(t, prepared.size());
          prepared.push_back(id);
        },
        [&](uint32_t t, NodeId other) {
          return static_cast<float>(SquaredDistance(points[prepared[t]], points[other]));
        });
    std::vector<NodeId> ids;
    for (uint32_t i = 0; i < taken; ++i) ids.push_back(candidates[i].id);
    std::sort(ids.begin(), ids.end());
    ASSERT_EQ(ids, expected) << n << " candidates, limit " << limit;
    // The others stand behind, none lost.
    std::vector<NodeId> all;
    for (const Candidate& c : candidates) all.push_back(c.id);
    std::sort(all.begin(), all.end());
    for (size_t i = 0; i < n; ++i) ASSERT_EQ(all[i], i);
  }
}

TEST(SelectTest, KeepsWhatOnlyThisListHolds) {
  // 0..3 taken, 4..7 not; 5 and 6 are held nowhere else, nor is 3.
  std::vector<Candidate> candidates;
  for (NodeId id = 0; id < 8; ++id) candidates.push_back({static_cast<float>(id), id});
  KeepReachable(std::span<Candidate>(candidates), 4,
                [](NodeId id) { return id != 3 && id != 5 && id != 6; });
  std::vector<NodeId> taken;
  for (uint32_t i = 0; i < 4; ++i) taken.push_back(candidates[i].id);
  std::sort(taken.begin(), taken.end());
  EXPECT_EQ(taken, (std::vector<NodeId>{0, 3, 5, 6}));
}

// --- search
// ---------------------------------------------------------------------------------------

// A ring with chords over points of the plane; some keys are NaN.
struct SmallGraph {
  std::vector<Vector> points;
  std::vector<std::vector<NodeId>> links;
  Vector query;
  std::vector<bool> unknown;
  uint32_t largest_batch = 0;

  uint32_t Neighbours(NodeId id, NodeId* out) {
    std::copy(links[id].begin(), links[id].end(), out);
    return static_cast<uint32_t>(links[id].size());
  }
  void Score(const NodeId* ids, uint32_t n, float* keys) {
    largest_batch = std::max(largest_batch, n);
    for (uint32_t i = 0; i < n; ++i) keys[i] = Key(ids[i]);
  }
  float Key(NodeId id) const {
    return unknown[id] ? std::numeric_limits<float>::quiet_NaN()
                       : static_cast<float>(SquaredDistance(points[id], query));
  }
};

SmallGraph MakeRing(uint32_t n, Rng& rng, Gaussian& gaussian, bool with_unknown) {
  SmallGraph graph;
  for (NodeId id = 0; id < n; ++id) {
    graph.points.push_back(gaussian.Make(2));
    graph.links.push_back({(id + 1) % n, (id + n - 1) % n, static_cast<NodeId>(rng.Next() % n)});
    graph.unknown.push_back(with_unknown && id % 10 == 7);
  }
  graph.query = gaussian.Make(2);
  return graph;
}

TEST(SearchTest, WithARoomyBeamFindsAllInOrder) {
  Rng rng(2);
  Gaussian gaussian(2);
  for (const bool with_unknown : {false, true}) {
    constexpr uint32_t kNodes = 200;
    SmallGraph graph = MakeRing(kNodes, rng, gaussian, with_unknown);
    Beam<Alloc> beam{Alloc()};
    VisitedSet<Alloc> visited{Alloc()};
    beam.Reset(kNodes);
    visited.Reset(10);
    beam.Insert({graph.Key(0), 0});
    visited.Insert(0);
    std::vector<NodeId> expanded;
    Expand(
        graph, beam, visited, [](Candidate) { FAIL(); },
        [&](NodeId id) { expanded.push_back(id); });
    ASSERT_EQ(beam.size(), kNodes);
    std::vector<Candidate> truth;
    for (NodeId id = 0; id < kNodes; ++id) truth.push_back({OrderableKey(graph.Key(id)), id});
    std::sort(truth.begin(), truth.end(), Nearer);
    for (uint32_t i = 0; i < kNodes; ++i) {
      EXPECT_EQ(beam.at(i).key, truth[i].key);
      if (!with_unknown) {
        EXPECT_EQ(beam.at(i).id, truth[i].id);
      }
      EXPECT_TRUE(beam.expanded(i));
    }
    std::sort(expanded.begin(), expanded.end());
    EXPECT_EQ(std::unique(expanded.begin(), expanded.end()), expanded.end()) << "expanded twice";
    EXPECT_EQ(expanded.size(), kNodes);
  }
}

TEST(SearchTest, EveryCandidateIsInTheBeamOrDroppedOnce) {
  Rng rng(3);
  Gaussian gaussian(3);
  for (const uint32_t ef : {1u, 5u, 30u}) {
    SmallGraph graph = MakeRing(300, rng, gaussian, true);
    Beam<Alloc> beam{Alloc()};
    VisitedSet<Alloc> visited{Alloc()};
    beam.Reset(ef);
    visited.Reset(10);
    beam.Insert({graph.Key(0), 0});
    visited.Insert(0);
    std::vector<NodeId> seen;
    Expand(
        graph, beam, visited, [&](Candidate c) { seen.push_back(c.id); }, [](NodeId) {});
    EXPECT_EQ(beam.PopNearest(), kNoId);
    for (uint32_t i = 0; i < beam.size(); ++i) seen.push_back(beam.at(i).id);
    EXPECT_EQ(seen.size(), visited.count());
    std::sort(seen.begin(), seen.end());
    EXPECT_EQ(std::unique(seen.begin(), seen.end()), seen.end());
    for (const NodeId id : seen) EXPECT_TRUE(visited.Contains(id));
    EXPECT_LE(graph.largest_batch, 3u);
  }
}

TEST(SearchTest, DescendStopsAtALocalMinimum) {
  Rng rng(4);
  Gaussian gaussian(4);
  for (int round = 0; round < 50; ++round) {
    SmallGraph graph = MakeRing(100, rng, gaussian, true);
    const Candidate start{graph.Key(0), 0};
    const Candidate end = Descend(graph, start, [](NodeId) {});
    EXPECT_EQ(end.key, graph.Key(end.id));
    EXPECT_LE(end.key, start.key);
    for (const NodeId next : graph.links[end.id]) {
      EXPECT_FALSE(graph.Key(next) < end.key);
    }
  }
}

// --- order
// ----------------------------------------------------------------------------------------

using Lists = std::vector<std::vector<NodeId>>;

VecOf<NodeId, Alloc> Packed(const Lists& links, NodeId start, uint32_t per_page) {
  VecOf<NodeId, Alloc> order{Alloc()};
  uint32_t pages = 0;
  PagePacking<Alloc> packing{Alloc()};
  packing.Run(
      static_cast<uint32_t>(links.size()), start, per_page,
      [&](NodeId id, const NodeId** out) {
        *out = links[id].data();
        return static_cast<uint32_t>(links[id].size());
      },
      [&] { ++pages; }, order);
  EXPECT_GE(pages * per_page, order.size());
  return order;
}

TEST(OrderTest, PackingIsAPermutation) {
  Rng rng(5);
  for (const uint32_t n : {0u, 1u, 2u, 500u}) {
    // Links go to the first half only: the second is not reached.
    Lists links(n);
    for (std::vector<NodeId>& list : links) {
      for (int i = 0; i < 3 && n > 1; ++i)
        list.push_back(static_cast<NodeId>(rng.Next() % (n / 2)));
    }
    for (const uint32_t per_page : {1u, 7u, 1000u}) {
      const NodeId start = n == 0 ? kNoId : n / 4;
      const VecOf<NodeId, Alloc> order = Packed(links, start, per_page);
      ASSERT_EQ(order.size(), n);
      if (n > 0) EXPECT_EQ(order[0], start);
      std::vector<NodeId> sorted(order.begin(), order.end());
      std::sort(sorted.begin(), sorted.end());
      for (NodeId id = 0; id < n; ++id) ASSERT_EQ(sorted[id], id);
    }
  }
}

// Groups whose nodes all know each other, and one of the next group: each is a page.
TEST(OrderTest, PackingKeepsGroupsTogether) {
  constexpr uint32_t kGroups = 20, kSize = 12, kNodes = kGroups * kSize;
  const auto group = [](NodeId id) { return id % kGroups; };
  Lists links(kNodes);
  for (NodeId id = 0; id < kNodes; ++id) {
    for (NodeId other = 0; other < kNodes; ++other) {
      if (other != id && group(other) == group(id)) links[id].push_back(other);
    }
    links[id].insert(links[id].begin(), (id + 1) % kNodes);
  }
  const VecOf<NodeId, Alloc> order = Packed(links, 3, kSize);
  for (uint32_t i = 0; i < kNodes; ++i) EXPECT_EQ(group(order[i]), group(order[i - i % kSize]));
}

// A square of 48 x 48 nodes, each linked to the eight around it, numbered at random: a list leads
// to 9 pages of 36, and to 2.2 were they squares of 6 x 6.
TEST(OrderTest, PackingFillsPagesWithNeighbours) {
  constexpr uint32_t kSide = 48, kNodes = kSide * kSide, kPerPage = 36;
  Rng rng(6);
  std::vector<NodeId> number(kNodes);
  for (NodeId id = 0; id < kNodes; ++id) number[id] = id;
  for (NodeId id = kNodes - 1; id > 0; --id) std::swap(number[id], number[rng.Next() % (id + 1)]);
  Lists links(kNodes);
  for (int x = 0; x < int{kSide}; ++x) {
    for (int y = 0; y < int{kSide}; ++y) {
      for (int i = std::max(0, x - 1); i <= std::min<int>(kSide - 1, x + 1); ++i) {
        for (int j = std::max(0, y - 1); j <= std::min<int>(kSide - 1, y + 1); ++j) {
          if (i != x || j != y) links[number[x * kSide + y]].push_back(number[i * kSide + j]);
        }
      }
    }
  }
  const VecOf<NodeId, Alloc> order = Packed(links, 0, kPerPage);
  std::vector<uint32_t> page(kNodes);
  for (uint32_t i = 0; i < kNodes; ++i) page[order[i]] = i / kPerPage;
  double pages = 0;
  for (const std::vector<NodeId>& list : links) {
    std::set<uint32_t> met;
    for (const NodeId id : list) met.insert(page[id]);
    pages += static_cast<double>(met.size()) / kNodes;
  }
  EXPECT_LT(pages, 2.5);
}

TEST(LevelTest, FallsByMEachLevel) {
  for (const uint32_t m : {2u, 16u, 100u}) {
    Rng rng(6);
    constexpr int kNodes = 200000;
    std::vector<int> counts(kMaxLevel + 1);
    for (int i = 0; i < kNodes; ++i) ++counts.at(LevelOf(rng.Next(), m));
    for (int level = 0; level < 3; ++level) {
      const double expected = kNodes * std::pow(m, -level) * (1 - 1.0 / m);
      EXPECT_NEAR(counts[level], expected, 5 * std::sqrt(expected) + 1) << m << " " << level;
    }
    EXPECT_EQ(LevelOf(~uint64_t{0}, m), 0);
    EXPECT_LE(LevelOf(0, m), kMaxLevel);
  }
}

}  // namespace
