// The query that the executor is running in this backend.
#pragma once

#include "pg/pg.hpp"

namespace ann::pg {

// Called once, when the library is loaded.
void InstallQueryHook();

// The innermost of the queries that are being run; null: none that is known of, as the library has
// been loaded since it began.
const QueryDesc* RunningQuery();

}  // namespace ann::pg
