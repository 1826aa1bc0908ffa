// Centroids from a table. Its name is looked up, never made part of a statement; rows are read from
// the table itself, so no code of a user's (views, policies, casts) runs with the owner's rights.
#include "ivf/ivf_user_centroids.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "am/vector_column.hpp"
#include "core/vec.hpp"

#include "pg/alloc.hpp"

namespace ann::ivf {

using quant::Metric;

namespace {

using Alloc = pg::PgAllocator<std::byte>;

struct QualifiedName {
  char* schema;
  char* table;
};

// False: `value` is not schema.table. Identifiers are folded and quoted as in SQL.
bool ParseName(const char* value, QualifiedName* name) {
  List* parts = NIL;
  if (!SplitIdentifierString(pstrdup(value), '.', &parts) || list_length(parts) != 2) return false;
  *name = {static_cast<char*>(linitial(parts)), static_cast<char*>(lsecond(parts))};
  return true;
}

// What one table can be found fault with.
struct Fault {
  int code;
  const char* detail;
  const char* hint;
};

class Reader {
 public:
  Reader(const IndexView& view, Oid owner, const char* value, MemoryContext context)
      : view_(view),
        owner_(owner),
        value_(value),
        row_context_(AllocSetContextCreate(context, "ann ivf centroid", ALLOCSET_DEFAULT_SIZES)),
        floats_(Alloc(context)),
        places_(Alloc(context)) {}

  // False: fault() says why.
  bool Read() {
    QualifiedName name;
    if (!ParseName(value_, &name)) return Fail(ERRCODE_INVALID_NAME, "It is no name.", kNameHint);
    const Oid id = Find(name);
    if (!OidIsValid(id)) return false;
    const Relation rel = relation_open(id, NoLock);
    const bool read = IsReadable(rel) && ReadTree(rel);
    relation_close(rel, AccessShareLock);
    return read && CheckNumber() && CheckDistinct();
  }

  const Fault& fault() const { return fault_; }
  // The fault is that the table has no rows.
  bool is_empty() const { return is_empty_; }
  uint32_t count() const { return static_cast<uint32_t>(places_.size()); }
  const float* floats() const { return floats_.data(); }

  static constexpr const char* kNameHint =
      "Write schema.table, with double quotes where SQL needs them.";

 private:
  struct Place {
    Oid table;
    ItemPointerData tid;
  };

  bool Fail(int code, const char* detail, const char* hint) {
    fault_ = {code, detail, hint};
    return false;
  }
  bool FailAt(const Place& place, int code, const char* what, const char* hint) {
    return Fail(
        code,
        psprintf("The row with ctid (%u,%u) of table \"%s\" %s",
                 ItemPointerGetBlockNumberNoCheck(&place.tid),
                 ItemPointerGetOffsetNumberNoCheck(&place.tid), get_rel_name(place.table), what),
        hint);
  }

  // The table, locked; invalid: fault() says why.
  Oid Find(const QualifiedName& name) {
    static constexpr const char* kHint =
        "Create and fill the table first, or take it out of the options: "
        "ALTER INDEX ... RESET (centroids).";
    // pg_temp names no schema of the catalogue, and belongs to whom may look into it.
    const Oid schema = get_namespace_oid(name.schema, true);
    if (OidIsValid(schema) && !pg::MayUseSchema(schema, owner_)) {
      Fail(ERRCODE_INSUFFICIENT_PRIVILEGE,
           psprintf("Role \"%s\", which owns the indexed table, may not use schema \"%s\".",
                    GetUserNameFromId(owner_, false), name.schema),
           psprintf("GRANT USAGE ON SCHEMA %s TO %s.", quote_identifier(name.schema),
                    quote_identifier(GetUserNameFromId(owner_, false))));
      return InvalidOid;
    }
    const Oid id =
        RangeVarGetRelid(makeRangeVar(name.schema, name.table, -1), AccessShareLock, true);
    if (!OidIsValid(id)) Fail(ERRCODE_UNDEFINED_TABLE, "There is no such table.", kHint);
    return id;
  }

