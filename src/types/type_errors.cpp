#include "types/type_errors.hpp"

#include <bit>
#include <cmath>

#include "types/dense_type.hpp"

namespace ann::types {

void ReportDimsOutOfRange(const char* type, int64_t dims, int limit) {
  if (dims < 1) {
    ereport(ERROR,
            (errcode(ERRCODE_DATA_EXCEPTION), errmsg("%s must have at least 1 dimension, not %lld",
                                                     type, static_cast<long long>(dims))));
  }
  ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                  errmsg("%s cannot have %lld dimensions", type, static_cast<long long>(dims)),
                  errdetail("The limit is %d.", limit)));
  pg_unreachable();
}

void ReportUnexpectedDims(const char* type, int expected, int dims) {
  ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
                  errmsg("expected a %s of %d dimensions, not %d", type, expected, dims)));
  pg_unreachable();
}

void ReportDifferentDims(const char* type, int a, int b) {
  ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
                  errmsg("%ss have different numbers of dimensions: %d and %d", type, a, b)));
  pg_unreachable();
}

void ReportNonFinite(const char* type, float value, int position, int dims) {
  ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
                  errmsg("%s is not allowed in a %s",
                         std::isnan(value) ? "NaN"
                         : value < 0       ? "-Infinity"
                                           : "Infinity",
                         type),
                  errdetail("It is element %d of %d.", position, dims)));
  pg_unreachable();
}

void ReportOutOfRange(const char* type, float value, int position) {
  char text[FLOAT_SHORTEST_DECIMAL_LEN];
  float_to_shortest_decimal_buf(value, text);
  ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
                  errmsg("\"%s\" is out of range for type %s", text, type),
                  errdetail("It is element %d.", position)));
  pg_unreachable();
}

void ReportBitLengths(int64_t a, int64_t b) {
  ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
                  errmsg("bit strings have different lengths: %lld and %lld",
                         static_cast<long long>(a), static_cast<long long>(b))));
  pg_unreachable();
}

void ReportDamaged(const char* type, size_t bytes) {
  ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
                  errmsg("stored %s of %zu bytes is damaged", type, bytes),
                  errdetail("Its length does not fit its number of dimensions.")));
  pg_unreachable();
}

// An exponent of all ones carries into the sign bit; integers, so that the loops vectorise.
bool AllFinite(const float* values, int dims) {
  uint32_t seen = 0;
  for (int i = 0; i < dims; i++) {
    seen |= (std::bit_cast<uint32_t>(values[i]) & 0x7FFFFFFFu) + 0x00800000u;
  }
  return seen >> 31 == 0;
}

bool AllFinite(const Half* values, int dims) {
  uint16_t seen = 0;
  for (int i = 0; i < dims; i++) {
    seen = static_cast<uint16_t>(seen | ((values[i].bits & 0x7FFFu) + 0x0400u));
  }
  return seen >> 15 == 0;
}

}  // namespace ann::types
