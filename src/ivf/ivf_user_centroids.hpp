// Centroids that the user gives: option `centroids`, the name of a table (README, "Build").
#pragma once

#include "ivf/ivf_index.hpp"

namespace ann::ivf {

// One list each; vectors of the index's dimensions as the user gave them (cosine: of length 1).
struct UserCentroids {
  uint32_t count;
  const float* floats;
};

// Checks a value of the option; null is none. Errors: 22023.
void CheckCentroidsOption(const char* value);

// The centroids that an index's options name, in memory of `context`; null when they name none.
// The table is read with the rights of the owner of `heap`. What is wrong is reported at `elevel`;
// below ERROR, *failed becomes true.
const UserCentroids* ReadUserCentroids(const IndexView& view, Relation heap, int elevel,
                                       MemoryContext context, bool* failed);

// They as work vectors, in memory of `context`.
float* WorkVectors(const UserCentroids& centroids, const quant::WorkSpace& space,
                   MemoryContext context);

}  // namespace ann::ivf
