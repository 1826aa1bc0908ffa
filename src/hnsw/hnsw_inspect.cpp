// ann_index_check and ann_index_stats: opening the index they are asked about, and the statistics.
#include "hnsw/hnsw_inspect.hpp"

#include <algorithm>

#include "core/visited.hpp"
#include "hnsw/hnsw.hpp"
#include "hnsw/hnsw_space.hpp"
#include "hnsw/hnsw_walk.hpp"

#include "pg/alloc.hpp"
#include "pg/entry.hpp"

namespace ann::hnsw {

using format::PageKind;
using format::SlotState;

namespace {

using Alloc = pg::PgAllocator<std::byte>;

[[noreturn]] void RejectIndex(Relation index, const char* why) {
  ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                  errmsg("cannot read index \"%s\"", RelationGetRelationName(index)),
                  errdetail("%s", why)));
  pg_unreachable();
}

struct Opened {
  Relation heap;
  Relation index;
};

// The index `id` and its table. Errors: 42809 when it is no hnsw index, 0A000 when it cannot be
// read.
Opened Open(Oid id, LOCKMODE lock) {
  // The table comes first, as everywhere; what is no index has none, and is told by index_open.
  const Oid heap = IndexGetRelation(id, true);
  Opened opened{OidIsValid(heap) ? table_open(heap, lock) : nullptr, index_open(id, lock)};
  const Relation index = opened.index;
  if (index->rd_rel->relkind != RELKIND_INDEX || index->rd_indam->ambuild != Build) {
    ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
                    errmsg("\"%s\" is not an hnsw index", RelationGetRelationName(index))));
  }
  if (opened.heap == nullptr || heap != IndexGetRelation(id, false)) {
    ereport(ERROR,
            (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("could not open parent table of index \"%s\"",
                                                      RelationGetRelationName(index))));
  }
  if (RELATION_IS_OTHER_TEMP(index)) {
    RejectIndex(index, "It is associated with temporary tables of other sessions.");
  }
  if (!index->rd_index->indisvalid) RejectIndex(index, "It is not valid.");
  if (!RelationNeedsWAL(index) && index->rd_rel->relpersistence == RELPERSISTENCE_UNLOGGED &&
      RecoveryInProgress()) {
    RejectIndex(index, "It is unlogged, and this server is in recovery.");
  }
  return opened;
}

void Close(const Opened& opened, LOCKMODE lock) {
  index_close(opened.index, lock);
  table_close(opened.heap, lock);
}

struct Counts {
  int64 nodes, rows, dead, free, links;
  int64 records, chunks;
  int64 node_pages, refinement_pages, upper_pages, chain_pages, spare_pages;
};

void CountNodes(const IndexView& view, const char* page, Counts* counts) {
  for (uint32_t i = 0; i < view.meta.slots_per_page; ++i) {
    const format::NodeSlot* node = view.Node(page, i);
    switch (node->state) {
      case SlotState::kLive:
        ++counts->nodes, ++counts->rows;
        counts->links += node->neighbour_count;
        break;
      case SlotState::kDead:
        ++counts->dead;
        break;
      default:
        ++counts->free;
    }
  }
}

void CountPage(const IndexView& view, const char* page, Counts* counts) {
  if (pg::IsBlank(page)) {
    ++counts->spare_pages;
    return;
  }
  switch (pg::KindOf(page)) {
    case PageKind::kNodes:
      ++counts->node_pages;
      CountNodes(view, page, counts);
      break;
    case PageKind::kRefinement:
      ++counts->refinement_pages;
      break;
    case PageKind::kUpper:
      ++counts->upper_pages;
      for (uint32_t i = 0; i < view.meta.uppers_per_page; ++i) {
        counts->records += view.Upper(page, i)->state != SlotState::kFree;
      }
      break;
    case PageKind::kChain:
      ++counts->chain_pages;
      for (uint32_t i = 0; i < view.meta.chunks_per_page; ++i) {
        const format::ChainChunk* chunk = view.Chunk(page, i);
        if (chunk->node == kNoId) continue;
        ++counts->chunks;
        counts->rows += chunk->count;
      }
      break;
    default:
      ++counts->spare_pages;
  }
}

Counts CountPages(const IndexView& view, BlockNumber blocks) {
  Counts counts{};
  BufferAccessStrategy strategy = GetAccessStrategy(BAS_BULKREAD);
  for (BlockNumber block = view.geometry.first_stripe(); block < blocks; ++block) {
    CHECK_FOR_INTERRUPTS();
    // L2, L3, L4 or L6, alone.
    const pg::PageRef page = pg::ReadAnyPage(view.rel, block, BUFFER_LOCK_SHARE, strategy);
    CountPage(view, page.page, &counts);
    pg::Release(page);
  }
  FreeAccessStrategy(strategy);
  return counts;
}

