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

#include "core/beam.hpp"
#include "core/visited.hpp"
#include "hnsw/hnsw.hpp"
#include "hnsw/hnsw_index.hpp"
#include "hnsw/hnsw_walk.hpp"
#include "simd/simd.hpp"

#include "pg/alloc.hpp"

namespace ann::hnsw {

using quant::Metric;

namespace {

using Alloc = pg::PgAllocator<std::byte>;

// Standard deviations between an estimate and its bounds (DESIGN: 5 for order). Measured errors are
// Gaussian (src/quant/README.md), so one bound in 3.5 million fails.
constexpr float kEpsilon = 5;

enum class Stage : uint8_t { kCoarse, kRefined, kExact };

struct Item {
  float lower;  // key: exact, or a lower bound of it
  float upper;
  NodeId id;
  uint32_t tids;  // exact: where its TIDs start in the pool
  uint32_t count;
  Stage stage;
};

// Heap order: nearest first; of equals the one that is known better.
struct Later {
  bool operator()(const Item& a, const Item& b) const {
    if (a.lower != b.lower) return a.lower > b.lower;
    if (a.stage != b.stage) return a.stage < b.stage;
    return a.id > b.id;
  }
};

enum class Phase { kStart, kWalk, kSweep, kHeld, kDone };

struct Held {
  float value;
  uint32_t tids;
  uint32_t count;
};

struct ScanState {
  explicit ScanState(MemoryContext cxt)
      : context(cxt),
        beam(Alloc(cxt)),
        visited(Alloc(cxt)),
        emitted(Alloc(cxt)),
        spill(Alloc(cxt)),
        found(Alloc(cxt)),
        items(Alloc(cxt)),
        tids(Alloc(cxt)),
        held(Alloc(cxt)) {}

