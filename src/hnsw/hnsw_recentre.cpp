// Re-centring: README section "Empty start".
//
//   1. a sample of the codes, decoded, gives the mean, and under L1 the grid, under inner product
//   the
//      greatest length, as they are now; where they hardly differ nothing is done
//   2. the new mean is written, then the meta page: from here on new codes are of the next epoch
//   3. node page by node page all codes are made anew, then those of the records
//   4. the meta page says that none is left
//
// One backend at a time does it (L8); it may be interrupted anywhere, and whoever comes next goes
// on.
#include "hnsw/hnsw_recentre.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "am/inspect.hpp"
#include "hnsw/hnsw.hpp"
#include "hnsw/hnsw_calibrate.hpp"
#include "hnsw/hnsw_tour.hpp"

#include "pg/entry.hpp"
#include "pg/guc.hpp"
#include "pg/test_hooks.hpp"

namespace ann::hnsw {

using format::Meta;
using format::PageKind;
using format::SlotState;
using quant::Metric;

namespace {

using Alloc = pg::PgAllocator<std::byte>;

// L8: not a page's lock, which it would take for a block of its own, but that of the first page of
// the mean, which nobody else locks so.
constexpr BlockNumber kRecentreLock = 1;
// The largest index that an insert re-centres.
constexpr NodeId kMostInline = 10000;
constexpr BlockNumber kMostInlineBlocks = 4096;  // 32 MB: about as much WAL
constexpr uint32_t kSampleNodes = 10000;
// A mean that has moved by so much of the mean squared residual is worth following: it costs 1 % in
// the deviation of every estimate.
constexpr double kWorthwhileDrift = 0.02;
constexpr double kWorthwhileLength = 1.05;
// An L1 grid stays while it is within this factor of the one wanted: codes then move by whole
// cells, which loses nothing.
constexpr double kWorthwhileStep = 2;

// The number of nodes at which the mean is looked at again.
uint64_t DueAt(const Meta& meta) {
  return std::max<uint64_t>(10 * meta.mean_rows, static_cast<uint64_t>(pg::recentre_rows));
}

// What a sample of the index says about its vectors, seen from the mean of its epoch.
struct Sample {
  double* sums;     // of work vectors
  double* squares;  // by dim
  double* means;    // sums / count
  double squared;   // sum of |r|^2
  double longest;   // inner product: greatest |x|^2
  uint64_t count;
  uint64_t nodes;  // that the index holds, about
};

class Recentring {
 public:
  Recentring(IndexView& view, BufferAccessStrategy strategy, MemoryContext context)
      : view_(view), strategy_(strategy), context_(context), tour_(view, strategy, context) {
    coded_ = pg::AllocZero<uint8_t>(context, view.codec.coded_bytes());
    refinement_ = pg::AllocZero<uint8_t>(context, view.codec.refinement_bytes() + 1);
    work_ = pg::AllocZero<float>(context, view.meta.dims);
  }

  // `reached`: the nodes that there are, by the highest id; 0: to be estimated.
  void Run(uint64_t reached) {
    if (view_.meta.recentring == 0 && !Begin(reached)) return;
    tour_.ForNodePages([this](BlockNumber block) {
      if (!HoldsOld(block)) return;
      RecodeNodes(view_, block, strategy_);
      pg::StopPoint("recentre.coded");
    });
    tour_.ForAuxiliaryPages([this](BlockNumber block) { RecodeRecords(block); });
    pg::StopPoint("recentre.ending");
    ChangeMeta(view_, [](Meta* meta) { meta->recentring = 0; });
  }

 private:
  // --- 1: the sample
  // ------------------------------------------------------------------------------

