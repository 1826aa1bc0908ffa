// The table's rows by the TIDs that an index has of them.
#pragma once

#include "ivf/ivf_index.hpp"

namespace ann::ivf {

class RowReader {
 public:
  // Memory of `context`.
  RowReader(Relation heap, Relation index, MemoryContext context);

  // The vector of an indexed row (dims floats), good until the next call; null: the snapshot does
  // not see the row, or it has no vector that an index takes. An MVCC snapshot that protects what
  // it sees finds all of a row that it sees; of one that it does not see, what lies out of line may
  // be gone.
  const float* Read(const IndexView& view, const format::Tid& stored, Snapshot snapshot);

  void Close();

 private:
  MemoryContext row_context_;
  IndexFetchTableData* fetch_;
  TupleTableSlot* slot_;
  IndexInfo* info_;
  EState* executor_;
};

}  // namespace ann::ivf
