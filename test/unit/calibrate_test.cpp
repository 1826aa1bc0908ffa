// Calibration over graphs made for it: ids with holes, and searches that find just so much.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include <gtest/gtest.h>

#include "codec_test_util.hpp"
#include "core/rng.hpp"
#include "graph/calibrate.hpp"

namespace {

using namespace ann;
using namespace ann::graph;
using namespace ann::testing;
using Alloc = std::allocator<char>;

constexpr uint32_t kDims = 24;

// Nodes at ids first, first + spacing, ... A search looks at all of them; with less than `enough`
// candidates it passes over the nearest, in `poor` of ten queries.
class Scattered {
 public:
  Scattered(NodeId count, NodeId spacing, NodeId first = 0)
      : codec_(Params(quant::Metric::kL2, kDims, 4, 0), Vector(kDims)),
        spacing_(spacing),
        first_(first) {
    Gaussian gaussian(11);
    for (NodeId i = 0; i < count; ++i)
      codes_.push_back(codec_.Encode(gaussian.Make(kDims, 1)).code);
  }

  uint32_t enough = 0;
  uint32_t poor = 10;
  uint32_t passes = 0;
  uint32_t reads = 0;
  uint32_t interrupts = 0;
  uint64_t searches = 0;

  uint32_t Calibrated() {
    return Calibration(*this, *codec_, Alloc(), [this] { ++interrupts; }).Run();
  }

  NodeId id_limit() const { return first_ + static_cast<NodeId>(codes_.size()) * spacing_; }
  bool ReadCode(NodeId id, uint8_t* coded) {
    ++reads;
    EXPECT_LT(id, id_limit());
    if (id < first_ || (id - first_) % spacing_ != 0) return false;
    const std::vector<uint8_t>& code = codes_[(id - first_) / spacing_];
    std::memcpy(coded, code.data(), code.size());
    return true;
  }
  template <class Visit>
  void ForCodes(Visit&& visit) {
    ++passes;
    for (const std::vector<uint8_t>& code : codes_) visit(code.data());
  }
  template <class Score>
  void Search(Score&& score, uint32_t ef, Beam<Alloc>& beam, VisitedSet<Alloc>&) {
    if (ef == kCalibrationSteps[0]) ++searches;
    std::vector<Candidate> all;
    for (NodeId i = 0; i < codes_.size(); ++i) all.push_back({score(codes_[i].data()), i});
    std::sort(all.begin(), all.end(), Nearer);
    // The query itself, and nothing else, is out of reach.
    EXPECT_TRUE(std::isinf(all.back().key));
    EXPECT_FALSE(std::isinf(all[all.size() - 2].key));
    const bool misses = ef < enough && searches % 10 < poor;
    beam.Reset(ef);
    for (size_t i = misses ? 1 : 0; i < all.size(); ++i) beam.Insert(all[i]);
  }

 private:
  TestCodec codec_;
  std::vector<std::vector<uint8_t>> codes_;
  NodeId spacing_;
  NodeId first_;
};

TEST(CalibrationTest, TakesTheFirstEfThatFindsEnough) {
  for (const auto& [enough, wanted] : {std::pair{0u, 40u},
                                       {41u, 50u},
                                       {128u, 128u},
                                       {129u, 160u},
                                       {400u, 400u},
                                       {513u, 700u},
                                       {999u, 1000u}}) {
    Scattered graph(250, 1);
    graph.enough = enough;
    EXPECT_EQ(graph.Calibrated(), wanted) << enough;
    EXPECT_EQ(graph.passes, 1u);
    EXPECT_EQ(graph.reads, 200u);
    EXPECT_EQ(graph.searches, 200u);
    EXPECT_GE(graph.interrupts, 400u);
  }
}

// What no step finds is not worth a wide search.
TEST(CalibrationTest, StopsWhereWiderFindsNoMore) {
  Scattered graph(250, 1);
  graph.enough = 9999;
  EXPECT_EQ(graph.Calibrated(), 40u);
}

// One neighbour of ten is missed by two queries of ten, which is .98, or by four, which is .96.
TEST(CalibrationTest, WantsRecallOfTheQueriesTogether) {
  Scattered good(250, 1), poor(250, 1);
  good.enough = poor.enough = 150;
  good.poor = 2, poor.poor = 4;
  EXPECT_EQ(good.Calibrated(), 40u);
  EXPECT_EQ(poor.Calibrated(), 160u);
}

TEST(CalibrationTest, FindsNodesBetweenHoles) {
  for (const auto& [spacing, first] : {std::pair{3u, 0u}, {9u, 2u}, {1u, 5000u}, {40u, 0u}}) {
    Scattered graph(250, spacing, first);
    graph.enough = 300;
    EXPECT_EQ(graph.Calibrated(), 320u) << spacing;
    EXPECT_EQ(graph.passes, 1u);
    EXPECT_LE(graph.reads, 1600u);
  }
}

TEST(CalibrationTest, FewOrNoNodes) {
  for (const NodeId count : {0u, 1u, 2u, 10u, 11u, 30u}) {
    Scattered graph(count, 2, 700);
    EXPECT_EQ(graph.Calibrated(), 40u) << count;
  }
}

}  // namespace
