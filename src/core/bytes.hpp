// Objects in plain memory: read from any address, or laid out in a block that the caller owns.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "core/sizes.hpp"

namespace ann {

template <class T>
T LoadAs(const uint8_t* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

// Takes n objects from the memory at `at`, rounded up to 8 bytes.
template <class T>
T* Carve(char*& at, size_t n) {
  T* p = reinterpret_cast<T*>(at);
  at += RoundUp(n * sizeof(T), 8);
  return p;
}

}  // namespace ann
