#include "simd/cpu_features.hpp"

#include <cstdint>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace ann::simd::internal {

#if defined(__x86_64__)

namespace {

constexpr bool HasBit(uint32_t word, int bit) { return (word >> bit & 1) != 0; }

// Bits of register state that the operating system saves on a context switch; without them the CPU
// faults (or worse, state leaks) although CPUID lists the instructions.
uint64_t SavedState() {
  uint32_t low = 0, high = 0;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return static_cast<uint64_t>(high) << 32 | low;
}

}  // namespace

CpuFeatures DetectCpu() {
  CpuFeatures found;
  uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) == 0) return found;
  const bool osxsave = HasBit(ecx, 27), avx = HasBit(ecx, 28);
  if (!osxsave || !avx) return found;

  constexpr uint64_t kYmmState = 0x6, kZmmState = 0xe6;
  const uint64_t state = SavedState();
  if ((state & kYmmState) != kYmmState) return found;

  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return found;
  const uint32_t subleaves = eax;
  found.avx2 = HasBit(ebx, 5);
  const bool avx512 = HasBit(ebx, 16) && HasBit(ebx, 17) && HasBit(ebx, 30) && HasBit(ebx, 31);
  const bool usable = avx512 && (state & kZmmState) == kZmmState;
  found.avx512vnni = usable && HasBit(ecx, 11);
  found.avx512vpopcntdq = usable && HasBit(ecx, 14);
  if (subleaves >= 1 && __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0) {
    found.avxvnni = found.avx2 && HasBit(eax, 4);
  }
  return found;
}

#elif defined(__aarch64__) && defined(__linux__)

CpuFeatures DetectCpu() {
  CpuFeatures found;
  found.neon_dot = (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
  return found;
}

#else

CpuFeatures DetectCpu() { return {}; }

#endif

}  // namespace ann::simd::internal
