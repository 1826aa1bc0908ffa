#include "quant/work_space.hpp"

#include <cmath>
#include <cstring>

#include "quant/rotation.hpp"
#include "simd/simd.hpp"

namespace ann::quant {

size_t WorkSpace::MemoryBytes(uint32_t dims) {
  return 8 * RotationWords(dims) + (dims + 1) / 2 * 8;
}

WorkSpace::WorkSpace(Metric metric, uint32_t dims, uint64_t seed, const float* mean, void* memory)
    : metric_(metric), dims_(dims), mean_(mean) {
  uint64_t* signs = static_cast<uint64_t*>(memory);
  float* work_mean = reinterpret_cast<float*>(signs + RotationWords(dims));
  MakeRotation(seed, dims, signs);
  signs_ = signs;
  std::memcpy(work_mean, mean, dims * sizeof(float));
  if (metric != Metric::kL1) Rotate(signs_, dims, work_mean);
  work_mean_ = work_mean;
  mean_norm_ = simd::Floats().inner_product(mean, mean, dims);
}

void WorkSpace::Transform(const float* x, float* work) const {
  const simd::TransformKernels& kernels = simd::Transforms();
  const size_t dims = dims_;
  if (metric_ == Metric::kCosine) {
    double norm = 0;  // in double: the squares of large values leave float's range
    for (size_t i = 0; i < dims; ++i) norm += double(x[i]) * x[i];
    // The factor, too: 1 / |x| of a denormal x is no float.
    const double factor = 1 / std::sqrt(norm);
    for (size_t i = 0; i < dims; ++i) work[i] = static_cast<float>(x[i] * factor);
    kernels.subtract(work, mean_, work, dims);
  } else {
    kernels.subtract(x, mean_, work, dims);
  }
  if (metric_ != Metric::kL1) Rotate(signs_, dims, work);
}

void WorkSpace::Restore(float* work) const {
  if (metric_ != Metric::kL1) RotateBack(signs_, dims_, work);
  for (size_t i = 0; i < dims_; ++i) work[i] += mean_[i];
}

WorkQuery WorkSpace::PrepareQuery(const float* x, float* work) const {
  WorkQuery query{x, work, 0, 0};
  if (metric_ == Metric::kInnerProduct) {
    std::memcpy(work, x, dims_ * sizeof(float));
    Rotate(signs_, dims_, work);
    query.add = -simd::Floats().inner_product(x, mean_, dims_);
  } else {
    Transform(x, work);
  }
  if (metric_ != Metric::kL1) query.norm = simd::Floats().inner_product(work, work, dims_);
  return query;
}

}  // namespace ann::quant
