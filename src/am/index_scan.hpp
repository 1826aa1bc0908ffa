// What the index scans of all access methods do alike: their callbacks, and what they ask of the
// scan that the server hands them.
//
// A scan's state is made when its first row is asked for, and anew after each rescan. It has
//   explicit State(MemoryContext)
//   ScanTarget aim
//   Emission emission
//   void ReportHits()      counts the pages read without a pin
//   ScanWork Work() const  for ann_index_scan_stats
#pragma once

#include "am/emission.hpp"
#include "am/row_fetch.hpp"
#include "am/row_set.hpp"
#include "am/scan_stats.hpp"
#include "am/scan_target.hpp"
#include "format/hnsw_format.hpp"
#include "pg/alloc.hpp"

namespace ann::am {

// Lives as long as the scan.
template <class State>
struct ScanOpaque : ScanHead {
  MemoryContext context;  // reset by rescan
  State* state;
  RowFetcher fetcher;
  ScanFigures figures;  // of this state, as far as they are known
};

// Where the table ends that the rows of an index lie in; it may have grown since it was asked.
class TableEnd {
 public:
  // The row that page `block` of the index names. Errors: ERRCODE_INDEX_CORRUPTED when the table
  // has no page for it.
  ItemPointerData RowAt(IndexScanDesc scan, BlockNumber block, const format::Tid& stored);

 private:
  BlockNumber blocks_ = 0;
};

// Errors: 0A000 for a scan of another snapshot than an MVCC one.
void CheckScan(IndexScanDesc scan);
// Errors: 0A000 for a scan backward.
void CheckDirection(IndexScanDesc scan, ScanDirection direction);
void TakeKeys(IndexScanDesc scan, ScanKey keys, ScanKey orderbys);
void CountScan(IndexScanDesc scan);

// --- callbacks ----------------------------------------------------------------------------------
template <class State>
ScanOpaque<State>& OpaqueOf(IndexScanDesc scan) {
  return *static_cast<ScanOpaque<State>*>(scan->opaque);
}

template <class State>
IndexScanDesc BeginScan(Relation index, int nkeys, int norderbys) {
  IndexScanDesc scan = RelationGetIndexScan(index, nkeys, norderbys);
  auto* opaque = static_cast<ScanOpaque<State>*>(palloc0(sizeof(ScanOpaque<State>)));
  opaque->context = AllocSetContextCreate(CurrentMemoryContext, "ann scan", ALLOCSET_DEFAULT_SIZES);
  opaque->fetcher = RowFetcher(CurrentMemoryContext);
  scan->opaque = opaque;
  return scan;
}

// Ends what has been found, and tells what it has cost.
template <class State>
void FinishState(IndexScanDesc scan) {
  ScanOpaque<State>& opaque = OpaqueOf<State>(scan);
  if (opaque.state == nullptr) return;
  const PagesUsed before = PagesUsed::Now();
  opaque.state->ReportHits();
  opaque.figures.index = RelationGetRelid(scan->indexRelation);
  opaque.figures.work = opaque.state->Work();
  opaque.figures.pages += PagesUsed::Now() - before;
  opaque.figures.exact = opaque.fetcher.TakeCount();
  PublishScan(opaque.figures);
  opaque.figures = {};
  opaque.state = nullptr;
}

template <class State>
void Rescan(IndexScanDesc scan, ScanKey keys, int, ScanKey orderbys, int) {
  FinishState<State>(scan);
  MemoryContextReset(OpaqueOf<State>(scan).context);
  TakeKeys(scan, keys, orderbys);
}

// `start` fills a state that has just been made, `aim` by ReadTarget; `next_rows` makes rows
// pending, or returns false at the scan's end.
template <class State, void (*start)(IndexScanDesc, State&), bool (*next_rows)(IndexScanDesc)>
bool GetTuple(IndexScanDesc scan, ScanDirection direction) {
  CheckDirection(scan, direction);
  ScanOpaque<State>& opaque = OpaqueOf<State>(scan);
  const PagesUsed before = PagesUsed::Now();
  MemoryContext old = MemoryContextSwitchTo(opaque.context);
  if (opaque.state == nullptr) {
    CheckScan(scan);
    opaque.state = pg::Construct<State>(palloc(sizeof(State)), opaque.context);
    start(scan, *opaque.state);
    CountScan(scan);
  }
  Emission& emission = opaque.state->emission;
  const bool found = !opaque.state->aim.none && (emission.pending() || next_rows(scan));
  MemoryContextSwitchTo(old);
  opaque.figures.pages += PagesUsed::Now() - before;
  if (!found) return false;
  ++opaque.figures.emitted;
  scan->xs_heaptid = emission.TakePending();
  // Conditions let pass what they cannot tell.
  scan->xs_recheck = scan->numberOfKeys > 0;
  scan->xs_recheckorderby = false;
  return true;
}

template <class State>
void EndScan(IndexScanDesc scan) {
  ScanOpaque<State>& opaque = OpaqueOf<State>(scan);
  FinishState<State>(scan);
  opaque.fetcher.Close();
  MemoryContextDelete(opaque.context);
  pfree(&opaque);
  scan->opaque = nullptr;
}

template <class State, void (*start)(IndexScanDesc, State&), bool (*next_rows)(IndexScanDesc)>
void SetScan(IndexAmRoutine* routine) {
  routine->ambeginscan = BeginScan<State>;
  routine->amrescan = Rescan<State>;
  routine->amgettuple = GetTuple<State, start, next_rows>;
  routine->amendscan = EndScan<State>;
}

}  // namespace ann::am
