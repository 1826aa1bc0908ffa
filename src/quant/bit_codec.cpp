#include "quant/bit_codec.hpp"

#include <cstring>

#include "core/bytes.hpp"

namespace ann::quant {

namespace {

// The quotient is rounded once, so that keys ascend with the distances; of distances up to 1/2
// those that differ by a part in 16 million have different keys. Strings without a one in common
// are as far as can be.
float JaccardKey(uint64_t both, uint64_t either) {
  return both == 0 ? 1 : static_cast<float>(either - both) / static_cast<float>(either);
}

}  // namespace

void UnpackBits(const uint8_t* bits, uint32_t dims, float* values) {
  for (uint32_t i = 0; i < dims; ++i) values[i] = bits[i / 8] >> (7 - i % 8) & 1;
}

void PackBits(const float* values, uint32_t dims, uint8_t* bits) {
  std::memset(bits, 0, BitCodeBytes(dims));
  for (uint32_t i = 0; i < dims; ++i) {
    if (values[i] != 0) bits[i / 8] = static_cast<uint8_t>(bits[i / 8] | 0x80 >> i % 8);
  }
}

void CodeBits(Metric metric, const uint8_t* bits, uint32_t dims, uint8_t* coded) {
  const uint32_t factors = BitFactorBytes(metric), bytes = BitCodeBytes(dims);
  uint8_t* code = coded + factors;
  std::memset(code + bytes - sizeof(uint32_t), 0, sizeof(uint32_t));
  std::memcpy(code, bits, DivUp(dims, 8));
  if (factors > 0) {
    const uint32_t ones = static_cast<uint32_t>(simd::Bits().common(code, code, bytes));
    std::memcpy(coded, &ones, sizeof ones);
  }
}

bool IsBitCode(Metric metric, const uint8_t* coded, uint32_t dims) {
  const uint32_t bytes = BitCodeBytes(dims);
  const uint8_t* code = coded + BitFactorBytes(metric);
  for (uint32_t i = dims; i < 8 * bytes; ++i) {
    if ((code[i / 8] >> (7 - i % 8) & 1) != 0) return false;
  }
  return metric != Metric::kJaccard ||
         LoadAs<uint32_t>(coded) == simd::Bits().common(code, code, bytes);
}

BitQuery AsBitQuery(Metric metric, const uint8_t* coded) {
  const uint32_t factors = BitFactorBytes(metric);
  return {coded + factors, factors > 0 ? LoadAs<uint32_t>(coded) : 0};
}

float BitKey(const simd::BitKernels& kernels, Metric metric, const BitQuery& query,
             const uint8_t* coded, uint32_t code_bytes) {
  if (metric == Metric::kHamming) {
    return static_cast<float>(kernels.hamming(query.bits, coded, code_bytes));
  }
  const uint64_t both = kernels.common(query.bits, coded + sizeof(uint32_t), code_bytes);
  return JaccardKey(both, uint64_t{query.ones} + LoadAs<uint32_t>(coded) - both);
}

float BitCodeDistance(const simd::BitKernels& kernels, Metric metric, const BitQuery& query,
                      const uint8_t* coded, uint32_t code_bytes) {
  const bool both_empty =
      metric == Metric::kJaccard && query.ones == 0 && LoadAs<uint32_t>(coded) == 0;
  return both_empty ? 0 : BitKey(kernels, metric, query, coded, code_bytes);
}

float BitDistance(Metric metric, const uint8_t* a, const uint8_t* b, size_t bytes) {
  if (metric == Metric::kHamming) return static_cast<float>(simd::Bits().hamming(a, b, bytes));
  const simd::BitCounts counts = simd::Bits().counts(a, b, bytes);
  return JaccardKey(counts.both, counts.either);
}

}  // namespace ann::quant
