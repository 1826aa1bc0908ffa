// Settings that belong to no access method.
#pragma once

#include "pg/pg.hpp"

namespace ann::pg {

// Developer switch: whether candidates may be scored from unpinned pages (unpinned.hpp).
extern bool unpinned_reads;
// Developer setting: nodes at which an index that was built empty re-centres itself.
extern int recentre_rows;

// Called once, when the library is loaded.
void DefineSettings();

}  // namespace ann::pg
