// The filtered walk over a graph of real vectors: what it finds, what it leaves out, and when it
// gives up.
#include <algorithm>
#include <memory>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "codec_test_util.hpp"
#include "graph/filtered.hpp"
#include "graph/linker.hpp"
#include "graph/memory_graph.hpp"

namespace {

using namespace ann;
using namespace ann::graph;
using namespace ann::testing;
using Alloc = std::allocator<char>;

constexpr uint32_t kRows = 4000;
constexpr uint32_t kEf = 80;

class FilteredTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    rows_ = new std::vector<Vector>(ReadRows("base.npy", kRows));
    codec_ = new TestCodec(Params(quant::Metric::kL2, (*rows_)[0].size(), 4, 0), Mean(*rows_));
    graph_ = new MemoryGraph<Alloc>(Alloc(), **codec_, {16, 64, 42});
    for (uint32_t i = 0; i < kRows; ++i) {
      graph_->AddRow({0, static_cast<uint16_t>(i), 1}, i, (*rows_)[i].data());
    }
    graph_->Freeze();
    Linker<Alloc> linker(Alloc(), graph_->space());
    for (NodeId id = 0; id < kRows; ++id) linker.Link(id);
    for (NodeId id = 0; id < kRows; ++id) linker.Trim(id);
  }
  static void TearDownTestSuite() {
    graph_->Free();
    delete graph_, delete codec_, delete rows_;
  }

  // Level 0, by estimates from codes.
  struct Layer {
    const TestQuery& query;
    uint32_t Neighbours(NodeId id, NodeId* out) {
      std::copy_n(graph_->links(id, 0), graph_->degree(id, 0), out);
      return graph_->degree(id, 0);
    }
    void Score(const NodeId* ids, uint32_t n, float* keys) {
      for (uint32_t i = 0; i < n; ++i) keys[i] = Key(ids[i]);
    }
    float Key(NodeId id) const { return (*codec_)->Key(*query, graph_->coded(id)); }
  };

  // The k nearest by key of those that pass.
  static std::vector<NodeId> Truth(const Layer& layer, const std::vector<bool>& pass, uint32_t k) {
    std::vector<Candidate> all;
    for (NodeId id = 0; id < kRows; ++id) {
      if (pass[id]) all.push_back({layer.Key(id), id});
    }
    std::sort(all.begin(), all.end(), Nearer);
    std::vector<NodeId> ids;
    for (uint32_t i = 0; i < k && i < all.size(); ++i) ids.push_back(all[i].id);
    return ids;
  }
  static uint32_t Hits(const FilteredWalk<Alloc>& walk, const std::vector<NodeId>& truth) {
    uint32_t hits = 0;
    for (uint32_t i = 0; i < walk.found().size(); ++i) {
      hits += std::count(truth.begin(), truth.end(), walk.found().at(i).id) > 0 ? 1 : 0;
    }
    return hits;
  }

  struct Search {
    Search(Layer layer_, const std::vector<bool>& pass_, NodeId start, double rate, double budget)
        : layer(layer_), pass(pass_) {
      walk.Reset(kEf, rate, budget);
      visited.Reset(1000, kRows);
      visited.Insert(start);
      walk.Start({layer.Key(start), start});
    }
    RoundEnd Round(size_t limit = SIZE_MAX) {
      return walk.Round(
          layer, visited, UINT64_MAX, limit,
          [this](NodeId id) {
            ++tests;
            return pass[id];
          },
          [this](NodeId) { ++expanded; });
    }
    Layer layer;
    const std::vector<bool>& pass;
    FilteredWalk<Alloc> walk{Alloc()};
    VisitedSet<Alloc> visited{Alloc()};
    uint64_t tests = 0;
    uint64_t expanded = 0;
  };

  static std::vector<Vector>* rows_;
  static TestCodec* codec_;
  static MemoryGraph<Alloc>* graph_;
};
std::vector<Vector>* FilteredTest::rows_;
TestCodec* FilteredTest::codec_;
MemoryGraph<Alloc>* FilteredTest::graph_;

constexpr double kNoBudget = 1e18;

