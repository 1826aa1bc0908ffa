// What ann_index_stats says of an ivf index.
#include "ivf/ivf_inspect.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "am/inspect.hpp"
#include "core/vec.hpp"
#include "ivf/ivf.hpp"
#include "ivf/ivf_index.hpp"
#include "simd/simd.hpp"

#include "pg/alloc.hpp"

namespace ann::ivf {

using format::ListEntry;
using format::PageKind;

const char* QuantizerName(uint8_t quantizer) {
  switch (static_cast<quant::Quantizer>(quantizer)) {
    case quant::Quantizer::kRabitq:
      return "rabitq";
    case quant::Quantizer::kSq8:
      return "sq8";
    case quant::Quantizer::kBits:
      return "bits";
    case quant::Quantizer::kPq:
      return "pq";
    default:
      return "flat";
  }
}

namespace {

using Alloc = pg::PgAllocator<std::byte>;

// Of all lists, or of those so far.
struct Counts {
  int64 live, dead;
  int64 code_pages, record_pages;
  double squares;          // of the rows' distances to their centroids, as far as these are known
  int64 measured;          // rows of which they are
  double written_squares;  // when the lists were written, or looked at by a vacuum
  int64 written_rows;
};

// Reads the lists of a view one by one.
class Counter {
 public:
  Counter(IndexView* view, MemoryContext context)
      : view_(view),
        lengths_(Alloc(context)),
        image_(pg::AllocZero<char>(context, format::kPageSize)),
        work_(pg::AllocZero<float>(context, view->meta.dims)),
        context_(context) {
    Adapt();
  }

  void Run() {
    for (uint32_t list = 0; list < view_->frame->shape.lists;) {
      if (CountEntry(list)) {
        ++list;
      } else {
        RefreshOther(view_);
        Adapt();
        counts_ = {}, list = 0;
        lengths_.clear();
      }
    }
    std::sort(lengths_.begin(), lengths_.end());
  }

  const Counts& counts() const { return counts_; }
  // Live rows of each list, ascending.
  const VecOf<int64, Alloc>& lengths() const { return lengths_; }

 private:
  void Adapt() { row_ = pg::AllocZero<uint8_t>(context_, view_->frame->codec.row_bytes()); }

  // False: the index has other lists by now.
  bool CountEntry(uint32_t list) {
    uint32_t seen_generation = 0;
    for (bool repeated = false;; repeated = true) {
      ListEntry entry;
      if (!ReadEntry(view_->rel, view_->frame->shape, list, &entry)) return false;
      if (entry.state != format::ListState::kInUse) return true;
      // It has not moved: pages of former lists become free before their directory does.
      if (repeated && entry.generation == seen_generation) return false;
      seen_generation = entry.generation;
      const Counts before = counts_;
      if (!CountList(list, entry)) {
        counts_ = before;
        continue;
      }
      counts_.written_squares += static_cast<double>(entry.mean_square) * entry.rows;
      counts_.written_rows += entry.rows;
      lengths_.push_back(counts_.live - before.live);
      return true;
    }
  }

  // Locks: code pages (L3), one at a time. False: the list has got other pages meanwhile, or the
  // index has other lists.
  bool CountList(uint32_t list, const ListEntry& entry) {
    ChainGuard guard(view_->rel);
    for (BlockNumber block = entry.head; block != 0; block = SegmentOn(image_)->next) {
      CHECK_FOR_INTERRUPTS();
      guard.Pass(block);
      const pg::PageRef page = ReadInFile(view_->rel, block, BUFFER_LOCK_SHARE);
      const bool right = IsSegmentOf(page.page, list, entry.generation);
      std::memcpy(image_, page.page, format::kPageSize);
      pg::Release(page);
      if (!right) return false;
      CheckSegment(*view_, {InvalidBuffer, image_, block});
      CountSegment(list);
    }
    return true;
  }

  // The code page in image_.
  void CountSegment(uint32_t list) {
    ++counts_.code_pages;
    for (uint32_t i = 0; i < view_->meta.record_pages; ++i) {
      counts_.record_pages += RecordTableOn(*view_, image_)[i] != 0;
    }
    const uint32_t rows = SegmentOn(image_)->rows;
    for (uint32_t b = 0; b * view_->meta.block_rows < rows; ++b) {
      const uint32_t n = RowsOfBlock(*view_, rows, b);
      const uint32_t written = n == 32 ? ~uint32_t{0} : (uint32_t{1} << n) - 1;
      const uint32_t live = BlockOn(*view_, image_, b)->live & written;
      counts_.live += std::popcount(live);
      counts_.dead += n - std::popcount(live);
      // Where a row's code is a record, it stays unread.
      if (view_->meta.code_place == format::CodePlace::kRecord) continue;
      for (uint32_t left = live; left != 0; left &= left - 1) {
        Measure(list, b, n, static_cast<uint32_t>(std::countr_zero(left)));
      }
    }
  }

