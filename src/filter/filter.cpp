#include "filter/filter.hpp"

#include <algorithm>
#include <atomic>
#include <bit>

#include "simd/simd.hpp"

namespace ann::filter {

namespace {

// A set of so many values is met by as many tests of 32 rows for equality; a larger one by a binary
// search a row. A test takes 2 to 6 ns, a search 10 and more.
constexpr uint32_t kFewValues = 16;

}  // namespace

// --- conditions ----------------------------------------------------------------------------------

Filter::Condition& Filter::Ask(uint32_t attribute, Nulls nulls) {
  Condition& condition = conditions_[attribute];
  if ((asked_ >> attribute & 1) == 0) {
    asked_ = static_cast<uint8_t>(asked_ | 1u << attribute);
    condition.high = LargestOf(layout_.width(attribute));
  }
  if (condition.nulls != Nulls::kEither && condition.nulls != nulls) never_ = true;
  condition.nulls = nulls;
  return condition;
}

// Keeps of the condition's range and set what lies within the bounds.
void Filter::Narrow(Condition& condition, Value low, Value high) {
  condition.low = std::max(condition.low, low);
  condition.high = std::min(condition.high, high);
  if (condition.low > condition.high) never_ = true;
  if (never_ || condition.in == nullptr) return;
  const Value* end = condition.in + condition.in_count;
  const Value* from = std::lower_bound(condition.in, end, condition.low);
  const Value* to = std::upper_bound(from, end, condition.high);
  if (from == to) {
    never_ = true;
    return;
  }
  condition.low = *from, condition.high = to[-1];
  condition.in = from, condition.in_count = static_cast<uint32_t>(to - from);
  if (condition.in_count == 1) condition.in = nullptr;
}

void Filter::AddRange(uint32_t attribute, Value low, Value high) {
  Narrow(Ask(attribute, Nulls::kNone), low, high);
}

void Filter::AddIn(uint32_t attribute, Value* values, uint32_t n) {
  Condition& condition = Ask(attribute, Nulls::kNone);
  std::sort(values, values + n);
  Value* end = std::unique(values, values + n);
  if (condition.in != nullptr) {
    const Value* old_end = condition.in + condition.in_count;
    end = std::remove_if(values, end, [&](const Value& value) {
      return !std::binary_search(condition.in, old_end, value);
    });
  }
  if (values == end) {
    never_ = true;
    return;
  }
  condition.in = values, condition.in_count = static_cast<uint32_t>(end - values);
  Narrow(condition, *values, end[-1]);
}

void Filter::AddAllBits(uint32_t attribute, uint64_t bits) {
  Ask(attribute, Nulls::kNone).all_bits |= bits;
}

void Filter::AddAnyBits(uint32_t attribute, uint64_t bits) {
  Condition& condition = Ask(attribute, Nulls::kNone);
  if (bits == 0) never_ = true;
  if (condition.any_count < kMaxAnyBits) condition.any_bits[condition.any_count++] = bits;
}

void Filter::AddNull(uint32_t attribute) { Ask(attribute, Nulls::kOnly); }
void Filter::AddNotNull(uint32_t attribute) { Ask(attribute, Nulls::kNone); }

// --- one row -------------------------------------------------------------------------------------

bool Filter::TestValue(const Condition& condition, Value value) const {
  if (value < condition.low || value > condition.high) return false;
  if (condition.in != nullptr &&
      !std::binary_search(condition.in, condition.in + condition.in_count, value)) {
    return false;
  }
  if ((value.low & condition.all_bits) != condition.all_bits) return false;
  for (uint32_t i = 0; i < condition.any_count; ++i) {
    if ((value.low & condition.any_bits[i]) == 0) return false;
  }
  return true;
}

bool Filter::TestValues(const char* area, uint32_t capacity, uint32_t i) const {
  if (never_) return false;
  const uint8_t nulls = layout_.Nulls(area, capacity)[i];
  for (uint32_t asked = asked_; asked != 0; asked &= asked - 1) {
    const uint32_t attribute = static_cast<uint32_t>(std::countr_zero(asked));
    const Condition& condition = conditions_[attribute];
    const bool null = (nulls >> attribute & 1) != 0;
    if (null != (condition.nulls == Nulls::kOnly)) return false;
    if (!null && !TestValue(condition, layout_.ValueOf(area, capacity, i, attribute))) return false;
  }
  return true;
}

bool Filter::Test(const char* area, uint32_t capacity, uint32_t i) const {
  if (never_) return false;
  const bool marked = (layout_.Marks(area, capacity)[i] & kFurtherRows) != 0;
  std::atomic_thread_fence(std::memory_order_acquire);
  return marked || TestValues(area, capacity, i);
}

// --- 32 rows -------------------------------------------------------------------------------------

bool Filter::IsWhole(const Condition& condition, uint32_t attribute) const {
  return condition.low == Value{} && condition.high == LargestOf(layout_.width(attribute));
}

// Of the rows in `mask`, those whose value is one of the condition's set.
uint32_t Filter::InMask(const Condition& condition, uint32_t attribute, const char* area,
                        uint32_t capacity, uint32_t first, uint32_t mask) const {
  const uint32_t width = layout_.width(attribute);
  if (condition.in_count <= kFewValues && width <= 8) {
    const char* values = layout_.Values(area, capacity, attribute) + size_t{first} * width;
    const auto equal = simd::Filters().range[std::countr_zero(width)];
    uint32_t found = 0;
    for (uint32_t i = 0; i < condition.in_count; ++i) {
      found |= equal(values, condition.in[i].low, 0);
    }
    return mask & found;
  }
  uint32_t found = 0;
  for (uint32_t rest = mask; rest != 0; rest &= rest - 1) {
    const uint32_t i = static_cast<uint32_t>(std::countr_zero(rest));
    const Value value = layout_.ValueOf(area, capacity, first + i, attribute);
    if (TestValue(condition, value)) found |= uint32_t{1} << i;
  }
  return found;
}

// Of the rows in `mask`, none of them null, those whose values meet the condition.
uint32_t Filter::ValueMask(const Condition& condition, uint32_t attribute, const char* area,
                           uint32_t capacity, uint32_t first, uint32_t mask) const {
  const simd::FilterKernels& kernels = simd::Filters();
  const uint32_t width = layout_.width(attribute);
  if (width == 16) {
    return IsWhole(condition, attribute) && condition.in == nullptr
               ? mask
               : InMask(condition, attribute, area, capacity, first, mask);
  }
  const char* values = layout_.Values(area, capacity, attribute) + size_t{first} * width;
  const bool few = condition.in != nullptr && condition.in_count <= kFewValues;
  if (!few && !IsWhole(condition, attribute)) {
    mask &= kernels.range[std::countr_zero(width)](values, condition.low.low,
                                                   condition.high.low - condition.low.low);
  }
  if (condition.all_bits != 0) mask &= kernels.all_bits(values, condition.all_bits);
  for (uint32_t i = 0; i < condition.any_count; ++i) {
    mask &= kernels.any_bits(values, condition.any_bits[i]);
  }
  if (condition.in == nullptr || mask == 0) return mask;
  return InMask(condition, attribute, area, capacity, first, mask);
}

uint32_t Filter::Mask32(const char* area, uint32_t capacity, uint32_t first) const {
  if (never_ || first >= capacity) return 0;
  if (capacity - first < simd::kMaskRows) {
    uint32_t mask = 0;
    for (uint32_t i = 0; first + i < capacity; ++i) {
      mask |= uint32_t{Test(area, capacity, first + i)} << i;
    }
    return mask;
  }
  const auto flags = simd::Filters().any_flags;
  const uint32_t marked = flags(layout_.Marks(area, capacity) + first, kFurtherRows);
  std::atomic_thread_fence(std::memory_order_acquire);
  uint32_t mask = ~marked;
  for (uint32_t asked = asked_; asked != 0 && mask != 0; asked &= asked - 1) {
    const uint32_t attribute = static_cast<uint32_t>(std::countr_zero(asked));
    const Condition& condition = conditions_[attribute];
    const uint32_t nulls =
        flags(layout_.Nulls(area, capacity) + first, static_cast<uint8_t>(1u << attribute));
    if (condition.nulls == Nulls::kOnly) {
      mask &= nulls;
    } else {
      mask &= ~nulls;
      if (mask != 0) mask = ValueMask(condition, attribute, area, capacity, first, mask);
    }
  }
  return mask | marked;
}

}  // namespace ann::filter
