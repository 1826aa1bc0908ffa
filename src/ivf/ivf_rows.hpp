// The table's rows by the TIDs that an index has of them.
#pragma once

#include "am/attributes.hpp"
#include "ivf/ivf_index.hpp"

namespace ann::ivf {

class RowReader {
 public:
  // Memory of `context`.
  RowReader(Relation heap, Relation index, MemoryContext context);

  // The vector of an indexed row (dims floats), good until the next call; null: the snapshot does
  // not see the row, or it has no vector that an index takes. `snapshot`: an MVCC one that protects
  // what it sees, so all of the row is there.
  const float* Read(const IndexView& view, const format::Tid& stored, Snapshot snapshot);
  // The same of a row that no snapshot sees yet, if all of it lies in the table's page: as soon as
  // it is rolled back, what lies out of line may be gone.
  const float* ReadUncommitted(const IndexView& view, const format::Tid& stored);

  // The attributes, packed, of the row that was read.
  const char* attributes() const { return attributes_; }

  void Close();

 private:
  bool Fetch(const format::Tid& stored, Snapshot snapshot);
  const float* Vector(const IndexView& view);
  bool IsInline();

  MemoryContext row_context_;
  IndexFetchTableData* fetch_;
  TupleTableSlot* slot_;
  IndexInfo* info_;
  EState* executor_;
  Relation index_;
  BlockNumber blocks_ = 0;  // of the table; it may have grown since
  am::AttributeEncoder encoder_;
  char* attributes_;
};

}  // namespace ann::ivf