  // Copies the codes of a node. False: there is none. Locks: node page (L2), refinement page (L3).
  bool CopyCodes(NodeId id) {
    const format::Place at = view_.geometry.NodeAt(id);
    const pg::PageRef page = pg::ReadAnyPage(view_.rel, at.block, BUFFER_LOCK_SHARE, strategy_);
    const format::NodeSlot* node = view_.Node(page.page, at.index);
    const bool there = !pg::IsBlank(page.page) && pg::KindOf(page.page) == PageKind::kNodes &&
                       node->state != SlotState::kFree &&
                       view_.FrameOf(node->code) == Frame::kCurrent;
    if (there) {
      std::memcpy(coded_, view_.Coded(node), view_.codec.coded_bytes());
      if (view_.codec.refinement_bytes() > 0) {
        const format::Place fine_at = view_.geometry.RefinementAt(id);
        const pg::PageRef fine =
            pg::ReadPage(view_.rel, fine_at.block, BUFFER_LOCK_SHARE, PageKind::kRefinement);
        std::memcpy(refinement_, view_.Refinement(fine.page, fine_at.index),
                    view_.codec.refinement_bytes());
        pg::Release(fine);
      }
    }
    pg::Release(page);
    return there;
  }

  Sample TakeSample() {
    const uint32_t dims = view_.meta.dims;
    Sample sample{pg::AllocZero<double>(context_, dims), pg::AllocZero<double>(context_, dims),
                  pg::AllocZero<double>(context_, dims)};
    const BlockNumber blocks = RelationGetNumberOfBlocks(view_.rel);
    const NodeId limit = view_.geometry.IdLimit(blocks);
    const NodeId step = std::max(limit / kSampleNodes, 1u);
    for (NodeId id = 0; id < limit; id += step) {
      pg::VacuumDelay();
      if (view_.geometry.NodeAt(id).block < blocks && CopyCodes(id)) AddToSample(&sample);
    }
    for (uint32_t i = 0; i < dims && sample.count > 0; ++i) {
      sample.means[i] = sample.sums[i] / static_cast<double>(sample.count);
    }
    sample.nodes = sample.count * step;
    return sample;
  }

  void AddToSample(Sample* sample) {
    const quant::Codec& codec = view_.codec;
    const float prior =
        codec.Decode(coded_, codec.refinement_bytes() > 0 ? refinement_ : nullptr, work_);
    double squared = 0;
    for (uint32_t i = 0; i < view_.meta.dims; ++i) squared += double(work_[i]) * work_[i];
    // What lies beyond the range of floats has no place in a mean.
    if (!std::isfinite(static_cast<float>(squared)) || !std::isfinite(prior)) return;
    for (uint32_t i = 0; i < view_.meta.dims; ++i) {
      sample->sums[i] += work_[i];
      sample->squares[i] += double(work_[i]) * work_[i];
    }
    if (metric() == Metric::kInnerProduct) {
      sample->longest = std::max<double>(sample->longest, codec.RowNorm(coded_, work_, prior));
    }
    sample->squared += metric() == Metric::kL1 ? squared : std::max(0.0, squared - prior);
    ++sample->count;
  }

  Metric metric() const { return static_cast<Metric>(view_.meta.metric); }

  // --- 2: the next epoch
  // --------------------------------------------------------------------------

  // False: there is no need of it.
  bool Begin(uint64_t reached) {
    // Somebody else may have been through with it just now.
    if (reached > 0 && reached < DueAt(view_.meta)) return false;
    const Sample sample = TakeSample();
    if (reached == 0) reached = sample.nodes;
    if (reached < DueAt(view_.meta)) return false;
    if (sample.count == 0) {
      // Nothing has a place in a mean; it is not looked for again with every row.
      ChangeMeta(view_, [&](Meta* meta) { meta->mean_rows = reached; });
      return false;
    }
    double drift = 0;
    for (uint32_t i = 0; i < view_.meta.dims; ++i) drift += sample.means[i] * sample.means[i];
    const double spread = sample.squared / static_cast<double>(sample.count) - drift;
    const float longest = static_cast<float>(std::sqrt(sample.longest));
    const float old_longest = view_.codec.params().max_norm;
    const float step = NextStep(sample);
    const bool due = drift > kWorthwhileDrift * spread || step != view_.codec.params().l1_step ||
                     longest > kWorthwhileLength * old_longest;
    if (due) WriteMean(sample, step);
    pg::StopPoint("recentre.mean");
    const uint32_t next = view_.meta.epoch + 1;
    ChangeMeta(view_, [&](Meta* meta) {
      meta->mean_rows = reached;
      if (!due) return;
      meta->epoch = next;
      meta->recentring = 1;
      meta->l1_step[next % 2] = step;
      meta->max_norm[next % 2] = std::max(longest, old_longest);
    });
    if (!due) return false;
    ReloadFrames(&view_);
    pg::StopPoint("recentre.begun");
    return true;
  }

