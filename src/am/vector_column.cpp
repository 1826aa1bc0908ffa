#include "am/vector_column.hpp"

#include <algorithm>
#include <cmath>

#include "simd/simd.hpp"
#include "types/dense_type.hpp"

namespace ann::am {

using quant::Metric;

int DimsOf(Relation index) {
  const int dims = TupleDescAttr(RelationGetDescr(index), 0)->atttypmod;
  if (dims < 0) {
    ereport(ERROR,
            (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("column does not have dimensions"),
             errhint("Declare it as vector(n), or index an expression such as "
                     "(column::vector(n)).")));
  }
  if (dims > kMaxDims) {
    ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                    errmsg("column cannot have more than %d dimensions for %s index", kMaxDims,
                           get_am_name(index->rd_rel->relam)),
                    errdetail("It has %d.", dims)));
  }
  return dims;
}

const float* AnyVectorFloats(Datum datum, uint32_t* dims) {
  const auto* vector = reinterpret_cast<const types::Vector*>(
      pg_detoast_datum(reinterpret_cast<struct varlena*>(DatumGetPointer(datum))));
  if (vector->dims < 1 || VARSIZE(vector) != types::VectorBytes(vector->dims)) {
    types::ReportDamaged("vector", VARSIZE(vector));
  }
  *dims = static_cast<uint32_t>(vector->dims);
  return vector->values;
}

const float* VectorFloats(Datum datum, uint32_t dims) {
  uint32_t found;
  const float* x = AnyVectorFloats(datum, &found);
  types::CheckExpectedDims<float>(static_cast<int>(dims), static_cast<int>(found));
  return x;
}

bool IsIndexable(Metric metric, const float* x, uint32_t dims) {
  return metric != Metric::kCosine ||
         !std::all_of(x, x + dims, [](float value) { return value == 0; });
}

float ExactKey(Metric metric, const float* x, const float* row, uint32_t dims) {
  const simd::FloatKernels& kernels = simd::Floats();
  switch (metric) {
    case Metric::kL2:
      return kernels.l2_squared(x, row, dims);
    case Metric::kInnerProduct:
      return -kernels.inner_product(x, row, dims);
    case Metric::kL1:
      return kernels.l1(x, row, dims);
    case Metric::kCosine:
      break;
  }
  const simd::CosineParts parts = kernels.cosine_parts(x, row, dims);
  const double cosine = double(parts.ab) / std::sqrt(double(parts.aa) * double(parts.bb));
  return static_cast<float>(2 - 2 * std::clamp(cosine, -1.0, 1.0));
}

}  // namespace ann::am
