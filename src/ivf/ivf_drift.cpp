#include "ivf/ivf_drift.hpp"

#include <algorithm>
#include <cmath>

#include "core/vec.hpp"
#include "ivf/ivf_move.hpp"
#include "ivf/ivf_split.hpp"
#include "simd/simd.hpp"

#include "pg/alloc.hpp"
#include "pg/cleanup_snapshot.hpp"

namespace ann::ivf {

using format::ListEntry;
using format::ListState;

namespace {

using Alloc = pg::PgAllocator<std::byte>;

// A list is too long when it has so many times the mean's rows, and enough for a search to feel it.
constexpr double kTooLong = 4;
constexpr double kLongRows = 512;
// Its parts are to have so many times the mean.
constexpr double kPartRows = 2;
// It is looked at for being too wide when it has grown to so many times the rows that it had when
// it was written or looked at before, and at least so many; it is too wide when its rows are so
// many times as far from its centroid, squared, as they were.
constexpr double kGrown = 1.5;
constexpr double kWideRows = 64;
constexpr double kTooWide = 2;
// Fewer rows say nothing of how far they usually are.
constexpr uint32_t kTellingRows = 16;
// A list is too short when it has this part of the mean.
constexpr double kTooShort = 1.0 / 8;

struct Plan {
  uint32_t list;
  uint32_t parts;  // 0: it is to be merged
  double most;     // of the mean squared distance: below it the list stays
};

class Regrouping {
 public:
  Regrouping(IndexView& view, MemoryContext context)
      : view_(view), context_(context), entries_(Alloc(context)), plans_(Alloc(context)) {}

  // Decides by what the directory says. False: there is nothing to do.
  bool MakePlans() {
    // Centroids that the user gave stay as they were given.
    if (view_.frame->shape.lists < 2 || CentroidsOptionOf(view_.rel) != nullptr) return false;
    ReadDirectory();
    double rows = 0, squares = 0, telling = 0;
    uint32_t lists = 0;
    for (const ListEntry& entry : entries_) {
      if (entry.state != ListState::kInUse) continue;
      ++lists;
      rows += entry.live;
      if (entry.rows < kTellingRows || !std::isfinite(entry.mean_square)) continue;
      squares += static_cast<double>(entry.mean_square) * entry.rows;
      telling += entry.rows;
    }
    mean_rows_ = lists > 0 ? rows / lists : 0;
    in_use_ = lists;
    usual_square_ = telling > 0 ? squares / telling : 0;
    for (uint32_t list = 0; list < entries_.size(); ++list) {
      if (entries_[list].state == ListState::kInUse) PlanFor(list);
    }
    return !plans_.empty();
  }

  // The active snapshot protects what it sees.
  void Run(Relation heap) {
    bool room = true;
    Regrouper regrouper(view_, heap, context_);
    for (const Plan& plan : plans_) {
      pg::VacuumDelay();
      // Rows that were committed since are read from the table, too.
      PushActiveSnapshot(GetLatestSnapshot());
      if (plan.parts == 0) {
        Merge(regrouper, plan.list);
      } else if (room) {
        room = regrouper.Split(plan.list, plan.parts, plan.most);
      }
      PopActiveSnapshot();
    }
    regrouper.Close();
  }

 private:
  // L2, one page at a time.
  void ReadDirectory() {
    const format::IvfFrame& shape = view_.frame->shape;
    for (uint32_t list = 0; list < shape.lists; ++list) {
      ListEntry entry;
      if (!ReadEntry(view_.rel, shape, list, &entry)) {
        pg::ReportCorrupted(view_.rel, EntryAt(shape, list).block,
                            "the page is not of the lists in use");
      }
      entries_.push_back(entry);
    }
  }

  void PlanFor(uint32_t list) {
    const ListEntry& entry = entries_[list];
    const bool grown = entry.live >= std::max(kWideRows, kGrown * entry.rows);
    if (entry.live >= std::max(kLongRows, kTooLong * mean_rows_)) {
      if (entry.indivisible != 0 && !grown) return;
      const double parts = std::ceil(entry.live / (kPartRows * mean_rows_));
      plans_.push_back(
          {list, static_cast<uint32_t>(std::min<double>(parts, Regrouper::kMostParts)), -1});
    } else if (entry.live < kTooShort * mean_rows_) {
      plans_.push_back({list, 0, 0});
    } else if (grown) {
      const bool telling = entry.rows >= kTellingRows && std::isfinite(entry.mean_square);
      plans_.push_back({list, 2, kTooWide * (telling ? double{entry.mean_square} : usual_square_)});
    }
  }

  // Into the list that is nearest to it.
  void Merge(Regrouper& regrouper, uint32_t list) {
    const Frame& frame = *view_.frame;
    ListEntry now;
    // It may have got others' rows by now.
    if (in_use_ < 2 || !ReadEntry(view_.rel, frame.shape, list, &now) ||
        now.live >= kTooShort * mean_rows_) {
      return;
    }
    uint32_t nearest = list;
    float least = INFINITY;
    for (uint32_t other = 0; other < frame.shape.lists; ++other) {
      if (other == list || !frame.IsInUse(other)) continue;
      const float distance = simd::Floats().l2_squared(frame.Centroid(list), frame.Centroid(other),
                                                       frame.space.dims());
      if (distance < least || nearest == list) nearest = other, least = distance;
    }
    regrouper.Merge(list, nearest);
    --in_use_;
  }

  IndexView& view_;
  MemoryContext context_;
  VecOf<ListEntry, Alloc> entries_;
  VecOf<Plan, Alloc> plans_;
  double mean_rows_ = 0;
  double usual_square_ = 0;
  uint32_t in_use_ = 0;
};

void Regroup(IndexVacuumInfo* info, MemoryContext context) {
  IndexView* view = OpenIndex(info->index, context);
  Regrouping regrouping(*view, context);
  if (!regrouping.MakePlans() || !pg::BeginCleanupSnapshot()) return;
  // Vacuum has it locked.
  const Relation heap = table_open(IndexGetRelation(RelationGetRelid(info->index), false), NoLock);
  const bool was_tidy = NoteUntidy(view);
  regrouping.Run(heap);
  if (was_tidy) NoteTidy(view);
  table_close(heap, NoLock);
  pg::EndCleanupSnapshot();
}

}  // namespace

void RegroupLists(IndexVacuumInfo* info) {
  MemoryContext context =
      AllocSetContextCreate(CurrentMemoryContext, "ann ivf regroup", ALLOCSET_DEFAULT_SIZES);
  MemoryContext old = MemoryContextSwitchTo(context);
  Regroup(info, context);
  MemoryContextSwitchTo(old);
  MemoryContextDelete(context);
}

}  // namespace ann::ivf
