#include "filter/area.hpp"

#include <bit>
#include <cstring>

namespace ann::filter {

static_assert(std::endian::native == std::endian::little);

AreaLayout::AreaLayout(const uint8_t attributes[kMaxAttributes]) {
  while (count_ < kMaxAttributes && format::AttributeWidth(attributes[count_]) != 0) {
    widths_[count_] = static_cast<uint8_t>(format::AttributeWidth(attributes[count_]));
    kinds_[count_] = format::KindOfAttribute(attributes[count_]);
    ++count_;
  }
  for (uint8_t width = 16; width > 0; width /= 2) {
    for (uint32_t i = 0; i < count_; ++i) {
      if (widths_[i] != width) continue;
      before_[i] = value_bytes_;
      value_bytes_ = static_cast<uint8_t>(value_bytes_ + width);
    }
  }
}

Value AreaLayout::ValueOf(const char* area, uint32_t capacity, uint32_t i,
                          uint32_t attribute) const {
  const uint32_t width = widths_[attribute];
  const char* at = Values(area, capacity, attribute) + size_t{i} * width;
  Value value;
  if (width == 16) {
    std::memcpy(&value.high, at + 8, 8);
    std::memcpy(&value.low, at, 8);
  } else {
    std::memcpy(&value.low, at, width);
  }
  return value;
}

void AreaLayout::Put(char* area, uint32_t capacity, uint32_t i, const Row& row) const {
  if (count_ == 0) return;
  for (uint32_t a = 0; a < count_; ++a) {
    const uint32_t width = widths_[a];
    char* at = area + size_t{before_[a]} * capacity + size_t{i} * width;
    if (width == 16) {
      std::memcpy(at, &row.values[a].low, 8);
      std::memcpy(at + 8, &row.values[a].high, 8);
    } else {
      std::memcpy(at, &row.values[a].low, width);
    }
  }
  uint8_t* nulls = reinterpret_cast<uint8_t*>(area) + size_t{value_bytes_} * capacity;
  nulls[i] = row.nulls;
  nulls[capacity + i] = row.marks;
}

Row AreaLayout::Get(const char* area, uint32_t capacity, uint32_t i) const {
  Row row;
  for (uint32_t a = 0; a < count_; ++a) row.values[a] = ValueOf(area, capacity, i, a);
  if (count_ == 0) return row;
  row.nulls = Nulls(area, capacity)[i];
  row.marks = Marks(area, capacity)[i];
  return row;
}

void AreaLayout::Move(const char* from, uint32_t from_capacity, uint32_t i, char* to,
                      uint32_t to_capacity, uint32_t j) const {
  Put(to, to_capacity, j, Get(from, from_capacity, i));
}

}  // namespace ann::filter
