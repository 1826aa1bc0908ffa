// Errors that the types share. `type`: what SQL calls it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ann::types {

[[noreturn]] void ReportDimsOutOfRange(const char* type, int64_t dims, int limit);
[[noreturn]] void ReportUnexpectedDims(const char* type, int expected, int dims);
[[noreturn]] void ReportDifferentDims(const char* type, int a, int b);
// `position` counts from 1.
[[noreturn]] void ReportNonFinite(const char* type, float value, int position, int dims);
// A number that is beyond the type's range.
[[noreturn]] void ReportOutOfRange(const char* type, float value, int position);
[[noreturn]] void ReportBitLengths(int64_t a, int64_t b);
[[noreturn]] void ReportDamaged(const char* type, size_t bytes);

}  // namespace ann::types
