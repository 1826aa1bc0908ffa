#include "am/inspect.hpp"

#include "quant/work_space.hpp"

#include "pg/entry.hpp"

namespace ann::am {

namespace {

constexpr int kMostMethods = 2;
Inspection inspections[kMostMethods];
int inspection_count;

const Inspection* FindInspection(Relation index) {
  if (index->rd_rel->relkind != RELKIND_INDEX) return nullptr;
  for (int i = 0; i < inspection_count; ++i) {
    if (inspections[i].build == index->rd_indam->ambuild) return &inspections[i];
  }
  return nullptr;
}

[[noreturn]] void RejectIndex(Relation index, const char* why) {
  ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                  errmsg("cannot read index \"%s\"", RelationGetRelationName(index)),
                  errdetail("%s", why)));
  pg_unreachable();
}

}  // namespace

void RegisterInspection(const Inspection& inspection) {
  Assert(inspection_count < kMostMethods);
  inspections[inspection_count++] = inspection;
}

Opened OpenInspected(Oid id, LOCKMODE lock) {
  // The table comes first, as everywhere; what is no index has none, and is told by index_open.
  const Oid heap = IndexGetRelation(id, true);
  Opened opened{OidIsValid(heap) ? table_open(heap, lock) : nullptr, index_open(id, lock), nullptr};
  const Relation index = opened.index;
  opened.inspection = FindInspection(index);
  if (opened.inspection == nullptr) {
    ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
                    errmsg("\"%s\" is not an hnsw or ivf index", RelationGetRelationName(index))));
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

Opened OpenMaintained(Oid id, const char* function) {
  PreventCommandDuringRecovery(function);
  PreventCommandIfReadOnly(function);
  return OpenInspected(id, kMaintenanceLock);
}

void CloseInspected(const Opened& opened, LOCKMODE lock) {
  index_close(opened.index, lock);
  table_close(opened.heap, lock);
}

TableOwner BecomeTableOwner(const Opened& opened) {
  if (!pg::OwnsRelation(RelationGetRelid(opened.index))) {
    aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_INDEX, RelationGetRelationName(opened.index));
  }
  TableOwner owner;
  GetUserIdAndSecContext(&owner.caller, &owner.security);
  SetUserIdAndSecContext(opened.heap->rd_rel->relowner,
                         owner.security | SECURITY_RESTRICTED_OPERATION);
  owner.settings = NewGUCNestLevel();
  pg::RestrictSearchPath();
  return owner;
}

void BecomeCallerAgain(const TableOwner& owner) {
  AtEOXact_GUC(false, owner.settings);
  SetUserIdAndSecContext(owner.caller, owner.security);
}

void CheckRange(const char* name, int value, int most) {
  if (value >= 1 && value <= most) return;
  ereport(ERROR,
          (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
           errmsg("%s must be between 1 and %d", name, most), errdetail("It is %d.", value)));
}

const char* MetricName(uint8 metric) {
  switch (static_cast<quant::Metric>(metric)) {
    case quant::Metric::kL2:
      return "l2";
    case quant::Metric::kInnerProduct:
      return "ip";
    case quant::Metric::kCosine:
      return "cosine";
    case quant::Metric::kHamming:
      return "hamming";
    case quant::Metric::kJaccard:
      return "jaccard";
    default:
      return "l1";
  }
}

}  // namespace ann::am

// Writers wait while it runs. In recovery nothing stronger than AccessShareLock can be had: replay
// should be paused.
ANN_FUNCTION(ann_index_check)
{
  const LOCKMODE lock = RecoveryInProgress() ? AccessShareLock : ShareLock;
  const ann::am::Opened opened = ann::am::OpenInspected(PG_GETARG_OID(0), lock);
  opened.inspection->check(opened.heap, opened.index);
  ann::am::CloseInspected(opened, lock);
  PG_RETURN_VOID();
}

ANN_FUNCTION(ann_index_stats)
{
  const Oid id = PG_GETARG_OID(0);
  TupleDesc desc;
  if (get_call_result_type(fcinfo, nullptr, &desc) != TYPEFUNC_COMPOSITE) {
    elog(ERROR, "return type must be a row type");
  }
  const ann::am::Opened opened = ann::am::OpenInspected(id, AccessShareLock);
  if (!ann::pg::OwnsRelation(id) && !has_privs_of_role(GetUserId(), ROLE_PG_STAT_SCAN_TABLES)) {
    aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_INDEX, RelationGetRelationName(opened.index));
  }
  const Datum row = opened.inspection->stats(opened.index, BlessTupleDesc(desc));
  ann::am::CloseInspected(opened, AccessShareLock);
  PG_RETURN_DATUM(row);
}