  MemoryContext context;
  IndexView* view = nullptr;
  Relation table = nullptr;
  BlockNumber table_blocks = 0;  // it may have grown since
  PageGraph graph;
  quant::SearchQuery queries[kFrames] = {};
  const float* x = nullptr;  // null: a query without distances (NULL, or zero under cosine)
  float x_norm = 0;
  Phase phase = Phase::kStart;
  Beam<Alloc> beam;
  VisitedSet<Alloc> visited;  // scored by the walk
  VisitedSet<Alloc> emitted;  // emitted, held back, or found to have no visible row
  VecOf<Candidate, Alloc> spill;
  VecOf<NodeId, Alloc> found;  // of a round, on their way to items
  VecOf<Item, Alloc> items;
  VecOf<ItemPointerData, Alloc> tids;  // pool of the exact items
  VecOf<Held, Alloc> held;
  uint32_t round_ef = 0;
  uint32_t quota = 0;  // candidates to be settled until the next round
  bool sweep_again = false;
  float last = -INFINITY;  // largest value emitted
  uint32_t pending = 0;    // in tids
  uint32_t pending_end = 0;
  size_t tids_kept = 0;  // in tids, after it was last compacted
};

// Lives as long as the scan; `state` is made anew by each rescan.
struct ScanOpaque {
  MemoryContext context;      // reset by rescan
  MemoryContext row_context;  // reset for each table row
  ScanState* state;
  IndexFetchTableData* fetch;
  TupleTableSlot* slot;
  IndexInfo* info;
  EState* executor;
};

size_t MemoryLimit() { return static_cast<size_t>(work_mem * 1024.0 * scan_mem_multiplier); }

// --- reading rows -------------------------------------------------------------------------------

void AddTid(ScanState& s, BlockNumber block, const format::Tid& stored) {
  ItemPointerData tid;
  memcpy(&tid, &stored, sizeof tid);
  const BlockNumber row_block = ItemPointerGetBlockNumberNoCheck(&tid);
  if (row_block >= s.table_blocks) s.table_blocks = RelationGetNumberOfBlocks(s.table);
  if (!ItemPointerIsValid(&tid) || row_block >= s.table_blocks) {
    pg::ReportCorrupted(s.view->rel, block, "a slot names no row of the table");
  }
  s.tids.push_back(tid);
}

// Appends the TIDs of a node to the pool; the number of them. Locks: the node page shared, then
// chain pages one by one (L2, L4).
uint32_t ReadTids(ScanState& s, NodeId id) {
  const IndexView& view = *s.view;
  const format::Place at = view.geometry.NodeAt(id);
  const size_t before = s.tids.size();
  const pg::PageRef page = s.graph.Lock(at.block, format::PageKind::kNodes);
  if (page.page != nullptr) {
    const format::NodeSlot* node = view.Node(page.page, at.index);
    if (node->state == format::SlotState::kLive) {
      AddTid(s, at.block, node->tid);
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
        for (uint32_t i = 0; i < chunk->count; ++i) AddTid(s, chunk_at.block, chunk->tids[i]);
        next = chunk->next;
        pg::Release(chain);
        // Each chunk is used once, so a chain longer than the index, which may have grown since the
        // scan began, is a circle.
        if (s.tids.size() - before >
            uint64_t{view.meta.chunks_per_page} * format::kChunkTids * blocks + 1) {
          pg::ReportCorrupted(view.rel, chunk_at.block, "a chain runs in a circle");
        }
      }
    }
  }
  UnlockReleaseBuffer(page.buffer);
  return static_cast<uint32_t>(s.tids.size() - before);
}

float ExactKey(const ScanState& s, const float* row) {
  const simd::FloatKernels& kernels = simd::Floats();
  const uint32_t dims = s.view->meta.dims;
  switch (static_cast<Metric>(s.view->meta.metric)) {
    case Metric::kL2:
      return kernels.l2_squared(s.x, row, dims);
    case Metric::kInnerProduct:
      return -kernels.inner_product(s.x, row, dims);
    case Metric::kL1:
      return kernels.l1(s.x, row, dims);
    case Metric::kCosine:
      break;
  }
  const simd::CosineParts parts = kernels.cosine_parts(s.x, row, dims);
  const double cosine = double(parts.ab) / std::sqrt(double(parts.aa) * double(parts.bb));
  return static_cast<float>(2 - 2 * std::clamp(cosine, -1.0, 1.0));
}

void OpenTable(IndexScanDesc scan) {
  ScanOpaque* opaque = static_cast<ScanOpaque*>(scan->opaque);
  if (opaque->fetch != nullptr) return;
  // These outlive rescans.
  MemoryContext old = MemoryContextSwitchTo(GetMemoryChunkContext(opaque));
  opaque->fetch = table_index_fetch_begin(scan->heapRelation);
  opaque->slot = table_slot_create(scan->heapRelation, nullptr);
  opaque->info = BuildIndexInfo(scan->indexRelation);
  if (opaque->info->ii_IndexAttrNumbers[0] == 0) opaque->executor = CreateExecutorState();
  MemoryContextSwitchTo(old);
}

// The indexed vector of the row in the slot, in the row context.
const float* SlotVector(ScanOpaque* opaque, uint32_t dims) {
  Datum value;
  bool isnull;
  const AttrNumber attribute = opaque->info->ii_IndexAttrNumbers[0];
  if (attribute != 0) {
    value = slot_getattr(opaque->slot, attribute, &isnull);
  } else {
    Datum values[INDEX_MAX_KEYS];
    bool nulls[INDEX_MAX_KEYS];
    GetPerTupleExprContext(opaque->executor)->ecxt_scantuple = opaque->slot;
    FormIndexDatum(opaque->info, opaque->slot, opaque->executor, values, nulls);
    value = values[0], isnull = nulls[0];
  }
  return isnull ? nullptr : VectorFloats(value, dims);
}

// The exact key of a node, from the first of its rows that the snapshot sees. False: it sees none.
bool FetchExact(IndexScanDesc scan, const ItemPointerData* tids, uint32_t count, float* key) {
  ScanOpaque* opaque = static_cast<ScanOpaque*>(scan->opaque);
  OpenTable(scan);
  bool found = false;
  for (uint32_t i = 0; i < count && !found; ++i) {
    CHECK_FOR_INTERRUPTS();
    ItemPointerData tid = tids[i];
    bool call_again = false;
    if (!table_index_fetch_tuple(opaque->fetch, &tid, scan->xs_snapshot, opaque->slot, &call_again,
                                 nullptr)) {
      continue;
    }
    MemoryContext old = MemoryContextSwitchTo(opaque->row_context);
    const float* row = SlotVector(opaque, opaque->state->view->meta.dims);
    if (row != nullptr) {
      *key = OrderableKey(ExactKey(*opaque->state, row));
      found = true;
    }
    MemoryContextSwitchTo(old);
    MemoryContextReset(opaque->row_context);
    if (opaque->executor != nullptr) ResetPerTupleExprContext(opaque->executor);
  }
  ExecClearTuple(opaque->slot);
  return found;
}

// The rows of what was emitted leave the pool, when they are more than half of it.
void CompactTids(ScanState& s) {
  if (s.tids.size() <= std::max(MemoryLimit() / sizeof(ItemPointerData), 2 * s.tids_kept)) return;
  VecOf<ItemPointerData, Alloc> kept{Alloc(s.context)};
  const auto keep = [&s, &kept](uint32_t* tids, uint32_t count) {
    const auto from = s.tids.begin() + *tids;
    *tids = static_cast<uint32_t>(kept.size());
    kept.insert(kept.end(), from, from + count);
  };
  for (Item& item : s.items) {
    if (item.stage == Stage::kExact) keep(&item.tids, item.count);
  }
  for (Held& held : s.held) keep(&held.tids, held.count);
  s.tids.swap(kept);
  s.tids_kept = s.tids.size();
}

// --- walking ------------------------------------------------------------------------------------

void PushItem(ScanState& s, const Item& item) {
  s.items.push_back(item);
  std::push_heap(s.items.begin(), s.items.end(), Later());
}

// A candidate with the bounds that its estimate gives.
Item Bounded(NodeId id, quant::Estimate estimate, Stage stage) {
  // Bounds of numbers that left float's range bound nothing.
  const float key = OrderableKey(estimate.key);
  const float width = std::isfinite(estimate.sigma) ? kEpsilon * estimate.sigma : INFINITY;
  return {std::isfinite(key - width) ? key - width : -INFINITY,
          std::isnan(key + width) ? INFINITY : key + width,
          id,
          0,
          0,
          stage};
}

// Hands candidates over to emission, with the bounds from both codes.
void HandOver(ScanState& s, const NodeId* ids, uint32_t n) {
  constexpr uint32_t kBatch = 64;
  quant::Estimate estimates[kBatch];
  for (uint32_t start = 0; start < n; start += kBatch) {
    const uint32_t batch = std::min(kBatch, n - start);
    s.graph.Refine(s.queries, ids + start, batch, estimates);
    for (uint32_t i = 0; i < batch; ++i) {
      PushItem(s, Bounded(ids[start + i], estimates[i], Stage::kRefined));
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

// The same for what is on its way to emission.
void BoundItems(ScanState& s) {
  if (s.items.size() * sizeof(Item) <= MemoryLimit()) return;
  const size_t half = s.items.size() / 2;
  std::nth_element(s.items.begin(), s.items.begin() + half, s.items.end(),
                   [](const Item& a, const Item& b) { return Later()(b, a); });
  s.items.erase(s.items.begin() + half, s.items.end());
  std::make_heap(s.items.begin(), s.items.end(), Later());
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
  return iterative_scan == static_cast<int>(IterativeScan::kOff) ? ef : ef + ef / 8;
}

// Walks until the beam has settled, then hands its candidates over. False: there is nowhere to
// start.
bool NextRound(ScanState& s) {
  auto scorer = QueryScorer(s);
  if (s.phase == Phase::kStart) {
    // The beam's memory is reserved at once, and a user may set any number.
    s.round_ef = std::clamp(FirstRound(s), 1u, std::max(s.graph.id_limit(), 1u));
    s.visited.Reset(std::min(s.round_ef, 1u << 16) * 32, s.graph.id_limit());
    s.beam.Reset(s.round_ef);
    pg::StopPoint("scan.opened");
    Candidate start = DescendTo(s.graph, 0, scorer);
    if (start.id == kNoId && !s.view->empty()) {
      // A vacuum has freed the entry point, or a record on the way down, since it was read.
      ReloadEntry(s.view);
      start = DescendTo(s.graph, 0, scorer);
    }
    if (start.id == kNoId) return false;
    s.visited.Insert(start.id);
    s.beam.Insert(start);
  } else {
    if (s.spill.empty()) return false;
    // Doubling keeps the work per emitted row constant in a scan that goes on and on.
    constexpr uint32_t kMaxRound = 2048;
    s.round_ef = std::max(s.round_ef, std::min(s.round_ef * 2, kMaxRound));
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
  s.found.clear();
  for (uint32_t i = 0; i < s.beam.size(); ++i) s.found.push_back(s.beam.at(i).id);
  BoundItems(s);
  HandOver(s, s.found.data(), s.beam.size());
  s.quota = std::max(s.beam.size() / 2, 1u);
  s.graph.ReportHits();
  return true;
}

// max_scan_tuples is reached: what has been found is still returned, nothing more is looked for.
void DrainSpill(ScanState& s) {
  s.found.clear();
  for (const Candidate& c : s.spill) s.found.push_back(c.id);
  s.spill.clear();
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
  const auto nearer = [](const Item& a, const Item& b) { return Later()(b, a); };
  s.sweep_again = false;
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
        nearest.push_back(s.x == nullptr
                              ? Item{0, 0, first + i, 0, 0, Stage::kRefined}
                              : Bounded(first + i,
                                        view.CodecOf(frame).Coarse(
                                            s.queries[static_cast<int>(frame)], view.Coded(node)),
                                        Stage::kCoarse));
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
  for (const Item& item : nearest) PushItem(s, item);
  return !s.items.empty();
}

// --- emitting -----------------------------------------------------------------------------------

// Hands the item's rows to GetTuple, or holds them back. False: it has none.
bool Emit(ScanState& s, float value, uint32_t tids, uint32_t count) {
  if (count == 0) return false;
  if (value < s.last && iterative_scan == static_cast<int>(IterativeScan::kStrictOrder)) {
    s.held.push_back({value, tids, count});
    return false;
  }
  s.last = std::max(s.last, value);
  s.pending = tids, s.pending_end = tids + count;
  return true;
}

constexpr uint32_t kNoQuota = std::numeric_limits<uint32_t>::max();

// Counts a candidate that was emitted, held back, or has no row that the snapshot sees: where the
// nearest rows are dead, too, the next round must come before the beam's edge is reached.
void Settle(ScanState& s, NodeId id) {
  s.emitted.Insert(id);
  if (s.quota > 0 && s.quota != kNoQuota) --s.quota;
}

// Takes candidates from the heap until one is emitted. False: the heap is empty, or another round
// is due.
bool EmitNearest(IndexScanDesc scan) {
  ScanState& s = *static_cast<ScanOpaque*>(scan->opaque)->state;
  const bool rounds =
      s.phase == Phase::kWalk && iterative_scan != static_cast<int>(IterativeScan::kOff);
  while (!s.items.empty() && !(rounds && s.quota == 0)) {
    CHECK_FOR_INTERRUPTS();
    std::pop_heap(s.items.begin(), s.items.end(), Later());
    Item item = s.items.back();
    s.items.pop_back();
    if (item.stage == Stage::kCoarse) {
      HandOver(s, &item.id, 1);
      continue;
    }
    if (item.stage == Stage::kRefined) {
      item.tids = static_cast<uint32_t>(s.tids.size());
      item.count = ReadTids(s, item.id);
      pg::StopPoint("scan.read");
      // Its order is known without its row: it is farther than all that was emitted and nearer than
      // all that is left.
      const bool separated =
          s.x == nullptr ||
          (item.lower >= s.last &&
           (s.items.empty() ? s.spill.empty() : item.upper <= s.items.front().lower));
      if (!separated) {
        if (FetchExact(scan, s.tids.data() + item.tids, item.count, &item.lower)) {
          item.stage = Stage::kExact;
          PushItem(s, item);
        } else {
          // None is visible: these are the last in the pool.
          s.tids.resize(item.tids);
          Settle(s, item.id);
        }
        continue;
      }
      // What a later round finds must be no nearer than this row can be far.
      item.lower = item.upper;
    }
    Settle(s, item.id);
    if (Emit(s, item.lower, item.tids, item.count)) return true;
  }
  return false;
}

bool EmitHeld(ScanState& s) {
  if (s.held.empty()) return false;
  const Held held = s.held.back();
  s.held.pop_back();
  s.pending = held.tids, s.pending_end = held.tids + held.count;
  return true;
}

// Makes rows pending. False: the scan is at its end.
bool NextRows(IndexScanDesc scan) {
  ScanState& s = *static_cast<ScanOpaque*>(scan->opaque)->state;
  const bool off = iterative_scan == static_cast<int>(IterativeScan::kOff);
  CompactTids(s);
  for (;;) {
    switch (s.phase) {
      case Phase::kStart: {
        s.emitted.Reset(64);
        const bool found = s.x != nullptr && NextRound(s);
        s.phase = found ? Phase::kWalk : Phase::kSweep;
        if (!found) s.sweep_again = true;
        break;
      }
      case Phase::kWalk:
        if (!off && s.quota == 0) {
          if (LimitReached(s)) {
            DrainSpill(s);
            s.quota = kNoQuota;
          } else if (!NextRound(s)) {
            s.quota = kNoQuota;
          }
        }
        if (EmitNearest(scan)) return true;
        if (!off && s.quota == 0) break;
        if (off || LimitReached(s)) {
          if (s.spill.empty() || off) s.phase = Phase::kHeld;
          s.quota = 0;
          break;
        }
        if (!s.spill.empty()) {
          s.quota = 0;
          break;
        }
        s.phase = Phase::kSweep;
        s.sweep_again = true;
        break;
      case Phase::kSweep:
        if (EmitNearest(scan)) return true;
        if (s.sweep_again && Sweep(s)) break;
        s.phase = Phase::kHeld;
        break;
      case Phase::kHeld:
        std::sort(s.held.begin(), s.held.end(),
                  [](const Held& a, const Held& b) { return a.value > b.value; });
        s.phase = Phase::kDone;
        break;
      case Phase::kDone:
        return EmitHeld(s);
    }
  }
}

// --- callbacks ----------------------------------------------------------------------------------

void StartScan(IndexScanDesc scan) {
  ScanOpaque* opaque = static_cast<ScanOpaque*>(scan->opaque);
  if (scan->numberOfOrderBys != 1) {
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("cannot scan hnsw index \"%s\" without ORDER BY",
                           RelationGetRelationName(scan->indexRelation))));
  }
  if (!IsMVCCSnapshot(scan->xs_snapshot)) {
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("hnsw index \"%s\" can be scanned with MVCC snapshots only",
                           RelationGetRelationName(scan->indexRelation))));
  }
  MemoryContext old = MemoryContextSwitchTo(opaque->context);
  ScanState* s = pg::Construct<ScanState>(palloc(sizeof(ScanState)), opaque->context);
  opaque->state = s;
  s->view = OpenIndex(scan->indexRelation, opaque->context);
  s->table = scan->heapRelation;
  s->graph = PageGraph(s->view);
  const ScanKey key = &scan->orderByData[0];
  if ((key->sk_flags & SK_ISNULL) == 0) {
    const float* x = VectorFloats(key->sk_argument, s->view->meta.dims);
    if (IsIndexable(*s->view, x)) {
      s->x = x;
      PrepareQueries(s);
      s->view->reloaded = PrepareQueries;
      s->view->reloaded_arg = s;
    }
  }
  pgstat_count_index_scan(scan->indexRelation);
  pg::CountIndexSearch(scan);
  MemoryContextSwitchTo(old);
}

}  // namespace

