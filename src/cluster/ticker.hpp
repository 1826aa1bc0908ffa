// Counts work and calls the caller back every few milliseconds.
#pragma once

#include <cstdint>

#include "cluster/progress.hpp"

namespace ann::cluster {

// `done` may lie in memory that several processes share.
class Ticker {
 public:
  Ticker(const Progress& progress, Phase phase, uint32_t dims, uint64_t* done, uint64_t total)
      : progress_(progress), phase_(phase), dims_(dims), done_(done), total_(total) {}

  // After that many distances were computed, or something as dear.
  void Spend(uint64_t distances) {
    pending_ += distances;
    if (pending_ * dims_ >= kWork) Flush();
  }
  void Flush() {
    const uint64_t done = __atomic_add_fetch(done_, pending_, __ATOMIC_RELAXED);
    pending_ = 0;
    if (progress_.tick == nullptr) return;
    progress_.tick(progress_.context, phase_, done < total_ ? done : total_, total_);
  }

  // How many distances from one Spend to the next keep the promise.
  uint64_t Stride() const { return kWork / dims_ + 1; }

 private:
  // Multiply-adds: 1 to 5 ms, from AVX-512 to SSE4.
  static constexpr uint64_t kWork = uint64_t{1} << 26;

  Progress progress_;
  Phase phase_;
  uint32_t dims_;
  uint64_t* done_;
  uint64_t total_;
  uint64_t pending_ = 0;
};

}  // namespace ann::cluster
