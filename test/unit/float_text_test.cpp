// ParseFloat against the C library's strtof, which rounds correctly: fixed cases, then random texts
// of the shapes that matter (short decimals, printed floats and doubles, exact middles between two
// floats and their neighbours, denormals, exponents, junk).
#include "core/float_text.hpp"

#include <bit>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <string>

#include <gtest/gtest.h>

namespace ann {
namespace {

#ifdef __SANITIZE_ADDRESS__
constexpr int kCases = 100'000;
#else
constexpr int kCases = 1'000'000;
#endif

struct Parsed {
  ptrdiff_t length;
  float value;
  FloatTextStatus status;
};

Parsed Parse(const std::string& text) {
  // A copy of exact size: reading past its end is an error that the address sanitizer reports.
  const std::unique_ptr<char[]> exact(new char[text.size()]);
  std::memcpy(exact.get(), text.data(), text.size());
  const ParsedFloat parsed = ParseFloat(exact.get(), exact.get() + text.size());
  return {parsed.end - exact.get(), parsed.value, parsed.status};
}

::testing::AssertionResult Compare(const std::string& text, const Parsed& got) {
  char* end = nullptr;
  const float expected = std::strtof(text.c_str(), &end);
  const auto differs = [&](const char* what) {
    return ::testing::AssertionFailure() << what << " for \"" << text << "\": " << got.value
                                         << " where strtof gives " << expected;
  };
  const FloatTextStatus status = end == text.c_str()    ? FloatTextStatus::kSyntax
                                 : std::isinf(expected) ? FloatTextStatus::kOverflow
                                                        : FloatTextStatus::kOk;
  if (got.status != status) return differs("status");
  if (status == FloatTextStatus::kSyntax) return ::testing::AssertionSuccess();
  if (got.length != end - text.c_str()) return differs("length");
  if (status == FloatTextStatus::kOk &&
      std::bit_cast<uint32_t>(got.value) != std::bit_cast<uint32_t>(expected)) {
    return differs("value");
  }
  return ::testing::AssertionSuccess();
}

// Same end and same bits as strtof, for the text alone and for the text inside a longer list, where
// ParseFloat may look ahead.
::testing::AssertionResult SameAsLibrary(const std::string& text) {
  ::testing::AssertionResult alone = Compare(text, Parse(text));
  if (!alone) return alone << " (alone)";
  return Compare(text, Parse(text + ",987654321098765432109")) << " (in a list)";
}

std::string Printed(const char* format, double value) {
  char text[512];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

float RandomFloat(std::mt19937_64& random) {
  for (;;) {
    const float f = std::bit_cast<float>(static_cast<uint32_t>(random()));
    if (std::isfinite(f)) return f;
  }
}

TEST(FloatText, FixedCases) {
  for (const char* text : {"0",
                           "-0",
                           "+0",
                           "0.0",
                           ".0",
                           "0.",
                           "1",
                           "-1",
                           "+1",
                           "1.",
                           ".5",
                           "-.5",
                           "1.5e3",
                           "1.5E3",
                           "1.5e+3",
                           "1.5e-3",
                           "1e",
                           "1e+",
                           "1e-",
                           "1ex",
                           "1e5x",
                           "00000000000000000000001.50",
                           "0.00000000000000000000000000000000000000000000000012",
                           "123456789012345678901234567890",
                           "18446744073709551615",
                           "18446744073709551616",
                           "99999999999999999999",
                           "16777216",
                           "16777217",
                           "16777217.0",
                           "16777217.000000000000000000000000001",
                           "16777216.9999999999",
                           "33554431",
                           "8388609.5",
                           "8388610.5",
                           "0.1",
                           "0.3",
                           "1e38",
                           "3.4028235e38",
                           "3.40282350e38",
                           "3.4028235677973366e38",
                           "3.4028235677973365e38",
                           "3.4028236e38",
                           "4e38",
                           "1e39",
                           "1e400",
                           "-1e400",
                           "1e99999999999999999999",
                           "1e-99999999999999999999",
                           "0e99999999999999999999",
                           "1e-37",
                           "1.17549435e-38",
                           "1.1754943e-38",
                           "1.1754942e-38",
                           "1e-45",
                           "1.4e-45",
                           "7.1e-46",
                           "7.006492321624085e-46",
                           "7.0064923216240853e-46",
                           "7.0064923216240854e-46",
                           "7.0064923216240855e-46",
                           "7e-46",
                           "1e-46",
                           "-1e-46",
                           "1e-1000",
                           "",
                           "-",
                           "+",
                           ".",
                           "-.",
                           "e5",
                           ".e5",
                           "+-1",
                           "--1",
                           "- 1",
                           ",",
                           "]",
                           "abc",
                           "1,2",
                           "1]",
                           "1 ",
                           "1..2",
                           "1.2.3",
                           "12345678",
                           "1234567890123456",
                           "12345678.",
                           "1234567:",
                           "1/2"}) {
    EXPECT_TRUE(SameAsLibrary(text));
  }
}

TEST(FloatText, BlanksAreNotSkipped) {
  EXPECT_EQ(Parse(" 1").status, FloatTextStatus::kSyntax);
  for (const char c : {' ', '\t', '\n', '\v', '\f', '\r'}) EXPECT_TRUE(IsTextBlank(c));
  for (const char c : {'\0', '\b', '\x0e', 'a', '\xa0', ','}) EXPECT_FALSE(IsTextBlank(c));
}

TEST(FloatText, WordsAndHexadecimal) {
  EXPECT_EQ(Parse("NaN").status, FloatTextStatus::kNan);
  EXPECT_EQ(Parse("-nan").status, FloatTextStatus::kNan);
  EXPECT_EQ(Parse("inf").status, FloatTextStatus::kInfinite);
  EXPECT_EQ(Parse("-Infinity").status, FloatTextStatus::kInfinite);
  EXPECT_EQ(Parse("+INF").status, FloatTextStatus::kInfinite);
  EXPECT_EQ(Parse("in").status, FloatTextStatus::kSyntax);
  EXPECT_EQ(Parse("na").status, FloatTextStatus::kSyntax);
  const Parsed hexadecimal = Parse("0x1p3");
  EXPECT_EQ(hexadecimal.status, FloatTextStatus::kOk);
  EXPECT_EQ(hexadecimal.length, 1);
}

// Exponents that bring a text of many digits back into range.
TEST(FloatText, LongTexts) {
  EXPECT_TRUE(SameAsLibrary("0." + std::string(100'000, '0') + "123e100000"));
  EXPECT_TRUE(SameAsLibrary("123" + std::string(100'000, '0') + "e-100001"));
  EXPECT_TRUE(SameAsLibrary(std::string(100'000, '9')));
  EXPECT_TRUE(SameAsLibrary("0." + std::string(100'000, '9')));
  EXPECT_TRUE(SameAsLibrary("16777217." + std::string(1'000, '0') + "1"));
  EXPECT_TRUE(SameAsLibrary("16777217." + std::string(1'000, '0')));
  EXPECT_TRUE(SameAsLibrary("-1" + std::string(200, '0') + "." + std::string(200, '7') + "e-190"));
}

TEST(FloatText, RandomDigits) {
  std::mt19937_64 random(1);
  for (int i = 0; i < kCases; i++) {
    std::string text = random() % 2 ? "-" : "";
    const int before = static_cast<int>(random() % (random() % 8 ? 3 : 25));
    const int after = static_cast<int>(random() % (random() % 8 ? 12 : 40));
    for (int k = 0; k < before; k++) text += static_cast<char>('0' + random() % 10);
    if (after > 0 || random() % 2) text += '.';
    const int zeros = random() % 4 ? 0 : static_cast<int>(random() % 30);
    text.append(static_cast<size_t>(zeros), '0');
    for (int k = 0; k < after; k++) text += static_cast<char>('0' + random() % 10);
    if (random() % 4 == 0) text += "e" + std::to_string(static_cast<int>(random() % 120) - 60);
    ASSERT_TRUE(SameAsLibrary(text));
  }
}

TEST(FloatText, PrintedFloatsAndDoubles) {
  constexpr const char* kFixed[] = {"%.6f", "%.8f", "%.10f", "%.18f"};
  std::mt19937_64 random(2);
  std::normal_distribution<double> component(0, 0.05);
  for (int i = 0; i < kCases; i++) {
    const float f = RandomFloat(random);
    const std::string text = Printed("%.9g", f);
    ASSERT_TRUE(SameAsLibrary(text));
    ASSERT_EQ(std::bit_cast<uint32_t>(Parse(text).value), std::bit_cast<uint32_t>(f)) << text;
    ASSERT_TRUE(SameAsLibrary(Printed("%.17g", component(random))));
    ASSERT_TRUE(SameAsLibrary(Printed(kFixed[i % 4], component(random))));
  }
}

// The exact middle between two neighbouring floats, cut after various digits, and with a digit
// added far behind: where a double rounding would go wrong.
TEST(FloatText, MiddlesBetweenFloats) {
  std::mt19937_64 random(3);
  for (int i = 0; i < kCases / 4; i++) {
    // Half of them between 0 and 10, where ParseFloat has its short way.
    const float f = i % 2 ? RandomFloat(random) : static_cast<float>(random() % 10'000'000) / 1e6f;
    const float next = std::nextafter(f, std::numeric_limits<float>::infinity());
    if (!std::isfinite(next)) continue;
    const double middle = (static_cast<double>(f) + static_cast<double>(next)) / 2;
    const std::string exact = Printed("%.160e", middle);
    ASSERT_TRUE(SameAsLibrary(exact));
    std::string above = exact;
    above[above.find('e') - 1] = '1';
    ASSERT_TRUE(SameAsLibrary(above));
    for (const char* format : {"%.17e", "%.25e", "%.15f", "%.16f", "%.17f", "%.18f", "%.19f"}) {
      ASSERT_TRUE(SameAsLibrary(Printed(format, middle)));
    }
  }
}

TEST(FloatText, RandomBytes) {
  std::mt19937_64 random(4);
  constexpr char kAlphabet[] = "0123456789..eE+-,] \t9900";
  for (int i = 0; i < kCases; i++) {
    std::string text;
    const int length = static_cast<int>(random() % 24);
    for (int k = 0; k < length; k++) text += kAlphabet[random() % (sizeof kAlphabet - 1)];
    if (!text.empty() && (text[0] == ' ' || text[0] == '\t')) text[0] = '7';
    ASSERT_TRUE(SameAsLibrary(text));
  }
}

}  // namespace
}  // namespace ann
