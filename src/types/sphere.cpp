// Types sphere_vector and sphere_halfvec and the operators <<->>, <<#>>, <<=>> and <<+>>: whether a
// vector's distance to the center is less than the radius, which is what `v <-> center < radius`
// says.
#include <cmath>

#include "types/dense_type.hpp"
#include "types/metric_distance.hpp"
#include "types/sphere.hpp"

#include "pg/alloc.hpp"
#include "pg/entry.hpp"

namespace ann::types {

namespace {

constexpr int kCenter = 0, kRadius = 1, kSphereFields = 2;

void CheckRadius(double radius) {
  if (std::isnan(radius)) {
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                    errmsg("radius of a sphere must not be NaN")));
  }
}

// The row's type is known to the server by name only, and an owner may have altered it.
void CheckFields(TupleDesc fields, Oid center_type) {
  if (fields->natts != kSphereFields || TupleDescAttr(fields, kCenter)->atttypid != center_type ||
      TupleDescAttr(fields, kRadius)->atttypid != FLOAT8OID) {
    ereport(ERROR,
            (errcode(ERRCODE_DATATYPE_MISMATCH),
             errmsg("a sphere must have a center of type %s and a radius of type double precision",
                    format_type_be(center_type))));
  }
}

// The declared type of a function's first argument.
Oid FirstType(FunctionCallInfo fcinfo) {
  Oid* types;
  int count;
  get_func_signature(fcinfo->flinfo->fn_oid, &types, &count);
  return types[0];
}

// Lives as long as the call site of a function (a statement).
struct Site {
  Oid center_type;
  SphereReader reader;
};

Site& SiteOf(FunctionCallInfo fcinfo) {
  FmgrInfo* const call = fcinfo->flinfo;
  if (call->fn_extra == nullptr) {
    Site* site = pg::AllocZero<Site>(call->fn_mcxt, 1);
    site->center_type = FirstType(fcinfo);
    call->fn_extra = site;
  }
  return *static_cast<Site*>(call->fn_extra);
}

// A row of the type that the function returns.
Datum MakeSphere(FunctionCallInfo fcinfo, Oid center_type, Datum center, double radius) {
  TupleDesc fields;
  if (get_call_result_type(fcinfo, nullptr, &fields) != TYPEFUNC_COMPOSITE) {
    elog(ERROR, "sphere: the result is no composite type");
  }
  CheckFields(fields, center_type);
  Datum values[kSphereFields] = {center, Float8GetDatum(radius)};
  bool nulls[kSphereFields] = {};
  return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(fields), values, nulls));
}

// A vector, a sphere of its type.
template <class Number>
Datum IsWithin(FunctionCallInfo fcinfo, Distance<Number> distance) {
  Site& site = SiteOf(fcinfo);
  const Sphere sphere =
      site.reader.Read(PG_GETARG_DATUM(1), site.center_type, fcinfo->flinfo->fn_mcxt);
  if (sphere.is_null) PG_RETURN_NULL();
  const DensePair<Number> pair(PG_GETARG_DATUM(0), sphere.center);
  // A distance of NaN is less than nothing.
  PG_RETURN_BOOL(distance(pair.a(), pair.b(), static_cast<size_t>(pair.dims())) < sphere.radius);
}

}  // namespace

Sphere SphereReader::Read(Datum value, Oid center_type, MemoryContext context) {
  const HeapTupleHeader row = DatumGetHeapTupleHeader(value);
  if (fields == nullptr || type != HeapTupleHeaderGetTypeId(row)) {
    MemoryContext old = MemoryContextSwitchTo(context);
    type = HeapTupleHeaderGetTypeId(row);
    fields = lookup_rowtype_tupdesc_copy(type, HeapTupleHeaderGetTypMod(row));
    MemoryContextSwitchTo(old);
    CheckFields(fields, center_type);
  }
  HeapTupleData tuple{};
  tuple.t_len = HeapTupleHeaderGetDatumLength(row);
  tuple.t_data = row;
  Datum values[kSphereFields];
  bool nulls[kSphereFields];
  heap_deform_tuple(&tuple, fields, values, nulls);
  if (nulls[kCenter] || nulls[kRadius]) return {Datum{0}, 0, true};
  const double radius = DatumGetFloat8(values[kRadius]);
  CheckRadius(radius);
  return {values[kCenter], radius, false};
}

// center, radius
ANN_FUNCTION(ann_sphere)
{
  CheckRadius(PG_GETARG_FLOAT8(1));
  return MakeSphere(fcinfo, FirstType(fcinfo), PG_GETARG_DATUM(0), PG_GETARG_FLOAT8(1));
}

ANN_FUNCTION(ann_vector_within_l2)
{ return IsWithin<float>(fcinfo, L2Distance); }

ANN_FUNCTION(ann_vector_within_ip)
{ return IsWithin<float>(fcinfo, NegativeInnerProduct); }

ANN_FUNCTION(ann_vector_within_cosine)
{ return IsWithin<float>(fcinfo, CosineDistance); }

ANN_FUNCTION(ann_vector_within_l1)
{ return IsWithin<float>(fcinfo, L1Distance); }

ANN_FUNCTION(ann_halfvec_within_l2)
{ return IsWithin<Half>(fcinfo, L2Distance); }

ANN_FUNCTION(ann_halfvec_within_ip)
{ return IsWithin<Half>(fcinfo, NegativeInnerProduct); }

ANN_FUNCTION(ann_halfvec_within_cosine)
{ return IsWithin<Half>(fcinfo, CosineDistance); }

ANN_FUNCTION(ann_halfvec_within_l1)
{ return IsWithin<Half>(fcinfo, L1Distance); }

}  // namespace ann::types
