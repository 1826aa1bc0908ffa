// Which metric an operator class stands for, and whether it is sound.
//
// A metric is told by the *addresses* of the C functions behind an operator class, never by names,
// which a search_path could turn to something else, and never by calling them.
#include "am/opclass.hpp"

#include "am/attributes.hpp"

#include "pg/entry.hpp"

extern "C" {
Datum ann_vector_l2_distance(PG_FUNCTION_ARGS);
Datum ann_vector_l2_squared_distance(PG_FUNCTION_ARGS);
Datum ann_vector_negative_inner_product(PG_FUNCTION_ARGS);
Datum ann_vector_cosine_distance(PG_FUNCTION_ARGS);
Datum ann_vector_l1_distance(PG_FUNCTION_ARGS);
Datum ann_vector_norm(PG_FUNCTION_ARGS);
Datum ann_halfvec_l2_distance(PG_FUNCTION_ARGS);
Datum ann_halfvec_l2_squared_distance(PG_FUNCTION_ARGS);
Datum ann_halfvec_negative_inner_product(PG_FUNCTION_ARGS);
Datum ann_halfvec_cosine_distance(PG_FUNCTION_ARGS);
Datum ann_halfvec_l1_distance(PG_FUNCTION_ARGS);
Datum ann_halfvec_norm(PG_FUNCTION_ARGS);
Datum ann_hamming_distance(PG_FUNCTION_ARGS);
Datum ann_sparsevec_l2_distance(PG_FUNCTION_ARGS);
Datum ann_sparsevec_l2_squared_distance(PG_FUNCTION_ARGS);
Datum ann_sparsevec_negative_inner_product(PG_FUNCTION_ARGS);
Datum ann_sparsevec_cosine_distance(PG_FUNCTION_ARGS);
Datum ann_sparsevec_l1_distance(PG_FUNCTION_ARGS);
Datum ann_sparsevec_norm(PG_FUNCTION_ARGS);
Datum ann_jaccard_distance(PG_FUNCTION_ARGS);
Datum ann_vector_within_l2(PG_FUNCTION_ARGS);
Datum ann_vector_within_ip(PG_FUNCTION_ARGS);
Datum ann_vector_within_cosine(PG_FUNCTION_ARGS);
Datum ann_vector_within_l1(PG_FUNCTION_ARGS);
Datum ann_halfvec_within_l2(PG_FUNCTION_ARGS);
Datum ann_halfvec_within_ip(PG_FUNCTION_ARGS);
Datum ann_halfvec_within_cosine(PG_FUNCTION_ARGS);
Datum ann_halfvec_within_l1(PG_FUNCTION_ARGS);
}

