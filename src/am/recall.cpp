#include "am/recall.hpp"

#include <algorithm>
#include <cmath>

#include "am/limit_hint.hpp"
#include "am/opclass.hpp"
#include "am/vector_column.hpp"
#include "core/beam.hpp"
#include "core/rng.hpp"

#include "pg/entry.hpp"

namespace ann::am {

using quant::VectorRef;

namespace {

uint64_t RankOf(const ItemPointerData& tid) {
  return Mix64((uint64_t{ItemPointerGetBlockNumberNoCheck(&tid)} << 16 |
                ItemPointerGetOffsetNumberNoCheck(&tid)) +
               0x9e3779b97f4a7c15ULL);
}

class Stopwatch {
 public:
  void Start() { INSTR_TIME_SET_CURRENT(start_); }
  void Stop() {
    instr_time now;
    INSTR_TIME_SET_CURRENT(now);
    INSTR_TIME_ACCUM_DIFF(total_, now, start_);
  }
  double ms() const { return INSTR_TIME_GET_MILLISEC(total_); }

 private:
  instr_time start_{};
  instr_time total_{};
};

}  // namespace

RecallProbe::RecallProbe(const Opened& opened, uint32_t k, uint32_t sample, MemoryContext context)
    : heap_(opened.heap),
      index_(opened.index),
      k_(k),
      wanted_(sample),
      metric_(MetricOf(index_)),
      dims_(static_cast<uint32_t>(DimsOf(index_))),
      context_(context),
      row_context_(AllocSetContextCreate(context, "ann recall row", ALLOCSET_SMALL_SIZES)),
      slot_(table_slot_create(heap_, nullptr)),
      info_(BuildIndexInfo(index_)),
      executor_(CreateExecutorState()),
      predicate_(ExecPrepareQual(info_->ii_Predicate, executor_)),
      queries_(Alloc(context)),
      nearest_(Alloc(context)),
      counts_(Alloc(context)) {
  GetPerTupleExprContext(executor_)->ecxt_scantuple = slot_;
}

void RecallProbe::Prepare() {
  Sample();
  FindNearest();
}

void RecallProbe::Close() {
  ExecDropSingleTupleTableSlot(slot_);
  FreeExecutorState(executor_);
  MemoryContextDelete(row_context_);
}

// Calls visit() for each row that the snapshot sees, which is in slot_ then.
template <class Visit>
void RecallProbe::ForRows(Visit visit) {
  const TableScanDesc scan = table_beginscan(heap_, GetActiveSnapshot(), 0, nullptr);
  while (table_scan_getnextslot(scan, ForwardScanDirection, slot_)) {
    CHECK_FOR_INTERRUPTS();
    visit();
  }
  table_endscan(scan);
  ExecClearTuple(slot_);
}

// What the index has of the row in slot_, good until the next call. False: nothing.
bool RecallProbe::ReadSlot(Datum* value, VectorRef* x) {
  MemoryContextReset(row_context_);
  ResetPerTupleExprContext(executor_);
  MemoryContext old = MemoryContextSwitchTo(row_context_);
  bool found = predicate_ == nullptr || ExecQual(predicate_, GetPerTupleExprContext(executor_));
  if (found) {
    Datum values[INDEX_MAX_KEYS];
    bool nulls[INDEX_MAX_KEYS];
    FormIndexDatum(info_, slot_, executor_, values, nulls);
    found = !nulls[0];
    *value = values[0];
  }
  if (found) {
    *x = IndexedVector(index_, *value, dims_);
    found = IsIndexable(metric_, *x, dims_);
  }
  MemoryContextSwitchTo(old);
  return found;
}

// The rows of the least ranks. A row's rank is a hash of its place, so few rows but those are read
// beyond their headers.
void RecallProbe::Sample() {
  ForRows([this] {
    const uint64_t rank = RankOf(slot_->tts_tid);
    if (queries_.size() == wanted_ && rank >= queries_.front().rank) return;
    Datum value;
    VectorRef x;
    if (ReadSlot(&value, &x)) TakeQuery(rank, value);
  });
  for (Query& query : queries_) {
    MemoryContext old = MemoryContextSwitchTo(query.memory);
    query.x = IndexedVector(index_, query.value, dims_);
    MemoryContextSwitchTo(old);
  }
}

void RecallProbe::TakeQuery(uint64_t rank, Datum value) {
  if (queries_.size() < wanted_) {
    queries_.push_back({0,
                        {},
                        AllocSetContextCreate(context_, "ann recall query", ALLOCSET_SMALL_SIZES),
                        0,
                        nullptr,
                        0});
  } else {
    std::pop_heap(queries_.begin(), queries_.end());
    bytes_ -= queries_.back().bytes;
    MemoryContextReset(queries_.back().memory);
  }
  Query& query = queries_.back();
  MemoryContext old = MemoryContextSwitchTo(query.memory);
  query.rank = rank;
  query.tid = slot_->tts_tid;
  query.value = PointerGetDatum(
      pg_detoast_datum_copy(reinterpret_cast<struct varlena*>(DatumGetPointer(value))));
  MemoryContextSwitchTo(old);
  query.bytes = VARSIZE(DatumGetPointer(query.value)) + sizeof(float) * k_;
  bytes_ += query.bytes;
  std::push_heap(queries_.begin(), queries_.end());
  if (bytes_ / 1024 < static_cast<size_t>(maintenance_work_mem)) return;
  ereport(ERROR, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
                  errmsg("a sample of %u vectors does not fit into maintenance_work_mem", wanted_),
                  errdetail("%zu of them take %zu kB.", queries_.size(), bytes_ / 1024),
                  errhint("Take a smaller sample, or raise maintenance_work_mem.")));
}

