// Calibrating an index in pages: README section "Empty start". The algorithm is that of the build
// (src/graph/calibrate.hpp); here is how it sees the pages.
#include "hnsw/hnsw_calibrate.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "graph/calibrate.hpp"
#include "hnsw/hnsw.hpp"
#include "hnsw/hnsw_tour.hpp"
#include "hnsw/hnsw_walk.hpp"

#include "pg/alloc.hpp"
#include "pg/guc.hpp"

namespace ann::hnsw {

using format::Meta;
using format::PageKind;
using format::SlotState;

namespace {

using Alloc = pg::PgAllocator<std::byte>;

constexpr uint64_t kFewestCalibrated = 5000;

double Octaves(uint64_t nodes) {
  return std::log2(static_cast<double>(std::max<uint64_t>(nodes, 1)));
}

// The graph in pages as a calibration sees it. Nodes that are dead take part: they are few, and a
// search walks through them.
class PagesToCalibrate {
 public:
  PagesToCalibrate(IndexView* view, BufferAccessStrategy strategy, MemoryContext context)
      : view_(view),
        strategy_(strategy),
        graph_(view),
        tour_(*view, strategy, context),
        context_(context) {}

  NodeId id_limit() const { return graph_.id_limit(); }

  // Locks: the node page (L2), alone.
  bool ReadCode(NodeId id, uint8_t* coded) {
    const format::Place at = view_->geometry.NodeAt(id);
    if (at.block >= graph_.blocks()) return false;
    const pg::PageRef page = pg::ReadAnyPage(view_->rel, at.block, BUFFER_LOCK_SHARE, strategy_);
    bool there = false;
    if (!pg::IsBlank(page.page) && pg::KindOf(page.page) == PageKind::kNodes) {
      const format::NodeSlot* node = view_->Node(page.page, at.index);
      there = IsScored(*node);
      if (there) std::memcpy(coded, view_->Coded(node), view_->codec.coded_bytes());
    }
    pg::Release(page);
    return there;
  }

  template <class Visit>
  void ForCodes(Visit&& visit) {
    tour_.ForNodePages([&](BlockNumber block) {
      if (tour_.CopyPage(block) != PageKind::kNodes) return;
      for (uint32_t slot = 0; slot < view_->meta.slots_per_page; ++slot) {
        const format::NodeSlot* node = view_->Node(tour_.image(), slot);
        if (IsScored(*node)) visit(view_->Coded(node));
      }
    });
  }

  template <class Score>
  void Search(Score&& score, uint32_t ef, Beam<Alloc>& beam, VisitedSet<Alloc>& visited) {
    auto scorer = [&score](Frame, const uint8_t* coded) { return score(coded); };
    beam.Reset(ef);
    Candidate start = DescendTo(graph_, 0, scorer);
    if (start.id == kNoId) {
      // A vacuum beside this insert has freed the way down.
      ReloadEntry(view_);
      start = DescendTo(graph_, 0, scorer);
    }
    if (start.id == kNoId) return;
    visited.Reset(ef * 32, graph_.id_limit());
    visited.Insert(start.id);
    beam.Insert(start);
    BaseLayer<decltype(scorer)&> layer{graph_, scorer};
    graph::Expand(
        layer, beam, visited, [](Candidate) {}, AllowInterrupts);
    graph_.ReportHits();
  }

  // From 1,000 places: off by a tenth where one in ten holds a node, exact where all do.
  uint64_t CountNodes() {
    constexpr NodeId kPlaces = 1000;
    uint8_t* coded = pg::AllocZero<uint8_t>(context_, view_->codec.coded_bytes());
    const NodeId step = std::max(id_limit() / kPlaces, 1u);
    uint64_t read = 0, found = 0;
    for (NodeId id = 0; id < id_limit(); id += step) {
      pg::VacuumDelay();
      ++read;
      found += ReadCode(id, coded);
    }
    return read == 0 ? 0 : id_limit() * found / read;
  }

 private:
  bool IsScored(const format::NodeSlot& node) const {
    return node.state != SlotState::kFree && view_->FrameOf(node.code) == Frame::kCurrent;
  }

  IndexView* view_;
  BufferAccessStrategy strategy_;
  PageGraph graph_;
  PageTour tour_;
  MemoryContext context_;
};

uint32_t Measure(PagesToCalibrate& pages, const IndexView& view, MemoryContext context) {
  return graph::Calibration(pages, view.codec, Alloc(context), [] { pg::VacuumDelay(); }).Run();
}

}  // namespace

void SetDefaultEf(Meta* meta, uint32_t calibrated, uint64_t nodes) {
  // A small graph needs little; the one that inserts make of it needs more.
  const uint32_t least = nodes < kFewestCalibrated ? kUncalibratedEf : 0;
  meta->default_ef = static_cast<uint16_t>(std::max(calibrated, least));
  meta->calibrated_size = static_cast<uint16_t>(256 * Octaves(nodes));
}

bool MayNeedCalibration(const Meta& meta, uint64_t nodes, uint32_t factor) {
  return nodes >= static_cast<uint64_t>(pg::recentre_rows) &&
         Octaves(nodes) >= meta.calibrated_size / 256.0 + Octaves(factor);
}

void Recalibrate(IndexView* view, BufferAccessStrategy strategy, MemoryContext context,
                 uint64_t reached, uint32_t factor) {
  PagesToCalibrate pages(view, strategy, context);
  const uint64_t nodes = reached > 0 ? reached : pages.CountNodes();
  if (!MayNeedCalibration(view->meta, nodes, factor)) return;
  // Where a timeout ends the insert each time, others would never get past this size.
  if (reached > 0) {
    ChangeMeta(*view, [&](Meta* meta) { SetDefaultEf(meta, meta->default_ef, nodes); });
  }
  uint32_t ef = Measure(pages, *view, context);
  // It is growing still: on SIFT 40 does at 10,000 nodes, 80 at 60,000.
  if (reached > 0) ef = std::max<uint32_t>(ef, kUncalibratedEf);
  pg::StopPoint("calibrate.measured");
  ChangeMeta(*view, [&](Meta* meta) { SetDefaultEf(meta, ef, nodes); });
}

uint32_t CalibrateNow(IndexView* view, BufferAccessStrategy strategy, MemoryContext context) {
  PagesToCalibrate pages(view, strategy, context);
  const uint64_t nodes = pages.CountNodes();
  const uint32_t ef = Measure(pages, *view, context);
  pg::StopPoint("calibrate.measured");
  uint32_t kept = 0;
  ChangeMeta(*view, [&](Meta* meta) {
    SetDefaultEf(meta, ef, nodes);
    kept = meta->default_ef;
  });
  return kept;
}

}  // namespace ann::hnsw
