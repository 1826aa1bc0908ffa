// A conjunction of conditions on attributes, tested on areas (README.md).
//
// It may let rows pass that should not, which the executor checks again, and never the reverse.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <type_traits>

#include "filter/area.hpp"

namespace ann::filter {

class Filter {
 public:
  explicit Filter(const AreaLayout& layout) : layout_(layout) {}

  // --- conditions; a row must meet all. All but AddNull also ask for a value, not null.
  void AddRange(uint32_t attribute, Value low, Value high);  // both included
  // `values` are sorted in place and stay the filter's.
  void AddIn(uint32_t attribute, Value* values, uint32_t n);
  void AddAllBits(uint32_t attribute, uint64_t bits);
  void AddAnyBits(uint32_t attribute, uint64_t bits);
  void AddNull(uint32_t attribute);
  void AddNotNull(uint32_t attribute);
  void AddNever() { never_ = true; }

  // No row can pass.
  bool never() const { return never_; }
  // All rows pass.
  bool empty() const { return !never_ && asked_ == 0; }
  const AreaLayout& layout() const { return layout_; }

  // The values that an attribute must have one of, in order; none: there are others, or none at
  // all.
  std::span<const Value> ValuesOf(uint32_t attribute) const {
    const Condition& condition = conditions_[attribute];
    if (never_ || (asked_ >> attribute & 1) == 0 || condition.nulls != Nulls::kNone) return {};
    if (condition.in != nullptr) return {condition.in, condition.in_count};
    return {&condition.low, condition.low == condition.high ? 1u : 0u};
  }

  // Calls visit(data, bytes) for what the tests read of an area. Inlined by force: GCC drops a call
  // that does nothing but prefetch.
  template <class Visit>
  [[gnu::always_inline]] void ForColumns(const char* area, uint32_t capacity, Visit&& visit) const {
    visit(reinterpret_cast<const char*>(layout_.Nulls(area, capacity)), size_t{2} * capacity);
    for (uint32_t i = 0; i < layout_.count(); ++i) {
      if ((asked_ >> i & 1) == 0) continue;
      visit(layout_.Values(area, capacity, i), size_t{layout_.width(i)} * capacity);
    }
  }

  // --- tests. Of rows that may be changed meanwhile they read the marks before the values.

  // Bit i: row first + i passes, or is marked kFurtherRows. `first` is a multiple of 32. Rows from
  // `capacity` on do not pass.
  uint32_t Mask32(const char* area, uint32_t capacity, uint32_t first) const;
  // The same of one row.
  bool Test(const char* area, uint32_t capacity, uint32_t i) const;
  // Whether its values pass, whatever its marks.
  bool TestValues(const char* area, uint32_t capacity, uint32_t i) const;

 private:
  enum class Nulls : uint8_t { kEither, kOnly, kNone };
  // Of several conditions any-of-these-bits those beyond so many are left to the executor.
  static constexpr uint32_t kMaxAnyBits = 4;

  struct Condition {
    Nulls nulls = Nulls::kEither;
    uint8_t any_count = 0;
    uint32_t in_count = 0;
    Value low;
    Value high;
    const Value* in = nullptr;  // null: any value from low to high
    uint64_t all_bits = 0;
    std::array<uint64_t, kMaxAnyBits> any_bits{};
  };

  Condition& Ask(uint32_t attribute, Nulls nulls);
  void Narrow(Condition& condition, Value low, Value high);
  bool IsWhole(const Condition& condition, uint32_t attribute) const;
  uint32_t ValueMask(const Condition& condition, uint32_t attribute, const char* area,
                     uint32_t capacity, uint32_t first, uint32_t mask) const;
  uint32_t InMask(const Condition& condition, uint32_t attribute, const char* area,
                  uint32_t capacity, uint32_t first, uint32_t mask) const;
  bool TestValue(const Condition& condition, Value value) const;

  AreaLayout layout_;
  bool never_ = false;
  uint8_t asked_ = 0;  // attributes with conditions, a bit each
  std::array<Condition, kMaxAttributes> conditions_{};
};

static_assert(std::is_trivially_destructible_v<Filter>);

}  // namespace ann::filter
