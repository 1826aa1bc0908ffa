// The steps of k-means and what lies between them: see README.md.
#include "cluster/kmeans.hpp"

#include <algorithm>
#include <cmath>

#include "cluster/carver.hpp"
#include "core/rng.hpp"
#include "core/sizes.hpp"

namespace ann::cluster {
namespace {

enum Step : uint32_t { kCoarse, kSpread, kCells, kAssign, kUpdate, kDone };

constexpr uint32_t kChunkRows = 4096;
constexpr uint32_t kChunkLists = 64;
// Below, k-means++ over the lists themselves; from there on within cells.
constexpr uint32_t kCellLists = 256;
constexpr uint32_t kCoarseRowsPerCell = 128;
constexpr uint32_t kCoarseIterations = 10;
constexpr uint32_t kCellIterations = 5;
// What a row takes of the block, and how far rounding to lines may be off.
constexpr size_t kRowBytes = 4 * sizeof(uint32_t), kRowSlack = 4 * 64;

uint32_t CellsOf(uint32_t lists) {
  if (lists < kCellLists) return 1;
  return static_cast<uint32_t>(std::lround(std::sqrt(static_cast<double>(lists))));
}

}  // namespace

// At the start of the block.
struct KMeans::Header {
  KMeansParams params;
  uint32_t rows;
  uint32_t lists;  // wanted, at most as many as rows
  uint32_t found;
  uint32_t cells;
  uint32_t step;
  uint32_t iteration;
  uint64_t moved;
  double inertia;
  // By phase, in distances.
  uint64_t done[2];
  uint64_t total[2];
};

uint32_t KMeans::Lists(const KMeansParams& params, uint64_t rows) {
  return static_cast<uint32_t>(std::min<uint64_t>(params.lists, std::max<uint64_t>(rows, 1)));
}

// Lays the arrays out; with a null block only block_bytes_ is meant.
KMeans::KMeans(void* block, const float* rows, void* scratch, const KMeansParams& params,
               uint64_t n)
    : rows_(rows), scratch_(scratch) {
  const uint32_t lists = Lists(params, n), cells = CellsOf(lists), dims = params.dims;
  Carver c(block);
  header_ = c.Take<Header>(1);
  order_ = c.Take<uint32_t>(n);
  ids_ = c.Take<uint32_t>(n);
  distances_ = c.Take<float>(n);
  sorted_ = c.Take<uint32_t>(n);
  centroids_ = c.Take<float>(size_t{lists} * dims);
  starts_ = c.Take<uint32_t>(lists + cells);
  inertias_ = c.Take<double>(lists);
  donors_ = c.Take<uint32_t>(lists);
  tables_ =
      c.Take<char>(lists * CentroidTable::PerList(dims) + cells * CentroidTable::PerTable(dims));
  const uint32_t coarse = cells > 1 ? cells : 0;
  coarse_ = c.Take<float>(size_t{coarse} * dims);
  cell_starts_ = c.Take<uint32_t>(coarse + 1);
  cell_inertias_ = c.Take<double>(coarse);
  cell_donors_ = c.Take<uint32_t>(coarse);
  cell_lists_ = c.Take<uint32_t>(coarse + 1);
  coarse_table_ = c.Take<char>(coarse > 0 ? CentroidTable::Bytes(coarse, dims) : 0);
  block_bytes_ = c.used();
}

KMeans::KMeans(void* block, const float* rows, void* scratch)
    : KMeans(block, rows, scratch, static_cast<Header*>(block)->params,
             static_cast<Header*>(block)->rows) {}

size_t KMeans::BlockBytes(const KMeansParams& params, uint64_t rows) {
  return KMeans(nullptr, nullptr, nullptr, params, rows).block_bytes_;
}

// Cells have fewer lists than the whole.
size_t KMeans::ScratchBytes(const KMeansParams& params) {
  return CentroidTable::ScratchBytes(params.lists);
}

uint64_t KMeans::SampleRows(const KMeansParams& params, uint64_t available, uint32_t per_list,
                            size_t budget) {
  const uint64_t most =
      std::min<uint64_t>({available, uint64_t{per_list} * params.lists, UINT32_MAX - 1});
  const uint64_t least = std::min<uint64_t>(most, params.lists);
  // The block's size is a constant for `lists` rows and more, but for what each row takes.
  const size_t fixed = BlockBytes(params, params.lists) - kRowBytes * params.lists +
                       ScratchBytes(params) + kRowSlack;
  const size_t left = budget > fixed ? budget - fixed : 0;
  return std::clamp<uint64_t>(left / (kRowBytes + params.dims * sizeof(float)), least, most);
}

void KMeans::Init(void* block, const KMeansParams& params, uint64_t rows) {
  const uint32_t n = static_cast<uint32_t>(rows);
  const KMeans self(block, nullptr, nullptr, params, rows);
  Header& header = *self.header_;
  header = {};
  header.params = params;
  header.rows = n;
  header.lists = Lists(params, rows);
  header.cells = CellsOf(header.lists);
  if (header.cells > 1) {
    header.step = kCoarse;
    self.SampleForCoarse();
  } else {
    header.step = kCells;
    self.OrderByRow();
  }
  self.PlanWork();
}

// --- views ---------------------------------------------------------------------------------------

Part KMeans::All() const {
  const Header& h = *header_;
  return {.rows = rows_,
          .dims = h.params.dims,
          .spherical = h.params.spherical != 0,
          .size = h.rows,
          .order = order_,
          .ids = ids_,
          .distances = distances_,
          .sorted = sorted_,
          .lists = h.lists,
          .centroids = centroids_,
          .starts = starts_,
          .inertias = inertias_,
          .donors = donors_,
          .table = CentroidTable(centroids_, h.lists, h.params.dims, tables_, scratch_)};
}

// The first `size` rows of order_ among the cells.
Part KMeans::Coarse(uint32_t size) const {
  Part part = All();
  part.size = size;
  part.lists = header_->cells;
  part.centroids = coarse_;
  part.starts = cell_starts_;
  part.inertias = cell_inertias_;
  part.donors = cell_donors_;
  part.table = CentroidTable(coarse_, part.lists, part.dims, coarse_table_, scratch_);
  return part;
}

Part KMeans::Cell(uint32_t cell) const {
  Part part = All();
  const uint32_t row = cell_starts_[cell], list = cell_lists_[cell];
  part.size = cell_starts_[cell + 1] - row;
  part.order += row;
  part.ids += row;
  part.distances += row;
  part.sorted += row;
  part.lists = cell_lists_[cell + 1] - list;
  part.centroids = part.CentroidOf(list);
  part.starts += list + cell;
  part.inertias += list;
  part.donors += list;
  char* const table = tables_ + list * CentroidTable::PerList(part.dims) +
                      cell * CentroidTable::PerTable(part.dims);
  part.table = CentroidTable(part.centroids, part.lists, part.dims, table, scratch_);
  return part;
}

Ticker KMeans::MakeTicker(const Progress& progress) const {
  const Phase phase = header_->step < kAssign ? Phase::kStart : Phase::kIterate;
  const uint32_t i = static_cast<uint32_t>(phase);
  return Ticker(progress, phase, header_->params.dims, &header_->done[i], header_->total[i]);
}

// A seed for each use of randomness: cells come first, then iterations.
uint64_t KMeans::SeedOf(uint32_t use) const { return Mix64(header_->params.seed + Mix64(use + 1)); }

// --- steps ---------------------------------------------------------------------------------------

bool KMeans::done() const { return header_->step == kDone; }

uint32_t KMeans::chunks() const {
  const Header& h = *header_;
  switch (h.step) {
    case kSpread:
    case kAssign:
      return static_cast<uint32_t>(DivUp(h.rows, kChunkRows));
    case kCells:
      return h.cells;
    case kUpdate:
      return static_cast<uint32_t>(DivUp(h.lists, kChunkLists));
    default:
      return 1;
  }
}

void KMeans::RunChunk(uint32_t chunk, const Progress& progress) const {
  Ticker ticker = MakeTicker(progress);
  const Header& h = *header_;
  const uint32_t first_row = chunk * kChunkRows, first_list = chunk * kChunkLists;
  switch (h.step) {
    case kCoarse:
      Coarse(CoarseRows()).Run(kCoarseIterations, SeedOf(0), ticker);
      break;
    case kSpread:
      Coarse(h.rows).Assign(first_row, std::min(h.rows - first_row, kChunkRows) + first_row,
                            ticker);
      break;
    case kCells:
      StartCell(chunk, ticker);
      break;
    case kAssign: {
      const uint32_t moved =
          All().Assign(first_row, std::min(h.rows - first_row, kChunkRows) + first_row, ticker);
      __atomic_fetch_add(&header_->moved, moved, __ATOMIC_RELAXED);
      break;
    }
    case kUpdate:
      All().Update(first_list, std::min(first_list + kChunkLists, h.lists), ticker);
      break;
    default:
      break;
  }
  ticker.Flush();
}

void KMeans::StartCell(uint32_t cell, Ticker& ticker) const {
  if (header_->cells == 1) {
    All().Seed(SeedOf(1), ticker);
    return;
  }
  const Part part = Cell(cell);
  if (part.lists > 0) part.Run(kCellIterations, SeedOf(1 + cell), ticker);
}

void KMeans::Advance(const Progress& progress) const {
  Ticker ticker = MakeTicker(progress);
  Header& h = *header_;
  switch (h.step) {
    case kCoarse:
      OrderByRow();
      h.step = kSpread;
      break;
    case kSpread:
      Coarse(h.rows).Sort(ticker);
      std::copy_n(sorted_, h.rows, order_);
      ShareLists();
      PlanWork();
      h.step = kCells;
      break;
    case kCells:
      All().table.FillWith(ticker);
      std::fill_n(ids_, h.rows, UINT32_MAX);
      h.step = kAssign;
      break;
    case kAssign:
      All().Sort(ticker);
      h.step = kUpdate;
      break;
    case kUpdate:
      EndIteration(ticker);
      break;
    default:
      break;
  }
}

void KMeans::EndIteration(Ticker& ticker) const {
  Header& h = *header_;
  h.inertia = 0;
  for (uint32_t list = 0; list < h.lists; ++list) {
    if (inertias_[list] != Part::kEmpty) h.inertia += inertias_[list];
  }
  const Part all = All();
  all.Repair(SeedOf(1 + h.cells + h.iteration), ticker);
  ++h.iteration;
  if (h.iteration == h.params.iterations || IsSettled(h.moved, h.rows)) {
    DropEmpty();
    h.step = kDone;
  } else {
    all.table.Refill(ticker);
    h.moved = 0;
    h.step = kAssign;
  }
}

void KMeans::Run(const Progress& progress) const {
  while (!done()) {
    for (uint32_t chunk = 0; chunk < chunks(); ++chunk) RunChunk(chunk, progress);
    Advance(progress);
  }
}

// --- between steps -------------------------------------------------------------------------------

uint32_t KMeans::CoarseRows() const {
  return std::min(header_->rows, kCoarseRowsPerCell * header_->cells);
}

// One row at random of each of as many stretches.
void KMeans::SampleForCoarse() const {
  Rng rng(SeedOf(0));
  const uint64_t n = header_->rows, count = CoarseRows();
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t begin = i * n / count, end = (i + 1) * n / count;
    order_[i] = static_cast<uint32_t>(begin + rng.Next() % (end - begin));
  }
}

