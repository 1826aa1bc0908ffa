// Code kernels of 256 bits: AVX2 (Haswell on, any AMD since Excavator), and dot products by
// AVX-VNNI (the VEX form of vpdpbusd) for CPUs that have it without AVX-512: Alder Lake and later
// client and small cores.
//
// AVX2 has no vpdpbusd. Its vpmaddubsw adds two products into
// int16 with saturation: 2 * 15 * 128 = 3 840 is far from it for 2- and 4-bit codes, whose groups
// are therefore first added in int16 (at most 7 680 a 32-byte step) and widened once a step. 8-bit
// codes could reach 2 * 255 * 128 and are widened before they are multiplied.
#include "simd/kernel_tables.hpp"

#if defined(__x86_64__)

#include <immintrin.h>

#define ANN_AVX2 __attribute__((target("avx2")))
#define ANN_AVXVNNI __attribute__((target("avx2,avxvnni")))

namespace ann::simd {
namespace {

constexpr size_t kWidth = 32;

ANN_AVX2 inline __m256i Load(const void* p) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}

// The last 16 bytes of a plane, zeros above.
ANN_AVX2 inline __m256i LoadHalf(const void* p) {
  return _mm256_zextsi128_si256(_mm_loadu_si128(static_cast<const __m128i*>(p)));
}

ANN_AVX2 inline __m128i FoldHalves(__m256i x) {
  return _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
}

ANN_AVX2 inline int32_t SumInt32(__m256i x) {
  const __m128i four = FoldHalves(x);
  const __m128i two = _mm_add_epi32(four, _mm_unpackhi_epi64(four, four));
  return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 1)));
}

// GCC would fold a load into each of its uses, and loads are what long planes wait for.
ANN_AVX2 inline __m256i LoadOnce(__m256i x) {
  __asm__("" : "+x"(x));
  return x;
}

// 16-bit shifts move bits across bytes; the mask removes them.
template <int kBits>
ANN_AVX2 inline __m256i Group(__m256i code, int group) {
  if constexpr (kBits == 8) return code;
  return _mm256_and_si256(_mm256_srli_epi16(code, kBits * group),
                          _mm256_set1_epi8(static_cast<char>((1 << kBits) - 1)));
}

template <int kBits, __m256i (*kLoad)(const void*)>
ANN_AVX2 inline __m256i DotStep(const uint8_t* code, const int8_t* q, size_t bytes) {
  const __m256i c = LoadOnce(kLoad(code));
  __m256i sum = _mm256_maddubs_epi16(Group<kBits>(c, 0), kLoad(q));
  for (int k = 1; k < 8 / kBits; ++k) {
    sum = _mm256_add_epi16(
        sum, _mm256_maddubs_epi16(Group<kBits>(c, k), kLoad(q + static_cast<size_t>(k) * bytes)));
  }
  return _mm256_madd_epi16(sum, _mm256_set1_epi16(1));
}

template <int kBits>
ANN_AVX2 int32_t Dot(const uint8_t* code, const int8_t* q, size_t bytes) {
  __m256i sum = _mm256_setzero_si256();
  size_t i = 0;
  for (; i + kWidth <= bytes; i += kWidth) {
    sum = _mm256_add_epi32(sum, DotStep<kBits, Load>(code + i, q + i, bytes));
  }
  if (i < bytes) sum = _mm256_add_epi32(sum, DotStep<kBits, LoadHalf>(code + i, q + i, bytes));
  return SumInt32(sum);
}

// Named members, not an array: GCC 12 keeps an array of four in memory.
struct VnniSums {
  __m256i s0 = {}, s1 = {}, s2 = {}, s3 = {};
};

