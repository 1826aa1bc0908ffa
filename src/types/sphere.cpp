// Type sphere_vector and the operators <<->>, <<#>>, <<=>> and <<+>>: whether a vector's distance
// to the center is less than the radius, which is what `v <-> center < radius` says.
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
void CheckFields(TupleDesc fields) {
  if (fields->natts != kSphereFields || TupleDescAttr(fields, kRadius)->atttypid != FLOAT8OID) {
    ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
                    errmsg("a sphere must have a center and a radius of type double precision")));
  }
}

// Lives as long as the call site of a function (a statement).
SphereReader& ReaderOf(FunctionCallInfo fcinfo) {
  FmgrInfo* const site = fcinfo->flinfo;
  if (site->fn_extra == nullptr) {
    site->fn_extra = pg::AllocZero<SphereReader>(site->fn_mcxt, 1);
  }
  return *static_cast<SphereReader*>(site->fn_extra);
}

// vector, sphere_vector
Datum IsWithin(FunctionCallInfo fcinfo, Distance<float> distance) {
  const Sphere sphere = ReaderOf(fcinfo).Read(PG_GETARG_DATUM(1), fcinfo->flinfo->fn_mcxt);
  if (sphere.is_null) PG_RETURN_NULL();
  const VectorPair pair(PG_GETARG_DATUM(0), sphere.center);
  // A distance of NaN is less than nothing.
  PG_RETURN_BOOL(distance(pair.a(), pair.b(), static_cast<size_t>(pair.dims())) < sphere.radius);
}

}  // namespace

Sphere SphereReader::Read(Datum value, MemoryContext context) {
  const HeapTupleHeader row = DatumGetHeapTupleHeader(value);
  if (fields == nullptr || type != HeapTupleHeaderGetTypeId(row)) {
    MemoryContext old = MemoryContextSwitchTo(context);
    type = HeapTupleHeaderGetTypeId(row);
    fields = lookup_rowtype_tupdesc_copy(type, HeapTupleHeaderGetTypMod(row));
    MemoryContextSwitchTo(old);
    CheckFields(fields);
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
  TupleDesc fields;
  if (get_call_result_type(fcinfo, nullptr, &fields) != TYPEFUNC_COMPOSITE) {
    elog(ERROR, "sphere: the result is no composite type");
  }
  CheckFields(fields);
  Datum values[kSphereFields] = {PG_GETARG_DATUM(0), PG_GETARG_DATUM(1)};
  bool nulls[kSphereFields] = {};
  return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(fields), values, nulls));
}

ANN_FUNCTION(ann_vector_within_l2)
{ return IsWithin(fcinfo, L2Distance<float>); }

ANN_FUNCTION(ann_vector_within_ip)
{ return IsWithin(fcinfo, NegativeInnerProduct<float>); }

ANN_FUNCTION(ann_vector_within_cosine)
{ return IsWithin(fcinfo, CosineDistance<float>); }

ANN_FUNCTION(ann_vector_within_l1)
{ return IsWithin(fcinfo, L1Distance<float>); }

}  // namespace ann::types
