// Attribute values of rows as they lie on pages, and one row's as they are handled (README.md).
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>

#include "format/attribute_bytes.hpp"

namespace ann::filter {

using format::AttributeKind;
using format::kMaxAttributes;

// An unsigned integer of up to 16 bytes.
struct Value {
  uint64_t high = 0;
  uint64_t low = 0;
  friend constexpr auto operator<=>(const Value&, const Value&) = default;
};

// The largest value of `width` bytes.
constexpr Value LargestOf(uint32_t width) {
  if (width == 16) return {UINT64_MAX, UINT64_MAX};
  return {0, width == 8 ? UINT64_MAX : (uint64_t{1} << (8 * width)) - 1};
}

// Marks of a row, beside its values.
inline constexpr uint8_t kFurtherRows = 1;
inline constexpr uint8_t kKnownMarks = kFurtherRows;

struct Row {
  std::array<Value, kMaxAttributes> values;  // of a null: 0
  uint8_t nulls = 0;                         // a bit an attribute
  uint8_t marks = 0;

  bool IsNull(uint32_t attribute) const { return (nulls >> attribute & 1) != 0; }
  void SetNull(uint32_t attribute) { nulls = static_cast<uint8_t>(nulls | 1u << attribute); }
  // Whether the values are those of `other`, whatever the marks.
  bool HasValuesOf(const Row& other) const {
    return nulls == other.nulls && values == other.values;
  }
};

// Where the attributes of `capacity` rows lie in an area: attribute after attribute, the widest
// first, then the rows' null bytes, then their mark bytes. The default is that of no attributes.
class AreaLayout {
 public:
  AreaLayout() = default;
  // `attributes`: a byte each (format/attribute_bytes.hpp), in the order of the index's columns.
  // Those that are no attribute's end them.
  explicit AreaLayout(const uint8_t attributes[kMaxAttributes]);

  uint32_t count() const { return count_; }
  uint32_t width(uint32_t attribute) const { return widths_[attribute]; }
  AttributeKind kind(uint32_t attribute) const { return kinds_[attribute]; }
  // Bytes that one row takes in all; 0: there are no attributes.
  uint32_t row_bytes() const { return count_ == 0 ? 0 : value_bytes_ + 2u; }
  size_t AreaBytes(uint32_t capacity) const { return size_t{row_bytes()} * capacity; }

  // --- columns of an area
  const char* Values(const char* area, uint32_t capacity, uint32_t attribute) const {
    return area + size_t{before_[attribute]} * capacity;
  }
  const uint8_t* Nulls(const char* area, uint32_t capacity) const {
    return reinterpret_cast<const uint8_t*>(area) + size_t{value_bytes_} * capacity;
  }
  const uint8_t* Marks(const char* area, uint32_t capacity) const {
    return Nulls(area, capacity) + capacity;
  }
  uint8_t* Marks(char* area, uint32_t capacity) const {
    return const_cast<uint8_t*>(Marks(static_cast<const char*>(area), capacity));
  }
  Value ValueOf(const char* area, uint32_t capacity, uint32_t i, uint32_t attribute) const;

  // --- one row of an area. Capacity 1: a row alone, packed.
  void Put(char* area, uint32_t capacity, uint32_t i, const Row& row) const;
  Row Get(const char* area, uint32_t capacity, uint32_t i) const;
  // Copies a row, marks included, of an area that may be the same one.
  void Move(const char* from, uint32_t from_capacity, uint32_t i, char* to, uint32_t to_capacity,
            uint32_t j) const;

 private:
  uint8_t count_ = 0;
  uint8_t value_bytes_ = 0;
  std::array<uint8_t, kMaxAttributes> widths_{};
  std::array<AttributeKind, kMaxAttributes> kinds_{};
  std::array<uint8_t, kMaxAttributes> before_{};  // value bytes of a row that lie before
};

}  // namespace ann::filter