template <int kBits, __m256i (*kLoad)(const void*)>
ANN_AVXVNNI inline void VnniStep(const uint8_t* code, const int8_t* q, size_t bytes,
                                 VnniSums& sums) {
  const __m256i c = LoadOnce(kLoad(code));
  sums.s0 = _mm256_dpbusd_avx_epi32(sums.s0, Group<kBits>(c, 0), kLoad(q));
  if constexpr (kBits <= 4) {
    sums.s1 = _mm256_dpbusd_avx_epi32(sums.s1, Group<kBits>(c, 1), kLoad(q + bytes));
  }
  if constexpr (kBits == 2) {
    sums.s2 = _mm256_dpbusd_avx_epi32(sums.s2, Group<kBits>(c, 2), kLoad(q + 2 * bytes));
    sums.s3 = _mm256_dpbusd_avx_epi32(sums.s3, Group<kBits>(c, 3), kLoad(q + 3 * bytes));
  }
}

template <int kBits>
ANN_AVXVNNI int32_t VnniDot(const uint8_t* code, const int8_t* q, size_t bytes) {
  VnniSums sums;
  size_t i = 0;
  for (; i + kWidth <= bytes; i += kWidth) VnniStep<kBits, Load>(code + i, q + i, bytes, sums);
  if (i < bytes) VnniStep<kBits, LoadHalf>(code + i, q + i, bytes, sums);
  return SumInt32(
      _mm256_add_epi32(_mm256_add_epi32(sums.s0, sums.s1), _mm256_add_epi32(sums.s2, sums.s3)));
}

ANN_AVX2 int32_t Dot8(const uint8_t* code, const int8_t* q, size_t bytes) {
  __m256i sum = _mm256_setzero_si256();
  for (size_t i = 0; i < bytes; i += 16) {
    const __m256i u =
        _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(code + i)));
    const __m256i s =
        _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(q + i)));
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(u, s));
  }
  return SumInt32(sum);
}

template <int kBits, __m256i (*kLoad)(const void*)>
ANN_AVX2 inline __m256i SadStep(const uint8_t* code, const uint8_t* v, size_t bytes) {
  const __m256i c = LoadOnce(kLoad(code));
  __m256i sum = _mm256_sad_epu8(Group<kBits>(c, 0), kLoad(v));
  for (int k = 1; k < 8 / kBits; ++k) {
    sum = _mm256_add_epi32(
        sum, _mm256_sad_epu8(Group<kBits>(c, k), kLoad(v + static_cast<size_t>(k) * bytes)));
  }
  return sum;
}

template <int kBits>
ANN_AVX2 uint32_t Sad(const uint8_t* code, const uint8_t* v, size_t bytes) {
  __m256i sum = _mm256_setzero_si256();
  size_t i = 0;
  for (; i + kWidth <= bytes; i += kWidth) {
    sum = _mm256_add_epi32(sum, SadStep<kBits, Load>(code + i, v + i, bytes));
  }
  if (i < bytes) sum = _mm256_add_epi32(sum, SadStep<kBits, LoadHalf>(code + i, v + i, bytes));
  return static_cast<uint32_t>(SumInt32(sum));
}

template <int kBits>
ANN_AVX2 void Unpack(const uint8_t* code, uint8_t* out, size_t bytes) {
  size_t i = 0;
  for (; i + kWidth <= bytes; i += kWidth) {
    const __m256i c = Load(code + i);
    for (int k = 0; k < 8 / kBits; ++k) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + static_cast<size_t>(k) * bytes + i),
                          Group<kBits>(c, k));
    }
  }
  if (i < bytes) {
    const __m256i c = LoadHalf(code + i);
    for (int k = 0; k < 8 / kBits; ++k) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(out + static_cast<size_t>(k) * bytes + i),
                       _mm256_castsi256_si128(Group<kBits>(c, k)));
    }
  }
}

}  // namespace

const CodeKernels internal::kAvx2Codes = {Dot<2>, Dot<4>, Dot8,      Sad<2>,
                                          Sad<4>, Sad<8>, Unpack<2>, Unpack<4>};

const CodeKernels internal::kAvxVnniCodes = {VnniDot<2>, VnniDot<4>, VnniDot<8>, Sad<2>,
                                             Sad<4>,     Sad<8>,     Unpack<2>,  Unpack<4>};

}  // namespace ann::simd

#endif
