// Code kernels for AVX-512 with VNNI (the CPU bit avx512vnni, which is not avxvnni).
//
// A plane is short (32 to 400 bytes), so the cost is a call's latency: the last part of a plane is
// one masked vector, never a loop, and the sum is reduced once. vpdpbusd multiplies u8 by i8 and
// adds four products into int32 without saturation, exact for every input. Bit groups are masked
// but not shifted down: group k's sum is 2^(bits * k) times too large in an accumulator of its own,
// and one shift a call corrects it.
#include "simd/kernel_tables.hpp"

#if defined(__x86_64__)

// GCC 12's own header passes deliberately undefined registers and warns of them once inlined.
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>

#define ANN_AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")))

namespace ann::simd {
namespace {

constexpr size_t kWidth = 64;

ANN_AVX512 inline __mmask64 FirstBytes(size_t n) { return ~__mmask64{0} >> (kWidth - n); }

template <int kBits>
ANN_AVX512 inline __m512i GroupMask(int group) {
  return _mm512_set1_epi8(static_cast<char>(((1 << kBits) - 1) << (kBits * group)));
}

ANN_AVX512 inline int32_t SumInt32(__m512i x) {
  const __m256i eight =
      _mm256_add_epi32(_mm512_castsi512_si256(x), _mm512_extracti64x4_epi64(x, 1));
  const __m128i four =
      _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
  const __m128i two = _mm_add_epi32(four, _mm_unpackhi_epi64(four, four));
  return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 1)));
}

template <int kBits>
struct GroupSums {
  static constexpr int kGroups = 8 / kBits;
  __m512i sum[kGroups];

  ANN_AVX512 inline GroupSums() {
    for (__m512i& s : sum) s = _mm512_setzero_si512();
  }
  ANN_AVX512 inline int32_t Total() const {
    __m512i total = sum[0];
    for (int k = 1; k < kGroups; ++k) {
      total = _mm512_add_epi32(total, _mm512_srai_epi32(sum[k], kBits * k));
    }
    return SumInt32(total);
  }
};

template <int kBits>
ANN_AVX512 int32_t Dot(const uint8_t* code, const int8_t* q, size_t bytes) {
  constexpr int kGroups = 8 / kBits;
  GroupSums<kBits> sums;
  size_t i = 0;
  for (; i + kWidth <= bytes; i += kWidth) {
    const __m512i c = _mm512_loadu_si512(code + i);
    for (int k = 0; k < kGroups; ++k) {
      sums.sum[k] = _mm512_dpbusd_epi32(sums.sum[k], _mm512_and_si512(c, GroupMask<kBits>(k)),
                                        _mm512_loadu_si512(q + static_cast<size_t>(k) * bytes + i));
    }
  }
  if (i < bytes) {
    const __mmask64 rest = FirstBytes(bytes - i);
    const __m512i c = _mm512_maskz_loadu_epi8(rest, code + i);
    for (int k = 0; k < kGroups; ++k) {
      sums.sum[k] = _mm512_dpbusd_epi32(
          sums.sum[k], _mm512_and_si512(c, GroupMask<kBits>(k)),
          _mm512_maskz_loadu_epi8(rest, q + static_cast<size_t>(k) * bytes + i));
    }
  }
  return sums.Total();
}

template <int kBits>
ANN_AVX512 inline __m512i Group(__m512i code, int group) {
  // 16-bit shifts move bits across bytes; the mask removes them.
  return _mm512_and_si512(_mm512_srli_epi16(code, static_cast<unsigned>(kBits * group)),
                          GroupMask<kBits>(0));
}

// 8-bit codes have one group, so the accumulators are four stretches of the plane instead.
ANN_AVX512 int32_t Dot8(const uint8_t* code, const int8_t* q, size_t bytes) {
  __m512i sum0 = _mm512_setzero_si512(), sum1 = sum0;
  size_t i = 0;
  for (; i + 2 * kWidth <= bytes; i += 2 * kWidth) {
    sum0 = _mm512_dpbusd_epi32(sum0, _mm512_loadu_si512(code + i), _mm512_loadu_si512(q + i));
    sum1 = _mm512_dpbusd_epi32(sum1, _mm512_loadu_si512(code + i + kWidth),
                               _mm512_loadu_si512(q + i + kWidth));
  }
  if (i + kWidth <= bytes) {
    sum0 = _mm512_dpbusd_epi32(sum0, _mm512_loadu_si512(code + i), _mm512_loadu_si512(q + i));
    i += kWidth;
  }
  if (i < bytes) {
    const __mmask64 rest = FirstBytes(bytes - i);
    sum1 = _mm512_dpbusd_epi32(sum1, _mm512_maskz_loadu_epi8(rest, code + i),
                               _mm512_maskz_loadu_epi8(rest, q + i));
  }
  return SumInt32(_mm512_add_epi32(sum0, sum1));
}

template <int kBits>
ANN_AVX512 uint32_t Sad(const uint8_t* code, const uint8_t* v, size_t bytes) {
  constexpr int kGroups = 8 / kBits;
  __m512i sum[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
  size_t i = 0;
  for (; i + kWidth <= bytes; i += kWidth) {
    const __m512i c = _mm512_loadu_si512(code + i);
    for (int k = 0; k < kGroups; ++k) {
      const __m512i other = _mm512_loadu_si512(v + static_cast<size_t>(k) * bytes + i);
      sum[k % 2] = _mm512_add_epi32(sum[k % 2], _mm512_sad_epu8(Group<kBits>(c, k), other));
    }
  }
  if (i < bytes) {
    const __mmask64 rest = FirstBytes(bytes - i);
    const __m512i c = _mm512_maskz_loadu_epi8(rest, code + i);
    for (int k = 0; k < kGroups; ++k) {
      const __m512i other = _mm512_maskz_loadu_epi8(rest, v + static_cast<size_t>(k) * bytes + i);
      sum[k % 2] = _mm512_add_epi32(sum[k % 2], _mm512_sad_epu8(Group<kBits>(c, k), other));
    }
  }
  return static_cast<uint32_t>(SumInt32(_mm512_add_epi32(sum[0], sum[1])));
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
