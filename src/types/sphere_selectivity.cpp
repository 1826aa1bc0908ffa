// How many rows the planner expects within a sphere: counted in the sample of vectors that ANALYZE
// keeps (most common values and histogram). Where next to none of the sample is within, the number
// of rows within a distance r is taken to grow as r^a, with the exponent that the nearest of the
// sample give: the maximum likelihood estimate of Levina and Bickel 2004, "Maximum Likelihood
// Estimation of Intrinsic Dimension".
#include <algorithm>
#include <cmath>

#include "types/dense_type.hpp"
#include "types/metric_distance.hpp"
#include "types/sphere.hpp"

#include "pg/alloc.hpp"
#include "pg/entry.hpp"

extern "C" {
Datum ann_vector_within_l2(PG_FUNCTION_ARGS);
Datum ann_vector_within_ip(PG_FUNCTION_ARGS);
Datum ann_vector_within_cosine(PG_FUNCTION_ARGS);
Datum ann_vector_within_l1(PG_FUNCTION_ARGS);
Datum ann_halfvec_within_l2(PG_FUNCTION_ARGS);
Datum ann_halfvec_within_ip(PG_FUNCTION_ARGS);
Datum ann_halfvec_within_cosine(PG_FUNCTION_ARGS);
Datum ann_halfvec_within_l1(PG_FUNCTION_ARGS);
}

namespace ann::types {

namespace {

// Where nothing is known: as contjoinsel, which estimates joins by these operators.
constexpr double kUnknown = 0.001;
// So many of the sample within tell enough.
constexpr size_t kEnoughWithin = 10;
// So many of the nearest give the exponent.
constexpr size_t kNearest = 20;

struct Measure {
  PGFunction within;
  double (*distance)(Datum a, Datum b);
  bool is_positive;
};

// A column of any dimensions has statistics of such that cannot be compared.
template <class Number, Distance<Number> kDistance>
double Between(Datum a, Datum b) {
  const DenseArg<Number> x(a), y(b);
  if (x.dims() != y.dims()) return INFINITY;
  const double distance = kDistance(x.values(), y.values(), static_cast<size_t>(x.dims()));
  return std::isnan(distance) ? INFINITY : distance;
}

constexpr Measure kMeasures[] = {
    {ann_vector_within_l2, Between<float, L2Distance>, true},
    {ann_vector_within_ip, Between<float, NegativeInnerProduct>, false},
    {ann_vector_within_cosine, Between<float, CosineDistance>, true},
    {ann_vector_within_l1, Between<float, L1Distance>, true},
    {ann_halfvec_within_l2, Between<Half, L2Distance>, true},
    {ann_halfvec_within_ip, Between<Half, NegativeInnerProduct>, false},
    {ann_halfvec_within_cosine, Between<Half, CosineDistance>, true},
    {ann_halfvec_within_l1, Between<Half, L1Distance>, true},
};

const Measure* MeasureOf(Oid function) {
  FmgrInfo info;
  fmgr_info(function, &info);
  for (const Measure& measure : kMeasures) {
    if (measure.within == info.fn_addr) return &measure;
  }
  return nullptr;
}

// The sphere, and how far vectors are from its center.
class Ruler {
 public:
  Ruler(const Measure& measure, const Sphere& sphere)
      : measure_(measure), center_(sphere.center), radius_(sphere.radius) {}

  double radius() const { return radius_; }
  bool is_positive() const { return measure_.is_positive; }
  double DistanceTo(Datum value) const { return measure_.distance(value, center_); }

