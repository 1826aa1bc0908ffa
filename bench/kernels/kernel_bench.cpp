// ns a vector, core cycles and GB/s of every kernel, beside the machine's own limits, which are
// measured first. Usage: kernel_bench [target]. Each figure is the fastest of many short runs, so
// that other work on the machine disturbs it little; src/simd/README.md explains the columns.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "plain_loops.hpp"
#include "simd/simd.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kL1Bytes = 16 << 10;  // half of the smallest L1 in use
constexpr size_t kDims[] = {128, 384, 768, 1536};

// Makes the compiler compute a value, and nothing else: clobbering memory would reload the loop's
// own variables, which costs as much as a short kernel.
#if defined(__x86_64__)
inline void Keep(float value) { __asm__ volatile("" : : "x"(value)); }
#else
inline void Keep(float value) { __asm__ volatile("" : : "w"(value)); }
#endif
inline void Keep(uint64_t value) { __asm__ volatile("" : : "r"(value)); }

// Fastest ns of `run()` over enough repetitions to fill about 60 ms.
template <class Run>
double FastestNs(Run&& run) {
  double best = 1e30;
  const auto end = Clock::now() + std::chrono::milliseconds(60);
  for (int i = 0; i < 5 || Clock::now() < end; ++i) {
    const auto start = Clock::now();
    run();
    const std::chrono::duration<double, std::nano> taken = Clock::now() - start;
    best = std::min(best, taken.count());
  }
  return best;
}

// A chain of dependent one-cycle instructions gives the core clock, which the time stamp counter
// does not.
double MeasureGhz() {
  constexpr int kSteps = 400000;
  const double ns = FastestNs([] {
    uint64_t x = 1;
    for (int i = 0; i < kSteps; i += 8) {
      __asm__ volatile(
#if defined(__x86_64__)
          "ror $1,%0\n\tror $1,%0\n\tror $1,%0\n\tror $1,%0\n\t"
          "ror $1,%0\n\tror $1,%0\n\tror $1,%0\n\tror $1,%0"
#else
          "eor %0,%0,%0,ror #1\n\teor %0,%0,%0,ror #1\n\teor %0,%0,%0,ror #1\n\t"
          "eor %0,%0,%0,ror #1\n\teor %0,%0,%0,ror #1\n\teor %0,%0,%0,ror #1\n\t"
          "eor %0,%0,%0,ror #1\n\teor %0,%0,%0,ror #1"
#endif
          : "+r"(x));
    }
    Keep(x);
  });
  return kSteps / ns;
}

// Reads `bytes` (a multiple of 512) once, with the widest loads of the CPU.
#if defined(__x86_64__)
__attribute__((target("avx512f"))) uint64_t ReadAvx512(const char* p, size_t bytes) {
  __m512i x[8] = {};
  for (size_t i = 0; i < bytes; i += 512) {
    for (size_t k = 0; k < 8; ++k) {
      x[k] = _mm512_xor_si512(x[k], _mm512_loadu_si512(p + i + 64 * k));
    }
  }
  for (size_t k = 1; k < 8; ++k) x[0] = _mm512_xor_si512(x[0], x[k]);
  uint64_t out[8];
  _mm512_storeu_si512(out, x[0]);
  return out[0];
}

__attribute__((target("avx2"))) uint64_t ReadAvx2(const char* p, size_t bytes) {
  __m256i x[8] = {};
  for (size_t i = 0; i < bytes; i += 256) {
    for (size_t k = 0; k < 8; ++k) {
      const auto* piece = reinterpret_cast<const __m256i*>(p + i + 32 * k);
      x[k] = _mm256_xor_si256(x[k], _mm256_loadu_si256(piece));
    }
  }
  for (size_t k = 1; k < 8; ++k) x[0] = _mm256_xor_si256(x[0], x[k]);
  uint64_t out[4];
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), x[0]);
  return out[0];
}
#endif

uint64_t ReadWords(const char* p, size_t bytes) {
  uint64_t x[8] = {};
  for (size_t i = 0; i < bytes; i += 64) {
    for (size_t k = 0; k < 8; ++k) {
      uint64_t word;
      std::memcpy(&word, p + i + 8 * k, 8);
      x[k] ^= word;
    }
  }
  return x[0] ^ x[1] ^ x[2] ^ x[3] ^ x[4] ^ x[5] ^ x[6] ^ x[7];
}

