// Errors about what is stored.
#pragma once

#include "pg/pg.hpp"

namespace ann::pg {

// ERRCODE_INDEX_CORRUPTED with a REINDEX hint. `what` completes "index "x" ..., block n: ".
[[noreturn]] void ReportCorrupted(Relation index, BlockNumber block, const char* what);

}  // namespace ann::pg