  bool IsReadable(Relation rel) {
    if (rel->rd_rel->relkind != RELKIND_RELATION &&
        rel->rd_rel->relkind != RELKIND_PARTITIONED_TABLE) {
      return Fail(ERRCODE_WRONG_OBJECT_TYPE, "It is not a table.",
                  "Views, materialized views and foreign tables cannot be read while an index is "
                  "built. Copy their rows into a table.");
    }
    if (RELATION_IS_OTHER_TEMP(rel)) {
      return Fail(ERRCODE_FEATURE_NOT_SUPPORTED, "It is a temporary table of another session.",
                  "Use a table that stays.");
    }
    const Oid id = RelationGetRelid(rel);
    if (pg_class_aclcheck(id, owner_, ACL_SELECT) != ACLCHECK_OK) {
      return Fail(ERRCODE_INSUFFICIENT_PRIVILEGE,
                  psprintf("Role \"%s\", which owns the indexed table, may not read it.",
                           GetUserNameFromId(owner_, false)),
                  psprintf("GRANT SELECT ON %s TO %s.",
                           quote_qualified_identifier(get_namespace_name(RelationGetNamespace(rel)),
                                                      RelationGetRelationName(rel)),
                           quote_identifier(GetUserNameFromId(owner_, false))));
    }
    if (check_enable_rls(id, owner_, true) == RLS_ENABLED) {
      return Fail(ERRCODE_FEATURE_NOT_SUPPORTED,
                  psprintf("Row security policies would apply to role \"%s\".",
                           GetUserNameFromId(owner_, false)),
                  "Use a table without row security.");
    }
    return true;
  }

  // The table and those that inherit from it, its partitions among them, as SELECT reads them.
  bool ReadTree(Relation root) {
    const List* tables = find_all_inheritors(RelationGetRelid(root), AccessShareLock, nullptr);
    Snapshot snapshot =
        RegisterSnapshot(ActiveSnapshotSet() ? GetActiveSnapshot() : GetLatestSnapshot());
    bool read = true;
    for (int i = 0; read && i < list_length(tables); ++i) {
      const Relation rel = relation_open(list_nth_oid(tables, i), NoLock);
      const char kind = rel->rd_rel->relkind;
      if (kind == RELKIND_RELATION) {
        if (!RELATION_IS_OTHER_TEMP(rel)) read = ReadTable(rel, snapshot);
      } else if (kind != RELKIND_PARTITIONED_TABLE) {
        read = Fail(ERRCODE_WRONG_OBJECT_TYPE,
                    psprintf("Its partition \"%s\" is not a table.", RelationGetRelationName(rel)),
                    "Copy its rows into a table.");
      }
      relation_close(rel, NoLock);
    }
    UnregisterSnapshot(snapshot);
    return read;
  }

  // The column of the index's type; 0: there is not exactly one.
  AttrNumber FindColumn(Relation rel) {
    const Oid type = view_.rel->rd_opcintype[0];
    const TupleDesc desc = RelationGetDescr(rel);
    AttrNumber found = 0;
    int n = 0;
    for (int i = 0; i < desc->natts; ++i) {
      const Form_pg_attribute attribute = TupleDescAttr(desc, i);
      if (attribute->attisdropped || getBaseType(attribute->atttypid) != type) continue;
      found = attribute->attnum;
      ++n;
    }
    if (n == 1) return found;
    Fail(n == 0 ? ERRCODE_UNDEFINED_COLUMN : ERRCODE_AMBIGUOUS_COLUMN,
         psprintf("Table \"%s\" has %d columns of type %s.", RelationGetRelationName(rel), n,
                  pg::TypeName(type)),
         "It must have one, of any name.");
    return 0;
  }

  bool ReadTable(Relation rel, Snapshot snapshot) {
    const AttrNumber column = FindColumn(rel);
    if (column == 0) return false;
    TupleTableSlot* slot = table_slot_create(rel, nullptr);
    // From the first block on: the same table gives the same lists.
    const TableScanDesc scan = table_beginscan_strat(rel, snapshot, 0, nullptr, true, false);
    bool right = true;
    while (right && table_scan_getnextslot(scan, ForwardScanDirection, slot)) {
      CHECK_FOR_INTERRUPTS();
      bool isnull;
      const Datum value = slot_getattr(slot, column, &isnull);
      MemoryContext old = MemoryContextSwitchTo(row_context_);
      right = Add({RelationGetRelid(rel), slot->tts_tid}, value, isnull);
      MemoryContextSwitchTo(old);
      if (right) MemoryContextReset(row_context_);
    }
    table_endscan(scan);
    ExecDropSingleTupleTableSlot(slot);
    return right;
  }

  bool Add(const Place& place, Datum value, bool isnull) {
    const uint32_t dims = view_.meta.dims;
    if (isnull) {
      return FailAt(place, ERRCODE_NULL_VALUE_NOT_ALLOWED, "has no vector.", "Delete it.");
    }
    if (count() == kMaxLists) {
      return Fail(ERRCODE_PROGRAM_LIMIT_EXCEEDED,
                  psprintf("It has more than %d rows.", int{kMaxLists}),
                  "Each row is a list. Use fewer.");
    }
    uint32_t found;
    const quant::VectorRef given = am::AnyVector(view_.rel, value, &found);
    const float* x = am::AsFloats(given, found);
    if (found != dims) {
      return FailAt(place, ERRCODE_DATA_EXCEPTION,
                    psprintf("has %u dimensions, not %u.", found, dims),
                    "A centroid has as many dimensions as the indexed column.");
    }
    if (!am::IsIndexable(view_.metric(), x, dims)) {
      return FailAt(place, ERRCODE_INVALID_PARAMETER_VALUE, "is a vector of zeros.",
                    "It has no direction, as cosine distance needs. Delete it.");
    }
    double norm = 0;
    for (uint32_t i = 0; i < dims; ++i) norm += double{x[i]} * x[i];
    const double scale = view_.metric() == Metric::kCosine ? 1 / std::sqrt(norm) : 1;
    for (uint32_t i = 0; i < dims; ++i) {
      // -0 is 0.
      floats_.push_back(static_cast<float>(x[i] * scale) + 0.0f);
    }
    places_.push_back(place);
    return true;
  }

