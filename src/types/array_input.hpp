// Numbers from arrays of the server, for casts to the types.
#pragma once

#include "pg/pg.hpp"

namespace ann::types {

// Elements of a one-dimensional array without nulls, of integer, real, double precision, numeric or
// text, whose elements are numbers as the types' own text form has them. Errors name `type`.
class ArrayNumbers {
 public:
  ArrayNumbers(ArrayType* array, const char* type);
  int count() const { return count_; }
  // Element i, 0 <= i < count(); may be infinite or NaN where the array has that.
  float operator[](int i) const;

 private:
  ArrayType* array_;
  const char* type_;
  int count_;
  Datum* elements_ = nullptr;  // of numerics and texts
};

// The same of a jsonb array of numbers.
class JsonNumbers {
 public:
  JsonNumbers(Jsonb* json, const char* type);
  int count() const { return count_; }
  const float* values() const { return values_; }

 private:
  int count_ = 0;
  float* values_;
};

}  // namespace ann::types
