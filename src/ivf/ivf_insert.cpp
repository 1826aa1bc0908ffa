// INSERT and UPDATE: README section "Insert".
#include "ivf/ivf_insert.hpp"

#include <cstring>

#include "am/attributes.hpp"
#include "am/vector_column.hpp"
#include "ivf/ivf_rank.hpp"
#include "ivf/ivf_space.hpp"

#include "pg/alloc.hpp"

namespace ann::ivf {

using format::BlockHeader;
using format::ListEntry;
using format::PageKind;
using format::SegmentHeader;

namespace {

// Of a record: 16,000 floats are eight.
constexpr uint32_t kMostPieces = 8;

}  // namespace

class Inserter {
 public:
  Inserter(IndexView* view, MemoryContext context) : view_(*view), context_(context) {
    work_ = pg::AllocZero<float>(context, view_.meta.dims);
    Adapt();
  }

  void Insert(const float* x, const filter::Row& attributes, format::Tid tid) {
    tid_ = tid;
    attributes_ = attributes;
    // The trainer passes a twin over: it must get to the lists being trained, or, when these have
    // come into use meanwhile, to those that have been made of them since.
    for (;;) {
      const uint32_t epoch = AddInUse(x);
      if (epoch == 0) return;
      pg::StopPoint("insert.twin");
      if (AddTrained(epoch, x) || !WasUsed(view_.rel, view_.meta, epoch)) return;
    }
  }

 private:
  enum class Outcome { kDone, kAgain, kOtherLists };

  // Whether a row's code is a record.
  bool IsApart() const { return view_.meta.code_place == format::CodePlace::kRecord; }

  void Adapt() {
    const quant::ListCodec& codec = view_.frame->codec;
    row_ = pg::AllocZero<uint8_t>(context_, codec.row_bytes());
    open_ = pg::AllocZero<uint8_t>(context_, codec.block_bytes());
    record_ = IsApart() ? open_ : pg::AllocZero<uint8_t>(context_, view_.meta.record_bytes + 8);
  }

  void Reload() {
    CHECK_FOR_INTERRUPTS();
    RefreshOther(&view_);
  }

  // Adds the row to the lists in use, as a twin if others are being trained: returns the epoch of
  // these, or 0.
  uint32_t AddInUse(const float* x) {
    for (;;) {
      const Frame* training = view_.training;
      Encode(*view_.frame, x);
      pg::StopPoint("insert.chosen");
      if (Append(*view_.frame, training)) return training != nullptr ? training->shape.epoch : 0;
      Reload();
    }
  }

  // Adds the row to the lists of an epoch that is being trained. False: it is not, any more.
  bool AddTrained(uint32_t epoch, const float* x) {
    while (view_.training != nullptr && view_.training->shape.epoch == epoch) {
      Encode(*view_.training, x);
      if (Append(*view_.training, nullptr)) return true;
      Reload();
    }
    return false;
  }

  void Encode(const Frame& frame, const float* x) {
    frame.space.Transform(x, work_);
    list_ = NearestList(frame, work_);
    frame.codec.Encode(x, work_, frame.Centroid(list_), row_,
                       IsApart() || view_.meta.record_bytes == 0 ? nullptr : record_);
    if (IsApart()) {
      std::memset(open_, 0, frame.codec.block_bytes());
      frame.codec.SetRow(open_, 0, row_);
    }
  }

  // False: the index has other lists now. `training`: where the row is about to be added, too.
  bool Append(const Frame& frame, const Frame* training) {
    in_hand_ = 0;
    missed_ = {};
    Outcome outcome = Outcome::kAgain;
    // Others fill or move the list: each time somebody gets on.
    while (outcome == Outcome::kAgain) outcome = Try(frame, training);
    while (in_hand_ > 0) GiveBack(view_.rel, hand_[--in_hand_]);
    return outcome == Outcome::kDone;
  }

