// Arrays laid out one after the other in memory of the caller.
#pragma once

#include <cstddef>

#include "core/sizes.hpp"

namespace ann::cluster {

// With a null base it only counts. Pieces are aligned as lines of the cache, if the base is.
class Carver {
 public:
  explicit Carver(void* base) : base_(static_cast<char*>(base)) {}
  template <class T>
  T* Take(size_t count) {
    const size_t at = used_;
    used_ += RoundUp(count * sizeof(T), 64);
    return base_ == nullptr ? nullptr : reinterpret_cast<T*>(base_ + at);
  }
  size_t used() const { return used_; }

 private:
  char* base_;
  size_t used_ = 0;
};

}  // namespace ann::cluster
