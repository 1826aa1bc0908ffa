// Index scans: README section "Scan". Reading lists: ivf_lists.cpp. Emission (src/am) brings what
// they hold in order; further lists are read as rows are asked for.
#include <algorithm>
#include <cmath>

#include "am/emission.hpp"
#include "am/limit_hint.hpp"
#include "am/row_fetch.hpp"
#include "am/vector_column.hpp"
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

// Lives as long as the scan; `state` is made anew by each rescan.
struct ScanOpaque {
  MemoryContext context;  // reset by rescan
  ScanState* state;
  am::RowFetcher fetcher;
};

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
    const bool exact = codec.params().quantizer == Quantizer::kFlat;
    s.emission.Push({item.lower, exact ? c.key : INFINITY, item.id, 0, 0, Stage::kRefined});
  }
  uint32_t AddTids(uint32_t id) const {
    s.emission.AddTid(s.candidates[id].tid);
    return 1;
  }
  bool Exact(const ItemPointerData* tids, uint32_t count, float* key) const {
    return static_cast<ScanOpaque*>(scan->opaque)
        ->fetcher.Fetch(scan, s.view->metric(), s.x, s.view->meta.dims, tids, count, key);
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

// Makes rows pending. False: the scan is at its end.
bool NextRows(IndexScanDesc scan) {
  ScanState& s = *static_cast<ScanOpaque*>(scan->opaque)->state;
  Source source{scan, s};
  s.emission.CompactTids(MemoryLimit());
  for (;;) {
    if (s.first_round) NextRound(s);
    if (source.IsRoundOver()) {
      s.target = std::max(s.target * 2, s.settled + 1);
      NoteAllKeys(s);
      NextRound(s);
    }
    FeedRest(s);
    if (s.emission.EmitNearest(source, s.settings.iterative_scan)) return true;
    if (!source.IsRoundOver() && MayBeDropped(s)) {
      ReadAgain(s);
      continue;
    }
    if (!s.emission.empty() || !s.rest.empty()) continue;
    if (s.candidates.size() > 0 && s.x == nullptr) {
      s.candidates.clear();
      s.segments.clear();
      s.read.clear();
    }
    if (!MayProbe(s)) break;
    NextRound(s);
  }
  if (!s.held_sorted) s.emission.SortHeld();
  s.held_sorted = true;
  return s.emission.EmitHeld();
}

void StartScan(IndexScanDesc scan) {
  ScanOpaque* opaque = static_cast<ScanOpaque*>(scan->opaque);
  const char* name = RelationGetRelationName(scan->indexRelation);
  const char* method = get_am_name(scan->indexRelation->rd_rel->relam);
  if (scan->numberOfOrderBys != 1) {
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("cannot scan %s index \"%s\" without ORDER BY", method, name)));
  }
  if (!IsMVCCSnapshot(scan->xs_snapshot)) {
    ereport(ERROR,
            (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
             errmsg("%s index \"%s\" can be scanned with MVCC snapshots only", method, name)));
  }
  MemoryContext old = MemoryContextSwitchTo(opaque->context);
  ScanState* s = pg::Construct<ScanState>(palloc(sizeof(ScanState)), opaque->context);
  opaque->state = s;
  s->view = OpenIndex(scan->indexRelation, opaque->context, Frames::kInUse);
  s->scan = scan;
  s->fetcher = &opaque->fetcher;
  s->settings = SettingsOf(scan->indexRelation);
  // Some more than are wanted, as their order is not known yet.
  const int64 wanted = std::min(am::RowsWanted(scan), kMostWanted);
  s->target = std::max(kFirstTarget, static_cast<uint32_t>(wanted + wanted / 16 + 2));
  s->reader = pg::UnpinnedReader(scan->indexRelation, pg::unpinned_reads);
  const format::IvfMeta& meta = s->view->meta;
  const ScanKey key = &scan->orderByData[0];
  if ((key->sk_flags & SK_ISNULL) == 0) {
    const float* x = am::VectorFloats(key->sk_argument, meta.dims);
    if (am::IsIndexable(s->view->metric(), x, meta.dims)) {
      s->x = x;
    }
  }
  PrepareQuery(*s);
  pgstat_count_index_scan(scan->indexRelation);
  pg::CountIndexSearch(scan);
  MemoryContextSwitchTo(old);
}

}  // namespace

IndexScanDesc BeginScan(Relation index, int nkeys, int norderbys) {
  IndexScanDesc scan = RelationGetIndexScan(index, nkeys, norderbys);
  ScanOpaque* opaque = static_cast<ScanOpaque*>(palloc0(sizeof(ScanOpaque)));
  opaque->context =
      AllocSetContextCreate(CurrentMemoryContext, "ann ivf scan", ALLOCSET_DEFAULT_SIZES);
  opaque->fetcher = am::RowFetcher(CurrentMemoryContext);
  scan->opaque = opaque;
  return scan;
}

void Rescan(IndexScanDesc scan, ScanKey keys, int nkeys, ScanKey orderbys, int norderbys) {
  ScanOpaque* opaque = static_cast<ScanOpaque*>(scan->opaque);
  if (opaque->state != nullptr) opaque->state->reader.ReportHits();
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
                    errmsg("%s index \"%s\" cannot be scanned backward",
                           get_am_name(scan->indexRelation->rd_rel->relam),
                           RelationGetRelationName(scan->indexRelation))));
  }
  ScanOpaque* opaque = static_cast<ScanOpaque*>(scan->opaque);
  if (opaque->state == nullptr) StartScan(scan);
  MemoryContext old = MemoryContextSwitchTo(opaque->context);
  am::Emission& emission = opaque->state->emission;
  const bool found = emission.pending() || NextRows(scan);
  MemoryContextSwitchTo(old);
  if (!found) return false;
  scan->xs_heaptid = emission.TakePending();
  scan->xs_recheck = false;
  scan->xs_recheckorderby = false;
  return true;
}

void EndScan(IndexScanDesc scan) {
  ScanOpaque* opaque = static_cast<ScanOpaque*>(scan->opaque);
  if (opaque->state != nullptr) opaque->state->reader.ReportHits();
  opaque->fetcher.Close();
  MemoryContextDelete(opaque->context);
  pfree(opaque);
  scan->opaque = nullptr;
}

}  // namespace ann::ivf
