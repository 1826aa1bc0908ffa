#include "am/routine.hpp"

#include "am/opclass.hpp"

namespace ann::am {

namespace {

const config_enum_entry kIterativeScanNames[] = {
    {"off", static_cast<int>(IterativeScan::kOff), false},
    {"relaxed_order", static_cast<int>(IterativeScan::kRelaxedOrder), false},
    {"strict_order", static_cast<int>(IterativeScan::kStrictOrder), false},
    {nullptr, 0, false}};

// The server cannot tell by itself whether a column can be ordered by distance, and would be wrong
// about INCLUDE (NewRoutine).
bool GetProperty(Oid, int attribute, IndexAMProperty property, const char*, bool* result, bool*) {
  if (property == AMPROP_CAN_INCLUDE) {
    *result = false;
    return true;
  }
  if (property != AMPROP_DISTANCE_ORDERABLE || attribute == 0) return false;
  *result = attribute == 1;
  return true;
}

}  // namespace

IndexAmRoutine* NewRoutine() {
  // Fields that a release of the server adds stay zero, "cannot", until they are set here.
  IndexAmRoutine* routine = makeNode(IndexAmRoutine);
  routine->amsupport = kNumSupportFunctions;
  routine->amcanorderbyop = true;
  // No clause on the first column is needed: ORDER BY alone makes a scan.
  routine->amoptionalkey = true;
  // The columns after the vector: attributes.
  routine->amcanmulticol = true;
  // So that they come to AttributesOf, whose error has a hint; the server's has none.
  routine->amcaninclude = true;
  routine->amsearchnulls = true;
  routine->amsearcharray = true;
  routine->amparallelvacuumoptions = VACUUM_OPTION_PARALLEL_BULKDEL;
  routine->amkeytype = InvalidOid;
  routine->amproperty = GetProperty;
  return routine;
}

void DefineIterativeScan(const char* name, int* value, IterativeScan normally) {
  DefineCustomEnumVariable(name, "How a scan goes on when more rows are wanted than it has found.",
                           nullptr, value, static_cast<int>(normally), kIterativeScanNames,
                           PGC_USERSET, GUC_EXPLAIN, nullptr, nullptr, nullptr);
}

}  // namespace ann::am
