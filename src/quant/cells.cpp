#include "quant/cells.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "simd/simd.hpp"

namespace ann::quant {

float LargestMagnitude(const float* x, size_t dims) {
  float largest = 0;
  for (size_t i = 0; i < dims; ++i) largest = std::max(largest, std::fabs(x[i]));
  return largest;
}

float InverseStep(float step) { return step > 0 && std::isfinite(1 / step) ? 1 / step : 0; }

float EncodeCells(const float* r, size_t dims, float step, int bits, uint8_t* values) {
  const float inverse = InverseStep(step), half = static_cast<float>(1 << (bits - 1));
  const float top = 2 * half - 1, centre = Centre(bits);
  double yr = 0, yy = 0, rr = 0;
  for (size_t i = 0; i < dims; ++i) {
    values[i] = CellOf(r[i] * inverse + half, top);
    double y = values[i] - centre;
    yr += y * r[i], yy += y * y, rr += double(r[i]) * r[i];
  }
  return static_cast<float>(std::max(0.0, rr - yr * yr / yy));
}

void PackCells(int bits, const uint8_t* values, size_t dims, uint8_t* parts, uint8_t* planes) {
  if (bits != 6) return simd::PackPlane(bits, values, dims, planes);
  for (size_t i = 0; i < dims; ++i) parts[i] = values[i] >> 2;
  simd::PackPlane(4, parts, dims, planes);
  for (size_t i = 0; i < dims; ++i) parts[i] = values[i] & 3;
  simd::PackPlane(2, parts, dims, planes + simd::PlaneBytes(4, dims));
}

void UnpackCells(const simd::CodeKernels& kernels, int bits, const uint8_t* planes, size_t dims,
                 uint8_t* parts, uint8_t* values) {
  if (bits == 8) {
    std::memcpy(values, planes, dims);
    return;
  }
  const size_t bytes = simd::PlaneBytes(HighBits(bits), dims);
  (HighBits(bits) == 2 ? kernels.unpack2 : kernels.unpack4)(planes, values, bytes);
  if (bits != 6) return;
  kernels.unpack2(planes + bytes, parts, simd::PlaneBytes(2, dims));
  for (size_t i = 0; i < dims; ++i) values[i] = static_cast<uint8_t>(4 * values[i] + parts[i]);
}

FineQuery PrepareFine(const float* work, size_t dims, int8_t* hi, int8_t* lo) {
  std::memset(hi, 0, PaddedDims(dims));
  std::memset(lo, 0, PaddedDims(dims));
  FineQuery query{hi, lo, LargestMagnitude(work, dims) / simd::kMaxInt16Level, 0};
  simd::Transforms().quantize_i16(work, InverseStep(query.unit), hi, lo, dims);
  int64_t sum = 0;
  for (size_t i = 0; i < dims; ++i) sum += 256 * hi[i] + lo[i];
  query.sum = static_cast<float>(sum);
  return query;
}

float FineDot(const simd::CodeKernels& kernels, const uint8_t* planes, int bits, size_t dims,
              const FineQuery& query) {
  const int high_bits = HighBits(bits);
  const auto dot = high_bits == 2 ? kernels.dot2 : high_bits == 4 ? kernels.dot4 : kernels.dot8;
  const size_t bytes = simd::PlaneBytes(high_bits, dims);
  const float sum = 256.0f * static_cast<float>(dot(planes, query.hi, bytes)) +
                    static_cast<float>(dot(planes, query.lo, bytes));
  if (bits != 6) return sum;
  const uint8_t* const low = planes + bytes;
  const size_t low_bytes = simd::PlaneBytes(2, dims);
  return 4 * sum + 256.0f * static_cast<float>(kernels.dot2(low, query.hi, low_bytes)) +
         static_cast<float>(kernels.dot2(low, query.lo, low_bytes));
}

}  // namespace ann::quant
