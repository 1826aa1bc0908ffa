#include "am/attributes.hpp"

#include <algorithm>
#include <bit>
#include <cfloat>
#include <climits>
#include <cmath>

#include "pg/alloc.hpp"

namespace ann::am {

using filter::Value;
using format::AttributeKind;

namespace {

// Types whose values are integers, kept as their distance from the least.
struct IntegerType {
  Oid type;
  uint8_t width;
  int64 least;
  int64 most;
};

constexpr IntegerType kIntegerTypes[] = {
    {BOOLOID, 1, 0, 1},
    {INT2OID, 2, INT16_MIN, INT16_MAX},
    {INT4OID, 4, INT32_MIN, INT32_MAX},
    {INT8OID, 8, INT64_MIN, INT64_MAX},
    {OIDOID, 4, 0, UINT32_MAX},
    {DATEOID, 4, INT32_MIN, INT32_MAX},
    {TIMEOID, 8, INT64_MIN, INT64_MAX},
    {TIMESTAMPOID, 8, INT64_MIN, INT64_MAX},
    {TIMESTAMPTZOID, 8, INT64_MIN, INT64_MAX},
};

const IntegerType* FindIntegerType(Oid type) {
  for (const IntegerType& candidate : kIntegerTypes) {
    if (candidate.type == type) return &candidate;
  }
  return nullptr;
}

Value EncodeInteger(const IntegerType& type, int64 value) {
  return {0, static_cast<uint64_t>(value) - static_cast<uint64_t>(type.least)};
}

int64 IntegerOf(Oid type, Datum value) {
  switch (type) {
    case BOOLOID:
      return DatumGetBool(value) ? 1 : 0;
    case INT2OID:
      return DatumGetInt16(value);
    case OIDOID:
      return DatumGetObjectId(value);
    case INT4OID:
    case DATEOID:
      return DatumGetInt32(value);
    default:
      return DatumGetInt64(value);
  }
}

// In the server's order: -0 equals 0, NaN equals NaN and is above all.
template <class Bits, class Float>
Value EncodeFloat(Float value) {
  if (std::isnan(value)) return {0, static_cast<Bits>(~Bits{0})};
  constexpr Bits kSign = Bits{1} << (8 * sizeof(Bits) - 1);
  const Bits bits = std::bit_cast<Bits>(value == 0 ? Float{0} : value);
  return {0, (bits & kSign) != 0 ? static_cast<Bits>(~bits) : bits | kSign};
}

double NumericAsDouble(Datum value) {
  return DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, value));
}

Value EncodeUuid(Datum value) {
  uint64_t parts[2];
  memcpy(parts, DatumGetUUIDP(value)->data, sizeof parts);
  return {pg_ntoh64(parts[0]), pg_ntoh64(parts[1])};
}

// The type whose extended hash function tells values or, of arrays, elements apart.
Oid HashedType(Relation index, int column) {
  if (index->rd_opcintype[column] != ANYARRAYOID) return index->rd_opcintype[column];
  return get_element_type(getBaseType(TupleDescAttr(RelationGetDescr(index), column)->atttypid));
}

Oid HashFunctionOf(Oid type) {
  return lookup_type_cache(type, TYPECACHE_HASH_EXTENDED_PROC)->hash_extended_proc;
}

[[noreturn]] void ReportColumn(Relation index, int column, const char* fault, const char* hint) {
  ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                  errmsg("column %d of %s index \"%s\" %s", column + 1,
                         get_am_name(index->rd_rel->relam), RelationGetRelationName(index), fault),
                  errhint("%s", hint)));
  pg_unreachable();
}

bool IsVectorColumn(Relation index, int column) {
  return OidIsValid(index_getprocid(index, static_cast<AttrNumber>(column + 1), 1));
}

}  // namespace

uint8_t AttributeOf(Oid type) {
  if (const IntegerType* integer = FindIntegerType(type)) {
    return format::AttributeByte(AttributeKind::kOrdered, integer->width);
  }
  switch (type) {
    case FLOAT4OID:
    case ANYENUMOID:
      return format::AttributeByte(AttributeKind::kOrdered, 4);
    case FLOAT8OID:
    case NUMERICOID:
      return format::AttributeByte(AttributeKind::kOrdered, 8);
    case UUIDOID:
      return format::AttributeByte(AttributeKind::kOrdered, 16);
    case ANYARRAYOID:
      return format::AttributeByte(AttributeKind::kSignature, 8);
    default:
      // Equal values have equal hashes, and that is all that the other classes ask for.
      return OidIsValid(HashFunctionOf(type)) ? format::AttributeByte(AttributeKind::kHash, 8) : 0;
  }
}