  Outcome Try(const Frame& frame, const Frame* training) {
    ListEntry entry;
    if (!ReadEntry(view_.rel, frame.shape, list_, &entry)) return Outcome::kOtherLists;
    if (entry.state != format::ListState::kInUse) return Outcome::kOtherLists;
    if (in_hand_ == 0) pg::StopPoint("insert.listed");
    if (entry.tail == 0) return AddSegment(frame, entry);
    // L3.
    const pg::PageRef page = ReadInFile(view_.rel, entry.tail, BUFFER_LOCK_EXCLUSIVE);
    const SegmentHeader* segment = SegmentOn(page.page);
    if (!IsSegmentOf(page.page, list_, entry.generation) || segment->next != 0) {
      pg::Release(page);
      return Missed(frame, entry);
    }
    CheckSegment(view_, page);
    if (segment->rows == view_.layout.segment_rows()) {
      pg::Release(page);
      return AddSegment(frame, entry);
    }
    if (!IsUpToDate()) {
      pg::Release(page);
      return Outcome::kOtherLists;
    }
    const uint32_t missing = MissingPages(page.page, segment->rows);
    if (missing > in_hand_) {
      pg::Release(page);
      while (in_hand_ < missing) hand_[in_hand_++] = TakePage(view_.rel);
      return Outcome::kAgain;
    }
    Write(frame, page, training);
    pg::Release(page);
    return Outcome::kDone;
  }

  // The directory led to a page that is not the list's last. When it has said so twice, nobody has
  // filled or moved the list in between: then these are former lists, whose pages become free
  // before their directory does.
  Outcome Missed(const Frame& frame, const ListEntry& entry) {
    if (entry.tail != missed_.tail || entry.generation != missed_.generation) {
      missed_ = entry;
      return Outcome::kAgain;
    }
    if (IsUpToDate()) {
      pg::ReportCorrupted(view_.rel, EntryAt(frame.shape, list_).block,
                          "the directory leads to no page of the list");
    }
    return Outcome::kOtherLists;
  }

  // Whether the lists in use, and those being trained, are those that the view knows: asked under
  // the page (L3) that the row is about to be written to, so that training, which begins with the
  // meta page and comes by every page after it, sees the row or is seen here.
  bool IsUpToDate() const {
    const format::IvfMeta now = ReadMeta(view_.rel);
    return std::memcmp(now.frames, view_.meta.frames, sizeof now.frames) == 0 &&
           now.current == view_.meta.current && now.training == view_.meta.training;
  }

  uint32_t MissingPages(char* page, uint32_t row) const {
    if (view_.meta.record_bytes == 0) return 0;
    const uint32_t* table = RecordTableOn(view_, page) + view_.layout.RecordPage(row);
    return table[0] == 0 ? view_.meta.pages_per_record : 0;
  }

  // Appends an empty segment. Locks: the directory page (L2), the tail (L3) under it, with the new
  // page (L6) in hand.
  Outcome AddSegment(const Frame& frame, const ListEntry& seen) {
    if (in_hand_ == 0) hand_[in_hand_++] = TakePage(view_.rel);
    const EntryPlace at = EntryAt(frame.shape, list_);
    const pg::PageRef directory = ReadInFile(view_.rel, at.block, BUFFER_LOCK_EXCLUSIVE);
    if (!IsPartOf(directory.page, PageKind::kDirectory, frame.shape)) {
      pg::Release(directory);
      return Outcome::kOtherLists;
    }
    const ListEntry* entry = EntryOn(directory.page, at.index);
    if (entry->tail != seen.tail || entry->generation != seen.generation) {
      pg::Release(directory);
      return Outcome::kAgain;
    }
    pg::PageRef tail{};
    if (seen.tail != 0) {
      // L3. Whoever appends a segment or moves the list holds the directory page.
      tail = ReadInFile(view_.rel, seen.tail, BUFFER_LOCK_EXCLUSIVE);
      if (!IsSegmentOf(tail.page, list_, seen.generation) || SegmentOn(tail.page)->next != 0) {
        pg::Release(tail);
        pg::Release(directory);
        return Missed(frame, seen);
      }
    }
    const pg::PageRef added = hand_[--in_hand_];
    pg::PageEdit edit = pg::PageEdit::Begin(view_.rel);
    InitSegment(view_, edit.EditWhole(added), list_, seen.generation);
    ListEntry* changed =
        EntryOn(edit.EditTo(directory, format::kPageBody, format::kPageBody), at.index);
    changed->tail = added.block;
    if (changed->head == 0) changed->head = added.block;
    if (seen.tail != 0) {
      const uint32_t used =
          view_.layout.SegmentEnd(SegmentOn(tail.page)->rows) - format::kPageHeaderBytes;
      SegmentOn(edit.EditTo(tail, used, used))->next = added.block;
      changed->live += SegmentOn(tail.page)->rows;
    }
    edit.Finish();
    if (seen.tail != 0) pg::Release(tail);
    pg::Release(directory);
    pg::Release(added);
    return Outcome::kAgain;
  }

