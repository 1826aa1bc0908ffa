// Product quantization: codebooks and what their errors are worth.
#include <algorithm>
#include <cmath>

#include "core/rng.hpp"
#include "quant/list_codec.hpp"

namespace ann::quant {

size_t PqCodebookFloats(const ListCodecParams& params, uint32_t dims) {
  return (size_t{1} << params.pq_bits) * dims;
}

size_t PqTrainingFloats(const ListCodecParams& params, uint32_t dims, size_t count) {
  const size_t widest = DivUp(dims, params.pq_segments);
  return (count + (size_t{1} << params.pq_bits)) * widest;
}

void TrainPqSegment(const ListCodecParams& params, uint32_t dims, const float* residuals,
                    size_t count, uint32_t segment, SegmentClustering cluster, void* context,
                    float* scratch, float* codebook) {
  const size_t m = segment, segments = params.pq_segments, clusters = size_t{1} << params.pq_bits;
  const size_t begin = m * dims / segments, width = (m + 1) * dims / segments - begin;
  float* const centroids = scratch + count * width;
  for (size_t r = 0; r < count; ++r) {
    std::copy_n(residuals + r * dims + begin, width, scratch + r * width);
  }
  cluster(context, scratch, count, static_cast<uint32_t>(width), static_cast<uint32_t>(clusters),
          centroids);
  for (size_t i = 0; i < width; ++i) {
    for (size_t j = 0; j < clusters; ++j) {
      codebook[clusters * (begin + i) + j] = centroids[j * width + i];
    }
  }
}

// The error of a row's estimate is <e, q> for the rest e of its unbiased code, which is orthogonal
// to r: a residual of the sample stands for q, and its part across r is what meets e.
float CalibratePq(const ListCodec& codec, const float* residuals, size_t count) {
  constexpr size_t kRows = 2000, kPartners = 8;
  const size_t dims = codec.dims_;
  Rng rng(count);
  double squares = 0, pairs = 0;
  for (size_t n = 0; n < std::min(count, kRows); ++n) {
    const float* const r = residuals + rng.Next() % count * dims;
    std::copy_n(r, dims, codec.residual_);
    codec.EncodeSegments(codec.sealed_);
    const float* const y = codec.decoded_;
    double yr = 0, rr = 0, yy = 0;
    for (size_t i = 0; i < dims; ++i) {
      yr += double(y[i]) * r[i], rr += double(r[i]) * r[i], yy += double(y[i]) * y[i];
    }
    const double slope = rr / yr, ee = slope * slope * yy - rr;
    if (!(rr > 0) || !std::isfinite(slope) || !(ee > 0)) continue;
    for (size_t partner = 0; partner < kPartners; ++partner) {
      const float* const q = residuals + rng.Next() % count * dims;
      double eq = 0, rq = 0, qq = 0;
      for (size_t i = 0; i < dims; ++i) {
        eq += (slope * y[i] - r[i]) * q[i];
        rq += double(r[i]) * q[i], qq += double(q[i]) * q[i];
      }
      const double across = qq - rq * rq / rr;
      if (!(across > 1e-6 * qq)) continue;
      squares += eq * eq * codec.spread_ * codec.spread_ / (ee * across);
      ++pairs;
    }
  }
  return pairs == 0 ? 1.0f : static_cast<float>(std::max(1.0, std::sqrt(squares / pairs)));
}

}  // namespace ann::quant