namespace ann::am {

namespace {

struct MetricFunctions {
  ColumnType type;
  quant::Metric metric;
  PGFunction distance;  // support function 1
  PGFunction norm;      // support function 2, or null
  PGFunction order;     // behind the ordering operator
  PGFunction within;    // behind the operator of range search, or null
};

constexpr MetricFunctions kMetrics[] = {
    {ColumnType::kVector, quant::Metric::kL2, ann_vector_l2_squared_distance, nullptr,
     ann_vector_l2_distance, ann_vector_within_l2},
    {ColumnType::kVector, quant::Metric::kInnerProduct, ann_vector_negative_inner_product, nullptr,
     ann_vector_negative_inner_product, ann_vector_within_ip},
    {ColumnType::kVector, quant::Metric::kCosine, ann_vector_negative_inner_product,
     ann_vector_norm, ann_vector_cosine_distance, ann_vector_within_cosine},
    {ColumnType::kVector, quant::Metric::kL1, ann_vector_l1_distance, nullptr,
     ann_vector_l1_distance, ann_vector_within_l1},
    {ColumnType::kHalfVector, quant::Metric::kL2, ann_halfvec_l2_squared_distance, nullptr,
     ann_halfvec_l2_distance, ann_halfvec_within_l2},
    {ColumnType::kHalfVector, quant::Metric::kInnerProduct, ann_halfvec_negative_inner_product,
     nullptr, ann_halfvec_negative_inner_product, ann_halfvec_within_ip},
    {ColumnType::kHalfVector, quant::Metric::kCosine, ann_halfvec_negative_inner_product,
     ann_halfvec_norm, ann_halfvec_cosine_distance, ann_halfvec_within_cosine},
    {ColumnType::kHalfVector, quant::Metric::kL1, ann_halfvec_l1_distance, nullptr,
     ann_halfvec_l1_distance, ann_halfvec_within_l1},
    {ColumnType::kSparseVector, quant::Metric::kL2, ann_sparsevec_l2_squared_distance, nullptr,
     ann_sparsevec_l2_distance, nullptr},
    {ColumnType::kSparseVector, quant::Metric::kInnerProduct, ann_sparsevec_negative_inner_product,
     nullptr, ann_sparsevec_negative_inner_product, nullptr},
    {ColumnType::kSparseVector, quant::Metric::kCosine, ann_sparsevec_negative_inner_product,
     ann_sparsevec_norm, ann_sparsevec_cosine_distance, nullptr},
    {ColumnType::kSparseVector, quant::Metric::kL1, ann_sparsevec_l1_distance, nullptr,
     ann_sparsevec_l1_distance, nullptr},
    {ColumnType::kBit, quant::Metric::kHamming, ann_hamming_distance, nullptr, ann_hamming_distance,
     nullptr},
    {ColumnType::kBit, quant::Metric::kJaccard, ann_jaccard_distance, nullptr, ann_jaccard_distance,
     nullptr},
};

const MetricFunctions* FindMetric(PGFunction distance, PGFunction norm) {
  for (const MetricFunctions& candidate : kMetrics) {
    if (candidate.distance == distance && candidate.norm == norm) return &candidate;
  }
  return nullptr;
}

PGFunction AddressOf(Oid function) {
  FmgrInfo info;
  fmgr_info(function, &info);
  return info.fn_addr;
}

constexpr uint64 Bit(int number) { return UINT64CONST(1) << number; }

// One operator class under examination. Complaints are INFO, as those of the server's own methods.
class Validator {
 public:
  Validator(HeapTuple opclass, bool of_lists)
      : of_lists_(of_lists),
        form_(reinterpret_cast<Form_pg_opclass>(GETSTRUCT(opclass))),
        method_(get_am_name(form_->opcmethod)) {}

  bool Run() {
    CatCList* operators = SearchSysCacheList1(AMOPSTRATEGY, ObjectIdGetDatum(form_->opcfamily));
    CatCList* functions = SearchSysCacheList1(AMPROCNUM, ObjectIdGetDatum(form_->opcfamily));
    if (IsOfAttributes(operators, functions)) {
      CheckAttributeClass(operators, functions);
    } else {
      CheckVectorClass(operators, functions);
    }
    ReleaseCatCacheList(functions);
    ReleaseCatCacheList(operators);
    return valid_;
  }

 private:
  // A family of attributes' classes has operators to search by and no support functions.
  static bool IsOfAttributes(CatCList* operators, CatCList* functions) {
    for (int i = 0; i < operators->n_members; i++) {
      const auto* entry = reinterpret_cast<Form_pg_amop>(GETSTRUCT(&operators->members[i]->tuple));
      if (entry->amoppurpose != AMOP_SEARCH) return false;
    }
    return operators->n_members > 0 && functions->n_members == 0;
  }

  void CheckAttributeClass(CatCList* operators, CatCList* functions) {
    if (AttributeOf(form_->opcintype) == 0) {
      Complain(format_type_be(form_->opcintype), "input type", "no way to keep its values");
    }
    const bool arrays = form_->opcintype == ANYARRAYOID;
    for (int i = 0; i < operators->n_members; i++) {
      const auto* entry = reinterpret_cast<Form_pg_amop>(GETSTRUCT(&operators->members[i]->tuple));
      char* name = format_operator(entry->amopopr);
      if (entry->amopstrategy < (arrays ? kOverlaps : kLess) ||
          entry->amopstrategy > (arrays ? kContains : kGreater)) {
        Complain(name, "operator", "an invalid strategy number");
      }
      if (!check_amop_signature(entry->amopopr, BOOLOID, entry->amoplefttype,
                                entry->amoprighttype)) {
        Complain(name, "operator", "a wrong signature");
      }
    }
    const uint64 own = OwnMembers(operators, functions).operatorset;
    if (!arrays && (own & Bit(kEqual)) == 0) Missing("operator", kEqual);
  }

