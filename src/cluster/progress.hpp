// How work tells that it goes on.
#pragma once

#include <cstdint>

namespace ann::cluster {

enum class Phase : uint32_t {
  kStart,    // k-means: finding the first centroids
  kIterate,  // k-means: Lloyd's iterations over all rows
  kAssign,   // nearest centroids of rows, once trained
};

// Called every few milliseconds of work (at most 10), in the process that does it. It may jump out:
// nothing is owned, and what was being computed is then garbage. `done` of `total` distances have
// been computed in this phase, by all processes together. `total` is what the phase takes at most:
// a phase may end before.
struct Progress {
  void (*tick)(void* context, Phase phase, uint64_t done, uint64_t total) = nullptr;
  void* context = nullptr;
};

}  // namespace ann::cluster
