// ann_index_check and ann_index_stats: the functions that users call find the access method's.
#pragma once

#include "pg/pg.hpp"

namespace ann::am {

// What an access method says of its indexes.
struct Inspection {
  ambuild_function build;  // tells the access method
  void (*check)(Relation heap, Relation index);
  Datum (*stats)(Relation index, TupleDesc desc);
};

// Called when the library is loaded, once for each access method.
void RegisterInspection(const Inspection& inspection);

struct Opened {
  Relation heap;
  Relation index;
  const Inspection* inspection;
};

// The index `id` and its table. Errors: 42809 when it is no index of ours, 0A000 when it cannot be
// read.
Opened OpenInspected(Oid id, LOCKMODE lock);
void CloseInspected(const Opened& opened, LOCKMODE lock);

// Vacuum's: readers and writers go on, other maintenance waits.
inline constexpr LOCKMODE kMaintenanceLock = ShareUpdateExclusiveLock;
// The same for `function`, which changes the index, under kMaintenanceLock. Errors: 25006 in
// recovery and in a read-only transaction, too.
Opened OpenMaintained(Oid id, const char* function);

// Who called, and with which settings.
struct TableOwner {
  Oid caller;
  int security;
  int settings;
};
// Functions of an index's expressions and predicate run as the table's owner, whoever calls (a
// superuser may), and find what they find in a maintenance command. An error undoes it, too.
// Errors: 42501 when the caller does not own the index.
TableOwner BecomeTableOwner(const Opened& opened);
void BecomeCallerAgain(const TableOwner& owner);

// Errors: 22023 when `value` is not from 1 to `most`.
void CheckRange(const char* name, int value, int most);

const char* MetricName(uint8 metric);

// Columns of ann_index_stats about attributes, its last: their number, bytes a row, pages.
inline constexpr int kAttributeStats = 3;

// The row of ann_index_stats, in the order of its columns.
class RowWriter {
 public:
  explicit RowWriter(TupleDesc desc) : desc_(desc) {}
  RowWriter& Int(int32 value) { return Add(Int32GetDatum(value)); }
  RowWriter& Big(int64 value) { return Add(Int64GetDatum(value)); }
  RowWriter& Id(Oid value) { return Add(ObjectIdGetDatum(value)); }
  RowWriter& IntIf(bool known, int32 value) { return known ? Int(value) : Null(); }
  RowWriter& Float(double value) { return Add(Float8GetDatum(value)); }
  RowWriter& FloatIf(bool known, double value) { return known ? Float(value) : Null(); }
  RowWriter& Bool(bool value) { return Add(BoolGetDatum(value)); }
  RowWriter& Null() {
    nulls_[columns_] = true;
    return Add(0);
  }
  // For the columns that are left, but for the last `rest`.
  RowWriter& Nulls(int rest) {
    while (columns_ < desc_->natts - rest) Null();
    return *this;
  }
  RowWriter& Text(const char* value) { return Add(CStringGetTextDatum(value)); }
  Datum Finish() { return HeapTupleGetDatum(heap_form_tuple(desc_, values_, nulls_)); }

 private:
  static constexpr int kMaxColumns = 48;
  RowWriter& Add(Datum value) {
    Assert(columns_ < desc_->natts && columns_ < kMaxColumns);
    values_[columns_++] = value;
    return *this;
  }
  TupleDesc desc_;
  Datum values_[kMaxColumns] = {};
  bool nulls_[kMaxColumns] = {};
  int columns_ = 0;
};

}  // namespace ann::am
