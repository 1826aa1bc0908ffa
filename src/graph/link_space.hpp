// The memory in which nodes are linked: their codes and lists. One process's own, or shared by
// several that link together (linker.hpp); laid out by offsets, so that each may map it elsewhere.
//
// A list begins with a word of its count, a lock and a version. Readers take no lock: the codes do
// not change any more, every word of a list is at any time 0 or the id of a node on its level, so
// that what is read while another process writes is at worst short of a neighbour. Writers lock,
// and see by the version whether the list is still what they looked at.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include <sched.h>

#include "core/arena.hpp"
#include "core/rng.hpp"
#include "core/sizes.hpp"
#include "format/hnsw_format.hpp"
#include "graph/search.hpp"
#include "quant/codec.hpp"

namespace ann::graph {

inline constexpr uint32_t kMaxLevel = format::kMaxLevel;

// The level of a node: geometric with ratio 1/m, from a number that is random and fixed for the
// node.
inline uint8_t LevelOf(uint64_t random, uint32_t m) {
  const double unit = static_cast<double>((random >> 11) + 1) * 0x1.0p-53;
  const double level = std::floor(-std::log(unit) / std::log(static_cast<double>(m)));
  return static_cast<uint8_t>(level < kMaxLevel ? level : kMaxLevel);
}

struct BuildParams {
  uint32_t m;
  uint32_t ef_construction;
  uint64_t seed;
  uint32_t attribute_bytes = 0;  // of a row, kept for the caller
};

// Waits for another process that holds a lock for some nanoseconds, or was put to sleep with it.
class LockWait {
 public:
  void Turn() {
    if (++turns_ % 128 == 0) {
      sched_yield();
    } else {
#if defined(__x86_64__)
      __builtin_ia32_pause();
#endif
    }
  }

 private:
  uint32_t turns_ = 0;
};

// A list: its word, then ids.
class SharedList {
 public:
  explicit SharedList(uint32_t* at) : at_(at) {}

  static uint32_t CountOf(uint32_t word) { return word & kCount; }
  uint32_t count() const { return CountOf(Word(0).load(std::memory_order_acquire)); }
  const NodeId* ids() const { return at_ + 1; }
  bool Contains(NodeId id) const {
    for (uint32_t i = 1, n = count(); i <= n; ++i) {
      if (Word(i).load(std::memory_order_relaxed) == id) return true;
    }
    return false;
  }
  uint32_t Copy(NodeId* out) const {
    const uint32_t n = count();
    for (uint32_t i = 0; i < n; ++i) out[i] = Word(i + 1).load(std::memory_order_relaxed);
    return n;
  }

  // The word while nobody writes.
  uint32_t WordAtRest() const {
    LockWait wait;
    for (;; wait.Turn()) {
      const uint32_t word = Word(0).load(std::memory_order_acquire);
      if ((word & kLocked) == 0) return word;
    }
  }
  // A copy that no write has come between; its word.
  uint32_t CopyAtRest(NodeId* out) const {
    for (;;) {
      const uint32_t word = WordAtRest();
      const uint32_t n = CountOf(word);
      for (uint32_t i = 0; i < n; ++i) out[i] = Word(i + 1).load(std::memory_order_relaxed);
      std::atomic_thread_fence(std::memory_order_acquire);
      if (Word(0).load(std::memory_order_relaxed) == word) return word;
    }
  }
  // Whether the list still has this word, of one at rest; it is then locked.
  bool TryLock(uint32_t word) {
    return Word(0).compare_exchange_strong(word, word | kLocked, std::memory_order_acquire,
                                           std::memory_order_relaxed);
  }
  // By who holds the lock, or knows alone of the list: changes entry `i`; ends the change of a list
  // that had `word`.
  void Put(uint32_t i, NodeId id) { Word(i + 1).store(id, std::memory_order_relaxed); }
  void Unlock(uint32_t word, uint32_t count) {
    const uint32_t version = (word + kVersionStep) & ~(kLocked | kCount);
    Word(0).store(version | count, std::memory_order_release);
  }

 private:
  static constexpr uint32_t kLocked = 1u << 31;
  static constexpr uint32_t kVersionStep = std::bit_ceil(kMaxDegree + 1);
  static constexpr uint32_t kCount = kVersionStep - 1;

  std::atomic_ref<uint32_t> Word(uint32_t i) const { return std::atomic_ref<uint32_t>(at_[i]); }

  uint32_t* at_;
};

// Where searches of the graph begin.
struct EntryPoint {
  NodeId id;
  uint32_t level;
};

template <class Alloc>
class LinkSpace {
 public:
  // An empty one.
  LinkSpace(const Alloc& alloc, const quant::Codec& codec, const BuildParams& params)
      : codec_(codec),
        params_(params),
        cap_(std::min(2 * params.m + (2 * params.m + 2) / 3, kMaxDegree)),
        list_at_(static_cast<uint32_t>(RoundUp(codec.coded_bytes(), 4))),
        slots_(alloc, RoundUp(list_at_ + 4 + 4 * size_t{cap_}, kLine)),
        own_(alloc) {}
  // One that another process has frozen in `memory`.
  LinkSpace(const Alloc& alloc, const quant::Codec& codec, const BuildParams& params, void* memory)
      : LinkSpace(alloc, codec, params) {
    frame_ = static_cast<Frame*>(memory);
    slots_.Adopt(static_cast<uint8_t*>(memory) + frame_->slots_at, frame_->size);
  }