  void CheckVectorClass(CatCList* operators, CatCList* functions) {
    for (int i = 0; i < functions->n_members; i++) {
      CheckFunction(reinterpret_cast<Form_pg_amproc>(GETSTRUCT(&functions->members[i]->tuple)));
    }
    for (int i = 0; i < operators->n_members; i++) {
      CheckOperator(reinterpret_cast<Form_pg_amop>(GETSTRUCT(&operators->members[i]->tuple)));
    }
    CheckComplete(OwnMembers(operators, functions));
  }

  // Whether an entry of the family belongs to this class.
  bool IsOwn(Oid left, Oid right) const {
    return left == form_->opcintype && right == form_->opcintype;
  }

  void CheckFunction(Form_pg_amproc entry) {
    if (entry->amproclefttype != entry->amprocrighttype) {
      Complain(format_procedure(entry->amproc), "support function", "different input types");
    }
    if (entry->amprocnum > kNormFunction && entry->amprocnum <= kNumSupportFunctions) return;
    bool known = true;
    switch (entry->amprocnum) {
      case kDistanceFunction:
        known = check_amproc_signature(entry->amproc, FLOAT8OID, false, 2, 2, entry->amproclefttype,
                                       entry->amproclefttype);
        break;
      case kNormFunction:
        known =
            check_amproc_signature(entry->amproc, FLOAT8OID, false, 1, 1, entry->amproclefttype);
        break;
      default:
        Complain(format_procedure(entry->amproc), "support function", "an invalid number");
        return;
    }
    if (!known) {
      Complain(format_procedure(entry->amproc), "support function", "a wrong signature");
      return;
    }
    if (!IsOwn(entry->amproclefttype, entry->amprocrighttype)) return;
    (entry->amprocnum == kDistanceFunction ? distance_ : norm_) = AddressOf(entry->amproc);
  }

  void CheckOperator(Form_pg_amop entry) {
    char* name = format_operator(entry->amopopr);
    switch (entry->amopstrategy) {
      case kOrderStrategy:
        CheckOrder(entry, name);
        break;
      case kWithinStrategy:
        CheckWithin(entry, name);
        break;
      default:
        Complain(name, "operator", "an invalid strategy number");
    }
  }

  void CheckOrder(Form_pg_amop entry, const char* name) {
    if (entry->amoppurpose != AMOP_ORDER) {
      Complain(name, "operator", "a purpose other than ORDER BY");
      return;
    }
    if (!opfamily_can_sort_type(entry->amopsortfamily, FLOAT8OID)) {
      Complain(name, "operator", "an ORDER BY family that cannot sort its result");
    }
    if (!check_amop_signature(entry->amopopr, FLOAT8OID, entry->amoplefttype,
                              entry->amoprighttype)) {
      Complain(name, "operator", "a wrong signature");
    }
    if (!IsOwn(entry->amoplefttype, entry->amoprighttype)) return;
    CheckOperatorFunction(entry, name, &MetricFunctions::order);
  }

  // The right type is a sphere's.
  void CheckWithin(Form_pg_amop entry, const char* name) {
    if (entry->amoppurpose != AMOP_SEARCH) {
      Complain(name, "operator", "a purpose other than search");
      return;
    }
    if (!check_amop_signature(entry->amopopr, BOOLOID, entry->amoplefttype, entry->amoprighttype)) {
      Complain(name, "operator", "a wrong signature");
    }
    if (entry->amoplefttype != form_->opcintype) return;
    CheckOperatorFunction(entry, name, &MetricFunctions::within);
  }

  void CheckOperatorFunction(Form_pg_amop entry, const char* name,
                             PGFunction MetricFunctions::*expected) {
    const MetricFunctions* metric = FindMetric(distance_, norm_);
    if (metric != nullptr && AddressOf(get_opcode(entry->amopopr)) != metric->*expected) {
      Complain(name, "operator", "a function that does not belong to the support functions");
    }
  }

