// Code kernels for AVX-512 with VNNI (the CPU bit avx512vnni, which is not avxvnni).
//
// A plane is short (32 to 400 bytes), so fixed costs decide: one constant (making a second costs
// more than the shifts that spare it), an accumulator for each bit group and no more, the last 32
// and 16 bytes by plain narrower loads (masked ones took twice as long on Zen 5), one reduction.
// vpdpbusd multiplies u8 by i8 and adds four products into int32 without saturation: exact for
// every input.
#include "simd/kernel_tables.hpp"

#if defined(__x86_64__)

#if !defined(__clang__)
// GCC 12's own header passes deliberately undefined registers and warns of them once inlined.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>

#define ANN_AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")))

namespace ann::simd {
namespace {

constexpr size_t kWidth = 64;

ANN_AVX512 inline __m512i Load64(const void* p) { return _mm512_loadu_si512(p); }
ANN_AVX512 inline __m512i Load32(const void* p) {
  return _mm512_zextsi256_si512(_mm256_loadu_si256(static_cast<const __m256i*>(p)));
}
ANN_AVX512 inline __m512i Load16(const void* p) {
  return _mm512_zextsi128_si512(_mm_loadu_si128(static_cast<const __m128i*>(p)));
}

ANN_AVX512 inline __mmask64 FirstBytes(size_t n) { return ~__mmask64{0} >> (kWidth - n); }

// GCC would fold a load into each of its uses, and loads are what long planes wait for.
ANN_AVX512 inline __m512i LoadOnce(__m512i x) {
  __asm__("" : "+v"(x));
  return x;
}

// Bit group `group` of every byte. 16-bit shifts move bits across bytes; the mask removes them.
template <int kBits>
ANN_AVX512 inline __m512i Group(__m512i code, int group) {
  if constexpr (kBits == 8) return code;
  return _mm512_and_si512(_mm512_srli_epi16(code, static_cast<unsigned>(kBits * group)),
                          _mm512_set1_epi8((1 << kBits) - 1));
}

ANN_AVX512 inline int32_t SumInt32(__m512i x) {
  const __m256i eight =
      _mm256_add_epi32(_mm512_castsi512_si256(x), _mm512_extracti64x4_epi64(x, 1));
  const __m128i four =
      _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
  const __m128i two = _mm_add_epi32(four, _mm_unpackhi_epi64(four, four));
  return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 1)));
}

// Named members, not an array: GCC 12 keeps an array of four in memory.
struct Sums {
  __m512i s0 = {}, s1 = {}, s2 = {}, s3 = {};

  ANN_AVX512 int32_t Total() const {
    return SumInt32(_mm512_add_epi32(_mm512_add_epi32(s0, s1), _mm512_add_epi32(s2, s3)));
  }
};

// Adds one vector of code, loaded by kLoad, to the sums of its groups.
template <int kBits, __m512i (*kLoad)(const void*)>
ANN_AVX512 inline void DotStep(const uint8_t* code, const int8_t* q, size_t bytes, Sums& sums) {
  const __m512i c = LoadOnce(kLoad(code));
  sums.s0 = _mm512_dpbusd_epi32(sums.s0, Group<kBits>(c, 0), kLoad(q));
  if constexpr (kBits <= 4) {
    sums.s1 = _mm512_dpbusd_epi32(sums.s1, Group<kBits>(c, 1), kLoad(q + bytes));
  }
  if constexpr (kBits == 2) {
    sums.s2 = _mm512_dpbusd_epi32(sums.s2, Group<kBits>(c, 2), kLoad(q + 2 * bytes));
    sums.s3 = _mm512_dpbusd_epi32(sums.s3, Group<kBits>(c, 3), kLoad(q + 3 * bytes));
  }
}

template <int kBits>
ANN_AVX512 int32_t Dot(const uint8_t* code, const int8_t* q, size_t bytes) {
  Sums sums;
  size_t i = 0;
  for (; i + kWidth <= bytes; i += kWidth) DotStep<kBits, Load64>(code + i, q + i, bytes, sums);
  if ((bytes & 32) != 0) {
    DotStep<kBits, Load32>(code + i, q + i, bytes, sums);
    i += 32;
  }
  if ((bytes & 16) != 0) DotStep<kBits, Load16>(code + i, q + i, bytes, sums);
  return sums.Total();
}

