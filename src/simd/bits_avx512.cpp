// Counting bits with AVX-512's own instruction (the CPU bit avx512vpopcntdq, which no Highway
// target that is in use has). Strings are short, 48 bytes for 384 bits, so fixed costs decide: a
// masked load of what is left is cheaper than narrower ones, and more than one sum does not pay.
#include "simd/kernel_tables.hpp"

#if defined(__x86_64__)

#if !defined(__clang__)
// GCC 12's own header passes deliberately undefined registers and warns of them once inlined.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>

#define ANN_POPCNT __attribute__((target("avx512f,avx512bw,avx512vpopcntdq")))

namespace ann::simd {
namespace {

constexpr size_t kWidth = 64;

struct Xor {
  ANN_POPCNT static __m512i Of(__m512i a, __m512i b) { return _mm512_xor_si512(a, b); }
};
struct And {
  ANN_POPCNT static __m512i Of(__m512i a, __m512i b) { return _mm512_and_si512(a, b); }
};

template <class Op>
ANN_POPCNT inline __m512i Ones(const uint8_t* a, const uint8_t* b) {
  return _mm512_popcnt_epi64(Op::Of(_mm512_loadu_si512(a), _mm512_loadu_si512(b)));
}
template <class Op>
ANN_POPCNT inline __m512i Ones(const uint8_t* a, const uint8_t* b, __mmask64 mask) {
  return _mm512_popcnt_epi64(
      Op::Of(_mm512_maskz_loadu_epi8(mask, a), _mm512_maskz_loadu_epi8(mask, b)));
}
// 1 to 64.
ANN_POPCNT inline __mmask64 FirstBytes(size_t n) { return ~__mmask64{0} >> (kWidth - n); }

template <class Op>
ANN_POPCNT uint64_t Count(const uint8_t* a, const uint8_t* b, size_t bytes) {
  __m512i sum = _mm512_setzero_si512();
  for (; bytes >= kWidth; a += kWidth, b += kWidth, bytes -= kWidth) {
    sum = _mm512_add_epi64(sum, Ones<Op>(a, b));
  }
  if (bytes > 0) sum = _mm512_add_epi64(sum, Ones<Op>(a, b, FirstBytes(bytes)));
  return static_cast<uint64_t>(_mm512_reduce_add_epi64(sum));
}

ANN_POPCNT BitCounts Counts(const uint8_t* a, const uint8_t* b, size_t bytes) {
  __m512i both = _mm512_setzero_si512(), differ = both;
  for (; bytes >= kWidth; a += kWidth, b += kWidth, bytes -= kWidth) {
    both = _mm512_add_epi64(both, Ones<And>(a, b));
    differ = _mm512_add_epi64(differ, Ones<Xor>(a, b));
  }
  if (bytes > 0) {
    const __mmask64 mask = FirstBytes(bytes);
    both = _mm512_add_epi64(both, Ones<And>(a, b, mask));
    differ = _mm512_add_epi64(differ, Ones<Xor>(a, b, mask));
  }
  const uint64_t common = static_cast<uint64_t>(_mm512_reduce_add_epi64(both));
  return {common, common + static_cast<uint64_t>(_mm512_reduce_add_epi64(differ))};
}

}  // namespace

namespace internal {
const BitKernels kAvx512Bits = {Count<Xor>, Count<And>, Counts};
}  // namespace internal

}  // namespace ann::simd

#endif  // __x86_64__
