// What a scan looks for, from its ORDER BY and the conditions on its first column (README, "Range
// search").
#pragma once

#include <cmath>
#include <cstdint>

#include "quant/codec.hpp"

#include "pg/pg.hpp"

namespace ann::am {

struct ScanTarget {
  quant::VectorRef x;       // null: a query without distances (NULL, or zero under cosine)
  float within = INFINITY;  // rows whose exact keys are above are not wanted
  bool ordered = false;     // by distance to x; else the order is of no account
  bool none = false;        // no row can
};

// Memory is the current context's, or the keys'. Errors: 0A000 when the scan has neither ORDER BY
// nor a condition that says how far rows may be; 22000 when dimensions differ.
ScanTarget ReadTarget(IndexScanDesc scan, quant::Metric metric, uint32_t dims);

}  // namespace ann::am
