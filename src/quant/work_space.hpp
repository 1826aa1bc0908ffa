// The space that vectors are coded in: normalised under cosine, centred on the mean, rotated (L1
// keeps its axes). All distances are *keys*: ascending in the metric's distance. L2: the square;
// cosine: 2 - 2 cos; inner product: its negative; L1: itself.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ann::quant {

enum class Metric : uint8_t {
  kL2 = 1,
  kInnerProduct = 2,
  kCosine = 3,
  kL1 = 4,
  // Of strings of bits.
  kHamming = 5,
  kJaccard = 6
};

constexpr bool IsOfBits(Metric metric) {
  return metric == Metric::kHamming || metric == Metric::kJaccard;
}

// Where the numbers leave float's range (lengths above 4e18 or so), key or sigma is not finite:
// then nothing is known of the distance. Lengths below 1e-19 or so count as 0.
struct Estimate {
  float key;
  // Standard deviation of the key's error; key +- 5 sigma holds the true key.
  float sigma;
};

// A query in the work space. Keys of a row's work vector w: L2 and cosine |w - q|^2, L1
// sum |w_i - q_i|, inner product add - <w, q> (the query is not centred).
struct WorkQuery {
  const float* vector;  // as the user gave it
  const float* work;
  float norm;  // |work|^2; 0 under L1
  float add;   // inner product: -<mean, vector>; else 0
};

class WorkSpace {
 public:
  // Bytes that a space needs; the caller owns them for as long.
  static size_t MemoryBytes(uint32_t dims);

  WorkSpace() = default;
  // `mean`: dims floats, which must outlive the space. `memory`: MemoryBytes, 8-aligned.
  WorkSpace(Metric metric, uint32_t dims, uint64_t seed, const float* mean, void* memory);

  Metric metric() const { return metric_; }
  uint32_t dims() const { return dims_; }
  const float* mean() const { return mean_; }
  // The mean as a work vector about 0; under L1 the mean itself. Its squared length.
  const float* work_mean() const { return work_mean_; }
  float mean_norm() const { return mean_norm_; }

  // `x` (dims finite floats, not all zero under cosine) as a work vector.
  void Transform(const float* x, float* work) const;
  // Its inverse, in place (cosine: the normalised vector).
  void Restore(float* work) const;
  // `x` as a query whose work vector is written to `work`; both must outlive the result.
  WorkQuery PrepareQuery(const float* x, float* work) const;

 private:
  Metric metric_;
  uint32_t dims_;
  const float* mean_;
  const uint64_t* signs_;
  const float* work_mean_;
  float mean_norm_;
};

}  // namespace ann::quant
