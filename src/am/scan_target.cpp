#include "am/scan_target.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

#include "am/vector_column.hpp"
#include "types/sphere.hpp"

namespace ann::am {

using quant::Metric;

namespace {

struct Range {
  quant::VectorRef x;
  float within;
};

// The least float that is not below.
float RoundUp(double value) {
  const float nearest = static_cast<float>(value);
  return nearest < value ? std::nextafter(nearest, std::numeric_limits<float>::infinity())
                         : nearest;
}

// A key that no row within the sphere is above. Distances and keys are sums of the same terms,
// those of halfvec in another order, and may round apart.
float KeyOf(Metric metric, double radius) {
  constexpr double kRounding = 1e-5;
  double key = radius;
  if (metric == Metric::kL2) key = radius * radius;
  if (metric == Metric::kCosine) key = 2 * radius;
  return RoundUp(key + std::abs(key) * kRounding);
}

// False: no row is within.
bool ReadSphere(Relation index, const ScanKeyData& key, Metric metric, uint32_t dims,
                Range* range) {
  types::SphereReader reader;
  const types::Sphere sphere =
      reader.Read(key.sk_argument, index->rd_opcintype[0], CurrentMemoryContext);
  if (sphere.is_null) return false;
  range->x = IndexedVector(index, sphere.center, dims);
  range->within = KeyOf(metric, sphere.radius);
  // No other distance is less than 0.
  if (metric != Metric::kInnerProduct && sphere.radius <= 0) return false;
  return IsIndexable(metric, range->x, dims);
}

bool IsSame(const float* a, const float* b, uint32_t dims) {
  return std::memcmp(a, b, sizeof(float) * dims) == 0;
}

// Of the conditions on the vector. One is followed: around the vector that rows are ordered by, or,
// where they are not, with the least radius. All others are left to the executor.
class Conditions {
 public:
  Conditions(Relation index, ScanTarget* target, Metric metric, uint32_t dims)
      : index_(index), target_(target), metric_(metric), dims_(dims) {}

  void Add(const ScanKeyData& key) {
    // Rows without a vector are not in the index.
    if ((key.sk_flags & SK_SEARCHNOTNULL) != 0) return;
    // The executor looks whether one of many spheres holds the row.
    if ((key.sk_flags & SK_SEARCHARRAY) != 0) return;
    if ((key.sk_flags & SK_SEARCHNULL) == 0) found_ = true;
    Range range;
    if ((key.sk_flags & SK_ISNULL) != 0 || !ReadSphere(index_, key, metric_, dims_, &range)) {
      target_->none = true;
      return;
    }
    if (target_->x == nullptr) {
      target_->x = range.x;
      target_->within = range.within;
    } else if (IsSame(target_->x.floats(), range.x.floats(), dims_)) {
      target_->within = std::min(target_->within, range.within);
    } else if (!target_->ordered && range.within < target_->within) {
      target_->x = range.x;
      target_->within = range.within;
    }
  }
  bool found() const { return found_; }

 private:
  Relation index_;
  ScanTarget* target_;
  Metric metric_;
  uint32_t dims_;
  bool found_ = false;
};

}  // namespace

ScanTarget ReadTarget(IndexScanDesc scan, Metric metric, uint32_t dims) {
  ScanTarget target;
  if (scan->numberOfOrderBys == 1 && (scan->orderByData[0].sk_flags & SK_ISNULL) == 0) {
    const quant::VectorRef x =
        IndexedVector(scan->indexRelation, scan->orderByData[0].sk_argument, dims);
    // Where no row has a distance, any order will do.
    if (IsIndexable(metric, x, dims)) target.x = x;
  }
  target.ordered = target.x != nullptr;
  Conditions conditions(scan->indexRelation, &target, metric, dims);
  for (int i = 0; i < scan->numberOfKeys; ++i) {
    if (scan->keyData[i].sk_attno == 1) conditions.Add(scan->keyData[i]);
  }
  if (scan->numberOfOrderBys != 1 && !conditions.found()) {
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("cannot scan %s index \"%s\" without ORDER BY",
                           get_am_name(scan->indexRelation->rd_rel->relam),
                           RelationGetRelationName(scan->indexRelation))));
  }
  return target;
}

}  // namespace ann::am
