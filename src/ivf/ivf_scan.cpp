// Index scans: README section "Scan". Reading lists: ivf_lists.cpp. Emission (src/am) brings what
// they hold in order; further lists are read as rows are asked for.
#include <algorithm>
#include <cmath>

#include "am/attributes.hpp"
#include "am/index_scan.hpp"
#include "am/vector_column.hpp"
#include "am/limit_hint.hpp"
#include "ivf/ivf.hpp"
#include "ivf/ivf_lists.hpp"

#include "pg/alloc.hpp"
#include "pg/guc.hpp"

namespace ann::ivf {

using am::Item;
using am::Stage;
using quant::Quantizer;

namespace {

// A LIMIT beyond this is taken for one that means "all".
constexpr int64 kMostWanted = 10000;

// What emission asks of this scan.
struct Source {
  IndexScanDesc scan;
  ScanState& s;

  bool WantsMore() const {
    return (!s.rest.empty() && s.emission.nearest().lower >= s.rest_least) || IsRoundOver() ||
           MayBeDropped(s);
  }
  bool IsRoundOver() const {
    return s.x != nullptr && s.settings.probes <= 0 && s.settled >= s.target && MayProbe(s);
  }
  void Refine(const Item& item) const {
    const quant::ListCodec& codec = s.view->frame->codec;
    const Candidate& c = s.candidates[item.id];
    if (codec.second_bytes() > 0 && ReadRecord(s, c)) {
      s.emission.Push(am::Bounded(
          item.id, codec.Refine(s.query, s.read[s.segments[c.segment].read].context, s.record),
          am::kEpsilon, Stage::kRefined));
      return;
    }
    // There is no record, or it has moved: the row itself decides.
    const bool exact = quant::IsWhole(codec.params().quantizer);
    s.emission.Push({item.lower, exact ? c.key : INFINITY, item.id, 0, 0, Stage::kRefined});
  }
  uint32_t AddTids(uint32_t id) const {
    s.emission.AddTid(s.candidates[id].tid);
    return 1;
  }
  bool Exact(const ItemPointerData* tids, uint32_t count, float* key) const {
    return am::OpaqueOf<ScanState>(scan).fetcher.Fetch(scan, s.view->metric(), s.aim.x,
                                                       s.view->meta.dims, tids, count, key);
  }
  float Beyond(bool none_left) const {
    return none_left && MayProbe(s) ? -INFINITY : std::min(s.rest_least, s.dropped);
  }
  bool IsUnordered() const { return s.x == nullptr; }
  void Settle(uint32_t id) const {
    ++s.settled;
    s.settled_tids.push_back(Packed(s.candidates[id].tid));
  }
};

// Whether what is known of the lists that have been read is past the range.
bool IsPastRange(const ScanState& s) {
  return s.emission.PastRange() && s.rest_least > s.aim.within;
}

// Whether then no others are to be looked at: an adaptive round has looked for twice as many rows
// as there were, a round of `probes` lists has brought none.
bool IsRangeDone(const ScanState& s) {
  if (s.has_dropped && s.dropped <= s.aim.within) return false;
  if (!MayProbe(s)) return true;
  return s.settings.probes > 0 ? s.settled == s.settled_before : s.settled <= s.target / 2;
}

// The next round looks for twice as many rows.
void RaiseTarget(ScanState& s) {
  s.target = std::max(s.target * 2, s.settled + 1);
  NoteAllKeys(s);
}

// Nanoseconds, measured: a list of which few rows pass, and a row of a set that is read for its
// distance.
constexpr double kListCost = 1600;
constexpr double kListedRowCost = 600;

// Whether the rows of the set are read one by one: that costs less than the lists that a search
// would read for it, and nobody has said how many these shall be.
bool ListingPays(const ScanState& s) {
  const Settings& settings = s.settings;
  if (s.rows == nullptr || s.x == nullptr || !MayProbe(s) || settings.probes > 0 ||
      settings.max_probes > 0 || settings.iterative_scan == am::IterativeScan::kOff ||
      !am::MayList(s.scan, *s.rows, MemoryLimit())) {
    return false;
  }
  const double rows = static_cast<double>(s.rows->rows());
  const double all = std::max(s.scan->indexRelation->rd_rel->reltuples, 1.0f);
  const double share = std::clamp(rows / all, 1 / all, 1.0);
  const format::IvfFrame& shape = s.view->frame->shape;
  const double lists =
      std::min<double>(UsualProbes(shape.patience) / std::sqrt(share), shape.lists);
  return rows * kListedRowCost < lists * kListCost;
}

void ListSet(ScanState& s) {
  s.rows->ForEach([&s](const ItemPointerData& tid) {
    float key;
    if (!s.fetcher->Fetch(s.scan, s.view->metric(), s.aim.x, s.view->meta.dims, &tid, 1, &key)) {
      return;
    }
    const uint32_t id = static_cast<uint32_t>(s.candidates.size());
    s.candidates.push_back({key, 0, tid, 0});
    s.emission.PushExact(id, tid, key);
  });
  s.listed = true;
  s.first_round = false;
}

// Makes rows pending. False: the scan is at its end.
bool NextRows(IndexScanDesc scan) {
  ScanState& s = *am::OpaqueOf<ScanState>(scan).state;
  Source source{scan, s};
  const am::IterativeScan order =
      s.aim.ordered ? s.settings.iterative_scan : am::IterativeScan::kRelaxedOrder;
  s.emission.CompactTids(MemoryLimit());
  for (;;) {
    if (s.first_round && ListingPays(s)) ListSet(s);
    if (s.first_round) NextRound(s);
    if (source.IsRoundOver()) {
      RaiseTarget(s);
      NextRound(s);
    }
    FeedRest(s);
    if (s.emission.EmitNearest(source, order)) return true;
    const bool past = IsPastRange(s) && !source.IsRoundOver();
    if (past && IsRangeDone(s)) break;
    if (!source.IsRoundOver() && MayBeDropped(s)) {
      ReadAgain(s);
      continue;
    }
    if (!past && (!s.emission.empty() || !s.rest.empty())) continue;
    if (s.candidates.size() > 0 && s.x == nullptr) {
      s.candidates.clear();
      s.segments.clear();
      s.read.clear();
    }
    if (!MayProbe(s)) break;
    if (past && s.settings.probes <= 0) RaiseTarget(s);
    NextRound(s);
  }
  if (!s.held_sorted) s.emission.SortHeld();
  s.held_sorted = true;
  return s.emission.EmitHeld();
}

void StartScan(IndexScanDesc scan, ScanState& s) {
  s.view = OpenIndex(scan->indexRelation, s.context, Frames::kInUse);
  s.scan = scan;
  s.rows = am::OfferedRows(scan);
  s.fetcher = &am::OpaqueOf<ScanState>(scan).fetcher;
  s.settings = SettingsOf(scan->indexRelation);
  // Some more than are wanted, as their order is not known yet.
  const int64 wanted = std::min(am::RowsWanted(scan), kMostWanted);
  s.target = std::max(kFirstTarget, static_cast<uint32_t>(wanted + wanted / 16 + 2));
  s.reader = pg::UnpinnedReader(scan->indexRelation, pg::unpinned_reads);
  s.aim = am::ReadTarget(scan, s.view->metric(), s.view->meta.dims);
  s.emission.SetWithin(s.aim.within);
  if (s.aim.x != nullptr) s.x = am::AsFloats(s.aim.x, s.view->meta.dims);
  s.filter = am::MakeFilter(scan);
  PrepareQuery(s);
}

}  // namespace

void SetScan(IndexAmRoutine* routine) { am::SetScan<ScanState, StartScan, NextRows>(routine); }

}  // namespace ann::ivf
