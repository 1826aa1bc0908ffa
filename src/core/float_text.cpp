// Most numbers of embeddings look alike: a sign or none, one digit, a point, 1 to 18 digits. Such a
// text is read in 4 to 10 ns: digits eight at a time into an integer w, then w * 10^-n in double,
// rounded to float. That is right whenever the double is not near the middle of two floats (see
// kMiddleMargin). Everything else goes to std::from_chars, 11 to 18 ns, which always rounds
// correctly.
#include "core/float_text.hpp"

#include <bit>
#include <charconv>
#include <cstring>
#include <system_error>

namespace ann {

namespace {

// Positions behind the first digit: two blocks of eight and two single digits.
constexpr int kMaxFraction = 18;
// Sign, digit, point, fraction and the character that ends the number.
constexpr ptrdiff_t kUsualBytes = 3 + kMaxFraction + 1;

constexpr double kNegativePowers[kMaxFraction + 1] = {
    1e0,   1e-1,  1e-2,  1e-3,  1e-4,  1e-5,  1e-6,  1e-7,  1e-8, 1e-9,
    1e-10, 1e-11, 1e-12, 1e-13, 1e-14, 1e-15, 1e-16, 1e-17, 1e-18};
constexpr uint64_t kPowers[9] = {1,       10,        100,        1'000,      10'000,
                                 100'000, 1'000'000, 10'000'000, 100'000'000};

// The double q for the exact value x carries three roundings, of w, of the power and of their
// product, each at most 2^-53 relative: together less than 3.1 units of q's last place. Rounding to
// float changes at the middle between two floats, a double whose low 29 bits are 2^28. If q is more
// than 4 units from there, q and x lie on the same side of it, so both round to the same float.
// Floats below FLT_MIN have their middles elsewhere, but q is 0 or at least 10^-18.
constexpr uint64_t kMiddleMargin = 4;
constexpr uint64_t kMiddle = uint64_t{1} << 28;
constexpr uint64_t kBelowFloat = (uint64_t{1} << 29) - 1;

uint32_t DigitOf(char c) { return static_cast<unsigned char>(c - '0'); }

// Eight characters as digit values, the first one in the lowest byte.
uint64_t LoadDigits(const char* p) {
  uint64_t eight;
  std::memcpy(&eight, p, sizeof eight);
  if constexpr (std::endian::native == std::endian::big) eight = __builtin_bswap64(eight);
  return eight ^ 0x3030303030303030u;
}

// How many of the eight are digits before the first that is not. A carry out of a byte of 0x8A or
// more spoils only bytes after it, which no longer matter.
int CountDigits(uint64_t values) {
  const uint64_t others = ((values + 0x7676767676767676u) | values) & 0x8080808080808080u;
  return others == 0 ? 8 : std::countr_zero(others) >> 3;
}

// The value of the first n digits, n >= 1: right-aligned behind zeros, then added up by pairs and
// fours.
uint64_t ValueOf(uint64_t values, int n) {
  uint64_t v = values << (64 - 8 * n);
  v = v * 10 + (v >> 8);
  return ((v & 0x000000FF000000FFu) * 0x000F424000000064u +
          ((v >> 16) & 0x000000FF000000FFu) * 0x0000271000000001u) >>
         32;
}

// Reads a text of the usual form; nullptr when it is of another, or too near a middle.
inline const char* ReadUsual(const char* p, const char* last, float& value) {
  if (last - p < kUsualBytes) return nullptr;
  const uint32_t negative = *p == '-';
  p += negative;
  uint64_t w = DigitOf(p[0]);
  if (w > 9 || p[1] != '.') return nullptr;
  p += 2;
  uint64_t values = LoadDigits(p);
  int n = CountDigits(values);
  if (n == 0) return nullptr;
  w = w * kPowers[n] + ValueOf(values, n);
  p += n;
  int fraction = n;
  if (n == 8) {
    values = LoadDigits(p);
    n = CountDigits(values);
    if (n > 0) w = w * kPowers[n] + ValueOf(values, n);
    p += n;
    fraction += n;
    for (; fraction >= 16 && DigitOf(*p) < 10; p++, fraction++) {
      if (fraction == kMaxFraction) return nullptr;
      w = w * 10 + DigitOf(*p);
    }
  }
  // 19 digits may pass 2^63, and signed integers convert faster.
  if ((*p | 0x20) == 'e' || w >> 63 != 0) return nullptr;
  const double q = static_cast<double>(static_cast<int64_t>(w)) * kNegativePowers[fraction];
  const uint64_t below_float = std::bit_cast<uint64_t>(q) & kBelowFloat;
  if (below_float - (kMiddle - kMiddleMargin) <= 2 * kMiddleMargin) return nullptr;
  // Signs of embeddings are random: no branch on them.
  value = std::bit_cast<float>(std::bit_cast<uint32_t>(static_cast<float>(q)) | (negative << 31));
  return p;
}

bool StartsWith(const char* p, const char* last, const char* word) {
  for (; *word != '\0'; p++, word++) {
    if (p == last || (*p | 0x20) != *word) return false;
  }
  return true;
}

ParsedFloat ReadWord(const char* p, const char* last) {
  if (StartsWith(p, last, "nan")) return {p + 3, 0, FloatTextStatus::kNan};
  if (StartsWith(p, last, "infinity")) return {p + 8, 0, FloatTextStatus::kInfinite};
  if (StartsWith(p, last, "inf")) return {p + 3, 0, FloatTextStatus::kInfinite};
  return {p, 0, FloatTextStatus::kSyntax};
}

// Of a number out of float's range: whether it is too small, not too large.
bool IsTiny(const char* p, const char* end) {
  int64_t top = 0;  // the value lies in [10^(top-1), 10^top)
  bool significant = false;
  bool after_point = false;
  for (; p != end && (*p | 0x20) != 'e'; p++) {
    if (*p == '.') {
      after_point = true;
      continue;
    }
    significant |= *p != '0';
    if (!after_point && significant) top++;
    if (after_point && !significant) top--;
  }
  if (p == end) return top < 0;
  p += p[1] == '+' ? 2 : 1;
  int64_t exponent = 0;
  if (std::from_chars(p, end, exponent).ec == std::errc::result_out_of_range) return *p == '-';
  return top < -exponent;
}

}  // namespace

ParsedFloat ParseFloat(const char* first, const char* last) noexcept {
  ParsedFloat parsed{first, 0, FloatTextStatus::kOk};
  if (const char* end = ReadUsual(first, last, parsed.value)) [[likely]] {
    parsed.end = end;
    return parsed;
  }
  const char* p = first;
  const bool negative = p != last && *p == '-';
  if (p != last && (*p == '-' || *p == '+')) p++;
  if (p == last || (DigitOf(*p) > 9 && *p != '.')) return ReadWord(p, last);
  float magnitude = 0;
  const std::from_chars_result read = std::from_chars(p, last, magnitude);
  if (read.ec == std::errc::invalid_argument) return {p, 0, FloatTextStatus::kSyntax};
  parsed.end = read.ptr;
  if (read.ec == std::errc::result_out_of_range) {
    if (!IsTiny(p, read.ptr)) return {read.ptr, 0, FloatTextStatus::kOverflow};
    magnitude = 0;
  }
  parsed.value = negative ? -magnitude : magnitude;
  return parsed;
}

}  // namespace ann