void KMeans::OrderByRow() const {
  for (uint32_t i = 0; i < header_->rows; ++i) order_[i] = i;
}

// Lists to cells in proportion to their rows, by the method of Sainte-Lague: the next list goes to
// the cell with most rows for each of 2 * lists + 1. A cell with rows has a list, and none has more
// lists than rows.
void KMeans::ShareLists() const {
  const Header& h = *header_;
  uint32_t* const shares = cell_lists_;
  uint32_t given = 0;
  const auto rows_of = [this](uint32_t cell) {
    return cell_starts_[cell + 1] - cell_starts_[cell];
  };
  for (uint32_t cell = 0; cell < h.cells; ++cell) {
    shares[cell] = rows_of(cell) > 0 ? 1 : 0;
    given += shares[cell];
  }
  for (; given < h.lists; ++given) {
    uint32_t best = 0;
    double largest = -1;
    for (uint32_t cell = 0; cell < h.cells; ++cell) {
      const double quotient = rows_of(cell) / (2.0 * shares[cell] + 1);
      if (shares[cell] < rows_of(cell) && quotient > largest) {
        largest = quotient;
        best = cell;
      }
    }
    ++shares[best];
  }
  uint32_t first = 0;
  for (uint32_t cell = 0; cell < h.cells; ++cell) {
    const uint32_t share = shares[cell];
    shares[cell] = first;
    first += share;
  }
  shares[h.cells] = first;
}

