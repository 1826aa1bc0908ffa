// Lists as chains of segments: reading one row by row, and writing one to pages of its own, while
// others read and write. README, "Vacuum".
#pragma once

#include "ivf/ivf_index.hpp"
#include "ivf/ivf_space.hpp"
#include "ivf/ivf_write.hpp"

#include "core/vec.hpp"
#include "pg/alloc.hpp"

namespace ann::ivf {

using Blocks = VecOf<BlockNumber, pg::PgAllocator<std::byte>>;

// A live row of a list. Good until the next one is read.
struct ListRow : StoredRow {
  bool is_twin;  // it was written to the lists of `twin_epoch`, too
  uint32_t twin_epoch;
};

// Reads a list row by row, page after page, each page copied under its lock (L3, L4: alone). Only
// under the table's lock for vacuum: nobody else moves the list or lets its rows die.
class ListReader {
 public:
  // Memory of `context`.
  ListReader(const IndexView& view, const Frame& frame, uint32_t list, MemoryContext context);

  // `entry`: the list's, with pages.
  void Start(const format::ListEntry& entry);
  // The next live row. False: there is none now; called again, it goes on with what has been added
  // since. Errors: ERRCODE_INDEX_CORRUPTED. Pauses where a vacuum does.
  bool Next(ListRow* row);

  // The page that Next has come to.
  BlockNumber at() const { return at_; }
  // Whether all that a list whose last page looks like this holds has been read.
  bool IsComplete(const char* tail) const;
  // That last page, too, counts as read to its end.
  void NoteTail(const char* tail);
  // The pages that have been read to the end: code pages, records.
  const OwnedPages& pages() const { return pages_; }

 private:
  void Load();
  void ReadRecord(uint32_t row);
  void ExtractRow(uint32_t row, ListRow* out);

  const IndexView& view_;
  const quant::ListCodec& codec_;
  const format::IvfFrame shape_;
  uint32_t list_;
  uint32_t generation_ = 0;
  ChainGuard guard_;
  char* image_;  // of the code page at hand
  char* attributes_;
  uint8_t* row_;
  uint8_t* record_;
  BlockNumber at_ = 0;
  uint32_t read_ = 0;  // rows of it
  bool loaded_ = false;
  OwnedPages pages_;
};

// Writes rows to pages of their own, which nothing leads to until somebody makes them a list.
class ChainBuilder {
 public:
  // Memory of `context`. `list`, `generation`: what the pages say of themselves.
  ChainBuilder(IndexView& view, const quant::ListCodec& codec, uint32_t list, uint32_t generation,
               MemoryContext context);

  void Add(const StoredRow& row);
  // Writes what has been added and not been written. More rows may be added after. WAL-logged.
  // Locks: new pages (L6), code pages of the chain (L3), which nobody else knows.
  void Flush();

  BlockNumber head() const { return head_; }
  BlockNumber tail() const { return tail_; }
  uint32_t generation() const { return generation_; }
  uint32_t rows() const { return rows_; }

 private:
  IndexView& view_;
  uint32_t list_;
  uint32_t generation_;
  SegmentPacker packer_;
  Blocks fresh_;  // pages of the last segment: code page, records
  bool dirty_ = false;
  BlockNumber head_ = 0;
  BlockNumber tail_ = 0;
  uint32_t rows_ = 0;
};

}  // namespace ann::ivf
