// The ef at which a finished graph answers well by itself.
#pragma once

#include <algorithm>
#include <cstdint>

#include "graph/memory_graph.hpp"

namespace ann::graph {

// What a calibrated search must find of the exact 10 nearest.
inline constexpr double kCalibratedRecall = 0.97;
inline constexpr uint32_t kCalibrationSteps[] = {40,  50,  64,  80,  100, 128,
                                                 160, 200, 256, 320, 400, 512};

// Searches with queries made from a sample of the nodes, as coded, and compares with a scan of all
// codes; returns the first ef of kCalibrationSteps that finds kCalibratedRecall. A node itself is
// too easy a query: real ones lie off the data. With three tenths of its dimensions from another
// node it is about as hard as they are (ef for .97, real queries / made ones: MiniLM texts 45 /
// 100, static word embeddings 128 / 128, SIFT 52 / 128; with two tenths 45 / 40, 128 / 80, 52 /
// 64). `query_memory`: twice Codec::QueryBytes. `interrupt()` is called between queries.
template <class Alloc, class Interrupt>
uint32_t CalibrateEf(const MemoryGraph<Alloc>& graph, const quant::Codec& codec, void* query_memory,
                     const Alloc& alloc, Interrupt&& interrupt) {
  constexpr uint32_t kK = 10;
  // About a second of scanning at 10 ns a code.
  constexpr uint64_t kScanBudget = 100'000'000;
  const uint32_t nodes = graph.size();
  const uint32_t steps = static_cast<uint32_t>(std::size(kCalibrationSteps));
  if (nodes <= kK) return kCalibrationSteps[0];
  const uint32_t sample = static_cast<uint32_t>(
      std::min<uint64_t>({nodes, 200, std::max<uint64_t>(kScanBudget / nodes, 20)}));
  uint64_t hits[std::size(kCalibrationSteps)] = {};
  Beam<Alloc> beam(alloc);
  VisitedSet<Alloc> visited(alloc);
  for (uint32_t i = 0; i < sample; ++i) {
    interrupt();
    const NodeId own = static_cast<NodeId>(uint64_t{i} * nodes / sample);
    const NodeId other = static_cast<NodeId>(Mix64(i) % nodes);
    const quant::CodeQuery query =
        codec.PrepareMixture(graph.coded(own), graph.coded(other), i, query_memory);
    auto score = [&](const uint8_t* coded) { return codec.CodeDistance(query, coded); };
    beam.Reset(kK);
    for (NodeId id = 0; id < nodes; ++id) beam.Insert({score(graph.coded(id)), id});
    const float farthest = beam.at(beam.size() - 1).key;
    for (uint32_t s = 0; s < steps; ++s) {
      graph.Search(score, kCalibrationSteps[s], beam, visited);
      uint32_t found = 0;
      for (uint32_t b = 0; b < beam.size() && b < kK; ++b) found += beam.at(b).key <= farthest;
      hits[s] += found;
      // What a narrow beam finds whole a wider one finds too.
      if (found == kK) {
        for (uint32_t rest = s + 1; rest < steps; ++rest) hits[rest] += found;
        break;
      }
    }
  }
  uint32_t step = 0;
  while (step + 1 < steps && hits[step] < kCalibratedRecall * sample * kK) ++step;
  return kCalibrationSteps[step];
}

}  // namespace ann::graph
