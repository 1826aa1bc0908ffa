// Code kernels for 64-bit ARM: with the dot product instructions of ARMv8.2 (sdot, which adds four
// i8 x i8 products into int32) and for plain NEON. The 2- and 4-bit codes fit int8; an 8-bit code
// is taken as u - 128, and 128 * sum q is added back.
#include "simd/kernel_tables.hpp"

#if defined(__aarch64__)

#include <arm_neon.h>

#if defined(__clang__)
#define ANN_NEON_DOT __attribute__((target("dotprod")))
#else
#define ANN_NEON_DOT __attribute__((target("arch=armv8.2-a+dotprod")))
#endif

namespace ann::simd {
namespace {

constexpr size_t kWidth = 16;

// Bit group kGroup of every byte; NEON has no shift by zero.
template <int kBits, int kGroup>
inline uint8x16_t Group(uint8x16_t code) {
  uint8x16_t shifted = code;
  if constexpr (kGroup > 0) shifted = vshrq_n_u8(code, kBits * kGroup);
  if constexpr (kBits * (kGroup + 1) == 8) return shifted;
  return vandq_u8(shifted, vdupq_n_u8((1 << kBits) - 1));
}

// Calls step(values of the group, index of its first entry) for each group of 16 bytes of code.
template <int kBits, class Step>
inline void ForEachGroup(uint8x16_t code, size_t i, size_t bytes, Step&& step) {
  step(Group<kBits, 0>(code), i);
  step(Group<kBits, 1>(code), i + bytes);
  if constexpr (kBits == 2) {
    step(Group<kBits, 2>(code), i + 2 * bytes);
    step(Group<kBits, 3>(code), i + 3 * bytes);
  }
}

template <int kBits>
int32_t Dot(const uint8_t* code, const int8_t* q, size_t bytes) {
  int32x4_t sum = vdupq_n_s32(0);
  for (size_t i = 0; i < bytes; i += kWidth) {
    // Eight products of at most 15 * 128 stay within int16.
    int16x8_t products = vdupq_n_s16(0);
    ForEachGroup<kBits>(vld1q_u8(code + i), i, bytes, [&](uint8x16_t values, size_t first) {
      const int8x16_t u = vreinterpretq_s8_u8(values), s = vld1q_s8(q + first);
      products = vmlal_s8(products, vget_low_s8(u), vget_low_s8(s));
      products = vmlal_high_s8(products, u, s);
    });
    sum = vpadalq_s16(sum, products);
  }
  return vaddvq_s32(sum);
}

int32_t Dot8(const uint8_t* code, const int8_t* q, size_t bytes) {
  int32x4_t sum = vdupq_n_s32(0);
  for (size_t i = 0; i < bytes; i += kWidth) {
    const uint8x16_t c = vld1q_u8(code + i);
    const int8x16_t s = vld1q_s8(q + i);
    const int16x8_t u_low = vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(c)));
    const int16x8_t u_high = vreinterpretq_s16_u16(vmovl_high_u8(c));
    const int16x8_t s_low = vmovl_s8(vget_low_s8(s)), s_high = vmovl_high_s8(s);
    sum = vmlal_s16(sum, vget_low_s16(u_low), vget_low_s16(s_low));
    sum = vmlal_high_s16(sum, u_low, s_low);
    sum = vmlal_s16(sum, vget_low_s16(u_high), vget_low_s16(s_high));
    sum = vmlal_high_s16(sum, u_high, s_high);
  }
  return vaddvq_s32(sum);
}

ANN_NEON_DOT inline int32x4_t AddDot(int32x4_t sum, uint8x16_t u, const int8_t* q) {
  return vdotq_s32(sum, vreinterpretq_s8_u8(u), vld1q_s8(q));
}

template <int kBits>
ANN_NEON_DOT int32_t DotInstruction(const uint8_t* code, const int8_t* q, size_t bytes) {
  int32x4_t even = vdupq_n_s32(0), odd = even;
  for (const uint8_t* const end = code + bytes; code < end; code += kWidth, q += kWidth) {
    const uint8x16_t c = vld1q_u8(code);
    even = AddDot(even, Group<kBits, 0>(c), q);
    odd = AddDot(odd, Group<kBits, 1>(c), q + bytes);
    if constexpr (kBits == 2) {
      even = AddDot(even, Group<kBits, 2>(c), q + 2 * bytes);
      odd = AddDot(odd, Group<kBits, 3>(c), q + 3 * bytes);
    }
  }
  return vaddvq_s32(vaddq_s32(even, odd));
}

ANN_NEON_DOT int32_t DotInstruction8(const uint8_t* code, const int8_t* q, size_t bytes) {
  int32x4_t sum = vdupq_n_s32(0), sum_q = vdupq_n_s32(0);
  const uint8x16_t top = vdupq_n_u8(0x80);
  const int8x16_t ones = vdupq_n_s8(1);
  for (size_t i = 0; i < bytes; i += kWidth) {
    const int8x16_t s = vld1q_s8(q + i);
    sum = vdotq_s32(sum, vreinterpretq_s8_u8(veorq_u8(vld1q_u8(code + i), top)), s);
    sum_q = vdotq_s32(sum_q, ones, s);
  }
  return vaddvq_s32(vaddq_s32(sum, vshlq_n_s32(sum_q, 7)));
}

template <int kBits>
uint32_t Sad(const uint8_t* code, const uint8_t* v, size_t bytes) {
  uint32x4_t sum = vdupq_n_u32(0);
  for (size_t i = 0; i < bytes; i += kWidth) {
    uint16x8_t diffs = vdupq_n_u16(0);
    ForEachGroup<kBits>(vld1q_u8(code + i), i, bytes, [&](uint8x16_t values, size_t first) {
      diffs = vpadalq_u8(diffs, vabdq_u8(values, vld1q_u8(v + first)));
    });
    sum = vpadalq_u16(sum, diffs);
  }
  return vaddvq_u32(sum);
}

uint32_t Sad8(const uint8_t* code, const uint8_t* v, size_t bytes) {
  uint32x4_t sum = vdupq_n_u32(0);
  for (size_t i = 0; i < bytes; i += kWidth) {
    sum = vpadalq_u16(sum, vpaddlq_u8(vabdq_u8(vld1q_u8(code + i), vld1q_u8(v + i))));
  }
  return vaddvq_u32(sum);
}

template <int kBits>
void Unpack(const uint8_t* code, uint8_t* out, size_t bytes) {
  for (size_t i = 0; i < bytes; i += kWidth) {
    ForEachGroup<kBits>(vld1q_u8(code + i), i, bytes,
                        [out](uint8x16_t values, size_t first) { vst1q_u8(out + first, values); });
  }
}

}  // namespace

const CodeKernels internal::kNeonCodes = {Dot<2>, Dot<4>, Dot8,      Sad<2>,
                                          Sad<4>, Sad8,   Unpack<2>, Unpack<4>};
const CodeKernels internal::kNeonDotCodes = {
    DotInstruction<2>, DotInstruction<4>, DotInstruction8, Sad<2>, Sad<4>, Sad8,
    Unpack<2>,         Unpack<4>};

}  // namespace ann::simd

#endif
