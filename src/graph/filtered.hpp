// Search among the nodes that pass a filter (README.md, "Filters"): a walk over all nodes of which
// only those that pass are results, or, where hardly any pass around the query, one from passing
// node to passing node.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "core/beam.hpp"
#include "core/vec.hpp"
#include "core/visited.hpp"
#include "graph/search.hpp"

namespace ann::graph {

// Nanoseconds, measured in the server (src/hnsw/README.md, "Filters").
inline constexpr double kScoreCost = 110;  // a node: code, key, place in the order
inline constexpr double kTestCost = 30;
inline constexpr double kListCost = 600;  // a list of 32, and which of them were seen
// An expansion meets 32 nodes of which half are new.
inline constexpr double kExpansionCost = kListCost + 16 * (kScoreCost + kTestCost);

// Of `ef` results that a search without a filter needs for the ten nearest, those that one needs
// which `rate` of the nodes pass: it looks at ef / rate nodes, and the share of them by which a
// beam must exceed what is wanted falls with the root of that number.
inline uint32_t FilteredEf(uint32_t ef, double rate) {
  constexpr uint32_t kWanted = 10;
  if (ef <= kWanted) return ef;
  return kWanted + static_cast<uint32_t>(std::ceil((ef - kWanted) * std::sqrt(rate)));
}

// How a round ended.
enum class RoundEnd : uint8_t {
  kSettled,
  kAstray,  // there is another way that probably costs less
};

// One search; its rounds go on from one another.
template <class Alloc>
class FilteredWalk {
 public:
  explicit FilteredWalk(const Alloc& alloc)
      : results_(alloc), near_(alloc), failing_(alloc), later_(alloc), waiting_(alloc) {}

  // `rate`: the share of all nodes that pass, above 0. `budget`: the cost of the other way.
  void Reset(uint32_t ef, double rate, double budget) {
    ef_ = ef;
    rate_ = rate;
    budget_ = budget;
    results_.Reset(ef);
    near_.clear(), failing_.clear(), later_.clear(), waiting_.clear();
    tests_ = passed_ = scored_ = lists_ = 0;
    allowed_lists_ = 0;
    bridging_ = false;
  }

  // A node to start from, scored and marked as visited.
  void Start(Candidate start) { later_.push_back(start); }

  double cost() const {
    return kScoreCost * static_cast<double>(scored_) + kTestCost * static_cast<double>(tests_) +
           kListCost * static_cast<double>(lists_);
  }
  bool bridging() const { return bridging_; }
  // Whether another round may find more.
  bool more() const { return !near_.empty() || !later_.empty() || !waiting_.empty(); }
  // What a round has found: passing nodes, nearest first.
  const Beam<Alloc>& found() const { return results_; }

  // Where the query's surroundings fail: from here on failing nodes are left behind but for those
  // next to passing ones. `ef`: results of a round. Starts from passing nodes anywhere follow.
  void Bridge(uint32_t ef) {
    bridging_ = true;
    ef_ = ef;
    credit_ = kFirstCredit;
    Erase(near_, [](const Candidate& c) { return (c.id & kFailing) != 0; });
    std::make_heap(near_.begin(), near_.end(), Farther);
    for (uint32_t i = 0; i < results_.size(); ++i) waiting_.push_back(results_.at(i));
    results_.Reset(ef);
    TakeWaiting();
  }

  // The round after, with so many results.
  void Next(uint32_t ef) {
    ef_ = ef;
    results_.Reset(ef);
    TakeWaiting();
  }

  // Walks until the nearest that pass are found. `passes(id)`; `expanded(id)` as for Expand.
  // `max_scored`: ends when so many nodes were scored in all. `limit`: of the bytes that what was
  // met may take; the farthest go.
  template <Access A, class Passes, class OnExpanded>
  RoundEnd Round(A& access, VisitedSet<Alloc>& visited, uint64_t max_scored, size_t limit,
                 Passes&& passes, OnExpanded&& expanded) {
    allowed_lists_ = lists_ + static_cast<uint64_t>(kPatience * FilteredEf(ef_, rate_) / rate_);
    wanted_ = Wanted();
    AdmitLater(passes);
    Candidate next;
    while (scored_ < max_scored && Pop(&next)) {
      expanded(next.id & ~kFailing);
      ExpandOne(access, visited, next, passes);
      BoundMemory(limit);
      if (IsAstray()) return RoundEnd::kAstray;
    }
    return RoundEnd::kSettled;
  }

  // Gives all that was met and not yet found, tested or not.
  template <class Visit>
  void Drain(Visit&& visit) {
    for (const Candidate& c : waiting_) visit(c.id);
    for (const Candidate& c : later_) visit(c.id);
    waiting_.clear(), later_.clear(), near_.clear(), failing_.clear();
  }

 private:
  using List = VecOf<Candidate, Alloc>;
  static constexpr NodeId kFailing = NodeId{1} << 31;
  static_assert(kMaxNodes < kFailing);
  // Times the expansions that a walk without correlation takes, before it is astray.
  static constexpr double kPatience = 3;
  // Tests of which so many should pass tell whether the surroundings are as the whole.
  static constexpr double kExpectedPassing = 32;
  // Failing nodes that are expanded for a passing one, at first, and at most ahead.
  static constexpr uint32_t kCredit = 4;
  static constexpr uint32_t kFirstCredit = 8;
  static constexpr uint32_t kMaxCredit = 64;

  static bool Farther(const Candidate& a, const Candidate& b) { return Nearer(b, a); }

