// The beam of a graph search: the `capacity` best candidates seen, in order, each expanded or not.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "core/ids.hpp"
#include "core/vec.hpp"

namespace ann {

struct Candidate {
  float key;
  NodeId id;
};

// Order of heaps and sorted lists: by key, then by id, so that equal keys do not depend on the path
// taken. (The beam keeps whichever of equal keys came first.)
inline bool Nearer(const Candidate& a, const Candidate& b) {
  return a.key < b.key || (a.key == b.key && a.id < b.id);
}

// NaN would break every order; it sorts as the farthest.
inline float OrderableKey(float key) {
  return std::isnan(key) ? std::numeric_limits<float>::infinity() : key;
}

// A sorted array with binary insertion: at the sizes that searches use (40 to 400 candidates of 8
// bytes) moving a few cache lines beats a heap's unpredictable branches.
template <class Alloc>
class Beam {
 public:
  explicit Beam(const Alloc& alloc) : entries_(alloc) {}

  void Reset(uint32_t capacity) {
    entries_.clear();
    entries_.reserve(capacity + 1);
    capacity_ = capacity;
    next_ = 0;
  }

  uint32_t size() const { return static_cast<uint32_t>(entries_.size()); }
  bool full() const { return size() == capacity_; }
  // Keys at or above this are not taken.
  float bound() const {
    return full() ? entries_.back().key : std::numeric_limits<float>::infinity();
  }
  Candidate at(uint32_t i) const { return {entries_[i].key, entries_[i].id & ~kExpanded}; }

  // Takes `c`; returns what fell off (id kNoId: nothing did; `c` itself when it is too far).
  Candidate Insert(Candidate c) {
    Candidate dropped{0, kNoId};
    if (full()) {
      if (!(c.key < entries_.back().key)) return c;
      dropped = at(size() - 1);
      entries_.pop_back();
    }
    auto where = std::upper_bound(entries_.begin(), entries_.end(), c.key,
                                  [](float key, const Candidate& e) { return key < e.key; });
    uint32_t position = static_cast<uint32_t>(where - entries_.begin());
    entries_.insert(where, c);
    if (position < next_) next_ = position;
    return dropped;
  }

  // The nearest candidate not expanded yet, now marked as such; kNoId when there is none.
  NodeId PopNearest() {
    while (next_ < size() && (entries_[next_].id & kExpanded) != 0) ++next_;
    if (next_ == size()) return kNoId;
    NodeId id = entries_[next_].id;
    entries_[next_].id |= kExpanded;
    ++next_;
    return id;
  }
  bool expanded(uint32_t i) const { return (entries_[i].id & kExpanded) != 0; }

 private:
  static constexpr uint32_t kExpanded = uint32_t{1} << 31;
  static_assert(kMaxNodes < kExpanded);

  VecOf<Candidate, Alloc> entries_;
  uint32_t capacity_ = 0;
  uint32_t next_ = 0;  // no unexpanded entry lies before this one
};

}  // namespace ann