  // What a row's code says of its distance to the centroid.
  void Measure(uint32_t list, uint32_t block, uint32_t rows, uint32_t i) {
    const Frame& frame = *view_->frame;
    const uint8_t* codes = CodesOn(*view_, image_, block);
    if (view_->meta.code_place == format::CodePlace::kBlock) {
      frame.codec.ExtractRow(codes, IsSealed(*view_, frame.codec, rows), i, row_);
    } else {
      std::memcpy(row_, codes + size_t{i} * frame.codec.row_bytes(), frame.codec.row_bytes());
    }
    const float* centroid = frame.Centroid(list);
    const float error = frame.codec.Reconstruct(centroid, row_, nullptr, nullptr, work_);
    const float square = simd::Floats().l2_squared(work_, centroid, view_->meta.dims) - error;
    if (!std::isfinite(square)) return;
    counts_.squares += std::max(square, 0.0f);
    ++counts_.measured;
  }

  IndexView* view_;
  Counts counts_{};
  VecOf<int64, Alloc> lengths_;
  char* image_;  // the code page at hand
  uint8_t* row_;
  float* work_;
  MemoryContext context_;
};

double Ratio(double part, double whole) { return whole > 0 ? part / whole : 0; }

}  // namespace

Datum Stats(Relation index, TupleDesc desc) {
  IndexView& view = *OpenIndex(index, CurrentMemoryContext, Frames::kInUse);
  Counter counter(&view, CurrentMemoryContext);
  counter.Run();
  const Counts& counts = counter.counts();
  const VecOf<int64, Alloc>& lengths = counter.lengths();
  const format::IvfMeta& meta = view.meta;
  const format::IvfFrame& shape = view.frame->shape;
  const double live = static_cast<double>(counts.live), lists = static_cast<double>(lengths.size());
  double squares = 0;
  for (int64 length : lengths) squares += static_cast<double>(length) * length;
  const double mean_square = Ratio(counts.squares, static_cast<double>(counts.measured));
  const double trained_mean_square =
      Ratio(counts.written_squares, static_cast<double>(counts.written_rows));
  am::RowWriter row(desc);
  row.Int(meta.version).Int(static_cast<int32>(meta.dims)).Text(am::MetricName(meta.metric));
  row.Null().Null().Null().Null();
  row.Int(meta.second_bits).Null().Null();
  row.Big(counts.live).Big(counts.dead).Null().Null().Null().Null().Null();
  row.Null().Null().Null().Null().Null();
  row.Big(int64{RelationGetNumberOfBlocks(index)} * BLCKSZ);
  row.Big(shape.epoch).Big(static_cast<int64>(meta.trained_rows)).Bool(meta.training != 0);
  row.Text(QuantizerName(meta.quantizer)).Int(static_cast<int32>(lengths.size()));
  row.Int(static_cast<int32>(std::count(lengths.begin(), lengths.end(), 0)));
  row.Big(lengths.back());
  // 1 when all lists are equally long; how many times more rows a search meets than then.
  row.Float(live > 0 ? squares * lists / (live * live) : 1);
  row.FloatIf(counts.measured > 0 && trained_mean_square > 0, mean_square / trained_mean_square);
  row.Big(counts.code_pages).Big(counts.record_pages);
  row.Big(int64{shape.frame_pages} + shape.directory_pages);
  row.Big(lengths.front()).Big(lengths[lengths.size() / 2]);
  row.Float(Ratio(static_cast<double>(lengths.back()), live));
  row.Float(
      Ratio(static_cast<double>(counts.dead), static_cast<double>(counts.live + counts.dead)));
  row.FloatIf(counts.measured > 0, mean_square);
  row.FloatIf(trained_mean_square > 0, trained_mean_square);
  row.Int(meta.attribute_count).Int(meta.attribute_bytes).Null();
  return row.Finish();
}

}  // namespace ann::ivf