  template <class Drop>
  static void Erase(List& list, Drop&& drop) {
    list.erase(std::remove_if(list.begin(), list.end(), drop), list.end());
  }
  static void Push(List& heap, Candidate c) {
    heap.push_back(c);
    std::push_heap(heap.begin(), heap.end(), Farther);
  }
  static Candidate PopFrom(List& heap) {
    std::pop_heap(heap.begin(), heap.end(), Farther);
    const Candidate c = heap.back();
    heap.pop_back();
    return c;
  }

  // Results after which the walk may end: by the rate that it meets, once that can be told.
  uint32_t Wanted() const {
    if (bridging_) return ef_;
    const bool known = static_cast<double>(tests_) * rate_ >= kExpectedPassing ||
                       static_cast<double>(passed_) >= kExpectedPassing;
    const double met = static_cast<double>(passed_ + 1) / static_cast<double>(tests_ + 1);
    return FilteredEf(ef_, known ? met : rate_);
  }
  // Nodes at or beyond this are of no interest to the round.
  float Bound() const {
    return results_.size() >= wanted_ ? results_.at(wanted_ - 1).key
                                      : std::numeric_limits<float>::infinity();
  }

  void Keep(Candidate c) {
    const Candidate dropped = results_.Insert(c);
    if (dropped.id != kNoId) waiting_.push_back(dropped);
  }

  void TakeWaiting() {
    const size_t n = std::min<size_t>(ef_, waiting_.size());
    if (n == 0) return;
    std::nth_element(waiting_.begin(), waiting_.begin() + (n - 1), waiting_.end(), Nearer);
    for (size_t i = 0; i < n; ++i) results_.Insert(waiting_[i]);
    waiting_.erase(waiting_.begin(), waiting_.begin() + n);
  }

  template <class Passes>
  void Admit(Candidate c, Passes&& passes) {
    if (!(c.key < Bound())) {
      later_.push_back(c);
      return;
    }
    ++tests_;
    if (passes(c.id)) {
      ++passed_;
      Keep(c);
      Push(near_, c);
    } else {
      Push(bridging_ ? failing_ : near_, {c.key, c.id | kFailing});
    }
  }

  // What lay beyond the round before, or where a walk starts.
  template <class Passes>
  void AdmitLater(Passes&& passes) {
    List again(later_.get_allocator());
    again.swap(later_);
    std::sort(again.begin(), again.end(), Nearer);
    for (const Candidate& c : again) Admit(c, passes);
  }

  // The next to expand; false: none is near enough.
  bool Pop(Candidate* out) {
    const float bound = Bound();
    const bool passing = !near_.empty() && near_.front().key < bound;
    const bool bridge = credit_ > 0 && !failing_.empty() && failing_.front().key < bound;
    if (!passing && !bridge) return false;
    if (bridge && (!passing || Nearer(failing_.front(), near_.front()))) {
      --credit_;
      *out = PopFrom(failing_);
    } else {
      credit_ = std::min(credit_ + kCredit, kMaxCredit);
      *out = PopFrom(near_);
    }
    return true;
  }

  template <Access A, class Passes>
  void ExpandOne(A& access, VisitedSet<Alloc>& visited, Candidate from, Passes&& passes) {
    NodeId ids[kMaxDegree];
    float keys[kMaxDegree];
    wanted_ = Wanted();
    const uint32_t all = access.Neighbours(from.id & ~kFailing, ids);
    ++lists_;
    uint32_t n = 0;
    if (bridging_ && (from.id & kFailing) != 0) {
      for (uint32_t i = 0; i < all; ++i) {
        if (visited.Contains(ids[i])) continue;
        ++tests_;
        if (passes(ids[i]) && visited.Insert(ids[i])) ids[n++] = ids[i];
      }
    } else {
      for (uint32_t i = 0; i < all; ++i) {
        ids[n] = ids[i];
        n += visited.Insert(ids[i]) ? 1 : 0;
      }
    }
    access.Score(ids, n, keys);
    scored_ += n;
    for (uint32_t i = 0; i < n; ++i) Admit({OrderableKey(keys[i]), ids[i]}, passes);
  }

  bool IsAstray() const {
    if (cost() > budget_) return true;
    if (bridging_) return false;
    const double expected = static_cast<double>(tests_) * rate_;
    return lists_ > allowed_lists_ ||
           (expected >= kExpectedPassing && static_cast<double>(passed_) * 4 < expected);
  }

  // Drops the farther half of the longest list when memory is used up.
  void BoundMemory(size_t limit) {
    const size_t all = near_.size() + failing_.size() + later_.size() + waiting_.size();
    if (all * sizeof(Candidate) <= limit) return;
    List* longest = &later_;
    for (List* list : {&near_, &failing_, &waiting_}) {
      if (list->size() > longest->size()) longest = list;
    }
    const size_t half = longest->size() / 2;
    std::nth_element(longest->begin(), longest->begin() + half, longest->end(), Nearer);
    longest->resize(half);
    if (longest == &near_ || longest == &failing_) {
      std::make_heap(longest->begin(), longest->end(), Farther);
    }
  }

  Beam<Alloc> results_;  // of this round
  List near_;            // heap: to be expanded; bridging: those that pass
  List failing_;         // heap: bridging, those that fail next to passing ones
  List later_;           // scored, beyond the round's results, not tested
  List waiting_;         // pass, for rounds to come
  uint32_t ef_ = 0;
  uint32_t wanted_ = 0;  // of ef_, as things stand
  double rate_ = 1;
  double budget_ = 0;
  uint64_t tests_ = 0;
  uint64_t passed_ = 0;
  uint64_t scored_ = 0;
  uint64_t lists_ = 0;
  uint64_t allowed_lists_ = 0;
  uint32_t credit_ = 0;
  bool bridging_ = false;
};

}  // namespace ann::graph
