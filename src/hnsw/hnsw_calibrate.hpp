// The ef that an index is searched with while the user has set none: README section "Empty start".
#pragma once

#include "hnsw/hnsw_index.hpp"

namespace ann::hnsw {

// Notes in `meta` what the calibration of a graph of `nodes` nodes has given.
void SetDefaultEf(format::Meta* meta, uint32_t calibrated, uint64_t nodes);

// Whether an index that may have so many nodes has grown by `factor` since.
bool MayNeedCalibration(const format::Meta& meta, uint64_t nodes, uint32_t factor);
// Calibrates an index of codes of one epoch, of which L8 is held, if it has `factor` times the
// nodes of the last time. `reached`: the nodes that there are; 0: to be estimated. In an insert it
// is noted before, so that no two are held up. Memory from `context`. Locks: node pages (L2), one
// at a time; the meta page (L1), alone.
void Recalibrate(IndexView* view, BufferAccessStrategy strategy, MemoryContext context,
                 uint64_t reached, uint32_t factor);
// The same whatever its size and whenever the last time was; returns the new default.
uint32_t CalibrateNow(IndexView* view, BufferAccessStrategy strategy, MemoryContext context);

}  // namespace ann::hnsw