IndexScanDesc BeginScan(Relation index, int nkeys, int norderbys) {
  IndexScanDesc scan = RelationGetIndexScan(index, nkeys, norderbys);
  ScanOpaque* opaque = static_cast<ScanOpaque*>(palloc0(sizeof(ScanOpaque)));
  opaque->context =
      AllocSetContextCreate(CurrentMemoryContext, "ann hnsw scan", ALLOCSET_DEFAULT_SIZES);
  opaque->row_context =
      AllocSetContextCreate(CurrentMemoryContext, "ann hnsw scan row", ALLOCSET_SMALL_SIZES);
  scan->opaque = opaque;
  return scan;
}

void Rescan(IndexScanDesc scan, ScanKey keys, int nkeys, ScanKey orderbys, int norderbys) {
  ScanOpaque* opaque = static_cast<ScanOpaque*>(scan->opaque);
  if (opaque->state != nullptr) opaque->state->graph.ReportHits();
  MemoryContextReset(opaque->context);
  opaque->state = nullptr;
  if (keys != nullptr && scan->numberOfKeys > 0) {
    memmove(scan->keyData, keys, scan->numberOfKeys * sizeof(ScanKeyData));
  }
  if (orderbys != nullptr && scan->numberOfOrderBys > 0) {
    memmove(scan->orderByData, orderbys, scan->numberOfOrderBys * sizeof(ScanKeyData));
  }
}

