// What the handlers of all access methods say alike.
#pragma once

#include "am/emission.hpp"

#include "pg/guc.hpp"

namespace ann::am {

// What our access methods can do. Options, build, insert, vacuum, costs and scans are to be set.
IndexAmRoutine* NewRoutine();

// A setting of an IterativeScan. Called when the library is loaded.
void DefineIterativeScan(const char* name, int* value, IterativeScan normally);

}  // namespace ann::am
