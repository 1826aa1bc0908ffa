// How many rows the query wants of an index scan (README, "How many rows are wanted").
#pragma once

#include "pg/pg.hpp"

namespace ann::am {

// The node of src/planner that keeps an index scan to a set of rows.
inline constexpr char kFilterScanName[] = "Ann Filter Scan";

// The rows that a LIMIT lets pass, OFFSET included; 0: not known. To be asked for when rows are
// being fetched. A hint: the query may stop earlier, and be run on.
int64 RowsWanted(IndexScanDesc scan);
// Says so of a scan that has no plan.
void OfferLimit(IndexScanDesc scan, int64 rows);

}  // namespace ann::am
