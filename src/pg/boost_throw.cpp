// Boost.Container calls these where it would throw or abort. They end in ereport, like every other
// error: an index out of range costs a statement, not the server.
#include <boost/assert.hpp>
#include <boost/container/throw_exception.hpp>

#include "pg/pg.hpp"

namespace boost {

void assertion_failed(const char* expression, const char* function, const char* file, long line) {
  elog(ERROR, "assertion %s failed in %s, %s:%ld", expression, function, file, line);
  pg_unreachable();
}

}  // namespace boost

namespace boost::container {

void throw_bad_alloc() {
  ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
  pg_unreachable();
}
void throw_out_of_range(const char* what) {
  elog(ERROR, "container index out of range: %s", what);
  pg_unreachable();
}
void throw_length_error(const char* what) {
  ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                  errmsg("container size exceeds the limit"), errdetail("%s", what)));
  pg_unreachable();
}
void throw_logic_error(const char* what) {
  elog(ERROR, "container misused: %s", what);
  pg_unreachable();
}
void throw_runtime_error(const char* what) {
  elog(ERROR, "container failed: %s", what);
  pg_unreachable();
}

}  // namespace boost::container
