// A growing array of equal blocks that never moves by itself: chunks from the caller's allocator.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "core/vec.hpp"

namespace ann {

template <class Alloc>
class Arena {
 public:
  // Blocks of `stride` bytes, a multiple of 8.
  Arena(const Alloc& alloc, size_t stride) : chunks_(alloc), alloc_(alloc), stride_(stride) {
    while ((stride << shift_) < kChunkBytes) ++shift_;
  }

  // A zeroed block; its number is its place in the order of calls.
  uint8_t* Append() {
    const uint32_t in_chunk = size_ & Mask();
    if (in_chunk == 0) {
      ByteAlloc alloc(alloc_);
      chunks_.push_back(alloc.allocate(ChunkBytes()));
    }
    uint8_t* block = chunks_[size_ >> shift_] + in_chunk * stride_;
    for (size_t i = 0; i < stride_; ++i) block[i] = 0;
    ++size_;
    return block;
  }

  // Takes the last block back.
  void RemoveLast() {
    --size_;
    if ((size_ & Mask()) == 0) {
      ByteAlloc(alloc_).deallocate(chunks_.back(), ChunkBytes());
      chunks_.pop_back();
    }
  }

  // Moves all blocks to memory of the caller's, bytes() long, one chunk after the other; no more
  // may be appended.
  void MoveTo(uint8_t* memory) {
    for (uint8_t*& chunk : chunks_) {
      std::memcpy(memory, chunk, ChunkBytes());
      ByteAlloc(alloc_).deallocate(chunk, ChunkBytes());
      chunk = memory;
      memory += ChunkBytes();
    }
    borrowed_ = true;
  }
  // An empty arena takes over what another one has moved to `memory`.
  void Adopt(uint8_t* memory, uint32_t size) {
    size_ = size;
    for (uint32_t first = 0; first < size; first += Mask() + 1) {
      chunks_.push_back(memory);
      memory += ChunkBytes();
    }
    borrowed_ = true;
  }

  uint8_t* operator[](uint32_t i) const {
    return chunks_[i >> shift_] + static_cast<size_t>(i & Mask()) * stride_;
  }
  uint32_t size() const { return size_; }
  size_t bytes() const { return chunks_.size() * ChunkBytes(); }

  void Free() {
    ByteAlloc alloc(alloc_);
    for (uint8_t* chunk : chunks_) {
      if (!borrowed_) alloc.deallocate(chunk, ChunkBytes());
    }
    chunks_.clear();
    size_ = 0;
  }

 private:
  using ByteAlloc = typename std::allocator_traits<Alloc>::template rebind_alloc<uint8_t>;
  static constexpr size_t kChunkBytes = size_t{1} << 20;

  uint32_t Mask() const { return (uint32_t{1} << shift_) - 1; }
  size_t ChunkBytes() const { return stride_ << shift_; }

  VecOf<uint8_t*, Alloc> chunks_;
  Alloc alloc_;
  size_t stride_;
  uint32_t shift_ = 0;
  uint32_t size_ = 0;
  bool borrowed_ = false;  // the chunks are the caller's
};

}  // namespace ann