using ReadFn = uint64_t (*)(const char*, size_t);

ReadFn WidestRead() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return ReadAvx512;
  if (__builtin_cpu_supports("avx2")) return ReadAvx2;
#endif
  return ReadWords;
}

char* AllocatePages(size_t bytes) {
  char* p = static_cast<char*>(std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096));
  if (p == nullptr) std::abort();
  std::memset(p, 1, bytes);
  return p;
}

double ReadGbPerSecond(size_t bytes) {
  char* p = AllocatePages(bytes);
  const ReadFn read = WidestRead();
  const size_t passes = std::max<size_t>(1, (size_t{1} << 21) / bytes);
  const double ns = FastestNs([&] {
    for (size_t i = 0; i < passes; ++i) Keep(read(p, bytes));
  });
  std::free(p);
  return static_cast<double>(bytes * passes) / ns;
}

// Rows of `row_bytes` at a stride of 8 more, as 8-aligned heap tuples are: most loads cross a cache
// line. `Call(query, row)` is timed over all rows, several times over.
struct Rows {
  Rows(size_t row_bytes, size_t total)
      : stride(row_bytes + 8), count(std::max<size_t>(4, total / stride)) {
    base = AllocatePages(stride * count + 64);
    // Floats near 1 and arbitrary codes at once.
    for (size_t i = 0; i < stride * count / 4; ++i) {
      const float value = 1.0f + static_cast<float>(i * 2654435761u % 1000) / 1000;
      std::memcpy(base + 4 * i, &value, 4);
    }
  }
  Rows(const Rows&) = delete;
  Rows& operator=(const Rows&) = delete;
  ~Rows() { std::free(base); }

  template <class Call>
  double NsPerRow(Call&& call) const {
    const size_t passes = std::max<size_t>(1, (size_t{1} << 20) / (stride * count));
    const double ns = FastestNs([&] {
      for (size_t pass = 0; pass < passes; ++pass) {
        for (size_t i = 0; i < count; ++i) call(base + i * stride);
      }
    });
    return ns / static_cast<double>(passes * count);
  }

  // The address of a row hangs on the result of the one before: a call's latency.
  template <class Call>
  double LatencyNs(Call&& call) const {
    const size_t calls = 20000;
    size_t zero = 0;  // the compiler must not know
    __asm__ volatile("" : "+r"(zero));
    const double ns = FastestNs([&] {
      size_t at = 0;
      for (size_t i = 0; i < calls; ++i) {
        at += stride + (static_cast<size_t>(call(base + at)) & zero);
        if (at >= stride * count) at = 0;
      }
      Keep(at);
    });
    return ns / calls;
  }

  size_t stride, count;
  char* base;
};

struct Machine {
  double ghz, l1, l2, memory;  // GB/s of reads
};

const float* AsFloats(const char* p) { return reinterpret_cast<const float*>(p); }
const uint8_t* AsCode(const char* p) { return reinterpret_cast<const uint8_t*>(p); }

uint32_t Bits(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
}

// The limit is the loads of both rows at the measured speed of the level that the rows come from;
// the query stays in L1.
template <class Ours, class Plain>
void BenchFloat(const char* name, const Machine& m, const char* where, size_t total, double row_gb,
                Ours&& ours, Plain&& rival) {
  for (const size_t dims : kDims) {
    const double bytes = static_cast<double>(dims * sizeof(float));
    const Rows rows(dims * sizeof(float), total);
    const std::vector<float> query(dims, 0.5f);
    const auto our_call = [&](const char* row) { return ours(AsFloats(row), query.data(), dims); };
    const auto plain_call = [&](const char* row) {
      return rival(AsFloats(row), query.data(), dims);
    };
    const double ns = rows.NsPerRow([&](const char* row) { Keep(our_call(row)); });
    const double plain_ns = rows.NsPerRow([&](const char* row) { Keep(plain_call(row)); });
    const double limit_ns = std::max(2 * bytes / m.l1, bytes / row_gb);
    std::printf("%-13s %-6s %5zu %8.1f %7.0f %7.0f %7.1f %8.1f %6.2f", name, where, dims, ns,
                ns * m.ghz, limit_ns * m.ghz, bytes / ns, plain_ns, plain_ns / ns);
    if (total <= kL1Bytes) {
      const double latency = rows.LatencyNs([&](const char* row) { return Bits(our_call(row)); });
      const double plain_latency =
          rows.LatencyNs([&](const char* row) { return Bits(plain_call(row)); });
      std::printf(" %8.1f %8.1f %6.2f", latency, plain_latency, plain_latency / latency);
    }
    std::printf("\n");
  }
}

