#include "pg/unpinned.hpp"

#include <bit>

#include "core/rng.hpp"

#include "pg/alloc.hpp"

namespace ann::pg {

namespace {

// Direct-mapped by block number, shared by all indexes: blocks of one index do not collide while it
// is smaller than shared_buffers.
Buffer* hint_table;
size_t hint_mask;
constexpr size_t kMaxHints = size_t{1} << 22;

void MakeTable() {
  const size_t size = std::min(std::bit_ceil(static_cast<size_t>(NBuffers)), kMaxHints);
  hint_table = AllocZero<Buffer>(TopMemoryContext, size);
  hint_mask = size - 1;
}

}  // namespace

UnpinnedReader::UnpinnedReader(Relation index, bool allowed) : index_(index), file_(FileOf(index)) {
  if (!allowed || RelationUsesLocalBuffers(index)) return;
  if (hint_table == nullptr) MakeTable();
  hints_ = hint_table;
  mask_ = hint_mask;
  salt_ = static_cast<uint32>(Mix64(FileNumberOf(index)));
}

Buffer UnpinnedReader::Pin(BlockNumber block) {
  if (hints_ != nullptr) {
    const Buffer buffer = hints_[Slot(block)];
    // ReadRecentBuffer does not raise the usage count of a page it was first to pin.
    if (buffer > 0 && Holds(buffer, block, kMinUsage) &&
        ReadRecentBuffer(file_, MAIN_FORKNUM, block, buffer)) {
      // It has counted the hit for EXPLAIN, but not for the relation.
      CountBufferHits(index_, 1);
      return buffer;
    }
  }
  const Buffer buffer = ReadBuffer(index_, block);
  Remember(block, buffer);
  return buffer;
}

void UnpinnedReader::ReportHits() {
  if (hits_ == 0) return;
  pgBufferUsage.shared_blks_hit += hits_;
  CountBufferHits(index_, hits_);
  reported_ += hits_;
  hits_ = 0;
}

}  // namespace ann::pg
