// Preloaded beside libasan, and linked so that its constructor runs before all others (-z
// initfirst). libasan starts at the first malloc, and asks glibc for the text of a dlsym error. If
// that malloc is of a library's constructor that is inside bindtextdomain (libgpg-error's, which
// Debian's server has by way of libsystemd), glibc's lock is held and the process waits for ever.
#include <cstdlib>

namespace {

void* volatile memory;

[[gnu::constructor]] void StartAsan() {
  memory = std::malloc(1);
  std::free(memory);
}

}  // namespace