void BenchFloats(const Machine& m) {
  std::printf(
      "\nf32 kernels, rows at 8-aligned addresses\n"
      "%-13s %-6s %5s %8s %7s %7s %7s %8s %6s %8s %8s %6s\n",
      "kernel", "rows", "dims", "ns", "cycles", "limit", "GB/s", "plain ns", "ratio", "latency",
      "plain", "ratio");
  const ann::simd::FloatKernels& f = ann::simd::Floats();
  const struct {
    const char* where;
    size_t bytes;
    double gb;
  } places[] = {{"L1", kL1Bytes, m.l1}, {"L2", 512 << 10, m.l2}, {"memory", 256 << 20, m.memory}};
  for (const auto& place : places) {
    BenchFloat("l2_squared", m, place.where, place.bytes, place.gb, f.l2_squared, plain::L2Squared);
    BenchFloat("inner_product", m, place.where, place.bytes, place.gb, f.inner_product,
               plain::InnerProduct);
    BenchFloat("l1", m, place.where, place.bytes, place.gb, f.l1, plain::L1);
    BenchFloat(
        "cosine_parts", m, place.where, place.bytes, place.gb,
        [&f](const float* a, const float* b, size_t dims) { return f.cosine_parts(a, b, dims).ab; },
        plain::Cosine);
  }
}

template <class T, class Kernel>
void BenchCode(const char* name, int bits, const Machine& m, Kernel kernel) {
  for (const size_t dims : kDims) {
    const size_t bytes = ann::simd::PlaneBytes(bits, dims);
    const Rows rows(bytes, kL1Bytes);
    const size_t entries = ann::simd::PlaneEntries(bits, dims);
    char* const query = AllocatePages(entries);
    const auto call = [&](const char* row) {
      return kernel(AsCode(row), reinterpret_cast<const T*>(query), bytes);
    };
    const double ns =
        rows.NsPerRow([&](const char* row) { Keep(static_cast<uint64_t>(call(row))); });
    const double latency = rows.LatencyNs(call);
    // The limit is the loads: the code once, the query once.
    const double load_ns = static_cast<double>(bytes + entries) / m.l1;
    std::printf("%-8s %5zu %6zu %8.2f %8.1f %8.2f %8.1f %10.1f\n", name, dims, bytes, ns,
                ns * m.ghz, load_ns * m.ghz, latency, static_cast<double>(bytes) / ns);
    std::free(query);
  }
}

void BenchCodes(const Machine& m) {
  std::printf(
      "\ncode kernels, codes in L1 at 8-aligned addresses, query aligned to lines\n%-8s %5s %6s "
      "%8s %8s %8s %8s %10s\n",
      "kernel", "dims", "bytes", "ns", "cycles", "limit", "latency", "code GB/s");
  const ann::simd::CodeKernels& c = ann::simd::Codes();
  BenchCode<int8_t>("dot2", 2, m, c.dot2);
  BenchCode<int8_t>("dot4", 4, m, c.dot4);
  BenchCode<int8_t>("dot8", 8, m, c.dot8);
  BenchCode<uint8_t>("sad2", 2, m, c.sad2);
  BenchCode<uint8_t>("sad4", 4, m, c.sad4);
  BenchCode<uint8_t>("sad8", 8, m, c.sad8);
  std::vector<uint8_t> out(2048);
  const auto unpack2 = [&](const uint8_t* code, const uint8_t*, size_t bytes) {
    c.unpack2(code, out.data(), bytes);
    return out[0];
  };
  const auto unpack4 = [&](const uint8_t* code, const uint8_t*, size_t bytes) {
    c.unpack4(code, out.data(), bytes);
    return out[0];
  };
  BenchCode<uint8_t>("unpack2", 2, m, unpack2);
  BenchCode<uint8_t>("unpack4", 4, m, unpack4);
}

