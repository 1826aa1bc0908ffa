// The ids a search has seen. Starts as a small hash table (a search at recall .95 sees about 1,200
// of a million nodes: 16 kB that stay in L1 against a bitmap's 125 kB to clear) and becomes a
// bitmap when it would be larger than one.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

#include "core/ids.hpp"
#include "core/vec.hpp"

namespace ann {

template <class Alloc>
class VisitedSet {
 public:
  explicit VisitedSet(const Alloc& alloc) : table_(alloc), bits_(alloc) {}

  // Empties the set. `expected`: ids that will probably be added. A guess: at most 4 MB are cleared
  // for it.
  void Reset(uint32_t expected) {
    uint32_t size = std::bit_ceil(std::clamp(expected, 64u, 1u << 19) * 2);
    table_.assign(size, kNoId);
    bits_.clear();
    count_ = 0;
    highest_ = 0;
  }

  // Adds `id`; false when it was there.
  bool Insert(NodeId id) {
    if (!bits_.empty()) return InsertBit(id);
    if (count_ * 2 >= table_.size()) {
      Grow();
      if (!bits_.empty()) return InsertBit(id);
    }
    const uint32_t mask = static_cast<uint32_t>(table_.size()) - 1;
    for (uint32_t at = Slot(id, mask);; at = (at + 1) & mask) {
      if (table_[at] == id) return false;
      if (table_[at] == kNoId) {
        table_[at] = id;
        if (id > highest_) highest_ = id;
        ++count_;
        return true;
      }
    }
  }

  bool Contains(NodeId id) const {
    if (!bits_.empty()) return id / 64 < bits_.size() && (bits_[id / 64] >> (id % 64) & 1) != 0;
    if (table_.empty()) return false;
    const uint32_t mask = static_cast<uint32_t>(table_.size()) - 1;
    for (uint32_t at = Slot(id, mask);; at = (at + 1) & mask) {
      if (table_[at] == id) return true;
      if (table_[at] == kNoId) return false;
    }
  }

  uint64_t count() const { return count_; }

 private:
  static uint32_t Slot(NodeId id, uint32_t mask) { return (id * 0x9E3779B1u >> 7) & mask; }

  bool InsertBit(NodeId id) {
    if (id / 64 >= bits_.size()) bits_.resize(std::bit_ceil(uint64_t{id} / 64 + 1), 0);
    uint64_t bit = uint64_t{1} << (id % 64);
    if ((bits_[id / 64] & bit) != 0) return false;
    bits_[id / 64] |= bit;
    ++count_;
    return true;
  }

  // To a table twice as large, or to a bitmap when that is smaller than the table.
  void Grow() {
    VecOf<uint32_t, Alloc> old(table_.get_allocator());
    old.swap(table_);
    if (old.size() * 2 * 32 > uint64_t{highest_} + 1) {
      bits_.assign(uint64_t{highest_} / 64 + 1, 0);
    } else {
      table_.assign(old.size() * 2, kNoId);
    }
    count_ = 0;
    for (uint32_t id : old) {
      if (id != kNoId) Insert(id);
    }
  }

  VecOf<uint32_t, Alloc> table_;
  VecOf<uint64_t, Alloc> bits_;
  uint64_t count_ = 0;
  NodeId highest_ = 0;
};

}  // namespace ann
