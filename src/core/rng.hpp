// Random bits for what is stored on disk (rotations, levels): our own generator, so that no
// library's change can change an index. splitmix64 (Steele, Lea, Flood 2014, "Fast splittable
// pseudorandom number generators").
#pragma once

#include <cstdint>

namespace ann {

constexpr uint64_t Mix64(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

class Rng {
 public:
  constexpr explicit Rng(uint64_t seed) : state_(seed) {}
  constexpr uint64_t Next() { return Mix64(state_ += 0x9e3779b97f4a7c15ULL); }
  // Uniform in (0, 1].
  constexpr double NextUnit() { return static_cast<double>((Next() >> 11) + 1) * 0x1.0p-53; }

 private:
  uint64_t state_;
};

}  // namespace ann