// Cells are not known before rows are spread; until then they count as equal.
void KMeans::PlanWork() const {
  Header& h = *header_;
  const uint64_t n = h.rows;
  const bool is_shared = h.step == kSpread;
  uint64_t start = 0;
  if (h.cells > 1) {
    start += CoarseRows() * uint64_t{h.cells} * (kCoarseIterations + 1) + n * h.cells;
    for (uint32_t cell = 0; cell < h.cells; ++cell) {
      const uint64_t rows = is_shared ? cell_starts_[cell + 1] - cell_starts_[cell] : n / h.cells;
      const uint64_t lists =
          is_shared ? cell_lists_[cell + 1] - cell_lists_[cell] : h.lists / h.cells;
      start += rows * lists * (kCellIterations + 1);
    }
  } else {
    start += n * h.lists;
  }
  h.total[0] = start;
  h.total[1] = h.params.iterations * n * (CentroidTable::Distances(h.lists) + 1);
}

// Lists that no row chose and that no row was found for.
void KMeans::DropEmpty() const {
  Header& h = *header_;
  uint32_t kept = 0;
  for (uint32_t list = 0; list < h.lists; ++list) {
    if (inertias_[list] == Part::kEmpty) continue;
    if (kept != list) {
      std::copy_n(centroids_ + size_t{list} * h.params.dims, h.params.dims,
                  centroids_ + size_t{kept} * h.params.dims);
    }
    ++kept;
  }
  h.found = kept;
}

uint32_t KMeans::lists() const { return header_->found; }
const float* KMeans::centroids() const { return centroids_; }
double KMeans::inertia() const { return header_->inertia; }
uint32_t KMeans::iterations() const { return header_->iteration; }

}  // namespace ann::cluster
