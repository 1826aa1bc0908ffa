// Rows in order out of candidates whose distances are known within bounds (README.md, "Emission").
//
// Candidates lie in a heap ordered by the lower bounds of their keys. The nearest is taken out and
// made more exact until it is known to be no farther than all others: then its rows are emitted.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "core/beam.hpp"
#include "core/vec.hpp"
#include "quant/codec.hpp"

#include "pg/alloc.hpp"
#include "pg/test_hooks.hpp"

namespace ann::am {

// What a scan does when more rows are wanted than it has found.
enum class IterativeScan : int { kOff, kRelaxedOrder, kStrictOrder };

// Standard deviations between an estimate and its bounds that order rests on (DESIGN: 5). Measured
// errors are Gaussian (src/quant/README.md), so one bound in 3.5 million fails.
inline constexpr float kEpsilon = 5;

enum class Stage : uint8_t { kCoarse, kRefined, kExact };

struct Item {
  float lower;  // key: exact, or a lower bound of it
  float upper;
  uint32_t id;    // the access method's
  uint32_t tids;  // exact: where its TIDs start in the pool
  uint32_t count;
  Stage stage;
};

// Heap order: nearest first; of equals the one that is known better.
struct Later {
  bool operator()(const Item& a, const Item& b) const {
    if (a.lower != b.lower) return a.lower > b.lower;
    if (a.stage != b.stage) return a.stage < b.stage;
    return a.id > b.id;
  }
};

// A candidate with the bounds that its estimate gives. Bounds of numbers that left float's range
// bound nothing.
inline Item Bounded(uint32_t id, quant::Estimate estimate, float epsilon, Stage stage) {
  const float key = OrderableKey(estimate.key);
  const float width = std::isfinite(estimate.sigma) ? epsilon * estimate.sigma : INFINITY;
  return {std::isfinite(key - width) ? key - width : -INFINITY,
          std::isnan(key + width) ? INFINITY : key + width,
          id,
          0,
          0,
          stage};
}

class Emission {
 public:
  using Alloc = pg::PgAllocator<std::byte>;

  explicit Emission(MemoryContext context)
      : items_(Alloc(context)), tids_(Alloc(context)), held_(Alloc(context)) {}

  // --- candidates
  void Push(const Item& item) {
    items_.push_back(item);
    std::push_heap(items_.begin(), items_.end(), Later());
  }
  bool empty() const { return items_.empty(); }
  size_t size() const { return items_.size(); }
  const Item& nearest() const { return items_.front(); }
  void Clear() { items_.clear(); }

  // Drops the farther half when `limit` bytes are used up. False: nothing was dropped.
  bool Bound(size_t limit) {
    if (items_.size() * sizeof(Item) <= limit) return false;
    const size_t half = items_.size() / 2;
    std::nth_element(items_.begin(), items_.begin() + half, items_.end(),
                     [](const Item& a, const Item& b) { return Later()(b, a); });
    items_.erase(items_.begin() + half, items_.end());
    std::make_heap(items_.begin(), items_.end(), Later());
    return true;
  }

  // Keeps the candidates that `keep(Item&)` is true of; it may give them other ids.
  template <class Keep>
  void Filter(Keep keep) {
    size_t kept = 0;
    for (Item item : items_) {
      if (keep(item)) items_[kept++] = item;
    }
    items_.resize(kept);
    std::make_heap(items_.begin(), items_.end(), Later());
  }
  template <class Visit>
  void ForEach(Visit visit) const {
    for (const Item& item : items_) visit(item);
  }

  // --- rows
  // A candidate of one row, whose key is known.
  void PushExact(uint32_t id, ItemPointerData tid, float key) {
    Push({key, key, id, static_cast<uint32_t>(tids_.size()), 1, Stage::kExact});
    AddTid(tid);
  }
  void AddTid(ItemPointerData tid) { tids_.push_back(tid); }
  size_t tid_count() const { return tids_.size(); }
  // Those added last, down to so many.
  void DropTids(size_t count) { tids_.resize(count); }
  const ItemPointerData* tids(uint32_t at) const { return tids_.data() + at; }

