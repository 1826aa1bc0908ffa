#include "am/scan_stats.hpp"

#include "am/inspect.hpp"

#include "pg/entry.hpp"

namespace ann::am {

namespace {

// Index InvalidOid: there was none.
ScanFigures last_scan;

// Names of the ways, in the order of their bits, joined by '+'.
const char* WaysText(uint8 ways) {
  static const char* const kNames[] = {"walk", "bridge", "postings", "sweep", "lists", "rows"};
  StringInfoData text;
  initStringInfo(&text);
  for (uint32 i = 0; i < lengthof(kNames); ++i) {
    if ((ways >> i & 1) == 0) continue;
    appendStringInfo(&text, "%s%s", text.len > 0 ? "+" : "", kNames[i]);
  }
  return text.data;
}

Datum Row(const ScanFigures& scan, TupleDesc desc) {
  RowWriter row(desc);
  row.Id(scan.index);
  row.IntIf(scan.work.ef > 0, static_cast<int32>(scan.work.ef));
  row.IntIf(scan.work.probes > 0, static_cast<int32>(scan.work.probes));
  row.Big(static_cast<int64>(scan.work.candidates));
  row.Big(scan.pages.hit + scan.pages.read).Big(scan.pages.read).Big(scan.work.unpinned);
  row.Big(scan.exact).Big(scan.emitted);
  row.Big(scan.work.rounds > 0 ? scan.work.rounds - 1 : 0);
  row.Bool(scan.work.filtered);
  if (scan.work.ways == 0) {
    row.Null();
  } else {
    row.Text(WaysText(scan.work.ways));
  }
  return row.Finish();
}

}  // namespace

void PublishScan(const ScanFigures& figures) { last_scan = figures; }

}  // namespace ann::am

ANN_FUNCTION(ann_index_scan_stats)
{
  if (SRF_IS_FIRSTCALL()) {
    FuncCallContext* calls = SRF_FIRSTCALL_INIT();
    MemoryContext old = MemoryContextSwitchTo(calls->multi_call_memory_ctx);
    TupleDesc desc;
    if (get_call_result_type(fcinfo, nullptr, &desc) != TYPEFUNC_COMPOSITE) {
      elog(ERROR, "return type must be a row type");
    }
    calls->tuple_desc = BlessTupleDesc(desc);
    calls->max_calls = OidIsValid(ann::am::last_scan.index) ? 1 : 0;
    MemoryContextSwitchTo(old);
  }
  FuncCallContext* calls = SRF_PERCALL_SETUP();
  if (calls->call_cntr >= calls->max_calls) SRF_RETURN_DONE(calls);
  SRF_RETURN_NEXT(calls, ann::am::Row(ann::am::last_scan, calls->tuple_desc));
}