  bool CheckNumber() {
    if (count() > 0) return true;
    is_empty_ = true;
    return Fail(ERRCODE_INVALID_PARAMETER_VALUE, "It has no rows.",
                "Each row is a list. Fill it first.");
  }

  bool CheckDistinct() {
    const size_t dims = view_.meta.dims;
    VecOf<uint32_t, Alloc> order(places_.size(), 0, floats_.get_stored_allocator());
    std::iota(order.begin(), order.end(), 0);
    const auto at = [this, dims](uint32_t i) { return floats_.data() + i * dims; };
    std::sort(order.begin(), order.end(), [at, dims](uint32_t a, uint32_t b) {
      const auto [x, y] = std::mismatch(at(a), at(a) + dims, at(b));
      return x == at(a) + dims ? a < b : *x < *y;
    });
    const auto same = std::adjacent_find(
        order.begin(), order.end(),
        [at, dims](uint32_t a, uint32_t b) { return std::equal(at(a), at(a) + dims, at(b)); });
    if (same == order.end()) return true;
    const Place& other = places_[*same];
    return FailAt(
        places_[same[1]], ERRCODE_INVALID_PARAMETER_VALUE,
        psprintf("has the same %s as (%u,%u) of \"%s\".",
                 view_.metric() == Metric::kCosine ? "direction" : "vector",
                 ItemPointerGetBlockNumberNoCheck(&other.tid),
                 ItemPointerGetOffsetNumberNoCheck(&other.tid), get_rel_name(other.table)),
        "Centroids must differ. Delete one of the rows.");
  }

  const IndexView& view_;
  Oid owner_;
  const char* value_;
  MemoryContext row_context_;
  VecOf<float, Alloc> floats_;
  VecOf<Place, Alloc> places_;
  Fault fault_{};
  bool is_empty_ = false;
};

}  // namespace

void CheckCentroidsOption(const char* value) {
  QualifiedName name;
  if (value == nullptr || ParseName(value, &name)) return;
  ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                  errmsg("invalid value for option \"centroids\": \"%s\"", value),
                  errdetail("It must be the name of a table with its schema."),
                  errhint("%s", Reader::kNameHint)));
}

const UserCentroids* ReadUserCentroids(const IndexView& view, Relation heap, int elevel,
                                       MemoryContext context, bool* failed) {
  *failed = false;
  const char* value = CentroidsOptionOf(view.rel);
  // pg_upgrade makes indexes of empty tables, and puts the old files in their place.
  if (value == nullptr || IsBinaryUpgrade) return nullptr;
  Reader& reader = *pg::Construct<Reader>(pg::AllocZero<Reader>(context, 1), view,
                                          heap->rd_rel->relowner, value, context);
  if (!reader.Read()) {
    // A schema without its data is restored so, and tables are emptied together.
    if (reader.is_empty() && RelationGetNumberOfBlocks(heap) == 0) elevel = WARNING;
    const Fault& fault = reader.fault();
    ereport(elevel, (errcode(fault.code),
                     errmsg("\"%s\" cannot give the centroids of index \"%s\"", value,
                            RelationGetRelationName(view.rel)),
                     errdetail("%s", fault.detail), errhint("%s", fault.hint)));
    *failed = elevel < ERROR;
    return nullptr;
  }
  UserCentroids* centroids = pg::AllocZero<UserCentroids>(context, 1);
  *centroids = {reader.count(), reader.floats()};
  return centroids;
}

float* WorkVectors(const UserCentroids& centroids, const quant::WorkSpace& space,
                   MemoryContext context) {
  const size_t dims = space.dims();
  float* works = pg::AllocZero<float>(context, centroids.count * dims);
  for (uint32_t i = 0; i < centroids.count; ++i) {
    CHECK_FOR_INTERRUPTS();
    space.Transform(centroids.floats + i * dims, works + i * dims);
  }
  // What has left float's range is nowhere near a row.
  std::replace_if(
      works, works + centroids.count * dims, [](float x) { return !std::isfinite(x); }, 0.0f);
  return works;
}

}  // namespace ann::ivf
