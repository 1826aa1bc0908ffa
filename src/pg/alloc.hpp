// Memory for C++ containers from a MemoryContext. A container over PgAllocator may be alive when
// ereport jumps: its memory goes with the context (README, "What may be alive").
#pragma once

#include <cstddef>
#include <new>
#include <type_traits>
#include <utility>

#include <boost/container/vector.hpp>

#include "pg/pg.hpp"

namespace ann::pg {

template <class T>
class PgAllocator {
  static_assert(alignof(T) <= MAXIMUM_ALIGNOF, "palloc aligns to MAXALIGN only");

 public:
  using value_type = T;

  explicit PgAllocator(MemoryContext context) noexcept : context_(context) {}
  template <class U>
  PgAllocator(const PgAllocator<U>& other) noexcept : context_(other.context()) {}

  // Errors: out of memory, or a size that overflows, by ereport.
  T* allocate(size_t n) {
    return static_cast<T*>(
        MemoryContextAllocExtended(context_, mul_size(n, sizeof(T)), MCXT_ALLOC_HUGE));
  }
  void deallocate(T* p, size_t) noexcept { pfree(p); }
  MemoryContext context() const noexcept { return context_; }

  template <class U>
  bool operator==(const PgAllocator<U>& other) const noexcept {
    return context_ == other.context();
  }

 private:
  MemoryContext context_;
};

template <class T>
using Vec = boost::container::vector<T, PgAllocator<T>>;

// What a struct that lives across ereport may hold: trivially destructible members, or containers
// whose memory a context owns. Beside each such struct: static_assert(kJumpSafe<T>).
template <class T>
inline constexpr bool kJumpSafe = std::is_trivially_destructible_v<T>;
template <class T>
inline constexpr bool kJumpSafe<Vec<T>> = std::is_trivially_destructible_v<T>;

// `n` objects, zeroed, in `context`.
template <class T>
T* AllocZero(MemoryContext context, size_t n) {
  return static_cast<T*>(MemoryContextAllocExtended(context, mul_size(n, sizeof(T)),
                                                    MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO));
}

// An object in memory that a context owns; its destructor is never run.
template <class T, class... Args>
T* Construct(void* memory, Args&&... args) {
  return ::new (memory) T(std::forward<Args>(args)...);
}

}  // namespace ann::pg