  // Writes the row behind the last one. The page is locked and has room, pages for its record are
  // in hand. Locks: the page of the record (L4) under the code page (L3).
  void Write(const Frame& frame, const pg::PageRef& page, const Frame* training) {
    const SegmentHeader segment = *SegmentOn(page.page);
    const uint32_t row = segment.rows;
    BlockNumber added[kMostPieces];
    const uint32_t fresh = MissingPages(page.page, row);
    const uint32_t ordinal = view_.meta.record_bytes == 0 ? 0 : view_.layout.RecordPage(row);
    if (fresh > 1) WritePieces(segment, page.block, ordinal, added);
    const bool has_records = fresh == 1 || (fresh == 0 && view_.meta.record_bytes != 0);
    pg::PageRef records{};
    if (fresh == 1) {
      records = hand_[--in_hand_];
      added[0] = records.block;
    } else if (has_records) {
      const BlockNumber block = RecordTableOn(view_, page.page)[ordinal];
      records = ReadInFile(view_.rel, block, BUFFER_LOCK_EXCLUSIVE);
      if (!IsRecordsOf(records.page, list_, segment.generation, page.block, ordinal)) {
        pg::ReportCorrupted(view_.rel, block, "the page does not hold the list's records");
      }
    }
    pg::PageEdit edit = pg::PageEdit::Begin(view_.rel);
    if (has_records) {
      const uint32_t used = view_.layout.RecordAt(row) - format::kPageHeaderBytes;
      char* image;
      if (fresh == 1) {
        image = edit.EditWhole(records);
        InitRecords(image, list_, segment.generation, page.block, ordinal);
      } else {
        image = edit.EditTo(records, used, used);
      }
      AddRecord(image, row);
    }
    char* image = edit.EditTo(page, view_.layout.SegmentEnd(row) - format::kPageHeaderBytes,
                              view_.layout.SegmentEnd(row + 1) - format::kPageHeaderBytes);
    for (uint32_t i = 0; i < fresh; ++i) RecordTableOn(view_, image)[ordinal + i] = added[i];
    SetRow(frame, image, row, training);
    edit.Finish();
    if (has_records) pg::Release(records);
  }

  void AddRecord(char* image, uint32_t row) const {
    std::memcpy(image + view_.layout.RecordAt(row), record_, view_.meta.record_bytes);
    reinterpret_cast<PageHeader>(image)->pd_lower =
        static_cast<LocationIndex>(view_.layout.RecordAt(row) + view_.meta.record_bytes);
  }

  // A record of several pages is there before the row: one WAL record a page.
  void WritePieces(const SegmentHeader& segment, BlockNumber block, uint32_t ordinal,
                   BlockNumber* added) {
    for (uint32_t i = 0; i < view_.meta.pages_per_record; ++i) {
      const pg::PageRef page = hand_[--in_hand_];
      added[i] = page.block;
      pg::PageEdit edit = pg::PageEdit::Begin(view_.rel);
      char* image = edit.EditWhole(page);
      InitRecords(image, list_, segment.generation, block, ordinal + i);
      const uint32_t bytes = view_.layout.PieceBytes(i);
      std::memcpy(image + view_.layout.RecordAt(0), record_ + i * format::kRecordArea, bytes);
      reinterpret_cast<PageHeader>(image)->pd_lower =
          static_cast<LocationIndex>(view_.layout.RecordAt(0) + bytes);
      edit.Finish();
      pg::Release(page);
    }
  }