void RecallProbe::FindNearest() {
  nearest_.resize(queries_.size() * k_);
  counts_.resize(queries_.size(), 0);
  if (queries_.empty()) return;
  ForRows([this] {
    Datum value;
    VectorRef row;
    if (!ReadSlot(&value, &row)) return;
    for (uint32_t i = 0; i < queries_.size(); ++i) {
      if (ItemPointerEquals(&queries_[i].tid, &slot_->tts_tid)) continue;
      const float key = OrderableKey(ExactKey(metric_, queries_[i].x, row, dims_));
      float* nearest = Nearest(i);
      if (counts_[i] == k_) {
        if (!(key < nearest[0])) continue;
        std::pop_heap(nearest, nearest + k_);
        nearest[k_ - 1] = key;
      } else {
        nearest[counts_[i]++] = key;
      }
      std::push_heap(nearest, nearest + counts_[i]);
    }
  });
}

RecallProbe::Found RecallProbe::Search(uint32_t query) {
  Query& q = queries_[query];
  const Oid type = index_->rd_opcintype[0];
  const Oid op = get_opfamily_member(index_->rd_opfamily[0], type, type, kOrderStrategy);
  ScanKeyData order;
  ScanKeyEntryInitialize(&order, SK_ORDER_BY, 1, kOrderStrategy, type, index_->rd_indcollation[0],
                         get_opcode(op), q.value);
  const float farthest = counts_[query] > 0 ? Nearest(query)[0] : 0;
  Found found{0, counts_[query], 0};
  Stopwatch watch;
  watch.Start();
  const IndexScanDesc scan = pg::BeginIndexScan(heap_, index_, GetActiveSnapshot(), 0, 1);
  OfferLimit(scan, int64{k_} + 1);
  index_rescan(scan, nullptr, 0, &order, 1);
  for (uint32_t rows = 0; rows < k_;) {
    CHECK_FOR_INTERRUPTS();
    const bool any = index_getnext_slot(scan, ForwardScanDirection, slot_);
    watch.Stop();
    if (!any) break;
    Datum value;
    VectorRef row;
    if (!ItemPointerEquals(&q.tid, &slot_->tts_tid) && ReadSlot(&value, &row)) {
      ++rows;
      found.hits += OrderableKey(ExactKey(metric_, q.x, row, dims_)) <= farthest;
    }
    watch.Start();
  }
  watch.Start();
  ExecClearTuple(slot_);
  index_endscan(scan);
  watch.Stop();
  found.ms = watch.ms();
  found.hits = std::min(found.hits, found.wanted);
  return found;
}

