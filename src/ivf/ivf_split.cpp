#include "ivf/ivf_split.hpp"

#include <algorithm>
#include <cstring>

#include "cluster/kmeans.hpp"
#include "core/rng.hpp"
#include "ivf/ivf_space.hpp"
#include "simd/simd.hpp"

namespace ann::ivf {

using format::IvfFrame;
using format::IvfMeta;
using format::ListEntry;
using format::ListState;
using format::PageKind;

namespace {

// Rows a part is found by: as many as a build takes for a list, several times over.
constexpr uint64_t kSampleRowsPerPart = 256;
// Of maintenance_work_mem: a sample, of which k-means takes about as much again, and segments.
constexpr size_t kSampleShare = 4;
constexpr size_t kSegmentsShare = 4;

void Tick(void*, cluster::Phase, uint64_t, uint64_t) { pg::VacuumDelay(); }

}  // namespace

uint32_t SlotsInARow(const IvfFrame& shape) {
  const uint32_t left = format::kEntriesPerPage - shape.lists % format::kEntriesPerPage;
  const uint32_t free = shape.slots - shape.lists;
  return std::max(std::min(left, free), free > left ? free - left : 0);
}

// What was found in a list.
struct Regrouper::Look {
  uint32_t rows;
  double mean_square;
  float* sample;  // work vectors, finite
  uint64_t sampled;
};

// What a list becomes: lists in consecutive slots of one directory page.
struct Regrouper::Parts {
  uint32_t n;
  uint32_t first;
  const float* centroids;
  ChainBuilder* chains[kMostParts];
  double spread[kMostParts];
};

Regrouper::Regrouper(IndexView& view, Relation heap, MemoryContext context)
    : view_(view), context_(context), rows_(heap, view.rel, context) {
  const quant::ListCodec& codec = view.frame->codec;
  row_.x = pg::AllocZero<float>(context, view.meta.dims);
  row_.work = pg::AllocZero<float>(context, view.meta.dims);
  row_.code = pg::AllocZero<uint8_t>(context, codec.row_bytes());
  if (codec.second_bytes() > 0) {
    row_.second = pg::AllocZero<uint8_t>(context, codec.second_bytes());
  }
}

ListEntry Regrouper::EntryOf(uint32_t list) const {
  ListEntry entry;
  if (!ReadEntry(view_.rel, view_.frame->shape, list, &entry) || entry.state != ListState::kInUse) {
    pg::ReportCorrupted(view_.rel, EntryAt(view_.frame->shape, list).block,
                        "the page is not of the lists in use");
  }
  return entry;
}

// --- rows
// -----------------------------------------------------------------------------

void Regrouper::Fetch(uint32_t list, const ListRow& row) {
  const Frame& frame = *view_.frame;
  const float* x = rows_.Read(view_, row.tid, GetActiveSnapshot());
  if (x != nullptr) {
    std::memcpy(row_.x, x, view_.meta.dims * sizeof(float));
    frame.space.Transform(x, row_.work);
    row_.prior = 0;
  } else {
    row_.prior =
        frame.codec.Reconstruct(frame.Centroid(list), row.code, row.second, row_.x, row_.work);
  }
}

float Regrouper::Residual(const float* centroid) const {
  return simd::Floats().l2_squared(row_.work, centroid, view_.meta.dims);
}

void Regrouper::Recode(const float* centroid) {
  view_.frame->codec.Encode(row_.x, row_.work, centroid, row_.code, row_.second, row_.prior);
}

// --- splitting
// -----------------------------------------------------------------------------

// A random sample of the list's rows, each as likely as any other (Vitter's algorithm R: nobody
// knows how many there are).
Regrouper::Look Regrouper::LookAt(uint32_t list, const ListEntry& entry, uint32_t parts,
                                  MemoryContext context) {
  const uint32_t dims = view_.meta.dims;
  const uint64_t fit = size_t{1024} * maintenance_work_mem / kSampleShare / (dims * sizeof(float));
  const uint64_t most = std::min(parts * kSampleRowsPerPart, std::max<uint64_t>(fit, 2 * parts));
  Look look{0, 0, pg::AllocZero<float>(context, most * dims), 0};
  double* squares = pg::AllocZero<double>(context, most);
  Rng rng(view_.meta.seed + list);
  ListReader reader(view_, *view_.frame, list, context);
  reader.Start(entry);
  for (ListRow row; reader.Next(&row); ++look.rows) {
    const uint64_t at = look.rows < most ? look.rows : rng.Next() % (look.rows + 1);
    if (at >= most) continue;
    Fetch(list, row);
    squares[at] = static_cast<double>(Residual(view_.frame->Centroid(list)));
    float* to = look.sample + at * dims;
    // Rows whose numbers leave float's range say nothing about where the others are.
    for (uint32_t i = 0; i < dims; ++i) to[i] = std::isfinite(row_.work[i]) ? row_.work[i] : 0;
  }
  look.sampled = std::min<uint64_t>(look.rows, most);
  for (uint64_t i = 0; i < look.sampled; ++i) {
    if (std::isfinite(squares[i])) look.mean_square += squares[i];
  }
  if (look.sampled > 0) look.mean_square /= static_cast<double>(look.sampled);
  return look;
}

// L2, alone.
void Regrouper::NoteLook(uint32_t list, const Look& look, bool indivisible) {
  const EntryPlace at = EntryAt(view_.frame->shape, list);
  const pg::PageRef page =
      pg::ReadPage(view_.rel, at.block, BUFFER_LOCK_EXCLUSIVE, PageKind::kDirectory);
  pg::PageEdit edit = pg::PageEdit::Begin(view_.rel);
  ListEntry* entry = EntryOn(edit.EditTo(page, format::kPageBody, format::kPageBody), at.index);
  entry->live = entry->rows = look.rows;
  entry->mean_square = static_cast<float>(look.mean_square);
  entry->indivisible = indivisible ? 1 : 0;
  edit.Finish();
  pg::Release(page);
}

Regrouper::Parts Regrouper::FindParts(uint32_t list, uint32_t parts, const Look& look,
                                      MemoryContext context) {
  Parts found{};
  if (look.sampled < parts) return found;
  cluster::KMeansParams params;
  params.dims = view_.meta.dims;
  params.lists = parts;
  params.seed = view_.meta.seed + list;
  cluster::Progress progress;
  progress.tick = Tick;
  void* block = AllocAligned(context, cluster::KMeans::BlockBytes(params, look.sampled));
  cluster::KMeans::Init(block, params, look.sampled);
  const cluster::KMeans kmeans(block, look.sample,
                               AllocAligned(context, cluster::KMeans::ScratchBytes(params)));
  kmeans.Run(progress);
  found.n = kmeans.lists();
  found.centroids = kmeans.centroids();
  const IvfFrame& shape = view_.frame->shape;
  const uint32_t left = format::kEntriesPerPage - shape.lists % format::kEntriesPerPage;
  found.first = found.n <= left ? shape.lists : shape.lists + left;
  return found;
}

// Nothing leads to these slots. Locks: pages of the frame (L4), one at a time.
void Regrouper::WriteCentroids(const Parts& parts) {
  const IvfFrame& shape = view_.frame->shape;
  const size_t dims = view_.meta.dims;
  const size_t begin = FirstCentroid(view_.meta, shape) + parts.first * dims;
  const size_t end = begin + parts.n * dims;
  for (size_t at = begin; at < end;) {
    CHECK_FOR_INTERRUPTS();
    const size_t i = at / format::kMeanFloatsPerPage, skip = at % format::kMeanFloatsPerPage;
    const size_t n = std::min<size_t>(end - at, format::kMeanFloatsPerPage - skip);
    const pg::PageRef page = pg::ReadPage(view_.rel, shape.first_block + static_cast<uint32_t>(i),
                                          BUFFER_LOCK_EXCLUSIVE, PageKind::kFrame);
    pg::PageEdit edit = pg::PageEdit::Begin(view_.rel);
    char* image = edit.EditTo(page, format::kPageBody, format::kPageBody);
    std::memcpy(image + format::kPageHeaderBytes + skip * sizeof(float),
                parts.centroids + (at - begin), n * sizeof(float));
    edit.Finish();
    pg::Release(page);
    at += n;
  }
}

void Regrouper::FillParts(uint32_t list, ListReader& reader, Parts& parts) {
  const uint32_t dims = view_.meta.dims;
  for (ListRow row; reader.Next(&row);) {
    Fetch(list, row);
    uint32_t nearest = 0;
    float least = INFINITY;
    for (uint32_t part = 0; part < parts.n; ++part) {
      const float distance = Residual(parts.centroids + size_t{part} * dims);
      if (distance < least) nearest = part, least = distance;
    }
    Recode(parts.centroids + size_t{nearest} * dims);
    parts.chains[nearest]->Add({row.tid, row.attributes, row_.code, row_.second});
    if (std::isfinite(least)) parts.spread[nearest] += static_cast<double>(least);
  }
  for (uint32_t part = 0; part < parts.n; ++part) parts.chains[part]->Flush();
}

bool Regrouper::Split(uint32_t list, uint32_t wanted, double most) {
  MemoryContext own = AllocSetContextCreate(context_, "ann ivf split", ALLOCSET_DEFAULT_SIZES);
  const bool room = SplitIn(list, wanted, most, own);
  MemoryContextDelete(own);
  return room;
}

bool Regrouper::SplitIn(uint32_t list, uint32_t wanted, double most, MemoryContext context) {
  const ListEntry entry = EntryOf(list);
  if (entry.head == 0) return true;
  // Each part has a segment in memory.
  const size_t segment =
      size_t{view_.layout.segment_rows()} *
      (view_.frame->codec.row_bytes() + view_.meta.record_bytes + view_.meta.attribute_bytes);
  const size_t fit = size_t{1024} * maintenance_work_mem / kSegmentsShare / segment;
  wanted = static_cast<uint32_t>(std::min<size_t>(wanted, std::max<size_t>(fit, 2)));
  wanted = std::min(wanted, SlotsInARow(view_.frame->shape));
  if (wanted < 2) return false;
  const Look look = LookAt(list, entry, wanted, context);
  Parts parts{};
  if (look.mean_square > most) parts = FindParts(list, wanted, look, context);
  if (parts.n < 2) {
    NoteLook(list, look, look.mean_square > most);
    return true;
  }
  WriteCentroids(parts);
  pg::StopPoint("split.found");
  ListReader reader(view_, *view_.frame, list, context);
  reader.Start(entry);
  for (uint32_t part = 0; part < parts.n; ++part) {
    parts.chains[part] = pg::Construct<ChainBuilder>(
        pg::AllocZero<ChainBuilder>(context, 1), view_, view_.frame->codec, parts.first + part,
        FirstGeneration(view_.frame->shape.epoch), context);
  }
  do {
    FillParts(list, reader, parts);
    pg::StopPoint("split.copied");
  } while (!SwitchToParts(list, reader, parts));
  pg::StopPoint("split.switched");
  Refresh(&view_);
  FreePages(view_.rel, reader.pages().data(), reader.pages().size());
  return true;
}

// --- switching
// -----------------------------------------------------------------------------

namespace {

// The pages of a change of lists, locked in the order of README, "Locks": one or two of the
// directory (L2), the last pages of the lists that go (L3), the meta page (L1).
class Locked {
 public:
  Locked(const IndexView& view, uint32_t list, uint32_t other)
      : rel_(view.rel),
        list_(EntryAt(view.frame->shape, list)),
        other_(EntryAt(view.frame->shape, other)) {
    const BlockNumber first = std::min(list_.block, other_.block);
    const BlockNumber last = std::max(list_.block, other_.block);
    // L2.
    pages_[n_++] = pg::ReadPage(rel_, first, BUFFER_LOCK_EXCLUSIVE, PageKind::kDirectory);
    if (last != first) {
      pages_[n_++] = pg::ReadPage(rel_, last, BUFFER_LOCK_EXCLUSIVE, PageKind::kDirectory);
    }
    directories_ = n_;
  }

