// What the CPU and the operating system together allow, for kernels outside Highway.
#pragma once

namespace ann::simd::internal {

struct CpuFeatures {
  bool avx2 = false;
  bool avxvnni = false;     // VEX vpdpbusd, 256 bits
  bool avx512vnni = false;  // EVEX vpdpbusd with avx512f/bw/dq/vl
  bool avx512vpopcntdq = false;
  bool neon_dot = false;  // ARMv8.2 sdot/udot
};

CpuFeatures DetectCpu();

}  // namespace ann::simd::internal
