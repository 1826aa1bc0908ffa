#include "types/vector_array.hpp"

namespace ann::types {

VectorArray::VectorArray(ArrayType* array) {
  if (ARR_NDIM(array) > 1) {
    ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION), errmsg("array must be one-dimensional")));
  }
  Datum* elements;
  bool* nulls;
  deconstruct_array(array, ARR_ELEMTYPE(array), -1, false, TYPALIGN_INT, &elements, &nulls,
                    &count_);
  vectors_ = static_cast<const Vector**>(palloc(sizeof(Vector*) * static_cast<size_t>(count_)));
  for (int i = 0; i < count_; i++) {
    if (nulls[i]) {
      ereport(ERROR,
              (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("array must not contain nulls")));
    }
    vectors_[i] = reinterpret_cast<const Vector*>(
        pg_detoast_datum(reinterpret_cast<struct varlena*>(DatumGetPointer(elements[i]))));
    const int dims = VectorArg(PointerGetDatum(vectors_[i])).dims();
    if (i > 0 && dims != dims_) ReportDifferentDims(kTypeName<float>, dims_, dims);
    dims_ = dims;
  }
}

}  // namespace ann::types
