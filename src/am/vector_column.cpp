#include "am/vector_column.hpp"

#include <algorithm>
#include <cmath>

#include "am/opclass.hpp"
#include "simd/simd.hpp"
#include "types/dense_type.hpp"
#include "types/sparse_type.hpp"

namespace ann::am {

using quant::Metric;
using quant::VectorRef;

int DimsOf(Relation index) {
  if (!OidIsValid(index_getprocid(index, 1, kDistanceFunction))) {
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("first column of %s index \"%s\" is not a vector",
                           get_am_name(index->rd_rel->relam), RelationGetRelationName(index)),
                    errhint("The vector comes first, then the columns to filter by.")));
  }
  const FormData_pg_attribute* column = TupleDescAttr(RelationGetDescr(index), 0);
  // It takes the operator classes of bit, but its number is only the most that it may have.
  if (column->atttypid == VARBITOID) {
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("strings of a varying number of bits cannot be indexed by %s",
                           get_am_name(index->rd_rel->relam)),
                    errhint("Index an expression such as (column::bit(n)).")));
  }
  const int dims = column->atttypmod;
  if (dims < 0) {
    const char* type = pg::TypeName(column->atttypid);
    ereport(
        ERROR,
        (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("column does not have dimensions"),
         errhint("Declare it with a number of dimensions, as %s(n), or index an expression such "
                 "as (column::%s(n)).",
                 type, type)));
  }
  const int most = ColumnTypeOf(index) == ColumnType::kSparseVector ? types::kMaxSparseDims
                                                                    : MaxDims(MetricOf(index));
  if (dims > most) {
    ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                    errmsg("column cannot have more than %d dimensions for %s index", most,
                           get_am_name(index->rd_rel->relam)),
                    errdetail("It has %d.", dims)));
  }
  return dims;
}

namespace {

// A stored vector, plain: used where it lies or copied into the current context.
template <class Number>
const types::Dense<Number>* Plain(Datum datum) {
  const auto* vector = reinterpret_cast<const types::Dense<Number>*>(
      pg_detoast_datum(reinterpret_cast<struct varlena*>(DatumGetPointer(datum))));
  if (vector->dims < 1 || VARSIZE(vector) != types::VectorBytes<Number>(vector->dims)) {
    types::ReportDamaged(types::kTypeName<Number>, VARSIZE(vector));
  }
  return vector;
}

// A stored string of bits, plain.
VarBit* PlainBits(Datum datum) {
  VarBit* string = DatumGetVarBitP(datum);
  if (VARBITBYTES(string) != DivUp(VARBITLEN(string), BITS_PER_BYTE)) {
    types::ReportDamaged("bit", VARSIZE(string));
  }
  return string;
}

void CheckDims(ColumnType type, uint32_t expected, uint32_t found) {
  if (type == ColumnType::kBit) {
    if (expected != found) types::ReportBitLengths(expected, found);
  } else if (type == ColumnType::kSparseVector) {
    types::CheckExpectedSparseDims(static_cast<int>(expected), static_cast<int>(found));
  } else if (type == ColumnType::kHalfVector) {
    types::CheckExpectedDims<Half>(static_cast<int>(expected), static_cast<int>(found));
  } else {
    types::CheckExpectedDims<float>(static_cast<int>(expected), static_cast<int>(found));
  }
}

VectorRef Read(ColumnType type, Datum datum, uint32_t* dims) {
  if (type == ColumnType::kBit) {
    VarBit* string = PlainBits(datum);
    *dims = static_cast<uint32_t>(VARBITLEN(string));
    return VectorRef::Bits(VARBITS(string));
  }
  if (type == ColumnType::kSparseVector) {
    auto* plain = reinterpret_cast<types::SparseVector*>(
        pg_detoast_datum(reinterpret_cast<struct varlena*>(DatumGetPointer(datum))));
    const types::SparseArg vector(PointerGetDatum(plain));
    *dims = static_cast<uint32_t>(vector.dims());
    auto* elements = static_cast<SparseView*>(palloc(sizeof(SparseView)));
    *elements = vector.view();
    return VectorRef::Sparse(elements);
  }
  if (type == ColumnType::kVector) {
    const types::Vector* vector = Plain<float>(datum);
    *dims = static_cast<uint32_t>(vector->dims);
    return vector->values;
  }
  const types::HalfVector* vector = Plain<Half>(datum);
  *dims = static_cast<uint32_t>(vector->dims);
  auto* values = static_cast<float*>(palloc(sizeof(float) * *dims));
  simd::Halves().widen(vector->values, values, *dims);
  return values;
}

}  // namespace

VectorRef AnyVector(Relation index, Datum datum, uint32_t* dims) {
  return Read(ColumnTypeOf(index), datum, dims);
}

VectorRef IndexedVector(Relation index, Datum datum, uint32_t dims) {
  const ColumnType type = ColumnTypeOf(index);
  uint32_t found;
  const VectorRef x = Read(type, datum, &found);
  CheckDims(type, dims, found);
  return x;
}

const float* AsFloats(VectorRef x, uint32_t dims) {
  if (x.form() == quant::Form::kDense) return x.floats();
  auto* values = static_cast<float*>(palloc(sizeof(float) * dims));
  quant::UnpackBits(x.bits(), dims, values);
  return values;
}

bool IsIndexable(Metric metric, VectorRef x, uint32_t dims) {
  if (x.form() == quant::Form::kSparse) return metric != Metric::kCosine || x.sparse().count > 0;
  return metric != Metric::kCosine ||
         !std::all_of(x.floats(), x.floats() + dims, [](float value) { return value == 0; });
}

namespace {

// As the operators compute distances.
float SparseExactKey(Metric metric, const SparseView& x, const SparseView& row) {
  switch (metric) {
    case Metric::kL2:
      return SparseL2Squared(x, row);
    case Metric::kInnerProduct:
      return -SparseInnerProduct(x, row);
    case Metric::kL1:
      return SparseL1(x, row);
    default:
      break;
  }
  const double cosine =
      SparseInnerProduct(x, row) / std::sqrt(SparseSquaredNorm(x) * SparseSquaredNorm(row));
  return static_cast<float>(2 - 2 * std::clamp(cosine, -1.0, 1.0));
}

}  // namespace

float ExactKey(Metric metric, VectorRef query, VectorRef indexed, uint32_t dims) {
  if (quant::IsOfBits(metric)) {
    return quant::BitDistance(metric, query.bits(), indexed.bits(), DivUp(dims, BITS_PER_BYTE));
  }
  if (query.form() == quant::Form::kSparse) {
    return SparseExactKey(metric, query.sparse(), indexed.sparse());
  }
  const simd::FloatKernels& kernels = simd::Floats();
  const float* x = query.floats();
  const float* row = indexed.floats();
  switch (metric) {
    case Metric::kL2:
      return kernels.l2_squared(x, row, dims);
    case Metric::kInnerProduct:
      return -kernels.inner_product(x, row, dims);
    case Metric::kL1:
      return kernels.l1(x, row, dims);
    default:
      break;
  }
  const simd::CosineParts parts = kernels.cosine_parts(x, row, dims);
  const double cosine = double(parts.ab) / std::sqrt(double(parts.aa) * double(parts.bb));
  return static_cast<float>(2 - 2 * std::clamp(cosine, -1.0, 1.0));
}

}  // namespace ann::am
