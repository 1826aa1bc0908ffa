// Reads of pages without pin or lock, for estimates only.
//
// A hint table, one for the backend, remembers which buffer last held a block. A read checks that
// the buffer's descriptor still carries our tag and is valid, reads, and checks again. What it read
// may all the same be torn by a concurrent change, or in the worst case come from a page that was
// replaced and put back: whoever uses it must bound every number, and must correct by a pinned read
// whatever the user can see. Shared buffers stay mapped, so the read itself cannot fault.
//
// Costs of a random page in this server: README.md. The clock sweep sees only pins, so a page whose
// usage count has fallen below kMinUsage is read the pinned way, which raises it.
#pragma once

#include "pg/pg.hpp"

namespace ann::pg {

class UnpinnedReader {
 public:
  UnpinnedReader() = default;
  // `allowed` false, or a temporary index: Peek never succeeds.
  UnpinnedReader(Relation index, bool allowed);

  struct Peeked {
    const char* page;  // null: read the page pinned, then Remember it
    Buffer buffer;
  };

  // Where the block probably lies; may be wrong, for prefetching only. Null: not known.
  [[gnu::always_inline]] const char* Guess(BlockNumber block) const {
    if (hints_ == nullptr) return nullptr;
    const Buffer buffer = hints_[Slot(block)];
    if (buffer <= 0) return nullptr;
    __builtin_prefetch(GetBufferDescriptor(buffer - 1));
    return BufferBlocks + static_cast<size_t>(buffer - 1) * BLCKSZ;
  }

  Peeked Peek(BlockNumber block) {
    if (hints_ == nullptr) return {nullptr, InvalidBuffer};
    const Buffer buffer = hints_[Slot(block)];
    if (buffer <= 0 || !Holds(buffer, block, kMinUsage)) return {nullptr, InvalidBuffer};
    ++hits_;
    return {BufferBlocks + static_cast<size_t>(buffer - 1) * BLCKSZ, buffer};
  }

  // Whether the block is where it was last seen, for those who do not want to read it now.
  bool Knows(BlockNumber block) const {
    if (hints_ == nullptr) return false;
    const Buffer buffer = hints_[Slot(block)];
    return buffer > 0 && Holds(buffer, block, 0);
  }

  // After reading: whether the page was still there.
  bool StillThere(const Peeked& peeked, BlockNumber block) const {
    pg_read_barrier();
    return Holds(peeked.buffer, block, 0);
  }

  // Whether the page is there and nobody is changing it. Asked before and after reading, between
  // two reads of a word that every change of what is read changes too: equal words and two yeses
  // say that what was read was whole.
  bool StandsStill(const Peeked& peeked, BlockNumber block) const {
    pg_read_barrier();
    const bool still = Holds(peeked.buffer, block, 0) &&
                       !IsExclusivelyLocked(GetBufferDescriptor(peeked.buffer - 1));
    pg_read_barrier();
    return still;
  }

  void Remember(BlockNumber block, Buffer buffer) {
    if (hints_ != nullptr) hints_[Slot(block)] = buffer;
  }

  // Pins `block` by its hint when that is right (a third of the cost of the buffer mapping table),
  // else the ordinary way.
  Buffer Pin(BlockNumber block);

  // Adds the pages peeked at since the last call to the statistics, where pinned reads are counted
  // too.
  void ReportHits();
  // Pages peeked at so far.
  int64 peeked() const { return reported_ + hits_; }

 private:
  static constexpr uint32 kMinUsage = 2;

  size_t Slot(BlockNumber block) const { return (block + salt_) & mask_; }
  bool Holds(Buffer buffer, BlockNumber block, uint32 usage) const {
    BufferDesc* descriptor = GetBufferDescriptor(buffer - 1);
    const uint32 state = pg_atomic_read_u32(&descriptor->state);
    return (state & BM_VALID) != 0 && BUF_STATE_GET_USAGECOUNT(state) >= usage &&
           TagIs(descriptor->tag, file_, MAIN_FORKNUM, block);
  }

  Relation index_ = nullptr;
  Buffer* hints_ = nullptr;
  size_t mask_ = 0;
  uint32 salt_ = 0;
  int64 hits_ = 0;  // not yet reported
  int64 reported_ = 0;
  RelationFile file_{};
};

}  // namespace ann::pg
