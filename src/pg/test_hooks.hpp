// Hooks of tests, in builds with -DANN_TEST_HOOKS: places where a backend waits, and places where
// it dies (README, "Hooks of tests"). In other builds nothing of this is left.
#pragma once

#include <cstddef>

#ifdef ANN_TEST_HOOKS
#include <source_location>
#endif

namespace ann::pg {

#ifdef ANN_TEST_HOOKS

using Site = std::source_location;

// Called once, when the library is loaded.
void DefineTestSettings();
// Waits here if ann.stop_at names this point. No content lock may be held.
void StopPoint(const char* name);
// Called right after a change has become all it will be after a crash: a WAL record is written, or
// the file has grown. Dies here if ann.kill_after_units says so.
void UnitDone(Site site = Site::current());
// What memory is limited to that would be `bytes`: less where ann.cache_kb says so.
size_t LimitOf(size_t bytes);

#else

struct Site {
  static consteval Site current() { return {}; }
};

inline void DefineTestSettings() {}
inline void StopPoint(const char*) {}
inline void UnitDone(Site = Site::current()) {}
constexpr size_t LimitOf(size_t bytes) { return bytes; }

#endif

}  // namespace ann::pg