namespace {

constexpr char kTooManyHint[] =
    "Name those that queries filter by most; the others can have indexes of their own.";

void RefuseIncluded(Relation index) {
  if (IndexRelationGetNumberOfAttributes(index) == IndexRelationGetNumberOfKeyAttributes(index)) {
    return;
  }
  const char* method = get_am_name(index->rd_rel->relam);
  ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                  errmsg("access method \"%s\" does not support included columns", method),
                  errhint("Name columns to filter by after the vector, as in USING %s "
                          "(embedding, category).",
                          method)));
}

}  // namespace

AttributeBytes AttributesOf(Relation index) {
  RefuseIncluded(index);
  AttributeBytes attributes{};
  const int columns = IndexRelationGetNumberOfKeyAttributes(index);
  if (columns - 1 > static_cast<int>(format::kMaxAttributes)) {
    ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                    errmsg("%s index \"%s\" cannot have more than %u columns beside the vector",
                           get_am_name(index->rd_rel->relam), RelationGetRelationName(index),
                           format::kMaxAttributes),
                    errhint(kTooManyHint)));
  }
  uint32_t bytes = 0;
  for (int i = 1; i < columns; ++i) {
    if (IsVectorColumn(index, i)) {
      ReportColumn(index, i, "is a second vector", "Create an index for each vector.");
    }
    const uint8_t attribute = AttributeOf(index->rd_opcintype[i]);
    const bool is_array = index->rd_opcintype[i] == ANYARRAYOID;
    if (attribute == 0 || (is_array && !OidIsValid(HashFunctionOf(HashedType(index, i))))) {
      ReportColumn(index, i, "is of a type that cannot be hashed",
                   "Leave it to the filter of the query.");
    }
    attributes.of[i - 1] = attribute;
    bytes += format::AttributeWidth(attribute);
  }
  if (bytes > format::kMaxAttributeBytes) {
    ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                    errmsg("columns beside the vector of %s index \"%s\" take more than %u bytes",
                           get_am_name(index->rd_rel->relam), RelationGetRelationName(index),
                           format::kMaxAttributeBytes),
                    errdetail("They take %u bytes a row.", bytes), errhint(kTooManyHint)));
  }
  attributes.count = static_cast<uint8_t>(columns - 1);
  attributes.row_bytes = static_cast<uint16_t>(bytes == 0 ? 0 : bytes + 2);
  return attributes;
}

// --- values --------------------------------------------------------------------------------------

bool MayIdentify(Relation index) {
  if (IndexRelationGetNumberOfKeyAttributes(index) < 2) return false;
  switch (index->rd_opcintype[1]) {
    case BOOLOID:
    case ANYENUMOID:
    case ANYARRAYOID:
    case FLOAT4OID:
    case FLOAT8OID:
    case NUMERICOID:
    case DATEOID:
    case TIMEOID:
    case TIMESTAMPOID:
    case TIMESTAMPTZOID:
      return false;
    default:
      return true;
  }
}

AttributeEncoder::AttributeEncoder(Relation index, MemoryContext context)
    : layout_(AttributesOf(index).of) {
  for (uint32_t i = 0; i < layout_.count(); ++i) {
    const int at = static_cast<int>(i) + 1;
    Column& column = columns_[i];
    column = {index->rd_opcintype[at], index->rd_indcollation[at], nullptr, 0, false, 0};
    if (layout_.kind(i) == AttributeKind::kOrdered) continue;
    const Oid hashed = HashedType(index, at);
    column.hash = pg::AllocZero<FmgrInfo>(context, 1);
    fmgr_info_cxt(HashFunctionOf(hashed), column.hash, context);
    get_typlenbyvalalign(hashed, &column.element_length, &column.element_by_value,
                         &column.element_alignment);
  }
}

uint64_t AttributeEncoder::Signature(const Column& column, Datum datum) const {
  ArrayType* array = DatumGetArrayTypeP(datum);
  Datum* elements;
  bool* nulls;
  int count;
  deconstruct_array(array, ARR_ELEMTYPE(array), column.element_length, column.element_by_value,
                    column.element_alignment, &elements, &nulls, &count);
  uint64_t bits = 0;
  for (int i = 0; i < count; ++i) {
    if (nulls[i]) continue;
    const uint64_t hash = DatumGetUInt64(
        FunctionCall2Coll(column.hash, column.collation, elements[i], UInt64GetDatum(0)));
    bits |= uint64_t{1} << (hash >> 58);
  }
  return bits;
}

