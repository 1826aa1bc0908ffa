// How long an adaptive search should go on (README, "Scan").
#pragma once

#include <cstdint>

#include "cluster/progress.hpp"
#include "quant/work_space.hpp"

#include "pg/pg.hpp"

namespace ann::ivf {

// Nearest rows that the first round of lists must settle; each further round doubles it.
inline constexpr uint32_t kFirstTarget = 16;
// Lists in a row without a row among the nearest after which a search ends, at least.
inline constexpr uint32_t kLeastPatience = 4;

// Rows of a table in the work space, and the lists found for them.
struct Calibrated {
  const quant::WorkSpace& space;
  const float* rows;
  uint64_t row_count;
  double table_rows;  // that the rows are a sample of
  const float* centroids;
  uint32_t lists;
};

// The least patience with which searches for rows of the sample find .97 of their ten nearest among
// the others. Memory: of `context`.
uint32_t CalibratePatience(const Calibrated& what, const cluster::Progress& progress,
                           MemoryContext context);

}  // namespace ann::ivf
