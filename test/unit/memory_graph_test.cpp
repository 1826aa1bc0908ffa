// The graph of a build: structure, determinism, and recall on real vectors against exact truth.
#include <algorithm>
#include <atomic>
#include <barrier>
#include <cmath>
#include <memory>
#include <set>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "codec_test_util.hpp"
#include "graph/calibrate.hpp"
#include "graph/linker.hpp"
#include "graph/memory_graph.hpp"

namespace {

using namespace ann;
using namespace ann::graph;
using namespace ann::testing;
using quant::Metric;
using Alloc = std::allocator<char>;
using Graph = MemoryGraph<Alloc>;

format::Tid TidOf(size_t row) {
  return {static_cast<uint16_t>(row >> 16), static_cast<uint16_t>(row), 1};
}
size_t RowOf(format::Tid tid) { return size_t{tid.block_high} << 16 | tid.block_low; }

class Built {
 public:
  Built(const quant::CodecParams& params, const std::vector<Vector>& rows, const Vector& mean,
        const BuildParams& build, int threads = 0)
      : codec_(params, mean), build_(build), graph_(Alloc(), *codec_, build) {
    for (size_t i = 0; i < rows.size(); ++i) {
      graph_.AddRow(TidOf(i), quant::HashVector(rows[i].data(), rows[i].size(), params.seed),
                    rows[i].data());
    }
    if (threads == 0) {
      graph_.Freeze();
      LinkAlone();
    } else {
      shared_.resize(graph_.SharedBytes() + 64);
      graph_.Freeze(Shared());
      LinkTogether(threads);
    }
  }
  ~Built() { graph_.Free(); }

  const TestCodec& codec() const { return codec_; }
  const Graph& graph() const { return graph_; }

  // The rows of the `ef` nodes found, nearest first.
  std::vector<size_t> Search(const Vector& q, uint32_t ef) const {
    const TestQuery query(codec_, q);
    Beam<Alloc> beam{Alloc()};
    VisitedSet<Alloc> visited{Alloc()};
    graph_.Search([&](const uint8_t* coded) { return codec_->Key(*query, coded); }, ef, beam,
                  visited);
    std::vector<size_t> rows;
    for (uint32_t i = 0; i < beam.size(); ++i) {
      const Graph::Row* row = &graph_.first_row(beam.at(i).id);
      for (;; row = &graph_.row(row->next)) {
        rows.push_back(RowOf(row->tid));
        if (row->next == kNoId) break;
      }
    }
    return rows;
  }

 private:
  void* Shared() {
    void* memory = shared_.data();
    size_t room = shared_.size();
    return std::align(64, room - 64, memory, room);
  }
  void LinkAlone() {
    Linker<Alloc> linker(Alloc(), graph_.space());
    for (NodeId id = 0; id < graph_.size(); ++id) linker.Link(id);
    for (NodeId id = 0; id < graph_.size(); ++id) linker.Trim(id);
  }
  // As processes do it: each has a space of its own over the same memory.
  void LinkTogether(int threads) {
    std::atomic<NodeId> linked = 0, trimmed = 0;
    std::barrier all(threads);
    std::vector<std::thread> running;
    for (int t = 0; t < threads; ++t) {
      running.emplace_back([&] {
        LinkSpace<Alloc> space(Alloc(), *codec_, build_, Shared());
        Linker<Alloc> linker(Alloc(), space);
        for (NodeId id; (id = linked++) < space.size();) linker.Link(id);
        all.arrive_and_wait();
        for (NodeId id; (id = trimmed++) < space.size();) linker.Trim(id);
      });
    }
    for (std::thread& thread : running) thread.join();
  }

