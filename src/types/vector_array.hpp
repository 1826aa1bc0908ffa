// Arrays of vectors: arguments of type vector[].
#pragma once

#include "types/dense_type.hpp"

#include "pg/pg.hpp"

namespace ann::types {

// The elements in order, whatever the array's bounds. Lives no longer than the current memory
// context. Errors: 22004 for a null element; 22000 for more than one dimension of the array, or
// vectors of different dimensions.
class VectorArray {
 public:
  VectorArray() = default;
  explicit VectorArray(ArrayType* array);
  // A null argument is an empty array.
  static VectorArray Argument(FunctionCallInfo fcinfo, int n) {
    return PG_ARGISNULL(n) ? VectorArray() : VectorArray(PG_GETARG_ARRAYTYPE_P(n));
  }

  int count() const { return count_; }
  int dims() const { return dims_; }  // 0: there are no elements
  const float* operator[](int i) const { return vectors_[i]->values; }

 private:
  int count_ = 0;
  int dims_ = 0;
  const Vector** vectors_ = nullptr;
};

}  // namespace ann::types