Value AttributeEncoder::EncodeValue(const Column& column, Datum value) const {
  if (const IntegerType* type = FindIntegerType(column.type)) {
    return EncodeInteger(*type, IntegerOf(column.type, value));
  }
  switch (column.type) {
    case FLOAT4OID:
      return EncodeFloat<uint32_t>(DatumGetFloat4(value));
    case FLOAT8OID:
      return EncodeFloat<uint64_t>(DatumGetFloat8(value));
    case NUMERICOID:
      return EncodeFloat<uint64_t>(NumericAsDouble(value));
    case ANYENUMOID:
      return {0, DatumGetObjectId(value)};
    case UUIDOID:
      return EncodeUuid(value);
    case ANYARRAYOID:
      return {0, Signature(column, value)};
    default:
      return {0, DatumGetUInt64(
                     FunctionCall2Coll(column.hash, column.collation, value, UInt64GetDatum(0)))};
  }
}

filter::Row AttributeEncoder::Encode(const Datum* values, const bool* isnull) const {
  filter::Row row;
  for (uint32_t i = 0; i < layout_.count(); ++i) {
    if (isnull[i + 1]) {
      row.SetNull(i);
    } else {
      row.values[i] = EncodeValue(columns_[i], values[i + 1]);
    }
  }
  return row;
}

// --- conditions ----------------------------------------------------------------------------------

