// The ef at which a finished graph answers well by itself.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <limits>

#include "core/beam.hpp"
#include "core/rng.hpp"
#include "core/sizes.hpp"
#include "core/vec.hpp"
#include "core/visited.hpp"
#include "quant/codec.hpp"

namespace ann::graph {

// What a calibrated search must find of the exact 10 nearest.
inline constexpr double kCalibratedRecall = 0.97;
inline constexpr uint32_t kCalibrationSteps[] = {40,  50,  64,  80,  100, 128, 160,
                                                 200, 256, 320, 400, 512, 700, 1000};
// Where no step does, what the widest may find more than the one that is taken.
inline constexpr double kForgoneRecall = 0.005;

// A graph to be calibrated: that of a build, or the pages of an index. Beside these
//   ForCodes(visit): visit(coded) for each node
//   Search(score, ef, beam, visited): the ef nearest by score(coded) in `beam`
template <class G>
concept Calibratable = requires(G graph, NodeId id, uint8_t* coded) {
  // All ids are below it.
  { graph.id_limit() } -> std::convertible_to<NodeId>;
  // A copy of the node's code. False: there is no such node.
  { graph.ReadCode(id, coded) } -> std::convertible_to<bool>;
};

// Searches for a sample of the nodes as if they were not there, and compares with a scan of all
// codes. `interrupt()` is called every few milliseconds.
template <Calibratable Graph, class Alloc, class Interrupt>
class Calibration {
 public:
  Calibration(Graph& graph, const quant::Codec& codec, const Alloc& alloc, Interrupt interrupt)
      : graph_(graph),
        codec_(codec),
        interrupt_(interrupt),
        prepared_bytes_(quant::Codec::PreparedCodeBytes(codec.params())),
        codes_(alloc),
        prepared_(alloc),
        queries_(alloc),
        nearest_(alloc),
        beam_(alloc),
        visited_(alloc) {}

  // The first ef of kCalibrationSteps that finds kCalibratedRecall, or nearly all that the last
  // finds.
  uint32_t Run() {
    Sample();
    if (sampled_ < 2) return kCalibrationSteps[0];
    MakeQueries();
    if (FindNearest() <= kK) return kCalibrationSteps[0];
    uint64_t hits[kSteps] = {};
    for (uint32_t i = 0; i < sampled_; ++i) Measure(i, hits);
    const double all = sampled_ * double{kK};
    const double wanted = std::min(kCalibratedRecall * all,
                                   static_cast<double>(hits[kSteps - 1]) - kForgoneRecall * all);
    uint32_t step = 0;
    while (static_cast<double>(hits[step]) < wanted) ++step;
    return kCalibrationSteps[step];
  }

 private:
  static constexpr uint32_t kK = 10;
  static constexpr uint32_t kSteps = static_cast<uint32_t>(std::size(kCalibrationSteps));
  // About a second of scanning at 10 ns a code; from 5 million nodes on 20 queries take more.
  static constexpr uint64_t kScanBudget = 100'000'000;
  static constexpr uint32_t kMostQueries = 200, kFewestQueries = 20;

  // One node out of each of as many stretches of ids as there are to be queries. Where nodes are
  // sparse a stretch may be passed over.
  void Sample() {
    constexpr uint32_t kTries = 8;
    const uint64_t limit = graph_.id_limit();
    const uint32_t wanted = static_cast<uint32_t>(
        std::min(limit, std::clamp<uint64_t>(kScanBudget / std::max<uint64_t>(limit, 1),
                                             kFewestQueries, kMostQueries)));
    codes_.resize(wanted * size_t{codec_.coded_bytes()});
    for (uint32_t i = 0; i < wanted; ++i) {
      interrupt_();
      const uint64_t start = i * limit / wanted, end = (i + 1) * limit / wanted;
      for (uint64_t t = 0; t < kTries; ++t) {
        const NodeId id = static_cast<NodeId>(start + Mix64(i * kTries + t) % (end - start));
        if (!graph_.ReadCode(id, Code(sampled_))) continue;
        ++sampled_;
        break;
      }
    }
  }

  void MakeQueries() {
    prepared_.resize(sampled_ * prepared_bytes_);
    for (uint32_t i = 0; i < sampled_; ++i) {
      queries_.push_back(codec_.PrepareCode(Code(i), prepared_.data() + i * prepared_bytes_));
    }
  }

  // A node with the query's own code is out of reach: a search for it that goes past it would be
  // too easy, as its list names its nearest.
  float Key(uint32_t query, const uint8_t* coded) {
    if (std::memcmp(coded, Code(query), codec_.coded_bytes()) == 0) {
      return std::numeric_limits<float>::infinity();
    }
    return codec_.CodeDistance(queries_[query], coded);
  }

  // The kK smallest keys of each query, ascending, by one pass over all codes. Returns how many
  // codes there are.
  uint64_t FindNearest() {
    nearest_.assign(size_t{sampled_} * kK, std::numeric_limits<float>::infinity());
    uint64_t codes = 0;
    graph_.ForCodes([&](const uint8_t* coded) {
      if (++codes % 512 == 0) interrupt_();
      for (uint32_t i = 0; i < sampled_; ++i) {
        const float key = Key(i, coded);
        float* nearest = Nearest(i);
        if (!(key < nearest[kK - 1])) continue;
        uint32_t at = kK - 1;
        for (; at > 0 && key < nearest[at - 1]; --at) nearest[at] = nearest[at - 1];
        nearest[at] = key;
      }
    });
    return codes;
  }

  void Measure(uint32_t query, uint64_t* hits) {
    const float farthest = Nearest(query)[kK - 1];
    auto score = [&](const uint8_t* coded) { return Key(query, coded); };
    for (uint32_t s = 0; s < kSteps; ++s) {
      interrupt_();
      graph_.Search(score, kCalibrationSteps[s], beam_, visited_);
      uint32_t found = 0;
      for (uint32_t b = 0; b < beam_.size() && b < kK; ++b) found += beam_.at(b).key <= farthest;
      hits[s] += found;
      // What a narrow beam finds whole a wider one finds too.
      if (found < kK) continue;
      for (uint32_t rest = s + 1; rest < kSteps; ++rest) hits[rest] += found;
      return;
    }
  }

  uint8_t* Code(uint32_t i) { return codes_.data() + i * size_t{codec_.coded_bytes()}; }
  float* Nearest(uint32_t query) { return nearest_.data() + size_t{query} * kK; }

  Graph& graph_;
  const quant::Codec& codec_;
  Interrupt interrupt_;
  size_t prepared_bytes_;
  uint32_t sampled_ = 0;
  VecOf<uint8_t, Alloc> codes_;
  VecOf<uint8_t, Alloc> prepared_;
  VecOf<quant::CodeQuery, Alloc> queries_;
  VecOf<float, Alloc> nearest_;
  Beam<Alloc> beam_;
  VisitedSet<Alloc> visited_;
};

}  // namespace ann::graph
