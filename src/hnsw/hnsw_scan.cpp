// Index scans: README section "Scan".
//
// Rounds of beam search fill a heap of candidates ordered by the lower bound of their distance. The
// nearest is taken out and made more exact (traversal code, refinement code, table row) until one
// is known to be no farther than all others: that one is emitted. When half of a round's candidates
// have been emitted the next round starts from what fell off the beam; when nothing is left to
// start from, a sweep over the node pages finds the rows that the graph did not reach.
#include "hnsw/hnsw_scan.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "am/limit_hint.hpp"
#include "am/vector_column.hpp"
#include "hnsw/hnsw.hpp"

namespace ann::hnsw {

using am::Item;
using am::Stage;

namespace {

using Alloc = ScanState::Alloc;

size_t MemoryLimit() { return static_cast<size_t>(work_mem * 1024.0 * scan_mem_multiplier); }

// --- reading rows -------------------------------------------------------------------------------

void AddTid(ScanState& s, BlockNumber block, const format::Tid& stored) {
  const ItemPointerData tid = s.table_end.RowAt(s.scan, block, stored);
  if (s.rows == nullptr || s.rows->Contains(tid)) s.emission.AddTid(tid);
}

// Appends the TIDs of a node to the pool; the number of them. Locks: the node page shared, then
// chain pages one by one (L2, L4).
uint32_t ReadTids(ScanState& s, NodeId id) {
  const IndexView& view = *s.view;
  const format::Place at = view.geometry.NodeAt(id);
  const size_t before = s.emission.tid_count();
  uint64_t rows_seen = 0;  // of the chain
  const pg::PageRef page = s.graph.Lock(at.block, format::PageKind::kNodes);
  if (page.page != nullptr) {
    const format::NodeSlot* node = view.Node(page.page, at.index);
    if (node->state == format::SlotState::kLive) {
      if (s.columns.OwnRowPasses(id)) AddTid(s, at.block, node->tid);
      for (RecordId next = node->chain; next != kNoId;) {
        const format::Place chunk_at = view.ChunkAt(next);
        const BlockNumber blocks = RelationGetNumberOfBlocks(view.rel);
        if (chunk_at.block >= blocks) {
          pg::ReportCorrupted(view.rel, at.block, "a chain leads out of the file");
        }
        // L4, under the node page.
        const pg::PageRef chain =
            pg::ReadPage(view.rel, chunk_at.block, BUFFER_LOCK_SHARE, format::PageKind::kChain);
        const format::ChainChunk* chunk = view.Chunk(chain.page, chunk_at.index);
        if (chunk->node != id || chunk->count > format::kChunkTids || chunk->count == 0) {
          pg::ReportCorrupted(view.rel, chunk_at.block, "a chain holds a chunk of another node");
        }
        for (uint32_t i = 0; i < chunk->count; ++i) {
          if (s.columns.Passes(chunk, i)) AddTid(s, chunk_at.block, chunk->tids[i]);
        }
        rows_seen += chunk->count;
        next = chunk->next;
        pg::Release(chain);
        // Each chunk is used once, so a chain longer than the index, which may have grown since the
        // scan began, is a circle.
        if (rows_seen > uint64_t{view.meta.chunks_per_page} * format::kChunkTids * blocks) {
          pg::ReportCorrupted(view.rel, chunk_at.block, "a chain runs in a circle");
        }
      }
    }
  }
  UnlockReleaseBuffer(page.buffer);
  return static_cast<uint32_t>(s.emission.tid_count() - before);
}

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

auto QueryScorer(ScanState& s) {
  return [view = s.view, queries = s.queries](Frame frame, const uint8_t* coded) {
    return view->CodecOf(frame).Key(queries[static_cast<int>(frame)], coded);
  };
}

bool LimitReached(const ScanState& s) {
  return max_scan_tuples > 0 && s.visited.count() >= static_cast<uint64_t>(max_scan_tuples);
}

// Candidates of the first round. A number that the user has set is meant for distances, as
// pgvector's is, while codes rank the beam: an eighth more makes up for those near its end that are
// ranked amiss (README, "Scan"). `off` promises at most ef_search rows.
uint32_t FirstRound(const ScanState& s) {
  if (!ef_search_is_set) return s.view->meta.default_ef;
  const uint32_t ef = static_cast<uint32_t>(ef_search);
  return iterative_scan == static_cast<int>(am::IterativeScan::kOff) ? ef : ef + ef / 8;
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
  ++s.rounds;
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

double SweepCost(const ScanState& s) {
  return s.sample.pages * kColumnPageCost + s.sample.rate * s.graph.id_limit() * kSweptNodeCost;
}

double WalkCost(const ScanState& s, double rate) {
  return graph::FilteredEf(FirstRound(s), rate) / rate * graph::kExpansionCost;
}

// Whether a walk is the way to begin: no sweep costs less.
bool WalkPays(const ScanState& s) { return WalkCost(s, s.sample.rate) < SweepCost(s); }

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
  if (!HasPostings(*s.view)) return false;
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
  NodeId* ids = s.sample.passing;
  uint32_t n = 0;
  for (uint32_t i = 0; i < s.sample.count; ++i) {
    if (s.visited.Insert(ids[i])) ids[n++] = ids[i];
  }
  float keys[ColumnReader::kSampledPages * ColumnReader::kSampledNodes];
  layer.Score(ids, n, keys);
  for (uint32_t i = 0; i < n; ++i) s.walk.Start({OrderableKey(keys[i]), ids[i]});
}

// The same as NextRound among the nodes that pass. False: a sweep is the better way now, or the
// only one.
bool NextFilteredRound(ScanState& s) {
  auto scorer = QueryScorer(s);
  BaseLayer<decltype(scorer)> layer{s.graph, scorer};
  if (s.phase == Phase::kStart) {
    s.sample = s.columns.TakeSample();
    if (!WalkPays(s)) return false;
    const Candidate start = FindStart(s, scorer);
    if (start.id == kNoId) return false;
    s.walk.Reset(s.round_ef, s.sample.rate, SweepCost(s));
    s.walk.Start(start);
  } else {
    s.round_ef = NextEf(s.round_ef);
    s.walk.Next(s.round_ef);
  }
  const uint64_t max_scored = max_scan_tuples > 0 ? max_scan_tuples : UINT64_MAX;
  const auto passes = [&s](NodeId id) { return s.columns.Passes(id); };
  for (;;) {
    const graph::RoundEnd end =
        s.walk.Round(layer, s.visited, max_scored, MemoryLimit(), passes, AllowInterrupts);
    if (end == graph::RoundEnd::kSettled) break;
    const double bridge = s.round_ef * graph::kExpansionCost;
    if (s.walk.bridging() || s.walk.cost() + bridge > SweepCost(s)) return false;
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
    if (s.columns.Passes(id)) s.found.push_back(id);
  });
  HandOver(s, s.found.data(), static_cast<uint32_t>(s.found.size()));
}

// --- sweeping -----------------------------------------------------------------------------------

// Puts the nearest nodes not yet emitted into the heap, as many as memory allows; false: none is
// left.
bool Sweep(ScanState& s) {
  const IndexView& view = *s.view;
  const size_t limit = std::max<size_t>(MemoryLimit() / sizeof(Item), 1024);
  const BlockNumber blocks = RelationGetNumberOfBlocks(view.rel);
  VecOf<Item, Alloc> nearest{Alloc(s.context)};
  const auto nearer = [](const Item& a, const Item& b) { return am::Later()(b, a); };
  s.sweep_again = false;
  ++s.rounds;
  s.ways |= am::kWaySweep;
  BufferAccessStrategy strategy = GetAccessStrategy(BAS_BULKREAD);
  for (BlockNumber block = view.geometry.first_stripe(); block < blocks; ++block) {
    CHECK_FOR_INTERRUPTS();
    if (view.geometry.PartAt(block).kind != format::StripePart::kNodes) continue;
    const size_t before = nearest.size();
    bool known = true;
    // L2, alone.
    const pg::PageRef page = pg::ReadAnyPage(view.rel, block, BUFFER_LOCK_SHARE, strategy);
    if (!pg::IsBlank(page.page) && pg::KindOf(page.page) == format::PageKind::kNodes) {
      const NodeId first = view.geometry.PartAt(block).ordinal * view.meta.slots_per_page;
      for (uint32_t i = 0; i < view.meta.slots_per_page; ++i) {
        const format::NodeSlot* node = view.Node(page.page, i);
        if (node->state != format::SlotState::kLive || s.emitted.Contains(first + i)) continue;
        const Frame frame = view.FrameOf(node->code);
        known = known && (s.x == nullptr || frame != Frame::kUnknown);
        if (!known) break;
        const Item item =
            s.x == nullptr ? Item{0, 0, first + i, 0, 0, Stage::kRefined}
                           : am::Bounded(first + i,
                                         view.CodecOf(frame).Coarse(
                                             s.queries[static_cast<int>(frame)], view.Coded(node)),
                                         am::kEpsilon, Stage::kCoarse);
        ++s.swept;
        if (item.lower <= s.aim.within) nearest.push_back(item);
      }
    }
    pg::Release(page);
    if (!known) {
      // The page again, by the means that it wants.
      nearest.erase(nearest.begin() + before, nearest.end());
      ReloadFrames(s.view);
      --block;
      continue;
    }
    if (nearest.size() > 2 * limit) {
      std::nth_element(nearest.begin(), nearest.begin() + limit, nearest.end(), nearer);
      nearest.erase(nearest.begin() + limit, nearest.end());
      s.sweep_again = true;
    }
  }
  FreeAccessStrategy(strategy);
  for (const Item& item : nearest) s.emission.Push(item);
  return !s.emission.empty();
}

// Calls visit(id) for the nodes that may pass and have not been emitted.
template <class Visit>
void ForEachPassing(ScanState& s, Visit&& visit) {
  const auto unless_emitted = [&](NodeId id) {
    if (!s.emitted.Contains(id)) visit(id);
  };
  if (s.by_postings) {
    for (const NodeId id : s.posted) unless_emitted(id);
    return;
  }
  s.columns.Sweep([&](NodeId first, uint32_t mask) {
    for (; mask != 0; mask &= mask - 1) {
      unless_emitted(first + static_cast<uint32_t>(std::countr_zero(mask)));
    }
  });
}

// Of the nodes it is shown, the nearest that pass, by their keys: as a walk's beam would hold them.
class NearestPassing {
 public:
  NearestPassing(ScanState& s, uint32_t most) : s_(s), most_(most), nearest_(Alloc(s.context)) {}