TEST_F(FilteredTest, OneRoundFindsTheNearestThatPass) {
  const std::vector<Vector> queries = ReadRows("query.npy", 100);
  for (const uint32_t one_in : {1u, 2u, 10u, 50u}) {
    std::vector<bool> pass(kRows);
    for (NodeId id = 0; id < kRows; ++id) pass[id] = Mix64(id) % one_in == 0;
    uint32_t hits = 0, wanted = 0;
    uint64_t expanded = 0;
    for (const Vector& q : queries) {
      const TestQuery query(*codec_, q);
      const Layer layer{query};
      Search search(layer, pass, graph_->entry(), 1.0 / one_in, kNoBudget);
      ASSERT_EQ(search.Round(), RoundEnd::kSettled);
      for (uint32_t i = 0; i < search.walk.found().size(); ++i) {
        ASSERT_TRUE(pass[search.walk.found().at(i).id]);
        ASSERT_TRUE(i == 0 || search.walk.found().at(i - 1).key <= search.walk.found().at(i).key);
      }
      const std::vector<NodeId> truth = Truth(layer, pass, 10);
      hits += Hits(search.walk, truth), wanted += static_cast<uint32_t>(truth.size());
      expanded += search.expanded;
    }
    EXPECT_GE(hits, wanted * 0.95) << "1 in " << one_in;
    // Not as many as ef of those that pass would take.
    EXPECT_LE(expanded,
              queries.size() *
                  std::min<uint64_t>(kRows, 2 * FilteredEf(kEf, 1.0 / one_in) * one_in + kEf));
  }
}

TEST_F(FilteredTest, RoundsGoOnToAllThatCanBeReachedEachOnce) {
  const Vector q = ReadRows("query.npy", 1)[0];
  const TestQuery query(*codec_, q);
  std::vector<bool> pass(kRows);
  for (NodeId id = 0; id < kRows; ++id) pass[id] = id % 3 == 0;
  Search search(Layer{query}, pass, graph_->entry(), 1.0 / 3, kNoBudget);
  std::set<NodeId> found;
  uint32_t ef = kEf;
  for (bool first = true; first || search.walk.more(); first = false) {
    if (!first) search.walk.Next(ef *= 2);
    search.Round();
    if (search.walk.found().size() == 0) break;
    for (uint32_t i = 0; i < search.walk.found().size(); ++i) {
      EXPECT_TRUE(found.insert(search.walk.found().at(i).id).second) << "twice";
    }
  }
  EXPECT_GE(found.size(), kRows / 3 - 5);
}

TEST_F(FilteredTest, DrainGivesTheRest) {
  const Vector q = ReadRows("query.npy", 1)[0];
  const TestQuery query(*codec_, q);
  const std::vector<bool> pass(kRows, true);
  Search search(Layer{query}, pass, graph_->entry(), 1, kNoBudget);
  search.Round();
  std::set<NodeId> met;
  for (uint32_t i = 0; i < search.walk.found().size(); ++i)
    met.insert(search.walk.found().at(i).id);
  search.walk.Drain([&](NodeId id) { EXPECT_TRUE(met.insert(id).second); });
  EXPECT_EQ(met.size(), search.visited.count());
  EXPECT_FALSE(search.walk.more());
}

// Only the farthest pass: the walk notices, and finds them from passing nodes anywhere.
TEST_F(FilteredTest, WhereTheSurroundingsFailItBridges) {
  const std::vector<Vector> queries = ReadRows("query.npy", 50);
  uint32_t hits = 0, astray = 0;
  for (const Vector& q : queries) {
    const TestQuery query(*codec_, q);
    Layer layer{query};
    std::vector<bool> pass(kRows, true);
    for (const NodeId id : Truth(layer, pass, kRows * 9 / 10)) pass[id] = false;
    Search search(layer, pass, graph_->entry(), 0.1, kNoBudget);
    if (search.Round() == RoundEnd::kAstray) {
      ++astray;
      EXPECT_LT(search.tests, kRows / 2);
      search.walk.Bridge(kEf);
      uint32_t seeds = 0;
      for (NodeId id = 0; id < kRows && seeds < 16; id += 7) {
        if (!pass[id] || !search.visited.Insert(id)) continue;
        search.walk.Start({layer.Key(id), id});
        ++seeds;
      }
      EXPECT_EQ(search.Round(), RoundEnd::kSettled);
    }
    hits += Hits(search.walk, Truth(layer, pass, 10));
  }
  EXPECT_GE(astray, queries.size() * 9 / 10);
  // The nearest of a shell around the query lie all over it.
  EXPECT_GE(hits, queries.size() * 10 * 0.8);
}

TEST_F(FilteredTest, EndsWithItsBudgetAndKeepsToItsMemory) {
  const Vector q = ReadRows("query.npy", 1)[0];
  const TestQuery query(*codec_, q);
  const std::vector<bool> none(kRows, false);
  Search search(Layer{query}, none, graph_->entry(), 1e-4, 50 * kExpansionCost);
  EXPECT_EQ(search.Round(), RoundEnd::kAstray);
  EXPECT_LE(search.expanded, 80u);
  EXPECT_EQ(search.walk.found().size(), 0u);

  const std::vector<bool> pass(kRows, true);
  Search bounded(Layer{query}, pass, graph_->entry(), 1, kNoBudget);
  bounded.Round(100 * sizeof(Candidate));
  uint32_t left = 0;
  bounded.walk.Drain([&](NodeId) { ++left; });
  EXPECT_LE(left, 100u + kMaxDegree);
  EXPECT_EQ(bounded.walk.found().size(), kEf);
}

}  // namespace
