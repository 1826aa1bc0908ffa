// The core names what the server fixes; here, where both are seen, the two are compared.
#include <cstddef>

#include "format/hnsw_format.hpp"

#include "pg/pg.hpp"

static_assert(ann::format::kPageSize == BLCKSZ, "build PostgreSQL with 8 kB blocks");
static_assert(ann::format::kPageHeaderBytes == MAXALIGN(SizeOfPageHeaderData));
static_assert(sizeof(ann::format::Tid) == sizeof(ItemPointerData));
static_assert(offsetof(ann::format::Tid, offset) == offsetof(ItemPointerData, ip_posid));
static_assert(MAXALIGN(sizeof(ann::format::PageTail)) == sizeof(ann::format::PageTail));