// Blocks of 32 codes of 1 bit a dim, one after the other; `score` and a row-major block's
// transposition apart; 32 codes of 8-bit segments, one a 8 dims.
void BenchBlocks(const Machine& m) {
  std::printf("\nblocks of 32 codes in L1, cycles a block\n%5s %8s %10s %8s %8s %8s %10s %12s\n",
              "dims", "scan", "scan, ns", "score", "seal", "unseal", "segments", "sum, 8 bits");
  const ann::simd::BlockKernels& k = ann::simd::Blocks();
  constexpr size_t kRows = ann::simd::kBlockRows;
  std::vector<float> sums(kRows), add(kRows, 1.0f), scale(kRows, -0.5f), keys(kRows), lower(kRows);
  const std::vector<uint16_t> error(kRows, 0x3e00);
  const ann::simd::BlockTerms terms = {1, 0, 3, 1, 2, 0.1f, 0, 0.95f};
  for (const size_t dims : kDims) {
    const size_t nibbles = dims / 4, bytes = 16 * nibbles, segments = dims / 8;
    char* const table = AllocatePages(bytes);
    const Rows blocks(bytes, kL1Bytes);
    std::vector<uint8_t> out(bytes);
    const double scan = blocks.NsPerRow([&](const char* block) {
      k.scan_nibbles(AsCode(block), AsCode(table), nibbles, sums.data());
      Keep(sums[0]);
    });
    const double score = blocks.NsPerRow([&](const char*) {
      Keep(uint64_t{k.score(sums.data(), add.data(), scale.data(), error.data(), terms, 1.0f,
                            keys.data(), lower.data())});
    });
    const double seal = blocks.NsPerRow([&](const char* block) {
      ann::simd::SealNibbles(AsCode(block), bytes / kRows, out.data());
      Keep(uint64_t{out[0]});
    });
    const double unseal = blocks.NsPerRow([&](const char* block) {
      ann::simd::UnsealNibbles(AsCode(block), bytes / kRows, out.data());
      Keep(uint64_t{out[0]});
    });
    const std::vector<uint16_t> wide(256 * segments, 7);
    const Rows codes(kRows * segments, kL1Bytes);
    const double sum = codes.NsPerRow([&](const char* block) {
      for (size_t r = 0; r < kRows; ++r) {
        Keep(uint64_t{ann::simd::SumBytes(AsCode(block) + r * segments, wide.data(), segments)});
      }
    });
    std::printf("%5zu %8.0f %10.1f %8.0f %8.0f %8.0f %10zu %12.0f\n", dims, scan * m.ghz, scan,
                score * m.ghz, seal * m.ghz, unseal * m.ghz, segments, sum * m.ghz);
    std::free(table);
  }
}

template <class Run>
void PrintTransform(const char* name, size_t n, const Machine& m, Run&& run) {
  constexpr int kCalls = 1000;
  const double ns = FastestNs([&] {
                      for (int i = 0; i < kCalls; ++i) run();
                    }) /
                    kCalls;
  std::printf("%-13s %5zu %9.1f %8.0f %8.2f\n", name, n, ns, ns * m.ghz,
              ns * m.ghz / static_cast<double>(n));
}

