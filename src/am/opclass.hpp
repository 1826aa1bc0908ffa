// Operator classes of our access methods. Those of vectors have an operator, strategy 1, FOR ORDER
// BY float_ops, perhaps one of range search, strategy 2, and these functions, as pgvector's have: 1
// tells the metric; 2, the norm, beside the negative inner product makes it cosine. Those of
// attributes (attributes.hpp) have operators to search by and no functions.
#pragma once

#include "quant/codec.hpp"

#include "pg/pg.hpp"

namespace ann::am {

inline constexpr int kOrderStrategy = 1, kWithinStrategy = 2;
inline constexpr int kDistanceFunction = 1, kNormFunction = 2;
// Classes that pgvector has made (shim/README.md) have functions up to 5, too; they are not called.
inline constexpr int kNumSupportFunctions = 5;

// What the column of an index holds.
enum class ColumnType : uint8_t { kVector, kHalfVector, kBit, kSparseVector };

// The type of an index's column, from its operator class. Errors: as MetricOf.
ColumnType ColumnTypeOf(Relation index);

// The metric of an index, from its operator class. Errors: 0A000 when that has a function 1 that is
// none of ours.
quant::Metric MetricOf(Relation index);

// amvalidate. Complaints are INFO. The second is for access methods that know neither L1 nor
// Jaccard's distance.
bool Validate(Oid opclass);
bool ValidateOfLists(Oid opclass);

}  // namespace ann::am