  void SetRow(const Frame& frame, char* image, uint32_t row, const Frame* training) {
    const uint32_t block = row / view_.meta.block_rows, i = row % view_.meta.block_rows;
    BlockHeader* header = BlockOn(view_, image, block);
    header->live |= uint32_t{1} << i;
    if (training != nullptr) {
      if (header->twin_epoch != training->shape.epoch) header->twins = 0;
      header->twin_epoch = training->shape.epoch;
      header->twins |= uint32_t{1} << i;
    }
    TidsOn(view_, image, block)[i] = tid_;
    view_.attributes.Put(AttributesOn(view_, image, block),
                         format::AttributeCapacity(view_.meta.block_rows), i, attributes_);
    SegmentOn(image)->rows = static_cast<uint16_t>(row + 1);
    if (IsApart()) return;
    uint8_t* codes = CodesOn(view_, image, block);
    if (view_.meta.code_place == format::CodePlace::kRows) {
      std::memcpy(codes + size_t{i} * frame.codec.row_bytes(), row_, frame.codec.row_bytes());
      return;
    }
    frame.codec.SetRow(codes, i, row_);
    if (IsSealed(view_, frame.codec, i + 1)) {
      std::memcpy(open_, codes, frame.codec.block_bytes());
      frame.codec.Seal(open_, codes);
    }
  }

  IndexView& view_;
  MemoryContext context_;
  float* work_;
  uint8_t* row_;
  uint8_t* record_;  // second stage, or the code that is one
  uint8_t* open_;    // a block
  uint32_t list_ = 0;
  format::Tid tid_{};
  filter::Row attributes_;
  ListEntry missed_{};             // led to a page that was not the list's last
  pg::PageRef hand_[kMostPieces];  // taken pages, locked
  uint32_t in_hand_ = 0;
};

Inserter* StartInserts(IndexView* view, MemoryContext context) {
  return pg::Construct<Inserter>(pg::AllocZero<Inserter>(context, 1), view, context);
}

void InsertRow(Inserter* inserter, const float* x, const filter::Row& attributes, format::Tid tid) {
  inserter->Insert(x, attributes, tid);
}

namespace {

// What the rows of a statement share. The frame that its view points to stays to the end of the
// transaction, which may be that of many statements (COPY in one, a cursor's in another).
struct Statement {
  IndexView* view;
  Inserter* inserter;
  const am::AttributeEncoder* encoder;
  MemoryContext row_context;
};

}  // namespace

bool Insert(Relation index, Datum* values, bool* nulls, ItemPointer tid, Relation, IndexUniqueCheck,
            bool, IndexInfo* info) {
  if (nulls[0]) return false;
  Statement* statement = static_cast<Statement*>(info->ii_AmCache);
  if (statement == nullptr) {
    statement = pg::AllocZero<Statement>(info->ii_Context, 1);
    statement->view = OpenIndex(index, info->ii_Context);
    statement->inserter = StartInserts(statement->view, info->ii_Context);
    statement->encoder = pg::Construct<am::AttributeEncoder>(
        pg::AllocZero<am::AttributeEncoder>(info->ii_Context, 1), index, info->ii_Context);
    statement->row_context =
        AllocSetContextCreate(info->ii_Context, "ann ivf insert", ALLOCSET_SMALL_SIZES);
    info->ii_AmCache = statement;
  }
  MemoryContext old = MemoryContextSwitchTo(statement->row_context);
  const format::IvfMeta& meta = statement->view->meta;
  const float* x = am::AsFloats(am::IndexedVector(index, values[0], meta.dims), meta.dims);
  if (am::IsIndexable(statement->view->metric(), x, meta.dims)) {
    format::Tid row;
    std::memcpy(&row, tid, sizeof row);
    InsertRow(statement->inserter, x, statement->encoder->Encode(values, nulls), row);
  }
  MemoryContextSwitchTo(old);
  MemoryContextReset(statement->row_context);
  return false;
}

}  // namespace ann::ivf