  // The rows of what was emitted leave the pool, when they are more than half of it.
  void CompactTids(size_t limit) {
    if (tids_.size() <= std::max(limit / sizeof(ItemPointerData), 2 * tids_kept_)) return;
    VecOf<ItemPointerData, Alloc> kept{tids_.get_allocator()};
    const auto keep = [this, &kept](uint32_t* tids, uint32_t count) {
      const auto from = tids_.begin() + *tids;
      *tids = static_cast<uint32_t>(kept.size());
      kept.insert(kept.end(), from, from + count);
    };
    for (Item& item : items_) {
      if (item.stage == Stage::kExact) keep(&item.tids, item.count);
    }
    for (Held& held : held_) keep(&held.tids, held.count);
    tids_.swap(kept);
    tids_kept_ = tids_.size();
  }

  bool pending() const { return pending_ < pending_end_; }
  ItemPointerData TakePending() { return tids_[pending_++]; }

  // What has been held back, when nothing else is left: first sort, then emit one by one.
  void SortHeld() {
    std::sort(held_.begin(), held_.end(),
              [](const Held& a, const Held& b) { return a.value > b.value; });
  }
  bool EmitHeld() {
    if (held_.empty()) return false;
    const Held held = held_.back();
    held_.pop_back();
    pending_ = held.tids, pending_end_ = held.tids + held.count;
    return true;
  }

  // Rows whose keys are above are not wanted.
  void SetWithin(float key) { within_ = key; }
  float within() const { return within_; }
  // Whether the heap holds nothing but such.
  bool PastRange() const { return !items_.empty() && items_.front().lower > within_; }

  // Takes candidates from the heap until rows are pending; false: the heap is empty or past the
  // range, or the source wants to look for more first. A source has
  //   bool WantsMore()          whether to stop here
  //   void Refine(Item)         pushes a kCoarse candidate again, its bounds closer
  //   uint32_t AddTids(id)      adds the candidate's rows to the pool; their number
  //   bool Exact(tids, n, &key) the key from the first visible row; false: there is none
  //   float Beyond(none_left)   lower bound of what is not in the heap; of what more looking may
  //                             find only if none is left there
  //   bool IsUnordered()        whether all rows are alike: a query without distances
  //   void Settle(id)           called for what was emitted, held back, or has no visible row
  template <class Source>
  bool EmitNearest(Source& source, IterativeScan order) {
    while (!items_.empty() && !source.WantsMore() && !PastRange()) {
      CHECK_FOR_INTERRUPTS();
      std::pop_heap(items_.begin(), items_.end(), Later());
      Item item = items_.back();
      items_.pop_back();
      if (item.stage == Stage::kCoarse) {
        source.Refine(item);
        continue;
      }
      if (item.stage == Stage::kRefined) {
        item.tids = static_cast<uint32_t>(tids_.size());
        item.count = source.AddTids(item.id);
        pg::StopPoint("scan.read");
        // Its order is known without its row: it is farther than all that was emitted and nearer
        // than all that is left. An infinite bound knows nothing.
        const bool separated =
            source.IsUnordered() || (item.lower >= last_ && item.upper < INFINITY &&
                                     item.upper <= source.Beyond(items_.empty()) &&
                                     (items_.empty() || item.upper <= items_.front().lower));
        if (!separated) {
          if (source.Exact(tids_.data() + item.tids, item.count, &item.lower)) {
            item.stage = Stage::kExact;
            Push(item);
          } else {
            // None is visible: these are the last in the pool.
            tids_.resize(item.tids);
            source.Settle(item.id);
          }
          continue;
        }
        // What is found later must be no nearer than this row can be far.
        item.lower = item.upper;
      }
      source.Settle(item.id);
      if (Emit(item, order)) return true;
    }
    return false;
  }

 private:
  struct Held {
    float value;
    uint32_t tids;
    uint32_t count;
  };

  // Makes the item's rows pending, or holds them back. False: it has none.
  bool Emit(const Item& item, IterativeScan order) {
    if (item.count == 0) return false;
    if (item.lower < last_ && order == IterativeScan::kStrictOrder) {
      held_.push_back({item.lower, item.tids, item.count});
      return false;
    }
    last_ = std::max(last_, item.lower);
    pending_ = item.tids, pending_end_ = item.tids + item.count;
    return true;
  }

  VecOf<Item, Alloc> items_;
  VecOf<ItemPointerData, Alloc> tids_;  // pool of the exact items
  VecOf<Held, Alloc> held_;
  float within_ = INFINITY;
  float last_ = -INFINITY;  // largest key emitted
  uint32_t pending_ = 0;    // in tids_
  uint32_t pending_end_ = 0;
  size_t tids_kept_ = 0;  // in tids_, after it was last compacted
};

}  // namespace ann::am
