// Lists that are too long, too wide or too short by now: README section "Splitting and merging".
#pragma once

#include "ivf/ivf_index.hpp"

namespace ann::ivf {

// Splits and merges lists, as a part of VACUUM, as far as the frame has slots.
void RegroupLists(IndexVacuumInfo* info);

}  // namespace ann::ivf
