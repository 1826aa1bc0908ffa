// How long an adaptive search should go on (README, "Scan").
#pragma once

#include <cmath>
#include <cstdint>

#include "cluster/progress.hpp"
#include "quant/work_space.hpp"

#include "pg/pg.hpp"

namespace ann::ivf {

// Nearest rows that the first round of lists must settle; each further round doubles it.
inline constexpr uint32_t kFirstTarget = 16;
// Lists that an adaptive search reads in any case.
inline constexpr uint32_t kFewestLists = 8;
// The least patience: lists in a row that brought no row among the nearest, each weighed, after
// which a search ends.
inline constexpr uint32_t kLeastPatience = 4;

// What idle lists weigh: the farther the next list's centroid is than the farthest of the nearest
// rows found, the more, as the less is to be expected of it. Keys are squared distances; those of
// inner products have no ratio.
inline float IdleWeight(bool is_product, float next_list, float farthest) {
  if (is_product) return 1;
  if (!(farthest > 0)) return INFINITY;
  const float ratio = next_list / farthest;
  return ratio * ratio;
}

// Under a filter an idle list counts as a power of the share of its rows that pass: few tell
// little, none tell nothing. And the search goes on for as long as a part of what it took so far:
// where passing rows begin far away, they go on far. Patience is for rows around the query: those
// that pass may lie at the edge of what fails. README, "How long a search goes on".
inline constexpr float kIdlePower = 0.2f, kPatiencePerList = 0.07f, kPatienceTimes = 2.5f;
inline float IdleShare(uint32_t passed, uint32_t rows) {
  if (passed == 0) return 0;
  return std::pow(static_cast<float>(passed) / static_cast<float>(rows), kIdlePower);
}

// Lists that a search without a filter reads at that patience, for the costs of plans: 55 at 42
// (63,666 texts), 325 at 229 (550,000), by pages read.
inline double UsualProbes(double patience) { return 8 + 1.25 * patience; }

// Rows of a table in the work space, and the lists found for them.
struct Calibrated {
  const quant::WorkSpace& space;
  const float* rows;
  const uint32_t* lists_of;  // by row, the nearest list
  uint64_t row_count;
  const float* centroids;
  uint32_t lists;
};

// Searches for random rows of the sample, in chunks that processes may share: what a chunk finds
// does not depend on who runs it, nor on the others.
inline constexpr uint32_t kCalibrationChunks = 8;
// The patience with which each of a chunk's rows' nearest was found: 32 rows, their 10 nearest.
inline constexpr uint32_t kStreaksPerChunk = 32 * 10;

// Of one process. Memory: of `context`, a key for each row of the sample and each of a chunk's.
class Calibration;
Calibration* StartCalibration(const Calibrated& what, MemoryContext context);
// `streaks`: kStreaksPerChunk.
void RunCalibrationChunk(Calibration* calibration, uint32_t chunk, float* streaks);

// Whether a sample says anything; if not, the least patience it is.
bool CanCalibrate(uint64_t rows, uint32_t lists);
// The least patience with which searches for rows of the sample find .975 of their ten nearest
// among the others. `streaks`: of all chunks, is put in another order.
uint32_t PatienceOf(float* streaks);

}  // namespace ann::ivf