  // Whether all of a list has been read. Its last page stays locked (L3): nobody adds to it, and
  // who does so later finds the meta page changed. `reader` null: the list had no pages.
  bool IsComplete(ListReader* reader, bool is_list) {
    if (reader == nullptr) return Entry(is_list ? list_ : other_)->tail == 0;
    const pg::PageRef tail =
        pg::ReadPage(rel_, reader->at(), BUFFER_LOCK_EXCLUSIVE, PageKind::kCodes);
    pages_[n_++] = tail;
    return reader->IsComplete(tail.page);
  }
  // The last pages of both lists count as read, once both are complete.
  void NoteTails(ListReader* reader, ListReader* other) {
    uint32_t i = directories_;
    if (reader != nullptr) reader->NoteTail(pages_[i++].page);
    if (other != nullptr) other->NoteTail(pages_[i++].page);
  }

  // The meta page (L1) and those of the directory are to be written.
  void Edit(pg::PageEdit& edit) {
    for (uint32_t i = 0; i < directories_; ++i) {
      images_[i] = edit.EditTo(pages_[i], format::kPageBody, format::kPageBody);
    }
    const pg::PageRef page = pg::ReadPage(rel_, kMetaBlock, BUFFER_LOCK_EXCLUSIVE, PageKind::kMeta);
    pages_[n_++] = page;
    IvfMeta* meta = MetaOn(edit.EditTo(page, sizeof(IvfMeta), sizeof(IvfMeta)));
    shape_ = &meta->frames[meta->current];
    ++shape_->revision;
    // The list's rows are elsewhere now.
    ListEntry* entry = EntryOn(images_[IndexOf(list_)], list_.index);
    const uint32_t generation = entry->generation + 1;
    *entry = {};
    entry->generation = generation;
    entry->state = ListState::kRetired;
    entry->revision = shape_->revision;
  }
  IvfFrame* shape() const { return shape_; }
  ListEntry* other() const { return EntryOn(images_[IndexOf(other_)], other_.index); }

