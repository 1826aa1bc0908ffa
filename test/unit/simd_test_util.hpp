// What the simd tests share: one run per target of this CPU, inputs that end at an unreadable page,
// and a small generator.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <vector>

#include <gtest/gtest.h>

#include "simd/simd.hpp"

namespace ann::simd::testing {

// Selects the target named by the parameter for the length of a test.
class EveryTarget : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override { ASSERT_TRUE(SetTarget(GetParam())); }
  void TearDown() override { InitKernels(); }
};

inline std::string NameOfTarget(const ::testing::TestParamInfo<const char*>& info) {
  return info.param;
}

// A copy of `values` whose last byte is the last before a page without access: a kernel that reads
// or writes past the end faults, also by masked instructions that a sanitizer does not see. The
// start takes every alignment that the length gives it.
template <class T>
class Guarded {
 public:
  explicit Guarded(const std::vector<T>& values) : size_(values.size()) {
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    const size_t bytes = size_ * sizeof(T);
    const size_t body = (bytes + page) / page * page;
    mapped_ = body + page;
    base_ = static_cast<char*>(
        mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (base_ == MAP_FAILED || mprotect(base_ + body, page, PROT_NONE) != 0) abort();
    data_ = reinterpret_cast<T*>(base_ + body - bytes);
    if (bytes > 0) std::memcpy(data_, values.data(), bytes);
  }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;
  ~Guarded() { munmap(base_, mapped_); }

  T* data() const { return data_; }
  std::vector<T> Values() const { return std::vector<T>(data_, data_ + size_); }

 private:
  size_t size_;
  size_t mapped_;
  char* base_;
  T* data_;
};

// splitmix64 (Steele, Lea, Flood 2014).
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t Next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
  }
  int Between(int low, int high) {
    return low + static_cast<int>(Next() % static_cast<uint64_t>(high - low + 1));
  }
  float Symmetric() { return static_cast<float>(static_cast<double>(Next() >> 11) * 0x1p-52 - 1); }

  std::vector<float> Floats(size_t n) {
    std::vector<float> values(n);
    for (float& v : values) v = Symmetric();
    return values;
  }

 private:
  uint64_t state_;
};

// All dims to 130, so every remainder of every vector width and unrolling, and odd larger ones.
inline std::vector<size_t> DimsToTest() {
  std::vector<size_t> dims;
  for (size_t d = 1; d <= 130; ++d) dims.push_back(d);
  for (const size_t d : {255, 383, 384, 768, 1000, 1537, 16000}) dims.push_back(d);
  return dims;
}

}  // namespace ann::simd::testing
