// Decimal text to float, correctly rounded (to nearest, ties to even, as strtof does it) and
// without locale, errno, allocation or writes to the text.
#pragma once

#include <cstdint>

namespace ann {

enum class FloatTextStatus : uint8_t {
  kOk,
  kSyntax,    // no number starts here; `end` is where the text was found wanting
  kOverflow,  // a decimal number whose magnitude rounds above the largest float
  kNan,       // the word "nan", in any case
  kInfinite,  // the word "inf" or "infinity", in any case
};

struct ParsedFloat {
  const char* end;  // one past the last character that belongs to the number
  float value;      // meaningful for kOk only
  FloatTextStatus status;
};

// Reads the longest number that starts at `first`: an optional sign, decimal digits with at most
// one point (before, among or after them), and an optional exponent. No blanks are skipped;
// hexadecimal is not a number ("0x1" reads as 0). What is too small for a float becomes a denormal
// or a signed zero.
ParsedFloat ParseFloat(const char* first, const char* last) noexcept;

// The blanks that may surround a number, whatever the locale.
inline bool IsTextBlank(char c) noexcept { return c == ' ' || (c >= '\t' && c <= '\r'); }

}  // namespace ann