  TestCodec codec_;
  BuildParams build_;
  Graph graph_;
  std::vector<char> shared_;
};

// Lists are no longer than promised, and name each other node at most once, on its levels only.
void ExpectValidLinks(const Graph& graph, uint32_t m) {
  uint32_t top = 0;
  for (NodeId id = 0; id < graph.size(); ++id) {
    top = std::max<uint32_t>(top, graph.level(id));
    for (uint32_t l = 0; l <= graph.level(id); ++l) {
      const uint32_t n = graph.degree(id, l);
      ASSERT_LE(n, l == 0 ? 2 * m : m);
      std::set<NodeId> seen;
      for (uint32_t i = 0; i < n; ++i) {
        const NodeId to = graph.links(id, l)[i];
        ASSERT_LT(to, graph.size());
        ASSERT_NE(to, id);
        ASSERT_GE(graph.level(to), l);
        ASSERT_TRUE(seen.insert(to).second);
      }
    }
  }
  if (graph.size() > 0) {
    ASSERT_EQ(graph.top_level(), top);
    ASSERT_EQ(graph.level(graph.entry()), top);
  }
}

uint32_t CountReached(const Graph& graph) {
  if (graph.entry() == kNoId) return 0;
  std::vector<bool> seen(graph.size());
  std::vector<NodeId> stack = {graph.entry()};
  seen[graph.entry()] = true;
  uint32_t reached = 0;
  while (!stack.empty()) {
    const NodeId id = stack.back();
    stack.pop_back();
    ++reached;
    for (uint32_t i = 0; i < graph.degree(id, 0); ++i) {
      const NodeId to = graph.links(id, 0)[i];
      if (!seen[to]) seen[to] = true, stack.push_back(to);
    }
  }
  return reached;
}

// Recall at 10 of the ef found, as if all were compared exactly; by key, so that ties count.
double Recall(const Built& built, Metric metric, const std::vector<Vector>& rows,
              const std::vector<Vector>& queries, uint32_t ef) {
  double hits = 0;
  for (const Vector& q : queries) {
    std::vector<double> truth;
    for (const Vector& x : rows) truth.push_back(TrueKey(metric, x, q));
    std::vector<double> found;
    for (const size_t row : built.Search(q, ef)) found.push_back(truth[row]);
    std::nth_element(truth.begin(), truth.begin() + 9, truth.end());
    hits += std::min<double>(
        10, static_cast<double>(std::count_if(found.begin(), found.end(),
                                              [&](double key) { return key <= truth[9] + 1e-9; })));
  }
  return hits / (10.0 * static_cast<double>(queries.size()));
}

const std::vector<Vector>& AllRows() {
  static const std::vector<Vector>* const rows = new auto(ReadRows("base.npy", 10000));
  return *rows;
}
std::vector<Vector> Queries(size_t n) { return ReadRows("query.npy", n); }
std::vector<Vector> FirstRows(size_t n) {
  return std::vector<Vector>(AllRows().begin(), AllRows().begin() + static_cast<long>(n));
}

constexpr BuildParams kDefaults{16, 64, 7};

TEST(MemoryGraphTest, FindsRealNeighboursUnderCosine) {
  const Built built(Params(Metric::kCosine, 384, 2, 0), AllRows(), Mean(AllRows()), kDefaults);
  const Graph& graph = built.graph();
  EXPECT_EQ(graph.row_count(), AllRows().size());
  EXPECT_LT(graph.size(), graph.row_count()) << "the set has equal rows";
  ASSERT_NO_FATAL_FAILURE(ExpectValidLinks(graph, kDefaults.m));
  EXPECT_GE(CountReached(graph), graph.size() - graph.size() / 1000);
  EXPECT_GE(Recall(built, Metric::kCosine, AllRows(), Queries(200), 64), 0.95);
  // 44 bytes a row and the slot of 320, in chunks of 1 MB.
  EXPECT_LE(graph.bytes(), graph.size() * size_t{420} + (3 << 20));
}

TEST(MemoryGraphTest, EveryRowFindsItself) {
  const std::vector<Vector> rows = FirstRows(2000);
  const Built built(Params(Metric::kL2, 384, 2, 0), rows, Mean(rows), kDefaults);
  int missed = 0;
  for (size_t i = 0; i < rows.size(); i += 7) {
    const std::vector<size_t> found = built.Search(rows[i], 40);
    missed += std::find(found.begin(), found.end(), i) == found.end();
  }
  EXPECT_EQ(missed, 0);
}

TEST(MemoryGraphTest, TwoBuildsAreEqual) {
  const std::vector<Vector> rows = FirstRows(1500);
  const Vector mean = Mean(rows);
  const auto params = Params(Metric::kL2, 384, 2, 6);
  const Built first(params, rows, mean, kDefaults), second(params, rows, mean, kDefaults);
  const Built other(params, rows, mean, {16, 64, 8});
  const Graph &a = first.graph(), &b = second.graph();
  ASSERT_EQ(a.size(), b.size());
  ASSERT_EQ(a.entry(), b.entry());
  bool levels_differ = false;
  for (NodeId id = 0; id < a.size(); ++id) {
    ASSERT_EQ(a.level(id), b.level(id));
    ASSERT_EQ(a.hash(id), b.hash(id));
    ASSERT_EQ(std::memcmp(a.coded(id), b.coded(id), first.codec()->coded_bytes()), 0);
    ASSERT_EQ(std::memcmp(a.refinement(id), b.refinement(id), first.codec()->refinement_bytes()),
              0);
    for (uint32_t l = 0; l <= a.level(id); ++l) {
      ASSERT_EQ(a.degree(id, l), b.degree(id, l));
      ASSERT_TRUE(std::equal(a.links(id, l), a.links(id, l) + a.degree(id, l), b.links(id, l)));
    }
    levels_differ |= other.graph().level(id) != a.level(id);
  }
  EXPECT_TRUE(levels_differ) << "the seed of levels changes nothing";
}

// Node after node by another thread, from the first on: as little order as there can be.
TEST(MemoryGraphTest, ThreadsLinkTogether) {
  const std::vector<Vector> rows = FirstRows(5000), queries = Queries(40);
  const Vector mean = Mean(rows);
  const auto params = Params(Metric::kCosine, 384, 2, 0);
  const double alone =
      Recall(Built(params, rows, mean, kDefaults), Metric::kCosine, rows, queries, 40);
  const Built together(params, rows, mean, kDefaults, 4);
  ASSERT_NO_FATAL_FAILURE(ExpectValidLinks(together.graph(), kDefaults.m));
  EXPECT_GE(CountReached(together.graph()), together.graph().size() - 5);
  EXPECT_GE(Recall(together, Metric::kCosine, rows, queries, 40), alone - 0.01);
}

// Lists of m = 2 overflow all the time, and nodes rise above all others.
TEST(MemoryGraphTest, ThreadsMeetInShortLists) {
  const std::vector<Vector> rows = FirstRows(3000);
  for (int round = 0; round < 3; ++round) {
    const Built built(Params(Metric::kL2, 384, 2, 0), rows, Mean(rows), {2, 8, 7}, 8);
    ASSERT_NO_FATAL_FAILURE(ExpectValidLinks(built.graph(), 2));
  }
}

TEST(MemoryGraphTest, EqualRowsShareANode) {
  std::vector<Vector> rows(10000, AllRows()[0]);
  for (size_t i = 0; i < 300; ++i) rows[i * 30] = AllRows()[i];
  const Built built(Params(Metric::kCosine, 384, 2, 6), rows, Mean(AllRows()), kDefaults);
  const Graph& graph = built.graph();
  std::set<Vector> different(rows.begin(), rows.end());
  EXPECT_EQ(graph.size(), different.size());
  EXPECT_EQ(graph.row_count(), rows.size());
  ASSERT_NO_FATAL_FAILURE(ExpectValidLinks(graph, kDefaults.m));
  EXPECT_EQ(CountReached(graph), graph.size());
  // Each row is in one chain.
  std::vector<int> seen(rows.size());
  for (NodeId id = 0; id < graph.size(); ++id) {
    const Graph::Row* row = &graph.first_row(id);
    for (;; row = &graph.row(row->next)) {
      ++seen[RowOf(row->tid)];
      EXPECT_EQ(quant::HashVector(rows[RowOf(row->tid)].data(), 384, 42), graph.hash(id));
      if (row->next == kNoId) break;
    }
  }
  EXPECT_EQ(std::count(seen.begin(), seen.end(), 1), static_cast<long>(rows.size()));
  EXPECT_GE(built.Search(AllRows()[0], 10).size(), 9700u);
}

TEST(MemoryGraphTest, EqualCodesOfDifferentRowsAreDifferentNodes) {
  quant::CodecParams params = Params(Metric::kL1, 4, 8, 0);
  params.l1_step = 1;
  std::vector<Vector> rows;
  for (int i = 0; i < 3000; ++i) rows.push_back({static_cast<float>(i) * 1e-5f, 1, 2, 3});
  const Built built(params, rows, Vector(4), {4, 8, 7});
  EXPECT_EQ(built.graph().size(), rows.size());
}

TEST(MemoryGraphTest, NoneOneAndTwoRows) {
  for (const size_t n : {0, 1, 2}) {
    const std::vector<Vector> rows = FirstRows(n);
    const Built built(Params(Metric::kL2, 384, 2, 6), rows, Vector(384), kDefaults);
    EXPECT_EQ(built.graph().size(), n);
    EXPECT_EQ(built.Search(AllRows()[5], 10).size(), n);
    ASSERT_NO_FATAL_FAILURE(ExpectValidLinks(built.graph(), kDefaults.m));
    EXPECT_EQ(CountReached(built.graph()), n);
  }
}

// Lists with slack must fit a search's buffers at the largest m; upper levels are many at the
// smallest.
TEST(MemoryGraphTest, SmallestAndLargestDegrees) {
  const std::vector<Vector> rows = FirstRows(800);
  for (const uint32_t m : {2u, 100u, 128u}) {
    const Built built(Params(Metric::kL2, 384, 2, 0), rows, Mean(rows), {m, 200, 7});
    ASSERT_NO_FATAL_FAILURE(ExpectValidLinks(built.graph(), m));
    EXPECT_GE(Recall(built, Metric::kL2, rows, Queries(30), 64), m == 2 ? 0.6 : 0.99) << m;
  }
}

TEST(MemoryGraphTest, FindsNeighboursUnderL1) {
  const std::vector<Vector> rows = FirstRows(3000);
  const Vector mean = Mean(rows);
  double variance = 0;
  for (const Vector& x : rows) variance += SquaredDistance(x, mean) / (384.0 * 3000);
  quant::CodecParams params = Params(Metric::kL1, 384, 8, 0);
  params.l1_step = static_cast<float>(4 * std::sqrt(variance) / 128);
  const Built built(params, rows, mean, kDefaults);
  ASSERT_NO_FATAL_FAILURE(ExpectValidLinks(built.graph(), kDefaults.m));
  EXPECT_GE(Recall(built, Metric::kL1, rows, Queries(50), 64), 0.95);
}

// Lengths differ by a factor of 2, as those of learned item vectors do.
TEST(MemoryGraphTest, FindsLargestInnerProducts) {
  std::vector<Vector> rows = FirstRows(3000);
  Rng rng(9);
  for (Vector& x : rows) {
    const float length = 1 + static_cast<float>(rng.NextUnit());
    for (float& v : x) v *= length;
  }
  const Built built(Params(Metric::kInnerProduct, 384, 2, 0), rows, Mean(rows), kDefaults);
  ASSERT_NO_FATAL_FAILURE(ExpectValidLinks(built.graph(), kDefaults.m));
  EXPECT_NEAR(built.graph().max_norm(), 2, 0.01);
  for (NodeId id = 0; id < built.graph().size(); ++id) {
    float lift;
    std::memcpy(&lift, built.graph().coded(id) + sizeof(quant::Factors), sizeof lift);
    const Vector& x = rows[RowOf(built.graph().first_row(id).tid)];
    ASSERT_NEAR(lift * lift + Dot(x, x), std::pow(built.graph().max_norm(), 2), 1e-4);
  }
  EXPECT_GE(Recall(built, Metric::kInnerProduct, rows, Queries(50), 64), 0.95);
}

// Numbers at the ends of float's range among usual ones: all are linked, and the usual ones found.
TEST(MemoryGraphTest, ExtremeVectorsDoNoHarm) {
  for (const Metric metric : {Metric::kL2, Metric::kInnerProduct, Metric::kCosine, Metric::kL1}) {
    std::vector<Vector> rows = FirstRows(600);
    Gaussian gaussian(10);
    for (const float scale : {1e-42f, 1e-30f, 1e15f, 1e19f, 1e30f, 3e37f}) {
      for (int i = 0; i < 5; ++i) rows.push_back(gaussian.Make(384, scale));
    }
    if (metric != Metric::kCosine) rows.push_back(Vector(384));
    quant::CodecParams params = Params(metric, 384, metric == Metric::kL1 ? 8 : 2, 0);
    params.l1_step = 0.002f;
    const Built built(params, rows, Vector(384), kDefaults);
    ASSERT_NO_FATAL_FAILURE(ExpectValidLinks(built.graph(), kDefaults.m));
    EXPECT_TRUE(std::isfinite(built.graph().max_norm()));
    EXPECT_GE(CountReached(built.graph()), 600u) << static_cast<int>(metric);
    if (metric != Metric::kInnerProduct) {
      EXPECT_GE(Recall(built, metric, rows, Queries(20), 64), 0.9) << static_cast<int>(metric);
    }
    for (const Vector& q : rows) EXPECT_LE(built.Search(q, 10).size(), rows.size());
  }
}

uint32_t Calibrated(const Built& built) {
  return Calibration(built.graph(), *built.codec(), Alloc(), [] {}).Run();
}

TEST(CalibrateTest, GraphsWithFewerNodesThanAreSampledOrSought) {
  for (const size_t n : {0, 1, 10, 11, 19, 20, 30}) {
    const Built built(Params(Metric::kL2, 384, 2, 0), FirstRows(n), Mean(AllRows()), kDefaults);
    EXPECT_EQ(Calibrated(built), 40u) << n << " rows";
  }
}

TEST(CalibrateTest, GivesRecallToRealQueriesAndMoreToAPoorGraph) {
  const std::vector<Vector> rows = FirstRows(3000);
  const quant::CodecParams params = Params(Metric::kCosine, 384, 2, 0);
  const Built good(params, rows, Mean(rows), kDefaults), poor(params, rows, Mean(rows), {4, 8, 7});
  const uint32_t ef = Calibrated(good);
  EXPECT_GE(Recall(good, Metric::kCosine, rows, Queries(100), ef), 0.97);
  EXPECT_GT(Calibrated(poor), ef);
}

}  // namespace