void BenchTransforms(const Machine& m) {
  std::printf("\ntransforms in L1\n%-13s %5s %9s %8s %8s\n", "kernel", "n", "ns", "cycles",
              "cyc/elem");
  const ann::simd::TransformKernels& t = ann::simd::Transforms();
  for (const size_t n : {128, 256, 512, 1024, 4096, 16384}) {
    std::vector<float> x(n, 0.0f);
    PrintTransform("hadamard", n, m, [&] { t.hadamard(x.data(), n); });
  }
  for (const size_t n : {384, 1536}) {
    std::vector<float> x(n, 0.25f), y(n, 0.0f);
    const std::vector<uint64_t> bits(n / 64, 0x123456789abcdef0u);
    std::vector<int8_t> hi(n), lo(n);
    PrintTransform("flip_signs", n, m, [&] { t.flip_signs(y.data(), bits.data(), n); });
    PrintTransform("kac_step", n, m, [&] { t.kac_step(y.data(), n); });
    PrintTransform("subtract", n, m, [&] { t.subtract(x.data(), x.data(), y.data(), n); });
    PrintTransform("scale", n, m, [&] { t.scale(x.data(), 1.5f, y.data(), n); });
    PrintTransform("quantize_i8", n, m, [&] { t.quantize_i8(x.data(), 9.0f, hi.data(), n); });
    PrintTransform("quantize_i16", n, m,
                   [&] { t.quantize_i16(x.data(), 9.0f, hi.data(), lo.data(), n); });
  }
}

// Rows against centroids in panels; the peak is two fused multiply-adds of the target's vectors a
// cycle, which x86-64 CPUs of the server kind have (a target without them cannot reach it).
void BenchPanels(const Machine& m) {
  std::printf("\npanels: nearest centroid, GFLOP/s (two a multiply-add)\n%6s %6s %6s %9s %10s\n",
              "dims", "lists", "rows", "GFLOP/s", "us a row");
  const ann::simd::PanelKernels& kernels = ann::simd::Panels();
  for (const size_t dims : {16, 128, 384, 768, 1536}) {
    for (const size_t lists : {64, 1024, 4096}) {
      for (const size_t n : {size_t{1}, ann::simd::kPanelRows}) {
        auto* const rows = reinterpret_cast<float*>(AllocatePages(n * dims * sizeof(float)));
        auto* const values = reinterpret_cast<float*>(AllocatePages(lists * dims * sizeof(float)));
        std::fill_n(rows, n * dims, 0.5f);
        std::fill_n(values, lists * dims, 1.5f);
        const std::vector<float> half_norms(lists, 1.0f);
        std::vector<const float*> pointers(n);
        for (size_t i = 0; i < n; ++i) pointers[i] = rows + i * dims;
        std::vector<float> keys(n);
        std::vector<uint32_t> ids(n);
        const ann::simd::PanelSet set = {values, half_norms.data(), lists / ann::simd::kPanelLists,
                                         0};
        const double ns = FastestNs(
            [&] { kernels.nearest(pointers.data(), n, dims, set, keys.data(), ids.data()); });
        std::printf("%6zu %6zu %6zu %9.1f %10.2f\n", dims, lists, n,
                    2 * static_cast<double>(n * lists * dims) / ns,
                    ns / 1000 / static_cast<double>(n));
        std::free(values);
        std::free(rows);
      }
    }
  }
  std::printf("peak at %.2f GHz: %.0f with 512-bit, %.0f with 256-bit vectors\n", m.ghz, 64 * m.ghz,
              32 * m.ghz);
}

}  // namespace

int main(int argc, char** argv) {
  ann::simd::InitKernels();
  if (argc > 1 && !ann::simd::SetTarget(argv[1])) {
    std::fprintf(stderr, "this CPU has no target \"%s\"; it has:", argv[1]);
    for (const char* name : ann::simd::Targets()) std::fprintf(stderr, " %s", name);
    std::fprintf(stderr, "\n");
    return 1;
  }
  const Machine machine = {MeasureGhz(), ReadGbPerSecond(kL1Bytes), ReadGbPerSecond(512 << 10),
                           ReadGbPerSecond(512 << 20)};
  std::printf(
      "target %s, core clock %.2f GHz\nreads, GB/s: L1 %.0f (%.0f B/cycle), L2 %.0f, "
      "memory %.1f\n",
      ann::simd::TargetName(), machine.ghz, machine.l1, machine.l1 / machine.ghz, machine.l2,
      machine.memory);
  BenchFloats(machine);
  BenchCodes(machine);
  BenchBlocks(machine);
  BenchTransforms(machine);
  BenchPanels(machine);
  return 0;
}