  const quant::Codec& codec() const { return codec_; }
  const BuildParams& params() const { return params_; }
  // Codes, while nodes are added.
  Arena<Alloc>& slots() { return slots_; }
  const Arena<Alloc>& slots() const { return slots_; }
  uint32_t size() const { return slots_.size(); }

  // Called once, after the last node was added. `memory`: SharedBytes(), aligned to 64, which
  // codes and lists move to; null: they stay in own memory.
  void Freeze(void* memory) {
    const size_t frame_bytes = FrameBytes();
    if (memory == nullptr) {
      own_.resize(frame_bytes / sizeof(uint64_t));
      memory = own_.data();
    } else {
      slots_.MoveTo(static_cast<uint8_t*>(memory) + frame_bytes);
    }
    std::memset(memory, 0, frame_bytes);
    frame_ = static_cast<Frame*>(memory);
    frame_->entry = uint64_t{kNoId};
    frame_->size = size();
    frame_->slots_at = frame_bytes;
    uint32_t at = 0;
    for (NodeId id = 0; id < size(); ++id) {
      upper_at()[id] = at;
      at += DrawLevel(id) * (params_.m + 1);
    }
    upper_at()[size()] = at;
  }
  size_t SharedBytes() const { return FrameBytes() + slots_.bytes(); }
  void Free() { slots_.Free(); }

  uint8_t* operator[](NodeId id) const { return slots_[id]; }
  uint8_t level(NodeId id) const {
    return static_cast<uint8_t>((upper_at()[id + 1] - upper_at()[id]) / (params_.m + 1));
  }
  // Level 0 in the slot, the others together.
  SharedList list(NodeId id, uint32_t l) const {
    if (l == 0) return SharedList(reinterpret_cast<uint32_t*>(slots_[id] + list_at_));
    uint32_t* upper = upper_at() + size() + 1;
    return SharedList(upper + upper_at()[id] + size_t{l - 1} * (params_.m + 1));
  }
  // What a list may hold after pruning, and at any time.
  uint32_t Limit(uint32_t l) const { return l == 0 ? 2 * params_.m : params_.m; }
  uint32_t Capacity(uint32_t l) const { return l == 0 ? cap_ : params_.m; }

  EntryPoint entry() const {
    const uint64_t entry = Entry().load(std::memory_order_acquire);
    return {static_cast<NodeId>(entry), static_cast<uint32_t>(entry >> 32)};
  }
  void SetEntry(EntryPoint entry) {
    Entry().store(uint64_t{entry.level} << 32 | entry.id, std::memory_order_release);
  }
  // Held while a node is linked that rises above all others: it and the next such must know each
  // other.
  void LockTop() {
    LockWait wait;
    while (Top().exchange(1, std::memory_order_acquire) != 0) wait.Turn();
  }
  void UnlockTop() { Top().store(0, std::memory_order_release); }

  // How far ahead slots are prefetched: enough to cover a miss of 100 ns with 20 ns of work each.
  static constexpr uint32_t kPrefetch = 6;

  template <class ScoreOne>
  void ScoreAll(const NodeId* ids, uint32_t n, float* keys, ScoreOne&& score) const {
    for (uint32_t i = 0; i < std::min(n, kPrefetch); ++i) Prefetch(ids[i]);
    for (uint32_t i = 0; i < n; ++i) {
      if (i + kPrefetch < n) Prefetch(ids[i + kPrefetch]);
      keys[i] = score(slots_[ids[i]]);
    }
  }

 private:
  static constexpr size_t kLine = 64;

  struct Frame {
    uint64_t entry;
    uint32_t top_lock;
    uint32_t size;
    uint64_t slots_at;
  };
  static_assert(sizeof(Frame) % sizeof(uint64_t) == 0);

  uint8_t DrawLevel(NodeId id) const { return LevelOf(Mix64(params_.seed + id), params_.m); }
  size_t FrameBytes() const {
    size_t lists = 0;
    for (NodeId id = 0; id < size(); ++id) lists += DrawLevel(id);
    return RoundUp(
        sizeof(Frame) + sizeof(uint32_t) * (size() + size_t{1} + lists * (params_.m + 1)), kLine);
  }
  // By id, one more than there are nodes: where upper lists begin.
  uint32_t* upper_at() const { return reinterpret_cast<uint32_t*>(frame_ + 1); }
  std::atomic_ref<uint64_t> Entry() const { return std::atomic_ref<uint64_t>(frame_->entry); }
  std::atomic_ref<uint32_t> Top() const { return std::atomic_ref<uint32_t>(frame_->top_lock); }

  void Prefetch(NodeId id) const {
    const uint8_t* slot = slots_[id];
    for (uint32_t at = 0; at < codec_.coded_bytes(); at += kLine) __builtin_prefetch(slot + at);
  }

  const quant::Codec& codec_;
  BuildParams params_;
  uint32_t cap_;
  uint32_t list_at_;
  Arena<Alloc> slots_;  // factors and code, then the list of level 0
  VecOf<uint64_t, Alloc> own_;
  Frame* frame_ = nullptr;
};

// One layer, and a way of scoring its nodes: score(coded).
template <class Alloc, class Scorer>
struct SpaceLayer {
  const LinkSpace<Alloc>& space;
  Scorer score;
  uint32_t level;
  uint32_t Neighbours(NodeId id, NodeId* out) const { return space.list(id, level).Copy(out); }
  void Score(const NodeId* ids, uint32_t n, float* keys) const {
    space.ScoreAll(ids, n, keys, score);
  }
};

}  // namespace ann::graph