// 8-bit codes have one group, so two accumulators take turns.
ANN_AVX512 int32_t Dot8(const uint8_t* code, const int8_t* q, size_t bytes) {
  Sums even, odd;
  size_t i = 0;
  for (; i + 2 * kWidth <= bytes; i += 2 * kWidth) {
    DotStep<8, Load64>(code + i, q + i, bytes, even);
    DotStep<8, Load64>(code + i + kWidth, q + i + kWidth, bytes, odd);
  }
  if ((bytes & 64) != 0) {
    DotStep<8, Load64>(code + i, q + i, bytes, even);
    i += kWidth;
  }
  if ((bytes & 32) != 0) {
    DotStep<8, Load32>(code + i, q + i, bytes, odd);
    i += 32;
  }
  if ((bytes & 16) != 0) DotStep<8, Load16>(code + i, q + i, bytes, even);
  return SumInt32(_mm512_add_epi32(even.s0, odd.s0));
}

ANN_AVX512 inline __m512i AddSad(__m512i sum, __m512i u, __m512i v) {
  return _mm512_add_epi32(sum, _mm512_sad_epu8(u, v));
}

template <int kBits, __m512i (*kLoad)(const void*)>
ANN_AVX512 inline void SadStep(const uint8_t* code, const uint8_t* v, size_t bytes, Sums& sums) {
  const __m512i c = LoadOnce(kLoad(code));
  sums.s0 = AddSad(sums.s0, Group<kBits>(c, 0), kLoad(v));
  if constexpr (kBits <= 4) sums.s1 = AddSad(sums.s1, Group<kBits>(c, 1), kLoad(v + bytes));
  if constexpr (kBits == 2) {
    sums.s2 = AddSad(sums.s2, Group<kBits>(c, 2), kLoad(v + 2 * bytes));
    sums.s3 = AddSad(sums.s3, Group<kBits>(c, 3), kLoad(v + 3 * bytes));
  }
}

template <int kBits>
ANN_AVX512 uint32_t Sad(const uint8_t* code, const uint8_t* v, size_t bytes) {
  Sums sums;
  size_t i = 0;
  for (; i + kWidth <= bytes; i += kWidth) SadStep<kBits, Load64>(code + i, v + i, bytes, sums);
  if ((bytes & 32) != 0) {
    SadStep<kBits, Load32>(code + i, v + i, bytes, sums);
    i += 32;
  }
  if ((bytes & 16) != 0) SadStep<kBits, Load16>(code + i, v + i, bytes, sums);
  return static_cast<uint32_t>(sums.Total());
}

template <int kBits>
ANN_AVX512 void Unpack(const uint8_t* code, uint8_t* out, size_t bytes) {
  constexpr int kGroups = 8 / kBits;
  size_t i = 0;
  for (; i + kWidth <= bytes; i += kWidth) {
    const __m512i c = _mm512_loadu_si512(code + i);
    for (int k = 0; k < kGroups; ++k) {
      _mm512_storeu_si512(out + static_cast<size_t>(k) * bytes + i, Group<kBits>(c, k));
    }
  }
  if (i < bytes) {
    const __mmask64 rest = FirstBytes(bytes - i);
    const __m512i c = _mm512_maskz_loadu_epi8(rest, code + i);
    for (int k = 0; k < kGroups; ++k) {
      _mm512_mask_storeu_epi8(out + static_cast<size_t>(k) * bytes + i, rest, Group<kBits>(c, k));
    }
  }
}

}  // namespace

const CodeKernels internal::kAvx512VnniCodes = {Dot<2>, Dot<4>, Dot8,      Sad<2>,
                                                Sad<4>, Sad<8>, Unpack<2>, Unpack<4>};

}  // namespace ann::simd

#endif