bool GetTuple(IndexScanDesc scan, ScanDirection direction) {
  if (!ScanDirectionIsForward(direction)) {
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("hnsw index \"%s\" cannot be scanned backward",
                           RelationGetRelationName(scan->indexRelation))));
  }
  ScanOpaque* opaque = static_cast<ScanOpaque*>(scan->opaque);
  if (opaque->state == nullptr) StartScan(scan);
  MemoryContext old = MemoryContextSwitchTo(opaque->context);
  ScanState& s = *opaque->state;
  const bool found = s.pending < s.pending_end || NextRows(scan);
  MemoryContextSwitchTo(old);
  if (!found) return false;
  scan->xs_heaptid = s.tids[s.pending++];
  scan->xs_recheck = false;
  scan->xs_recheckorderby = false;
  return true;
}

void EndScan(IndexScanDesc scan) {
  ScanOpaque* opaque = static_cast<ScanOpaque*>(scan->opaque);
  if (opaque->state != nullptr) opaque->state->graph.ReportHits();
  if (opaque->fetch != nullptr) {
    table_index_fetch_end(opaque->fetch);
    ExecDropSingleTupleTableSlot(opaque->slot);
  }
  if (opaque->executor != nullptr) FreeExecutorState(opaque->executor);
  MemoryContextDelete(opaque->context);
  MemoryContextDelete(opaque->row_context);
  pfree(opaque);
  scan->opaque = nullptr;
}

}  // namespace ann::hnsw
