// Pages asked for ahead of their reading.
#pragma once

#include "format/ivf_format.hpp"
#include "ivf/ivf_lists.hpp"

namespace ann::ivf {

// Asks for the pages of a list that comes next; where few rows pass, not for their records.
void PrefetchList(ScanState& s, const format::ListEntry& entry);

// Asks for the table's pages of the rows whose keys are not above `farthest`: for their distances,
// or by whoever gets them.
void PrefetchRows(ScanState& s, float farthest);

}  // namespace ann::ivf