  void Add(NodeId id) {
    ids_[n_++] = id;
    if (n_ == graph::kMaxDegree) Score();
  }
  // Ends it. True: some were left out.
  bool Finish() {
    Score();
    Trim();
    return trimmed_;
  }
  const VecOf<Candidate, Alloc>& found() const { return nearest_; }

 private:
  void Score() {
    s_.swept += n_;
    if (s_.x == nullptr) {
      std::fill_n(keys_, n_, 0.0f);
      std::fill_n(wanted_, n_, true);
    } else if (s_.aim.within < INFINITY) {
      ScoreWithin();
    } else {
      s_.graph.ScoreLive(ids_, n_, keys_, wanted_, QueryScorer(s_));
    }
    for (uint32_t i = 0; i < n_; ++i) {
      const Candidate c{OrderableKey(keys_[i]), ids_[i]};
      const bool near = wanted_[i] && (!trimmed_ || Nearer(c, farthest_));
      if (near && s_.columns.Passes(c.id)) nearest_.push_back(c);
    }
    n_ = 0;
    if (nearest_.size() >= 2 * size_t{most_}) Trim();
  }

  // What its code says is too far away is left out.
  void ScoreWithin() {
    quant::Estimate estimates[graph::kMaxDegree];
    s_.graph.Coarse(s_.queries, ids_, n_, estimates);
    for (uint32_t i = 0; i < n_; ++i) {
      const Item item = am::Bounded(ids_[i], estimates[i], am::kEpsilon, Stage::kCoarse);
      wanted_[i] = !PageGraph::IsGone(estimates[i]) && item.lower <= s_.aim.within;
      keys_[i] = estimates[i].key;
    }
  }