  // The L1 grid's step of the next epoch.
  float NextStep(const Sample& sample) const {
    const float step = view_.codec.params().l1_step;
    if (metric() != Metric::kL1) return step;
    double variance = 0;
    for (uint32_t i = 0; i < view_.meta.dims; ++i) {
      const double square = sample.squares[i] / static_cast<double>(sample.count);
      variance += std::max(0.0, square - sample.means[i] * sample.means[i]) / view_.meta.dims;
    }
    const float wanted = GridStep(view_.meta.traversal_bits, variance);
    return wanted > 0 && (wanted > step * kWorthwhileStep || wanted * kWorthwhileStep < step)
               ? wanted
               : step;
  }

  // The mean of the next epoch goes where that of the one before was, of which no code is left.
  // Locks: its pages, one at a time and no other (as L1).
  void WriteMean(const Sample& sample, float step) {
    const Meta& meta = view_.meta;
    const bool whole_cells = metric() == Metric::kL1 && step == view_.codec.params().l1_step;
    for (uint32_t i = 0; i < meta.dims; ++i) {
      work_[i] = static_cast<float>(whole_cells ? std::round(sample.means[i] / step) * step
                                                : sample.means[i]);
    }
    view_.codec.Restore(work_);
    for (uint32_t i = 0; i < meta.mean_pages; ++i) {
      const pg::PageRef page = pg::ReadPage(view_.rel, MeanBlock(meta, meta.epoch + 1) + i,
                                            BUFFER_LOCK_EXCLUSIVE, PageKind::kMean);
      pg::PageEdit edit = pg::PageEdit::Begin(view_.rel, meta);
      char* copy = edit.EditWhole(page);
      const uint32_t start = i * format::kMeanFloatsPerPage;
      std::memcpy(copy + format::kPageHeaderBytes, work_ + start,
                  sizeof(float) * std::min(meta.dims - start, format::kMeanFloatsPerPage));
      pg::TailOf(copy)->epoch = static_cast<uint16_t>(meta.epoch + 1);
      edit.Finish();
      pg::Release(page);
    }
  }

  // --- 3: nodes
  // -----------------------------------------------------------------------------------

  bool HoldsOld(BlockNumber block) {
    if (tour_.CopyPage(block) != PageKind::kNodes) return false;
    for (uint32_t slot = 0; slot < view_.meta.slots_per_page; ++slot) {
      if (IsOld(*view_.Node(tour_.image(), slot))) return true;
    }
    return false;
  }

  // --- 3: records
  // ---------------------------------------------------------------------------------

  // Records take over their nodes' codes, which have all been made. Between the reading of those
  // and the writing here a record may have been freed, and used anew by an insert, in this epoch.
  // Locks: the node page (L2), alone.
  void RecodeRecords(BlockNumber block) {
    if (tour_.CopyPage(block) != PageKind::kUpper) return;
    bool any = false;
    for (uint32_t slot = 0; slot < view_.meta.uppers_per_page; ++slot) {
      format::UpperSlot* record = view_.Upper(tour_.image(), slot);
      if (!IsOld(*record)) continue;
      any = true;
      const format::Place at = view_.geometry.NodeAt(record->node);
      const pg::PageRef page =
          pg::ReadPage(view_.rel, at.block, BUFFER_LOCK_SHARE, PageKind::kNodes);
      std::memcpy(view_.Coded(record), view_.Coded(view_.Node(page.page, at.index)),
                  view_.codec.coded_bytes());
      pg::Release(page);
    }
    pg::StopPoint("recentre.copied");
    if (any) WriteRecords(block);
  }

