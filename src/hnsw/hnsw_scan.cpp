// Index scans: README section "Scan".
//
// Rounds of beam search fill a heap of candidates ordered by the lower bound of their distance. The
// nearest is taken out and made more exact (traversal code, refinement code, table row) until one
// is known to be no farther than all others: that one is emitted. When half of a round's candidates
// have been emitted the next round starts from what fell off the beam; when nothing is left to
// start from, a sweep over the node pages finds the rows that the graph did not reach.
#include <algorithm>
#include <cmath>
#include <limits>

#include "am/limit_hint.hpp"
#include "am/vector_column.hpp"
#include "hnsw/hnsw_scan.hpp"

namespace ann::hnsw {

using am::Item;
using am::Stage;

namespace {

// --- walking ------------------------------------------------------------------------------------

// Hands candidates over to emission, with the bounds from both codes.
void HandOver(ScanState& s, const NodeId* ids, uint32_t n) {
  constexpr uint32_t kBatch = 64;
  quant::Estimate estimates[kBatch];
  for (uint32_t start = 0; start < n; start += kBatch) {
    const uint32_t batch = std::min(kBatch, n - start);
    s.graph.Refine(s.queries, ids + start, batch, estimates);
    for (uint32_t i = 0; i < batch; ++i) {
      s.emission.Push(am::Bounded(ids[start + i], estimates[i], am::kEpsilon, Stage::kRefined));
    }
    CHECK_FOR_INTERRUPTS();
  }
}

// Drops the farther half when memory is used up; the sweep finds them again.
void BoundSpill(ScanState& s) {
  if (s.spill.size() * sizeof(Candidate) <= MemoryLimit()) return;
  const size_t half = s.spill.size() / 2;
  std::nth_element(s.spill.begin(), s.spill.begin() + half, s.spill.end(), Nearer);
  s.spill.resize(half);
}

// For the codes of this epoch and, while they may be left, of the one before; called again when the
// view has been read anew.
void PrepareQueries(void* arg) {
  ScanState& s = *static_cast<ScanState*>(arg);
  for (int i = 0; i < (s.view->meta.recentring != 0 ? kFrames : 1); ++i) {
    const quant::Codec& codec = s.view->CodecOf(static_cast<Frame>(i));
    void* memory = pg::AllocZero<char>(s.context, quant::Codec::QueryBytes(codec.params()));
    s.queries[i] = codec.PrepareQuery(s.x, memory);
  }
}

bool LimitReached(const ScanState& s) {
  return max_scan_tuples > 0 && s.visited.count() >= static_cast<uint64_t>(max_scan_tuples);
}

// Where a walk on level 0 starts; id kNoId: there is nowhere.
template <class Scorer>
Candidate FindStart(ScanState& s, Scorer&& scorer) {
  // The beam's memory is reserved at once, and a user may set any number.
  s.round_ef = std::clamp(FirstRound(s), 1u, std::max(s.graph.id_limit(), 1u));
  s.visited.Reset(std::min(s.round_ef, 1u << 16) * 32, s.graph.id_limit());
  pg::StopPoint("scan.opened");
  Candidate start = DescendTo(s.graph, 0, scorer);
  if (start.id == kNoId && !s.view->empty()) {
    // A vacuum has freed the entry point, or a record on the way down, since it was read.
    ReloadEntry(s.view);
    start = DescendTo(s.graph, 0, scorer);
  }
  if (start.id != kNoId) s.visited.Insert(start.id);
  return start;
}

// Doubling keeps the work per emitted row constant in a scan that goes on and on.
uint32_t NextEf(uint32_t ef) {
  constexpr uint32_t kMaxRound = 2048;
  return std::max(ef, std::min(ef * 2, kMaxRound));
}

void FinishRound(ScanState& s, const Beam<Alloc>& beam) {
  ++s.searches;
  s.ways |= am::kWayWalk;
  s.found.clear();
  for (uint32_t i = 0; i < beam.size(); ++i) s.found.push_back(beam.at(i).id);
  s.emission.Bound(MemoryLimit());
  HandOver(s, s.found.data(), beam.size());
  s.quota = std::max(beam.size() / 2, 1u);
  s.graph.ReportHits();
}

// Walks until the beam has settled, then hands its candidates over. False: there is nowhere to
// start.
bool NextRound(ScanState& s) {
  auto scorer = QueryScorer(s);
  if (s.phase == Phase::kStart) {
    const Candidate start = FindStart(s, scorer);
    if (start.id == kNoId) return false;
    s.beam.Reset(s.round_ef);
    s.beam.Insert(start);
  } else {
    if (s.spill.empty()) return false;
    s.round_ef = NextEf(s.round_ef);
    s.beam.Reset(s.round_ef);
    const size_t n = std::min<size_t>(s.round_ef, s.spill.size());
    std::nth_element(s.spill.begin(), s.spill.begin() + (n - 1), s.spill.end(), Nearer);
    for (size_t i = 0; i < n; ++i) s.beam.Insert(s.spill[i]);
    s.spill.erase(s.spill.begin(), s.spill.begin() + n);
  }
  BaseLayer<decltype(scorer)> layer{s.graph, scorer};
  graph::Expand(
      layer, s.beam, s.visited,
      [&s](Candidate dropped) {
        s.spill.push_back(dropped);
        BoundSpill(s);
      },
      AllowInterrupts);
  FinishRound(s, s.beam);
  return true;
}

// --- walking with a filter (README, "Filters") --------------------------------------------------

// Nanoseconds, measured: the masks of a column page, and the code of a node that passes, read in
// order of ids.
constexpr double kColumnPageCost = 700;
constexpr double kSweptNodeCost = 110;
// One that was posted, in order of ids too, but far from the next.
constexpr double kPostedNodeCost = 150;

// The same of a node whose row is looked up in a set, wherever that lies; and of a row of the set
// that is read for its distance, without the index.
constexpr double kSetNodeCost = 18;
constexpr double kListedRowCost = 600;

double SweepCost(const ScanState& s) {
  const double nodes = s.graph.id_limit();
  const double looked_up = s.columns.filter() == nullptr ? nodes : s.filter_rate * nodes;
  return s.sample.pages * kColumnPageCost + (s.rows == nullptr ? 0 : looked_up * kSetNodeCost) +
         s.sample.rate * nodes * kSweptNodeCost;
}

// Of the rows of a set being read one by one.
double ListCost(const ScanState& s) {
  const bool off = iterative_scan == static_cast<int>(am::IterativeScan::kOff);
  if (s.rows == nullptr || off || max_scan_tuples > 0 || s.x == nullptr ||
      !am::MayList(s.scan, *s.rows, MemoryLimit())) {
    return INFINITY;
  }
  return static_cast<double>(s.rows->rows()) * kListedRowCost;
}

// What is done instead of a walk, or after one that found too little.
double OtherCost(const ScanState& s) { return std::min(SweepCost(s), ListCost(s)); }

double WalkCost(const ScanState& s, double rate) {
  return graph::FilteredEf(FirstRound(s), rate) / rate * graph::kExpansionCost;
}

// Whether a walk is the way to begin: nothing else costs less.
bool WalkPays(const ScanState& s) { return WalkCost(s, s.sample.rate) < OtherCost(s); }

// So many nodes of the filter's values are looked at rather than a walk made.
uint32_t MostPosted(const ScanState& s) {
  uint32_t low = 0, high = s.graph.id_limit();
  while (low < high) {
    const uint32_t middle = high - (high - low) / 2;
    const bool pays =
        middle * kPostedNodeCost <= WalkCost(s, middle / static_cast<double>(s.graph.id_limit()));
    if (pays) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

// Finds the nodes that may pass by the first attribute's values. False: there are too many.
bool GatherPosted(ScanState& s) {
  constexpr size_t kFewValues = 16;
  if (!HasPostings(*s.view) || s.columns.filter() == nullptr) return false;
  const std::span<const filter::Value> values = s.columns.filter()->ValuesOf(0);
  if (values.empty() || values.size() > kFewValues) return false;
  const uint32_t most = MostPosted(s);
  s.posted.reserve(size_t{most} + format::kPostingsPerPage);
  for (const filter::Value& value : values) {
    CHECK_FOR_INTERRUPTS();
    if (!ReadPostings(*s.view, PostingHash(value), most, &s.posted)) return false;
  }
  std::sort(s.posted.begin(), s.posted.end());
  // Nodes that have come since the scan began are none of its business.
  const auto known = std::lower_bound(s.posted.begin(), s.posted.end(), s.graph.id_limit());
  s.posted.erase(std::unique(s.posted.begin(), known), s.posted.end());
  return true;
}

// The walk starts again from passing nodes, those it has found and some from anywhere.
template <class Layer>
void Bridge(ScanState& s, Layer& layer) {
  // It meets the passing nodes from their far side: fewer results leave recall at .90 (README).
  constexpr uint32_t kBridgeEf = 200;
  s.round_ef = std::max(s.round_ef, kBridgeEf);
  s.walk.Bridge(s.round_ef);
  s.ways |= am::kWayBridge;
  if (s.rows != nullptr) SampleSet(s);
  NodeId* ids = s.sample.passing;
  uint32_t n = 0;
  for (uint32_t i = 0; i < s.sample.count; ++i) {
    if (s.visited.Insert(ids[i])) ids[n++] = ids[i];
  }
  float keys[ColumnReader::kSampledPages * ColumnReader::kSampledNodes];
  layer.Score(ids, n, keys);
  for (uint32_t i = 0; i < n; ++i) s.walk.Start({OrderableKey(keys[i]), ids[i]});
}

// What is known before a walk of the nodes that pass.
void TakeSample(ScanState& s) {
  s.sample = {1, 0, 0, {}};
  if (s.columns.filter() != nullptr) s.sample = s.columns.TakeSample();
  s.filter_rate = s.sample.rate;
  if (s.rows == nullptr) return;
  s.sample.rate *= ShareOfSet(s);
  uint32_t passing = 0;
  for (uint32_t i = 0; i < s.sample.count; ++i) {
    if (IsOfSet(s, s.sample.passing[i])) s.sample.passing[passing++] = s.sample.passing[i];
  }
  s.sample.count = passing;
}

// The same as NextRound among the nodes that pass. False: a sweep is the better way now, or the
// only one.
bool NextFilteredRound(ScanState& s) {
  auto scorer = QueryScorer(s);
  BaseLayer<decltype(scorer)> layer{s.graph, scorer};
  if (s.phase == Phase::kStart) {
    TakeSample(s);
    if (!WalkPays(s)) return false;
    const Candidate start = FindStart(s, scorer);
    if (start.id == kNoId) return false;
    s.walk.Reset(s.round_ef, s.sample.rate, OtherCost(s));
    s.walk.Start(start);
  } else {
    s.round_ef = NextEf(s.round_ef);
    s.walk.Next(s.round_ef);
  }
  const uint64_t max_scored = max_scan_tuples > 0 ? max_scan_tuples : UINT64_MAX;
  const auto passes = [&s](NodeId id) { return Passes(s, id); };
  for (;;) {
    const graph::RoundEnd end =
        s.walk.Round(layer, s.visited, max_scored, MemoryLimit(), passes, AllowInterrupts);
    if (end == graph::RoundEnd::kSettled) break;
    const double bridge = s.round_ef * graph::kExpansionCost;
    if (s.walk.bridging() || s.walk.cost() + bridge > OtherCost(s)) return false;
    Bridge(s, layer);
  }
  FinishRound(s, s.walk.found());
  return s.walk.found().size() > 0;
}

// max_scan_tuples is reached: what has been found is still returned, nothing more is looked for.
void DrainSpill(ScanState& s) {
  s.found.clear();
  for (const Candidate& c : s.spill) s.found.push_back(c.id);
  s.spill.clear();
  s.walk.Drain([&s](NodeId id) {
    if (Passes(s, id)) s.found.push_back(id);
  });
  HandOver(s, s.found.data(), static_cast<uint32_t>(s.found.size()));
}

// What a sweep took for nearer than it is, it must not find again.
void DropPast(ScanState& s) {
  s.emission.ForEach([&s](const Item& item) { s.emitted.Insert(item.id); });
  s.emission.Clear();
}

// --- emitting -----------------------------------------------------------------------------------

constexpr uint32_t kNoQuota = std::numeric_limits<uint32_t>::max();

// Counts a candidate that was emitted, held back, or has no row that the snapshot sees: where the
// nearest rows are dead, too, the next round must come before the beam's edge is reached.
void Settle(ScanState& s, NodeId id) {
  s.emitted.Insert(id);
  if (s.quota > 0 && s.quota != kNoQuota) --s.quota;
}

// What emission asks of this scan.
struct Source {
  IndexScanDesc scan;
  ScanState& s;
  bool rounds;  // more may be found

  bool WantsMore() const { return rounds && s.quota == 0; }
  void Refine(const Item& item) const { HandOver(s, &item.id, 1); }
  uint32_t AddTids(NodeId id) const { return ReadTids(s, id); }
  bool Exact(const ItemPointerData* tids, uint32_t count, float* key) const {
    const IndexView& view = *s.view;
    return am::OpaqueOf<ScanState>(scan).fetcher.Fetch(scan, view.metric(), s.x, view.meta.dims,
                                                       tids, count, key);
  }
  float Beyond(bool none_left) const { return none_left && s.more() ? -INFINITY : INFINITY; }
  bool IsUnordered() const { return s.x == nullptr; }
  void Settle(NodeId id) const { ann::hnsw::Settle(s, id); }
};

bool EmitNearest(IndexScanDesc scan) {
  ScanState& s = *am::OpaqueOf<ScanState>(scan).state;
  const bool rounds = iterative_scan != static_cast<int>(am::IterativeScan::kOff) &&
                      (s.phase == Phase::kWalk || s.partial);
  Source source{scan, s, rounds};
  return s.emission.EmitNearest(source, s.aim.ordered
                                            ? static_cast<am::IterativeScan>(iterative_scan)
                                            : am::IterativeScan::kRelaxedOrder);
}

bool Advance(ScanState& s) { return s.filtered() ? NextFilteredRound(s) : NextRound(s); }

// What the heap holds is found again. Rows of a set are read one by one if that costs less, and
// none of them has been emitted.
void BeginSweep(ScanState& s) {
  s.emission.Clear();
  s.phase = Phase::kSweep;
  s.sweep_again = s.emitted.count() > 0 || ListCost(s) >= SweepCost(s);
  if (!s.sweep_again) ListSet(s);
}

// Makes rows pending. False: the scan is at its end.
bool NextRows(IndexScanDesc scan) {
  ScanState& s = *am::OpaqueOf<ScanState>(scan).state;
  const bool off = iterative_scan == static_cast<int>(am::IterativeScan::kOff);
  s.emission.CompactTids(MemoryLimit());
  for (;;) {
    switch (s.phase) {
      case Phase::kStart: {
        s.emitted.Reset(64);
        if (s.columns.filter() != nullptr && s.columns.filter()->never()) {
          s.phase = Phase::kDone;
        } else if (s.filtered() && GatherPosted(s)) {
          s.by_postings = true;
          BeginSweep(s);
        } else if (s.x != nullptr && Advance(s)) {
          s.phase = Phase::kWalk;
        } else {
          BeginSweep(s);
        }
        break;
      }
      case Phase::kWalk:
        if (!off && s.quota == 0) {
          if (LimitReached(s)) {
            DrainSpill(s);
            s.quota = kNoQuota;
          } else if (!Advance(s)) {
            if (s.filtered()) {
              BeginSweep(s);
              break;
            }
            s.quota = kNoQuota;
          }
        }
        if (EmitNearest(scan)) return true;
        if (!off && s.quota == 0) break;
        if (off || LimitReached(s)) {
          if (!s.more() || off) s.phase = Phase::kHeld;
          s.quota = 0;
          break;
        }
        if (s.more()) {
          // Half of a round's candidates and more are past the range: it has been searched.
          if (s.emission.PastRange()) {
            s.phase = Phase::kHeld;
          } else {
            s.quota = 0;
          }
          break;
        }
        s.phase = Phase::kSweep;
        s.sweep_again = true;
        break;
      case Phase::kSweep:
        if (EmitNearest(scan)) return true;
        if (s.partial && s.quota == 0) {
          s.emission.Clear();
        } else {
          DropPast(s);
        }
        if (s.sweep_again && (s.filtered() ? SweepPassing(s) : Sweep(s))) break;
        s.phase = Phase::kHeld;
        break;
      case Phase::kHeld:
        s.emission.SortHeld();
        s.phase = Phase::kDone;
        break;
      case Phase::kDone:
        return s.emission.EmitHeld();
    }
  }
}

void StartScan(IndexScanDesc scan, ScanState& s) {
  s.scan = scan;
  s.rows = am::OfferedRows(scan);
  s.view = OpenIndex(scan->indexRelation, s.context);
  s.graph = PageGraph(s.view);
  const filter::Filter* filter = am::MakeFilter(scan);
  s.columns = ColumnReader(&s.graph, filter != nullptr && filter->empty() ? nullptr : filter);
  s.aim = am::ReadTarget(scan, s.view->metric(), s.view->meta.dims);
  s.emission.SetWithin(s.aim.within);
  s.x = s.aim.x;
  if (s.x == nullptr) return;
  PrepareQueries(&s);
  s.view->reloaded = PrepareQueries;
  s.view->reloaded_arg = &s;
}

}  // namespace

void SetScan(IndexAmRoutine* routine) { am::SetScan<ScanState, StartScan, NextRows>(routine); }

}  // namespace ann::hnsw