namespace {

// What a clause leaves of an attribute's values. `exact`: a set of one value stands for one value
// of the type.
struct Bounds {
  Value low;
  Value high;
  bool never = false;
};

// Integers of a column's type between which the constant lies, or is.
struct Constant {
  int64 low;
  int64 high;
  bool exact;  // low == high is the constant
};

constexpr int64 kDay = USECS_PER_DAY;
// A time zone, as POSIX lets users write one, is up to a week away from another.
constexpr int64 kFarthestZone = 8;  // days

int64 Saturated(int64 value, int64 change) {
  int64 sum;
  if (!pg_add_s64_overflow(value, change, &sum)) return sum;
  return change < 0 ? PG_INT64_MIN : PG_INT64_MAX;
}

int64 Floored(int64 timestamp) {
  const int64 days = timestamp / kDay;
  return timestamp % kDay < 0 ? days - 1 : days;
}

// A constant of another type of time as one of type `to`. The server compares date and timestamp as
// timestamps, and either with timestamptz as timestamptz, in the session's time zone. Where that
// depends on the row's value, a day on each side makes up for all time zones and their changes.
Constant TimeConstant(Oid to, Oid from, int64 value) {
  int overflow = 0;
  const bool infinite = from == DATEOID ? DATE_NOT_FINITE(value) : TIMESTAMP_NOT_FINITE(value);
  if (infinite) {
    const bool least = from == DATEOID ? DATE_IS_NOBEGIN(value) : TIMESTAMP_IS_NOBEGIN(value);
    const int64 end =
        to == DATEOID ? (least ? DATEVAL_NOBEGIN : DATEVAL_NOEND) : (least ? DT_NOBEGIN : DT_NOEND);
    return {end, end, true};
  }
  if (to == TIMESTAMPOID && from == DATEOID) {
    const int64 at = date2timestamp_opt_overflow(static_cast<DateADT>(value), &overflow);
    return {at, at, overflow == 0};
  }
  if (to == TIMESTAMPTZOID) {
    const int64 at = from == DATEOID
                         ? date2timestamptz_opt_overflow(static_cast<DateADT>(value), &overflow)
                         : timestamp2timestamptz_opt_overflow(value, &overflow);
    return {at, at, overflow == 0};
  }
  if (to == TIMESTAMPOID)
    return {Saturated(value, -kFarthestZone * kDay), Saturated(value, kFarthestZone * kDay), false};
  const int64 day = Floored(value);
  if (from == TIMESTAMPOID) return {day, day, false};
  return {day - kFarthestZone, day + kFarthestZone, false};
}

Constant ConstantOf(Oid to, Oid from, Datum datum) {
  const int64 value = IntegerOf(from, datum);
  const bool is_time = to == DATEOID || to == TIMESTAMPOID || to == TIMESTAMPTZOID;
  if (is_time && to != from) return TimeConstant(to, from, value);
  return {value, value, true};
}

Bounds IntegerBounds(const IntegerType& type, StrategyNumber strategy, Constant c) {
  int64 low = type.least, high = type.most;
  switch (strategy) {
    case kLess:
      high = c.exact ? Saturated(c.low, -1) : c.high;
      if (c.exact && c.low == PG_INT64_MIN) return {{}, {}, true};
      break;
    case kLessOrEqual:
      high = c.high;
      break;
    case kEqual:
      low = c.low, high = c.high;
      break;
    case kGreaterOrEqual:
      low = c.low;
      break;
    default:
      low = c.exact ? Saturated(c.high, 1) : c.low;
      if (c.exact && c.high == PG_INT64_MAX) return {{}, {}, true};
  }
  low = std::max(low, type.least), high = std::min(high, type.most);
  if (low > high) return {{}, {}, true};
  return {EncodeInteger(type, low), EncodeInteger(type, high)};
}

// The same of a value already encoded, bounds included: it may stand for others near it.
Bounds RoundedBounds(StrategyNumber strategy, Value value, uint32_t width) {
  const Value least{}, most = filter::LargestOf(width);
  switch (strategy) {
    case kLess:
    case kLessOrEqual:
      return {least, value};
    case kEqual:
      return {value, value};
    default:
      return {value, most};
  }
}

Value RoundedToFloat4(double value) {
  // A conversion beyond the range is undefined.
  if (std::abs(value) > FLT_MAX && !std::isnan(value)) {
    return EncodeFloat<uint32_t>(static_cast<float>(std::copysign(INFINITY, value)));
  }
  return EncodeFloat<uint32_t>(static_cast<float>(value));
}

// The labels of an enum that stand in the relation `strategy` to one of them, as values; their
// number.
uint32_t EnumValues(Oid label, StrategyNumber strategy, Value** values) {
  HeapTuple tuple = SearchSysCache1(ENUMOID, ObjectIdGetDatum(label));
  if (!HeapTupleIsValid(tuple)) {
    ereport(ERROR, (errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
                    errmsg("invalid internal value for enum: %u", label)));
  }
  const Form_pg_enum wanted = reinterpret_cast<Form_pg_enum>(GETSTRUCT(tuple));
  const float4 order = wanted->enumsortorder;
  CatCList* labels = SearchSysCacheList1(ENUMTYPOIDNAME, ObjectIdGetDatum(wanted->enumtypid));
  *values = static_cast<Value*>(palloc(sizeof(Value) * static_cast<size_t>(labels->n_members)));
  uint32_t n = 0;
  for (int i = 0; i < labels->n_members; ++i) {
    const Form_pg_enum other =
        reinterpret_cast<Form_pg_enum>(GETSTRUCT(&labels->members[i]->tuple));
    const float4 at = other->enumsortorder;
    const bool stands = strategy == kLess             ? at < order
                        : strategy == kLessOrEqual    ? at <= order
                        : strategy == kGreaterOrEqual ? at >= order
                                                      : at > order;
    if (stands) (*values)[n++] = {0, other->oid};
  }
  ReleaseCatCacheList(labels);
  ReleaseSysCache(tuple);
  return n;
}

}  // namespace

// Turns the keys of a scan into conditions.
class FilterMaker {
 public:
  explicit FilterMaker(Relation index)
      : encoder_(index, CurrentMemoryContext),
        filter_(pg::Construct<filter::Filter>(palloc(sizeof(filter::Filter)), encoder_.layout())) {}

  void Add(const ScanKeyData& key) {
    if (key.sk_attno == 1) {
      // The index has no rows without a vector.
      if ((key.sk_flags & SK_SEARCHNULL) != 0) filter_->AddNever();
      return;
    }
    const uint32_t attribute = static_cast<uint32_t>(key.sk_attno - 2);
    const AttributeEncoder::Column& column = encoder_.columns_[attribute];
    if ((key.sk_flags & SK_SEARCHNULL) != 0) {
      filter_->AddNull(attribute);
    } else if ((key.sk_flags & SK_SEARCHNOTNULL) != 0) {
      filter_->AddNotNull(attribute);
    } else if ((key.sk_flags & SK_ISNULL) != 0) {
      filter_->AddNever();  // the operators are strict
    } else if ((key.sk_flags & SK_SEARCHARRAY) != 0) {
      AddAny(attribute, column, key.sk_strategy, key.sk_argument);
    } else {
      const bool own = !OidIsValid(key.sk_subtype);
      AddOne(attribute, column, key.sk_strategy, own ? column.type : key.sk_subtype,
             key.sk_argument);
    }
  }

