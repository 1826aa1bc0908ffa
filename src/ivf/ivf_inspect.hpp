// What users can ask about an index, and ask for: ann_index_check, ann_index_stats.
#pragma once

#include "pg/pg.hpp"

namespace ann::ivf {

// Proves the invariants of README.md. The index stands still (ShareLock, or replay is paused).
// Errors: ERRCODE_INDEX_CORRUPTED at the first that is violated, with its number in the detail.
void CheckIndex(Relation heap, Relation index);

// As option `quantizer` has it.
const char* QuantizerName(uint8_t quantizer);

// The row of ann_index_stats.
Datum Stats(Relation index, TupleDesc desc);

}  // namespace ann::ivf
