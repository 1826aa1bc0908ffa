// How the meta page of an index says what attributes it has: key columns after the vector.
#pragma once

#include <cstdint>

namespace ann::format {

inline constexpr uint32_t kMaxAttributes = 8;
// Of the values of one row.
inline constexpr uint32_t kMaxAttributeBytes = 64;

// What of a value an index keeps: all, as an integer in the value's order; a hash; or a set's
// elements, a bit each.
enum class AttributeKind : uint8_t { kOrdered = 0, kHash = 1, kSignature = 2 };

// A byte an attribute: width in bytes (1, 2, 4, 8, 16), kind in the upper 3 bits. 0: there is none.
constexpr uint8_t AttributeByte(AttributeKind kind, uint32_t width) {
  return static_cast<uint8_t>(width | static_cast<uint32_t>(kind) << 5);
}
constexpr uint32_t AttributeWidth(uint8_t attribute) { return attribute & 31; }
constexpr AttributeKind KindOfAttribute(uint8_t attribute) {
  return static_cast<AttributeKind>(attribute >> 5);
}

// Whether bytes, `count` attributes and `bytes` of a row (values, nulls, marks) can be of one
// index.
bool AreAttributes(const uint8_t attributes[kMaxAttributes], uint32_t count, uint32_t bytes);

}  // namespace ann::format