  // Locks: the upper page (L6).
  void WriteRecords(BlockNumber block) {
    const pg::PageRef page =
        pg::ReadPage(view_.rel, block, BUFFER_LOCK_EXCLUSIVE, PageKind::kUpper);
    pg::PageEdit edit = pg::PageEdit::Begin(view_.rel, view_.meta);
    char* copy = edit.Edit(page);
    for (uint32_t slot = 0; slot < view_.meta.uppers_per_page; ++slot) {
      format::UpperSlot* record = view_.Upper(copy, slot);
      if (!IsOld(*record)) continue;
      std::memcpy(view_.Coded(record), view_.Coded(view_.Upper(tour_.image(), slot)),
                  view_.codec.coded_bytes());
      record->code = format::LevelEpoch::Of(record->level(), view_.meta.epoch);
    }
    edit.Finish();
    pg::Release(page);
  }

  template <class Slot>
  bool IsOld(const Slot& slot) const {
    return slot.state != SlotState::kFree && view_.FrameOf(slot.code) == Frame::kPrevious;
  }

  IndexView& view_;
  BufferAccessStrategy strategy_;
  MemoryContext context_;
  PageTour tour_;
  uint8_t* coded_;
  uint8_t* refinement_;
  float* work_;
};

// Coarser codes hardly move with a mean that moves by less than a cell: their errors would all
// point the same way (src/quant/README.md). L1 moves by whole cells.
constexpr int kFewestBits = 6;

// Whether re-centring is under way, or due by the most nodes that there can be.
bool MayNeedMean(const Meta& meta, uint64_t nodes) {
  if (meta.mean_pages == 0) return false;
  if (meta.recentring != 0) return true;
  return nodes >= DueAt(meta) && (static_cast<Metric>(meta.metric) == Metric::kL1 ||
                                  meta.traversal_bits + meta.refinement_bits >= kFewestBits);
}

// Growth at which default_ef is looked at again. A vacuum reads the whole index anyway.
constexpr uint32_t kInsertGrowth = 10, kVacuumGrowth = 2;

// Calls work(view, context) and releases L8, which the caller has.
template <class Work>
void RunLocked(Relation index, Work&& work) {
  MemoryContext context =
      AllocSetContextCreate(CurrentMemoryContext, "ann hnsw recentring", ALLOCSET_DEFAULT_SIZES);
  MemoryContext old = MemoryContextSwitchTo(context);
  work(OpenIndex(index, context), context);
  MemoryContextSwitchTo(old);
  MemoryContextDelete(context);
  UnlockPage(index, kRecentreLock, ExclusiveLock);
}

// `most`: nodes that there can be; `reached`: that there are, or 0. L8, with no other lock held:
// extension and page locks come under it. Who does not get it goes on without.
void Adapt(Relation index, BufferAccessStrategy strategy, uint64_t most, uint64_t reached,
           uint32_t growth) {
  if (!ConditionalLockPage(index, kRecentreLock, ExclusiveLock)) return;
  RunLocked(index, [&](IndexView* view, MemoryContext context) {
    if (MayNeedMean(view->meta, most)) Recentring(*view, strategy, context).Run(reached);
    if (MayNeedCalibration(view->meta, most, growth)) {
      Recalibrate(view, strategy, context, reached, growth);
    }
  });
}

// What ann_recalibrate does: an insert that adapts the index is waited for, a re-centring that was
// interrupted is ended, as calibration wants codes of one epoch.
uint32_t CalibrateLocked(Relation index) {
  BufferAccessStrategy strategy = GetAccessStrategy(BAS_BULKREAD);
  uint32_t ef = 0;
  // L8, with no page locked.
  LockPage(index, kRecentreLock, ExclusiveLock);
  RunLocked(index, [&](IndexView* view, MemoryContext context) {
    if (view->meta.recentring != 0) Recentring(*view, strategy, context).Run(0);
    ef = CalibrateNow(view, strategy, context);
  });
  FreeAccessStrategy(strategy);
  return ef;
}

}  // namespace

void AdaptIfGrown(IndexView* view, NodeId id) {
  const uint64_t reached = uint64_t{id} + 1;
  if (!MayNeedMean(view->meta, reached) &&
      !MayNeedCalibration(view->meta, reached, kInsertGrowth)) {
    return;
  }
  // An id may be low in a large index, too. Twice: others may have failed, and the file has
  // more places than nodes.
  const BlockNumber blocks = RelationGetNumberOfBlocks(view->rel);
  if (view->geometry.IdLimit(blocks) > 2 * kMostInline || blocks > kMostInlineBlocks) return;
  Adapt(view->rel, nullptr, reached, reached, kInsertGrowth);
  // A view lasts as long as its statement: it must not try again for each row.
  RefreshFrames(view);
}

// Locks: the meta page (L1), alone.
void AdaptInVacuum(Relation index, BufferAccessStrategy strategy) {
  const pg::PageRef page = pg::ReadPage(index, kMetaBlock, BUFFER_LOCK_SHARE, PageKind::kMeta);
  const Meta meta = *MetaOn(page.page);
  pg::Release(page);
  CheckMeta(index, meta);
  const NodeId limit = format::Geometry(meta).IdLimit(RelationGetNumberOfBlocks(index));
  if (MayNeedMean(meta, limit) || MayNeedCalibration(meta, limit, kVacuumGrowth)) {
    Adapt(index, strategy, limit, 0, kVacuumGrowth);
  }
}

void RecodeNodes(const IndexView& view, BlockNumber block, BufferAccessStrategy strategy) {
  if (view.meta.recentring == 0) return;
  const uint32_t slots = view.meta.slots_per_page;
  const NodeId first = view.geometry.PartAt(block).ordinal * slots;
  const bool refined = view.codec.refinement_bytes() > 0;
  const auto fine_block = [&](uint32_t slot) {
    return refined ? view.geometry.RefinementAt(first + slot).block : InvalidBlockNumber;
  };
  const auto is_old = [&](const format::NodeSlot* node) {
    return node->state != SlotState::kFree && view.FrameOf(node->code) == Frame::kPrevious;
  };
  for (uint32_t start = 0, end; start < slots; start = end) {
    // The slots whose refinements share a page: a record of WAL has room for few pages.
    for (end = start + 1; end < slots && fine_block(end) == fine_block(start);) ++end;
    // L2, then the refinement page (L3).
    const pg::PageRef page = pg::ReadAnyPage(view.rel, block, BUFFER_LOCK_EXCLUSIVE, strategy);
    bool any = false;
    const bool nodes = !pg::IsBlank(page.page) && pg::KindOf(page.page) == PageKind::kNodes;
    for (uint32_t i = start; nodes && i < end; ++i) any = any || is_old(view.Node(page.page, i));
    if (any) {
      pg::PageRef fine{};
      if (refined) {
        fine =
            pg::ReadPage(view.rel, fine_block(start), BUFFER_LOCK_EXCLUSIVE, PageKind::kRefinement);
      }
      pg::PageEdit edit = pg::PageEdit::Begin(view.rel, view.meta);
      char* copy = edit.Edit(page);
      char* fine_copy = refined ? edit.Edit(fine) : nullptr;
      for (uint32_t i = start; i < end; ++i) {
        format::NodeSlot* node = view.Node(copy, i);
        if (!is_old(node)) continue;
        uint8_t* refinement =
            refined ? view.Refinement(fine_copy, view.geometry.RefinementAt(first + i).index)
                    : nullptr;
        view.codec.Recode(view.previous_codec, view.Coded(node), refinement, view.Coded(node),
                          refinement);
        node->code = format::LevelEpoch::Of(node->level(), view.meta.epoch);
      }
      edit.Finish();
      if (refined) pg::Release(fine);
    }
    pg::Release(page);
  }
}

}  // namespace ann::hnsw

ANN_FUNCTION(ann_recalibrate)
{
  const ann::am::Opened opened = ann::am::OpenMaintained(PG_GETARG_OID(0), "ann_recalibrate()");
  const ann::am::TableOwner owner = ann::am::BecomeTableOwner(opened);
  if (opened.index->rd_indam->ambuild != ann::hnsw::Build) {
    ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
                    errmsg("\"%s\" is not an hnsw index", RelationGetRelationName(opened.index)),
                    errhint("How far a search of an ivf index goes is found with its lists: "
                            "ann_retrain finds both anew.")));
  }
  const uint32_t ef = ann::hnsw::CalibrateLocked(opened.index);
  ann::am::BecomeCallerAgain(owner);
  ann::am::CloseInspected(opened, ann::am::kMaintenanceLock);
  PG_RETURN_INT32(static_cast<int32>(ef));
}
