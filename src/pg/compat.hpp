// What differs between PostgreSQL 15 and 18, in one place. Included by pg/pg.hpp only.
#pragma once

#if PG_VERSION_NUM < 150000
#error "ann needs PostgreSQL 15 or later"
#endif

namespace ann::pg {

#if PG_VERSION_NUM >= 160000
using RelationFile = RelFileLocator;
inline RelationFile FileOf(Relation rel) { return rel->rd_locator; }
#else
using RelationFile = RelFileNode;
inline RelationFile FileOf(Relation rel) { return rel->rd_node; }
#endif

// A number that names the index's file.
inline uint64 FileNumberOf(Relation rel) {
#if PG_VERSION_NUM >= 160000
  return rel->rd_locator.relNumber;
#else
  return rel->rd_node.relNode;
#endif
}

inline bool TagIs(const BufferTag& tag, const RelationFile& file, ForkNumber fork,
                  BlockNumber block) {
#if PG_VERSION_NUM >= 160000
  return tag.blockNum == block && tag.relNumber == file.relNumber && tag.dbOid == file.dbOid &&
         tag.spcOid == file.spcOid && tag.forkNum == fork;
#else
  return tag.blockNum == block && RelFileNodeEquals(tag.rnode, file) && tag.forkNum == fork;
#endif
}

// A type's name for a message, without its schema: from PostgreSQL 17 on an index is built with a
// search_path that does not have it.
inline const char* TypeName(Oid type) {
  HeapTuple tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
  if (!HeapTupleIsValid(tuple)) elog(ERROR, "cache lookup failed for type %u", type);
  const char* name = pstrdup(NameStr(reinterpret_cast<Form_pg_type>(GETSTRUCT(tuple))->typname));
  ReleaseSysCache(tuple);
  return name;
}

// Whether somebody may be changing the page. The bit is the server's own business: 24 up to
// PostgreSQL 17, then 18; holders that share, fewer than 2^18, are counted below.
inline bool IsExclusivelyLocked(BufferDesc* descriptor) {
  constexpr uint32 kExclusive = (uint32{1} << 25) - (uint32{1} << 18);
  return (pg_atomic_read_u32(&BufferDescriptorGetContentLock(descriptor)->state) & kExclusive) != 0;
}

// Adds to the counters behind pg_statio_user_indexes.
inline void CountBufferHits(Relation rel, int64 n) {
  if (!pgstat_should_count_relation(rel)) return;
#if PG_VERSION_NUM >= 160000
  rel->pgstat_info->counts.blocks_fetched += n;
  rel->pgstat_info->counts.blocks_hit += n;
#else
  rel->pgstat_info->t_counts.t_blocks_fetched += n;
  rel->pgstat_info->t_counts.t_blocks_hit += n;
#endif
}

// PostgreSQL 18 shows "Index Searches" in EXPLAIN ANALYZE.
inline void CountIndexSearch([[maybe_unused]] IndexScanDesc scan) {
#if PG_VERSION_NUM >= 180000
  if (scan->instrument != nullptr) ++scan->instrument->nsearches;
#endif
}

// Where a vacuum may be cancelled and pauses for its cost limit; no page lock is held.
inline void VacuumDelay() {
#if PG_VERSION_NUM >= 180000
  vacuum_delay_point(false);
#else
  vacuum_delay_point();
#endif
}

// Ends the input or output of a page that an error has interrupted. From PostgreSQL 16 on a
// resource owner knows of it.
inline void AbortOwnBufferIO() {
#if PG_VERSION_NUM < 160000
  AbortBufferIO();
#endif
}

inline bool OwnsRelation(Oid id) {
#if PG_VERSION_NUM >= 160000
  return object_ownercheck(RelationRelationId, id, GetUserId());
#else
  return pg_class_ownercheck(id, GetUserId());
#endif
}

// The next of a sort of values. False: there are no more.
inline bool NextSorted(Tuplesortstate* sort, Datum* value) {
  bool is_null;
#if PG_VERSION_NUM >= 160000
  return tuplesort_getdatum(sort, true, false, value, &is_null, nullptr);
#else
  return tuplesort_getdatum(sort, true, value, &is_null, nullptr);
#endif
}

// What functions of an index's expressions find in a maintenance command: from PostgreSQL 17 on
// pg_catalog only. Call it within NewGUCNestLevel.
inline void RestrictSearchPath() {
#if PG_VERSION_NUM >= 170000
  ::RestrictSearchPath();
#endif
}

inline bool MayUseSchema(Oid schema, Oid role) {
#if PG_VERSION_NUM >= 160000
  return object_aclcheck(NamespaceRelationId, schema, role, ACL_USAGE) == ACLCHECK_OK;
#else
  return pg_namespace_aclcheck(schema, role, ACL_USAGE) == ACLCHECK_OK;
#endif
}

// Memory of a setting's `extra`, which the server frees; null when there is none.
inline void* SettingExtra(size_t bytes) {
#if PG_VERSION_NUM >= 160000
  return guc_malloc(LOG, bytes);
#else
  return malloc(bytes);
#endif
}

// Marks a path as one that is taken only when there is no other.
inline void DisablePath([[maybe_unused]] Path* path) {
#if PG_VERSION_NUM >= 180000
  path->disabled_nodes = 2;
#endif
}

// Shows the children of a plan's node to `walker`, until it returns true.
inline bool WalkPlan(PlanState* node, bool (*walker)(PlanState*, void*), void* context) {
#if PG_VERSION_NUM >= 160000
  return planstate_tree_walker(node, walker, context);
#else
  // Declared without its parameters; by way of a type that compilers take for "any function".
  const auto any = reinterpret_cast<void (*)()>(walker);
  return planstate_tree_walker(node, reinterpret_cast<bool (*)()>(any), context);
#endif
}

// A page of a bitmap of rows.
struct BitmapPage {
  BlockNumber block;
  bool recheck;
  bool lossy;  // it stands for all lines
  int lines;
  const OffsetNumber* line;
};

// Shows the bitmap's pages to `visit`, in the order of their blocks.
template <class Visit>
void ForEachPage(TIDBitmap* bitmap, Visit visit) {
#if PG_VERSION_NUM >= 180000
  OffsetNumber lines[MaxHeapTuplesPerPage];
  TBMPrivateIterator* iterator = tbm_begin_private_iterate(bitmap);
  for (TBMIterateResult page; tbm_private_iterate(iterator, &page);) {
    const int n = page.lossy ? 0 : tbm_extract_page_tuple(&page, lines, lengthof(lines));
    visit(BitmapPage{page.blockno, page.recheck, page.lossy, n, lines});
  }
  tbm_end_private_iterate(iterator);
#else
  TBMIterator* iterator = tbm_begin_iterate(bitmap);
  while (TBMIterateResult* page = tbm_iterate(iterator)) {
    const bool lossy = page->ntuples < 0;
    visit(
        BitmapPage{page->blockno, page->recheck, lossy, lossy ? 0 : page->ntuples, page->offsets});
  }
  tbm_end_iterate(iterator);
#endif
}

inline IndexScanDesc BeginIndexScan(Relation heap, Relation index, Snapshot snapshot, int keys,
                                    int order_bys) {
#if PG_VERSION_NUM >= 180000
  return index_beginscan(heap, index, snapshot, nullptr, keys, order_bys);
#else
  return index_beginscan(heap, index, snapshot, keys, order_bys);
#endif
}

// Begins the scan of an index scan's node before its first row is asked for, as the node would.
inline IndexScanDesc BeginNodesScan(IndexScanState* node) {
  if (node->iss_ScanDesc == nullptr) {
    node->iss_ScanDesc = index_beginscan(node->ss.ss_currentRelation, node->iss_RelationDesc,
                                         node->ss.ps.state->es_snapshot,
#if PG_VERSION_NUM >= 180000
                                         &node->iss_Instrument,
#endif
                                         node->iss_NumScanKeys, node->iss_NumOrderByKeys);
    if (node->iss_NumRuntimeKeys == 0 || node->iss_RuntimeKeysReady) {
      index_rescan(node->iss_ScanDesc, node->iss_ScanKeys, node->iss_NumScanKeys,
                   node->iss_OrderByKeys, node->iss_NumOrderByKeys);
    }
  }
  return node->iss_ScanDesc;
}

// What the planner cannot do by itself. Up to PostgreSQL 16 it thinks that a scan with IN (...) on
// a column after the first comes in no order.
#if PG_VERSION_NUM >= 170000
inline constexpr bool kArraysKeepOrder = true;
#else
inline constexpr bool kArraysKeepOrder = false;
#endif
// Up to PostgreSQL 15 `WHERE flag` is no `flag = true` to operator classes of extensions.
#if PG_VERSION_NUM >= 160000
inline constexpr bool kKnowsFlags = true;
#else
inline constexpr bool kKnowsFlags = false;
#endif

inline int DisabledNodes([[maybe_unused]] const Path* path) {
#if PG_VERSION_NUM >= 180000
  return path->disabled_nodes;
#else
  return 0;
#endif
}
inline void SetDisabledNodes([[maybe_unused]] Path* path, [[maybe_unused]] int nodes) {
#if PG_VERSION_NUM >= 180000
  path->disabled_nodes = nodes;
#endif
}

}  // namespace ann::pg

// The last parameter of ExecutorRun, which PostgreSQL 18 has no more.
#if PG_VERSION_NUM >= 180000
#define ANN_EXECUTE_ONCE_PARAMETER
#define ANN_EXECUTE_ONCE_ARGUMENT
#else
#define ANN_EXECUTE_ONCE_PARAMETER , bool execute_once
#define ANN_EXECUTE_ONCE_ARGUMENT , execute_once
#endif

// Ends an input function with an error that the caller may have asked to be told of instead of
// thrown (COPY ... ON_ERROR, pg_input_is_valid: PostgreSQL 16 and later).
#if PG_VERSION_NUM >= 160000
#define ANN_INPUT_ERROR(fcinfo, ...) ereturn((fcinfo)->context, static_cast<Datum>(0), __VA_ARGS__)
#else
#define ANN_INPUT_ERROR(fcinfo, ...) ereport(ERROR, __VA_ARGS__)
#endif