  void Release() {
    while (n_ > 0) pg::Release(pages_[--n_]);
  }

 private:
  uint32_t IndexOf(const EntryPlace& at) const { return pages_[0].block == at.block ? 0 : 1; }
  const ListEntry* Entry(const EntryPlace& at) const {
    return EntryOn(pages_[IndexOf(at)].page, at.index);
  }

  Relation rel_;
  EntryPlace list_;
  EntryPlace other_;
  pg::PageRef pages_[5];
  uint32_t n_ = 0;
  uint32_t directories_ = 0;
  char* images_[2];
  IvfFrame* shape_ = nullptr;
};

}  // namespace

bool Regrouper::SwitchToParts(uint32_t list, ListReader& reader, const Parts& parts) {
  Locked locked(view_, list, parts.first);
  const bool complete = locked.IsComplete(&reader, true);
  if (complete) {
    locked.NoteTails(&reader, nullptr);
    pg::PageEdit edit = pg::PageEdit::Begin(view_.rel);
    locked.Edit(edit);
    locked.shape()->lists = parts.first + parts.n;
    for (uint32_t i = 0; i < parts.n; ++i) {
      const ChainBuilder& chain = *parts.chains[i];
      const uint32_t rows = chain.rows();
      const double mean_square = rows > 0 ? parts.spread[i] / rows : 0;
      locked.other()[i] = {chain.head(),
                           chain.tail(),
                           chain.generation(),
                           0,
                           rows,
                           0,
                           ListState::kInUse,
                           0,
                           locked.shape()->revision,
                           rows,
                           static_cast<float>(mean_square)};
    }
    edit.Finish();
  }
  locked.Release();
  return complete;
}

// --- merging
// -----------------------------------------------------------------------------

void Regrouper::Merge(uint32_t list, uint32_t into) {
  MemoryContext own = AllocSetContextCreate(context_, "ann ivf merge", ALLOCSET_DEFAULT_SIZES);
  MergeIn(list, into, own);
  MemoryContextDelete(own);
}

void Regrouper::MergeIn(uint32_t list, uint32_t into, MemoryContext context) {
  const ListEntry to = EntryOf(into);
  const Frame& frame = *view_.frame;
  ListReader from_reader(view_, frame, list, context), to_reader(view_, frame, into, context);
  // Null: the list has no pages so far.
  ListReader* leaving = nullptr;
  ListReader* staying = nullptr;
  const auto start = [this](uint32_t which, ListReader& reader) -> ListReader* {
    const ListEntry entry = EntryOf(which);
    if (entry.head == 0) return nullptr;
    reader.Start(entry);
    return &reader;
  };
  ChainBuilder chain(view_, frame.codec, into, to.generation + 1, context);
  double spread = static_cast<double>(to.mean_square) * to.live;
  do {
    pg::VacuumDelay();
    // Somebody may have added the first page meanwhile.
    if (leaving == nullptr) leaving = start(list, from_reader);
    if (staying == nullptr) staying = start(into, to_reader);
    ListRow row;
    while (staying != nullptr && staying->Next(&row)) chain.Add(row);
    while (leaving != nullptr && leaving->Next(&row)) {
      Fetch(list, row);
      Recode(frame.Centroid(into));
      chain.Add({row.tid, row.attributes, row_.code, row_.second});
      const double distance = static_cast<double>(Residual(frame.Centroid(into)));
      if (std::isfinite(distance)) spread += distance;
    }
    chain.Flush();
    pg::StopPoint("merge.copied");
  } while (!SwitchToOne(list, leaving, into, staying, chain, spread));
  pg::StopPoint("merge.switched");
  Refresh(&view_);
  if (leaving != nullptr) FreePages(view_.rel, leaving->pages().data(), leaving->pages().size());
  if (staying != nullptr) FreePages(view_.rel, staying->pages().data(), staying->pages().size());
}

bool Regrouper::SwitchToOne(uint32_t list, ListReader* leaving, uint32_t into, ListReader* staying,
                            const ChainBuilder& chain, double spread) {
  Locked locked(view_, list, into);
  const bool complete = locked.IsComplete(leaving, true) && locked.IsComplete(staying, false);
  if (complete) {
    locked.NoteTails(leaving, staying);
    pg::PageEdit edit = pg::PageEdit::Begin(view_.rel);
    locked.Edit(edit);
    const uint32_t rows = chain.rows();
    *locked.other() = {chain.head(),
                       chain.tail(),
                       chain.generation(),
                       0,
                       rows,
                       0,
                       ListState::kInUse,
                       0,
                       locked.shape()->revision,
                       rows,
                       static_cast<float>(rows > 0 ? spread / rows : 0)};
    edit.Finish();
  }
  locked.Release();
  return complete;
}

}  // namespace ann::ivf
