// A vector of an index's column, in the form that its type has.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>

#include "core/sparse.hpp"

namespace ann::quant {

enum class Form : uint8_t {
  kDense,  // floats, one a dimension
  kBits,   // bits, the first one the highest of its byte; what lies behind the last is 0
  kSparse,
};

// Refers to memory of somebody else; or to nothing.
class VectorRef {
 public:
  VectorRef() = default;
  VectorRef(std::nullptr_t) {}
  VectorRef(const float* floats) : data_(floats) {}
  static VectorRef Bits(const uint8_t* bits) { return {Form::kBits, bits}; }
  static VectorRef Sparse(const SparseView* elements) { return {Form::kSparse, elements}; }

  Form form() const { return form_; }
  const float* floats() const {
    assert(form_ == Form::kDense);
    return static_cast<const float*>(data_);
  }
  const uint8_t* bits() const {
    assert(form_ == Form::kBits);
    return static_cast<const uint8_t*>(data_);
  }
  const SparseView& sparse() const {
    assert(form_ == Form::kSparse);
    return *static_cast<const SparseView*>(data_);
  }
  bool operator==(std::nullptr_t) const { return data_ == nullptr; }

 private:
  VectorRef(Form form, const void* data) : form_(form), data_(data) {}

  Form form_ = Form::kDense;
  const void* data_ = nullptr;
};

}  // namespace ann::quant
