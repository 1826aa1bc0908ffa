// Code kernels in plain C++: the fallback of every CPU and the reference of the tests.
#include <cstring>

#include "simd/kernel_tables.hpp"

namespace ann::simd {
namespace {

template <int kBits>
constexpr size_t kGroups = 8 / kBits;
template <int kBits>
constexpr int kMask = (1 << kBits) - 1;

// Spelled in int16 so that compilers find the multiply-add of 16-bit pairs that every baseline has.
template <int kBits>
int32_t Dot(const uint8_t* code, const int8_t* q, size_t bytes) {
  int32_t sum = 0;
  for (int group = 0; group < 8 / kBits; ++group, q += bytes) {
    for (size_t i = 0; i < bytes; ++i) {
      const auto u =
          static_cast<int16_t>(static_cast<uint8_t>(code[i] >> (kBits * group)) & kMask<kBits>);
      sum += u * int16_t{q[i]};
    }
  }
  return sum;
}

template <int kBits>
uint32_t Sad(const uint8_t* code, const uint8_t* v, size_t bytes) {
  uint32_t sum = 0;
  for (size_t group = 0; group < kGroups<kBits>; ++group, v += bytes) {
    for (size_t i = 0; i < bytes; ++i) {
      const int diff = (code[i] >> (kBits * group) & kMask<kBits>)-v[i];
      sum += static_cast<uint32_t>(diff < 0 ? -diff : diff);
    }
  }
  return sum;
}

template <int kBits>
void Unpack(const uint8_t* code, uint8_t* out, size_t bytes) {
  for (size_t group = 0; group < kGroups<kBits>; ++group, out += bytes) {
    for (size_t i = 0; i < bytes; ++i) {
      out[i] = static_cast<uint8_t>(code[i] >> (kBits * group) & kMask<kBits>);
    }
  }
}

}  // namespace

const CodeKernels internal::kPortableCodes = {Dot<2>, Dot<4>, Dot<8>,    Sad<2>,
                                              Sad<4>, Sad<8>, Unpack<2>, Unpack<4>};

void PackPlane(int bits, const uint8_t* values, size_t dims, uint8_t* code) {
  const size_t bytes = PlaneBytes(bits, dims);
  std::memset(code, 0, bytes);
  for (size_t i = 0; i < dims; ++i) {
    const size_t shift = static_cast<size_t>(bits) * (i / bytes);
    code[i % bytes] = static_cast<uint8_t>(code[i % bytes] | values[i] << shift);
  }
}

}  // namespace ann::simd