  // Which numbers the class itself has.
  OpFamilyOpFuncGroup OwnMembers(CatCList* operators, CatCList* functions) const {
    ListCell* cell;
    foreach (cell, identify_opfamily_groups(operators, functions)) {
      auto* group = static_cast<OpFamilyOpFuncGroup*>(lfirst(cell));
      if (IsOwn(group->lefttype, group->righttype)) return *group;
    }
    return {};
  }

  void CheckComplete(const OpFamilyOpFuncGroup& own) {
    if ((own.operatorset & Bit(kOrderStrategy)) == 0) Missing("operator", kOrderStrategy);
    if ((own.functionset & Bit(kDistanceFunction)) == 0) {
      Missing("support function", kDistanceFunction);
    } else if (const MetricFunctions* metric = FindMetric(distance_, norm_); metric == nullptr) {
      ComplainOfFunctions("belong to no metric");
    } else if (metric->metric == quant::Metric::kL1 && of_lists_) {
      ComplainOfFunctions("are those of L1 distance, which it does not support");
    } else if (metric->metric == quant::Metric::kJaccard && of_lists_) {
      ComplainOfFunctions("are those of Jaccard distance, which it does not support");
    }
  }

  void ComplainOfFunctions(const char* fault) {
    ereport(INFO, (errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
                   errmsg("operator class \"%s\" of access method %s has support functions that %s",
                          NameStr(form_->opcname), method_, fault)));
    valid_ = false;
  }

  void Complain(const char* what, const char* kind, const char* fault) {
    ereport(INFO,
            (errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
             errmsg("family of operator class \"%s\" of access method %s contains %s %s with %s",
                    NameStr(form_->opcname), method_, kind, what, fault)));
    valid_ = false;
  }

  void Missing(const char* kind, int number) {
    ereport(INFO, (errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
                   errmsg("operator class \"%s\" of access method %s is missing %s %d",
                          NameStr(form_->opcname), method_, kind, number)));
    valid_ = false;
  }

  bool of_lists_;
  Form_pg_opclass form_;
  const char* method_;
  PGFunction distance_ = nullptr;
  PGFunction norm_ = nullptr;
  bool valid_ = true;
};

}  // namespace

namespace {

const MetricFunctions& FunctionsOf(Relation index) {
  PGFunction norm = nullptr;
  if (OidIsValid(index_getprocid(index, 1, kNormFunction))) {
    norm = index_getprocinfo(index, 1, kNormFunction)->fn_addr;
  }
  const MetricFunctions* found =
      FindMetric(index_getprocinfo(index, 1, kDistanceFunction)->fn_addr, norm);
  if (found == nullptr) {
    ereport(
        ERROR,
        (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
         errmsg("operator class of index \"%s\" is not supported for %s index",
                RelationGetRelationName(index), get_am_name(index->rd_rel->relam)),
         errhint("Its support functions must be those of one of the extension's own classes.")));
  }
  return *found;
}

}  // namespace

quant::Metric MetricOf(Relation index) { return FunctionsOf(index).metric; }
ColumnType ColumnTypeOf(Relation index) { return FunctionsOf(index).type; }

namespace {

bool ValidateClass(Oid opclass, bool of_lists) {
  HeapTuple tuple = SearchSysCache1(CLAOID, ObjectIdGetDatum(opclass));
  if (!HeapTupleIsValid(tuple)) elog(ERROR, "cache lookup failed for operator class %u", opclass);
  const bool valid = Validator(tuple, of_lists).Run();
  ReleaseSysCache(tuple);
  return valid;
}

}  // namespace

bool Validate(Oid opclass) { return ValidateClass(opclass, false); }
bool ValidateOfLists(Oid opclass) { return ValidateClass(opclass, true); }

}  // namespace ann::am

// Stands behind the support functions that only pgvector's own index code calls.
ANN_FUNCTION(ann_pgvector_support)
{
  ereport(ERROR,
          (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
           errmsg("function %s is not to be called", format_procedure(fcinfo->flinfo->fn_oid))));
  PG_RETURN_NULL();
}