 private:
  const Measure& measure_;
  Datum center_;
  double radius_;
};

// The share within, by the power law of the nearest of `distances`, which are sorted.
double Extrapolate(const double* distances, size_t n, double radius) {
  const size_t nearest = std::min(kNearest, n / 2);
  const double farthest = distances[nearest - 1];
  double logs = 0;
  size_t counted = 0;
  for (size_t i = 0; i + 1 < nearest; ++i) {
    if (distances[i] <= 0) continue;
    logs += std::log(farthest / distances[i]);
    ++counted;
  }
  if (counted == 0 || !(logs > 0) || !std::isfinite(farthest)) return 0.5 / double(n);
  const double exponent = double(counted) / logs;
  const double at_farthest = double(nearest) / double(n);
  return at_farthest * std::pow(std::min(radius / farthest, 1.0), exponent);
}

double ShareOfHistogram(const Ruler& ruler, const AttStatsSlot& slot) {
  const size_t n = static_cast<size_t>(slot.nvalues);
  auto* distances = static_cast<double*>(palloc(n * sizeof(double)));
  for (size_t i = 0; i < n; ++i) distances[i] = ruler.DistanceTo(slot.values[i]);
  std::sort(distances, distances + n);
  const size_t within =
      static_cast<size_t>(std::lower_bound(distances, distances + n, ruler.radius()) - distances);
  double share = double(within) / double(n);
  if (within < std::min(kEnoughWithin, n / 2)) {
    share = ruler.is_positive() ? Extrapolate(distances, n, ruler.radius())
                                : std::max(share, 0.5 / double(n));
  }
  pfree(distances);
  return share;
}

// Of the rows whose vectors are not NULL and not among the most common.
double ShareOfOthers(const Ruler& ruler, HeapTuple statistics) {
  AttStatsSlot slot;
  double share = kUnknown;
  if (get_attstatsslot(&slot, statistics, STATISTIC_KIND_HISTOGRAM, InvalidOid,
                       ATTSTATSSLOT_VALUES)) {
    if (slot.nvalues > 1) share = ShareOfHistogram(ruler, slot);
    free_attstatsslot(&slot);
  }
  return share;
}

double Estimate(const Ruler& ruler, HeapTuple statistics) {
  double others = 1 - reinterpret_cast<Form_pg_statistic>(GETSTRUCT(statistics))->stanullfrac;
  double common = 0;
  AttStatsSlot slot;
  if (get_attstatsslot(&slot, statistics, STATISTIC_KIND_MCV, InvalidOid,
                       ATTSTATSSLOT_VALUES | ATTSTATSSLOT_NUMBERS)) {
    for (int i = 0; i < std::min(slot.nvalues, slot.nnumbers); ++i) {
      others -= slot.numbers[i];
      if (ruler.DistanceTo(slot.values[i]) < ruler.radius()) common += slot.numbers[i];
    }
    free_attstatsslot(&slot);
  }
  return others > 1e-6 ? common + others * ShareOfOthers(ruler, statistics) : common;
}

double SelectivityOf(const VariableStatData& column, Node* other, Oid comparison) {
  if (!IsA(other, Const)) return kUnknown;
  const Const* constant = reinterpret_cast<const Const*>(other);
  const Oid function = get_opcode(comparison);
  const Measure* measure = MeasureOf(function);
  if (constant->constisnull) return 0;
  if (measure == nullptr) return kUnknown;
  SphereReader reader;
  Oid vector_type, sphere_type;
  op_input_types(comparison, &vector_type, &sphere_type);
  const Sphere sphere = reader.Read(constant->constvalue, vector_type, CurrentMemoryContext);
  if (sphere.is_null || (measure->is_positive && sphere.radius <= 0)) return 0;
  // Who may not read the column must not learn of it by what the planner expects.
  const bool known =
      HeapTupleIsValid(column.statsTuple) &&
      statistic_proc_security_check(const_cast<VariableStatData*>(&column), function);
  if (known) return Estimate(Ruler(*measure, sphere), column.statsTuple);
  return std::isinf(sphere.radius) && sphere.radius > 0 ? 1 : kUnknown;
}

}  // namespace

// root, operator, arguments, varRelid
ANN_FUNCTION(ann_sphere_selectivity)
{
  VariableStatData column;
  Node* other;
  bool on_left;
  if (!get_restriction_variable(reinterpret_cast<PlannerInfo*>(PG_GETARG_POINTER(0)),
                                reinterpret_cast<List*>(PG_GETARG_POINTER(2)), PG_GETARG_INT32(3),
                                &column, &other, &on_left)) {
    PG_RETURN_FLOAT8(kUnknown);
  }
  // Spheres that a vector lies in, a column on the right, are not estimated.
  const double selectivity = on_left ? SelectivityOf(column, other, PG_GETARG_OID(1)) : kUnknown;
  ReleaseVariableStats(column);
  PG_RETURN_FLOAT8(std::clamp(selectivity, 0.0, 1.0));
}

}  // namespace ann::types