  void Trim() {
    if (nearest_.size() <= most_) return;
    std::nth_element(nearest_.begin(), nearest_.begin() + most_, nearest_.end(), Nearer);
    farthest_ = nearest_[most_];
    nearest_.resize(most_);
    trimmed_ = true;
  }

  ScanState& s_;
  uint32_t most_;
  VecOf<Candidate, Alloc> nearest_;
  Candidate farthest_{};  // nothing at or beyond it is kept
  bool trimmed_ = false;  // it is known
  uint32_t n_ = 0;
  NodeId ids_[graph::kMaxDegree];
  float keys_[graph::kMaxDegree];
  bool wanted_[graph::kMaxDegree];  // live, and not too far away
};

// What a sweep among those that pass has found, on its way to emission. Locks: none.
void PushCoarse(ScanState& s, const VecOf<Candidate, Alloc>& found) {
  NodeId ids[graph::kMaxDegree];
  quant::Estimate estimates[graph::kMaxDegree];
  for (size_t start = 0; start < found.size(); start += graph::kMaxDegree) {
    CHECK_FOR_INTERRUPTS();
    const uint32_t n =
        static_cast<uint32_t>(std::min<size_t>(graph::kMaxDegree, found.size() - start));
    for (uint32_t i = 0; i < n; ++i) ids[i] = found[start + i].id;
    if (s.x != nullptr) s.graph.Coarse(s.queries, ids, n, estimates);
    for (uint32_t i = 0; i < n; ++i) {
      if (s.x == nullptr) {
        s.emission.Push({0, 0, ids[i], 0, 0, Stage::kRefined});
      } else if (!PageGraph::IsGone(estimates[i])) {
        s.emission.Push(am::Bounded(ids[i], estimates[i], am::kEpsilon, Stage::kCoarse));
      }
    }
  }
}

// Nodes that the first sweep among those that pass keeps: as many as a walk would hold, or some
// more than are wanted.
uint32_t FirstPortion(const ScanState& s) {
  if (iterative_scan == static_cast<int>(am::IterativeScan::kOff)) return FirstRound(s);
  const int64 wanted = am::RowsWanted(s.scan);
  constexpr int64 kLeast = 64, kMost = 4096;
  return static_cast<uint32_t>(std::clamp<int64>(
      std::max<int64>(FirstRound(s), 4 * std::min(wanted, kMost)), kLeast, kMost));
}

// The same among the nodes that pass: by columns or postings, and codes of those nodes only. Keeps
// a portion of the nearest, since few rows are wanted as a rule, and eight times as many the next
// time.
bool SweepPassing(ScanState& s) {
  const size_t limit = std::max<size_t>(MemoryLimit() / sizeof(Item), 1024);
  const bool off = iterative_scan == static_cast<int>(am::IterativeScan::kOff);
  ++s.rounds;
  s.ways |= s.by_postings ? am::kWayPostings : am::kWaySweep;
  if (s.portion == 0) s.portion = FirstPortion(s);
  s.portion = static_cast<uint32_t>(std::min<size_t>(s.portion, limit));
  NearestPassing nearest(s, s.portion);
  ForEachPassing(s, [&nearest](NodeId id) { nearest.Add(id); });
  s.partial = nearest.Finish();
  PushCoarse(s, nearest.found());
  s.sweep_again = s.partial && !off;
  s.quota = std::max(s.portion / 2, 1u);
  s.portion = static_cast<uint32_t>(std::min<size_t>(size_t{s.portion} * 8, limit));
  s.graph.ReportHits();
  return !s.emission.empty();
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

// What the heap holds is found again.
void BeginSweep(ScanState& s) {
  s.emission.Clear();
  s.phase = Phase::kSweep;
  s.sweep_again = true;
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
        if (s.filtered() && s.columns.filter()->never()) {
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
