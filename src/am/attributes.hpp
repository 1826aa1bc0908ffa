// Attributes: the key columns of an index after the vector. How values of the server's types become
// integers that an area keeps (src/filter), and clauses of a query conditions on them (README.md,
// "Attributes").
#pragma once

#include "filter/filter.hpp"

#include "pg/pg.hpp"

namespace ann::am {

// Strategies of operators in operator classes of attributes.
enum AttributeStrategy : StrategyNumber {
  kLess = 1,
  kLessOrEqual,
  kEqual,
  kGreaterOrEqual,
  kGreater,
  kOverlaps,  // &&
  kContains,  // @>
};

// Whether there is a way to keep values of an operator class's input type, and how (a byte as in
// format/attribute_bytes.hpp); 0: there is none.
uint8_t AttributeOf(Oid opclass_type);

// A byte an attribute, as the meta page has it. Errors: 54000 for more attributes than 8 or more
// bytes than 64 a row; 0A000 for columns in the wrong order, or a type that cannot be kept.
struct AttributeBytes {
  uint8_t of[format::kMaxAttributes];
  uint8_t count;
  uint16_t row_bytes;
};
AttributeBytes AttributesOf(Relation index);

// Whether rows may be looked up by a single value of the first attribute: none of a few, and none
// that is measured rather than given.
bool MayIdentify(Relation index);

// What encoding a row's attributes needs of the server, looked up once. Lives as long as `index`
// is open, at most.
class AttributeEncoder {
 public:
  // Memory: `context`.
  AttributeEncoder(Relation index, MemoryContext context);

  const filter::AreaLayout& layout() const { return layout_; }
  // The attributes of a row whose index columns these are, the vector first. Memory for what is
  // unpacked on the way: the current context.
  filter::Row Encode(const Datum* values, const bool* isnull) const;

 private:
  friend class FilterMaker;
  struct Column {
    Oid type;  // input type of the operator class
    Oid collation;
    FmgrInfo* hash;  // extended, of the type, or of an array's elements
    int16 element_length;
    bool element_by_value;
    char element_alignment;
  };

  filter::Value EncodeValue(const Column& column, Datum value) const;
  // A bit an element. `has_null`, unless null: whether there are nulls among them.
  uint64_t Signature(const Column& column, Datum array) const;

  filter::AreaLayout layout_;
  Column columns_[format::kMaxAttributes];
};

// The conditions of a scan's keys on attributes; null: there are none. Memory: the current context.
// What they keep of rows that should not pass the executor drops: xs_recheck must be set.
const filter::Filter* MakeFilter(IndexScanDesc scan);

}  // namespace ann::am