  const filter::Filter* filter() const { return filter_; }

 private:
  using Column = AttributeEncoder::Column;

  void AddOne(uint32_t attribute, const Column& column, StrategyNumber strategy, Oid type,
              Datum constant) {
    if (column.type == ANYENUMOID && strategy != kEqual) {
      Value* values;
      const uint32_t n = EnumValues(DatumGetObjectId(constant), strategy, &values);
      filter_->AddIn(attribute, values, n);
    } else if (IsUnordered(attribute, strategy)) {
      filter_->AddNotNull(attribute);
    } else if (strategy == kContains) {
      filter_->AddAllBits(attribute, encoder_.Signature(column, constant));
    } else if (strategy == kOverlaps) {
      filter_->AddAnyBits(attribute, encoder_.Signature(column, constant));
    } else {
      const Bounds bounds = BoundsOf(attribute, column, strategy, type, constant);
      if (bounds.never) {
        filter_->AddNever();
      } else {
        filter_->AddRange(attribute, bounds.low, bounds.high);
      }
    }
  }

  // attribute OP ANY(array).
  void AddAny(uint32_t attribute, const Column& column, StrategyNumber strategy, Datum datum) {
    ArrayType* array = DatumGetArrayTypeP(datum);
    const Oid type = ARR_ELEMTYPE(array);
    int16 length;
    bool by_value;
    char alignment;
    get_typlenbyvalalign(type, &length, &by_value, &alignment);
    Datum* elements;
    bool* nulls;
    int count;
    deconstruct_array(array, type, length, by_value, alignment, &elements, &nulls, &count);
    if (strategy > kGreater || IsUnordered(attribute, strategy) ||
        (column.type == ANYENUMOID && strategy != kEqual)) {
      filter_->AddNotNull(attribute);
      return;
    }
    Value* values = static_cast<Value*>(palloc(sizeof(Value) * static_cast<size_t>(count + 1)));
    uint32_t n = 0;
    bool is_set = true;
    Bounds all{filter::LargestOf(16), {}};
    for (int i = 0; i < count; ++i) {
      if (nulls[i]) continue;
      const Bounds bounds = BoundsOf(attribute, column, strategy, type, elements[i]);
      if (bounds.never) continue;
      all.low = std::min(all.low, bounds.low), all.high = std::max(all.high, bounds.high);
      is_set = is_set && bounds.low == bounds.high;
      values[n++] = bounds.low;
    }
    if (n == 0) {
      filter_->AddNever();
    } else if (is_set) {
      filter_->AddIn(attribute, values, n);
    } else {
      filter_->AddRange(attribute, all.low, all.high);
    }
  }

  // An order that is asked of hashes, by an operator class of a user's.
  bool IsUnordered(uint32_t attribute, StrategyNumber strategy) const {
    return encoder_.layout().kind(attribute) == filter::AttributeKind::kHash && strategy != kEqual;
  }

  Bounds BoundsOf(uint32_t attribute, const Column& column, StrategyNumber strategy, Oid type,
                  Datum constant) const {
    if (const IntegerType* integer = FindIntegerType(column.type)) {
      // Of another type than the column's it may lie beyond what that holds.
      return IntegerBounds(*integer, strategy, ConstantOf(column.type, type, constant));
    }
    const uint32_t width = encoder_.layout().width(attribute);
    if (column.type == FLOAT4OID && type == FLOAT8OID) {
      return RoundedBounds(strategy, RoundedToFloat4(DatumGetFloat8(constant)), width);
    }
    if (column.type == FLOAT8OID && type == FLOAT4OID) {
      return RoundedBounds(strategy, EncodeFloat<uint64_t>(double{DatumGetFloat4(constant)}),
                           width);
    }
    return RoundedBounds(strategy, encoder_.EncodeValue(column, constant), width);
  }

  AttributeEncoder encoder_;
  filter::Filter* filter_;
};

const filter::Filter* MakeFilter(IndexScanDesc scan) {
  if (scan->numberOfKeys == 0) return nullptr;
  FilterMaker maker(scan->indexRelation);
  for (int i = 0; i < scan->numberOfKeys; ++i) {
    maker.Add(scan->keyData[i]);
  }
  return maker.filter()->empty() ? nullptr : maker.filter();
}

}  // namespace ann::am