RecallFigures RecallProbe::Measure() {
  VecOf<Found, Alloc> found{Alloc(context_)};
  found.reserve(queries_.size());
  for (uint32_t i = 0; i < queries_.size(); ++i) found.push_back(Search(i));
  return Summarize(found);
}

// The interval is Wilson's. The rows of one query are hit or missed together, so they count as so
// many independent ones as give the variance that is seen between queries: no fewer than there are
// queries, no more than there are rows.
RecallFigures RecallProbe::Summarize(const VecOf<Found, Alloc>& found) const {
  RecallFigures figures{};
  figures.queries = static_cast<uint32_t>(found.size());
  double hits = 0, wanted = 0;
  VecOf<double, Alloc> ms{Alloc(context_)};
  for (const Found& f : found) {
    hits += f.hits, wanted += f.wanted;
    ms.push_back(f.ms);
  }
  if (wanted == 0) return figures;
  const double n = static_cast<double>(found.size()), p = hits / wanted;
  double squares = 0;  // of what queries differ from the mean by, each by its weight
  for (const Found& f : found) {
    const double difference = (f.hits - p * f.wanted) * n / wanted;
    squares += difference * difference;
  }
  const double variance = squares / n / n;
  const double trials =
      variance > 0 ? std::clamp(p * (1 - p) / variance, n, std::max(n, wanted)) : n;
  constexpr double kZ = 1.96;
  const double centre = p + kZ * kZ / (2 * trials), scale = 1 + kZ * kZ / trials;
  const double width = kZ * std::sqrt(p * (1 - p) / trials + kZ * kZ / (4 * trials * trials));
  std::sort(ms.begin(), ms.end());
  figures.known = true;
  figures.recall = p;
  // Of all or none the bound is that number, but for rounding.
  figures.low = p > 0 ? (centre - width) / scale : 0;
  figures.high = p < 1 ? (centre + width) / scale : 1;
  figures.ms_median = (ms[(ms.size() - 1) / 2] + ms[ms.size() / 2]) / 2;
  figures.ms_p99 = ms[static_cast<size_t>(std::ceil(0.99 * n)) - 1];
  return figures;
}

}  // namespace ann::am

ANN_FUNCTION(ann_recall)
{
  const Oid id = PG_GETARG_OID(0);
  const int32 k = PG_GETARG_INT32(1), sample = PG_GETARG_INT32(2);
  ann::am::CheckRange("k", k, ann::am::kMostNearest);
  ann::am::CheckRange("sample", sample, ann::am::kMostQueries);
  TupleDesc desc;
  if (get_call_result_type(fcinfo, nullptr, &desc) != TYPEFUNC_COMPOSITE) {
    elog(ERROR, "return type must be a row type");
  }
  const ann::am::Opened opened = ann::am::OpenInspected(id, AccessShareLock);
  const ann::am::TableOwner owner = ann::am::BecomeTableOwner(opened);
  MemoryContext context =
      AllocSetContextCreate(CurrentMemoryContext, "ann recall", ALLOCSET_DEFAULT_SIZES);
  MemoryContext old = MemoryContextSwitchTo(context);
  ann::am::RecallProbe probe(opened, static_cast<uint32_t>(k), static_cast<uint32_t>(sample),
                             context);
  probe.Prepare();
  const ann::am::RecallFigures figures = probe.Measure();
  probe.Close();
  MemoryContextSwitchTo(old);
  ann::am::BecomeCallerAgain(owner);
  ann::am::CloseInspected(opened, AccessShareLock);
  ann::am::RowWriter row(BlessTupleDesc(desc));
  row.FloatIf(figures.known, figures.recall);
  row.FloatIf(figures.known, figures.low).FloatIf(figures.known, figures.high);
  row.FloatIf(figures.known, figures.ms_median).FloatIf(figures.known, figures.ms_p99);
  row.Int(static_cast<int32>(figures.queries));
  PG_RETURN_DATUM(row.Finish());
}