// Marks what links lead to from the entry point, breadth first over level 0; the number of live
// nodes among it.
int64 CountReachable(IndexView& view, MemoryContext context) {
  PageGraph graph(&view);
  NodeId start = view.meta.entry;
  for (uint32_t level = view.meta.entry_level; level > 0 && start != kNoId; --level) {
    start = graph.Down(start, level);
  }
  if (start == kNoId || start >= graph.id_limit()) return 0;
  VecOf<NodeId, Alloc> queue{Alloc(context)};
  VecOf<uint8_t, Alloc> seen{Alloc(context)};
  seen.resize(graph.id_limit(), 0);
  queue.push_back(start);
  seen[start] = 1;
  int64 live = 0;
  for (size_t head = 0; head < queue.size(); ++head) {
    CHECK_FOR_INTERRUPTS();
    const format::Place at = view.geometry.NodeAt(queue[head]);
    if (at.block >= graph.blocks()) continue;
    NodeId links[graph::kMaxDegree];
    const pg::PageRef page = graph.Lock(at.block, PageKind::kNodes);
    const bool is_live =
        page.page != nullptr && view.Node(page.page, at.index)->state == SlotState::kLive;
    UnlockReleaseBuffer(page.buffer);
    live += is_live;
    const uint32_t n = graph.Neighbours(queue[head], links);
    for (uint32_t i = 0; i < n; ++i) {
      if (seen[links[i]] != 0) continue;
      seen[links[i]] = 1;
      queue.push_back(links[i]);
    }
  }
  return live;
}

const char* MetricName(uint8_t metric) {
  switch (static_cast<quant::Metric>(metric)) {
    case quant::Metric::kL2:
      return "l2";
    case quant::Metric::kInnerProduct:
      return "ip";
    case quant::Metric::kCosine:
      return "cosine";
    default:
      return "l1";
  }
}

// The row of ann_index_stats, in the order of its columns.
class RowWriter {
 public:
  explicit RowWriter(TupleDesc desc) : desc_(desc) {}
  RowWriter& Int(int32 value) { return Add(Int32GetDatum(value)); }
  RowWriter& Big(int64 value) { return Add(Int64GetDatum(value)); }
  RowWriter& Float(double value) { return Add(Float8GetDatum(value)); }
  RowWriter& Bool(bool value) { return Add(BoolGetDatum(value)); }
  RowWriter& Text(const char* value) { return Add(CStringGetTextDatum(value)); }
  Datum Finish() {
    bool nulls[kMaxColumns] = {};
    return HeapTupleGetDatum(heap_form_tuple(desc_, values_, nulls));
  }

 private:
  static constexpr int kMaxColumns = 32;
  RowWriter& Add(Datum value) {
    Assert(columns_ < desc_->natts && columns_ < kMaxColumns);
    values_[columns_++] = value;
    return *this;
  }
  TupleDesc desc_;
  Datum values_[kMaxColumns] = {};
  int columns_ = 0;
};

Datum Stats(Relation index, TupleDesc desc) {
  IndexView& view = *OpenIndex(index, CurrentMemoryContext);
  const BlockNumber blocks = RelationGetNumberOfBlocks(index);
  const Counts counts = CountPages(view, blocks);
  const int64 reachable = CountReachable(view, CurrentMemoryContext);
  const format::Meta& meta = view.meta;
  RowWriter row(desc);
  row.Int(meta.version).Int(static_cast<int32>(meta.dims)).Text(MetricName(meta.metric));
  row.Int(meta.m).Int(meta.ef_construction).Int(static_cast<int32>(meta.default_ef));
  row.Int(meta.traversal_bits).Int(meta.refinement_bits);
  row.Int(view.empty() ? 0 : static_cast<int32>(meta.entry_level) + 1);
  row.Big(counts.nodes).Big(counts.rows).Big(counts.dead).Big(counts.free);
  row.Big(counts.records).Big(counts.chunks);
  row.Float(counts.nodes == 0 ? 0 : static_cast<double>(counts.links) / counts.nodes);
  row.Big(std::max<int64>(counts.nodes - reachable, 0));
  row.Big(counts.node_pages).Big(counts.refinement_pages).Big(counts.upper_pages);
  row.Big(counts.chain_pages).Big(counts.spare_pages);
  row.Big(int64{blocks} * BLCKSZ);
  row.Big(meta.epoch).Big(static_cast<int64>(meta.mean_rows)).Bool(meta.recentring != 0);
  return row.Finish();
}

}  // namespace

}  // namespace ann::hnsw

// Writers wait while it runs. In recovery nothing stronger than AccessShareLock can be had: replay
// should be paused.
ANN_FUNCTION(ann_index_check)
{
  const LOCKMODE lock = RecoveryInProgress() ? AccessShareLock : ShareLock;
  const ann::hnsw::Opened opened = ann::hnsw::Open(PG_GETARG_OID(0), lock);
  ann::hnsw::CheckIndex(opened.heap, opened.index);
  ann::hnsw::Close(opened, lock);
  PG_RETURN_VOID();
}

ANN_FUNCTION(ann_index_stats)
{
  const Oid id = PG_GETARG_OID(0);
  TupleDesc desc;
  if (get_call_result_type(fcinfo, nullptr, &desc) != TYPEFUNC_COMPOSITE) {
    elog(ERROR, "return type must be a row type");
  }
  const ann::hnsw::Opened opened = ann::hnsw::Open(id, AccessShareLock);
  if (!ann::pg::OwnsRelation(id) && !has_privs_of_role(GetUserId(), ROLE_PG_STAT_SCAN_TABLES)) {
    aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_INDEX, RelationGetRelationName(opened.index));
  }
  const Datum row = ann::hnsw::Stats(opened.index, BlessTupleDesc(desc));
  ann::hnsw::Close(opened, AccessShareLock);
  PG_RETURN_DATUM(row);
}
