// A further row of a vector that a node has already joins the node's chain.
#pragma once

#include "hnsw/hnsw_index.hpp"
#include "hnsw/hnsw_postings.hpp"
#include "hnsw/hnsw_space.hpp"

#include "pg/test_hooks.hpp"

namespace ann::hnsw {

// `is_equal(node)`: whether a node, whose page is locked, lives and is of the row's vector.
template <class IsEqual>
class ChainWriter {
 public:
  ChainWriter(const IndexView& view, format::Tid tid, const filter::Row& row, IsEqual is_equal)
      : view_(view), tid_(tid), row_(row), is_equal_(is_equal) {}

  // Adds the row to the chain of node `id`. False: the node has changed meanwhile.
  bool Join(NodeId id) {
    const format::Place at = view_.geometry.NodeAt(id);
    pg::StopPoint("insert.joining");
    if (AddToHead(id, at)) return joined_;
    // A chunk is found without a page lock, then all pages are locked in order: L2 node, L4 chain,
    // L7 column.
    FreeSlot free = FindRecord(view_, format::PageKind::kChain);
    const BlockNumber chain_block = free.page.block;
    pg::Release(free.page);
    pg::StopPoint("insert.chunk");
    pg::PageRef page =
        pg::ReadPage(view_.rel, at.block, BUFFER_LOCK_EXCLUSIVE, format::PageKind::kNodes);
    pg::PageRef chain =
        pg::ReadPage(view_.rel, chain_block, BUFFER_LOCK_EXCLUSIVE, format::PageKind::kChain);
    uint32_t slot = 0;
    while (slot < view_.meta.chunks_per_page && view_.Chunk(chain.page, slot)->node != kNoId)
      ++slot;
    const format::NodeSlot* node = view_.Node(page.page, at.index);
    const bool possible = is_equal_(node);
    if (possible && slot < view_.meta.chunks_per_page) {
      const ColumnRef column = LockColumn(view_, id);
      const PostingRef posting = LockFurtherPosting(id, column);
      if (posting.full) {
        ReleaseColumn(column);
        pg::Release(chain);
        pg::Release(page);
        MakePostingRoom(view_, posting.entry.hash);
        return Join(id);
      }
      pg::PageEdit edit = pg::PageEdit::Begin(view_.rel, view_.meta);
      format::NodeSlot* changed = view_.Node(edit.Edit(page), at.index);
      format::ChainChunk* chunk = view_.Chunk(edit.Edit(chain), slot);
      *chunk = {id, changed->chain, 1, {}, {tid_}};
      changed->chain = view_.ChunkId({chain_block, slot});
      PutInChunk(chunk, 0);
      MarkNode(&edit, column);
      PutPosting(&edit, posting);
      edit.Finish();
      ReleasePosting(posting);
      ReleaseColumn(column);
    }
    pg::Release(chain);
    pg::Release(page);
    if (!possible) return false;
    // Somebody took the last chunk between the two locks.
    return slot < view_.meta.chunks_per_page || Join(id);
  }

 private:
  void PutInChunk(format::ChainChunk* chunk, uint32_t i) const {
    view_.attributes.Put(view_.AttributesOf(chunk), format::kChunkTids, i, row_);
  }

  // The row joins a chain: if its attributes are not those of the node's own row, the node is
  // marked.
  void MarkNode(pg::PageEdit* edit, const ColumnRef& column) const {
    if (!column) return;
    filter::Row own;
    if (!column.blank) own = view_.ColumnRow(column.page.page, column.index);
    if ((own.marks & filter::kFurtherRows) != 0 || own.HasValuesOf(row_)) return;
    own.marks |= filter::kFurtherRows;
    view_.PutColumnRow(EditColumn(view_, edit, column), column.index, own);
  }

  // A row of the same value as the node's own is posted with that. L9.
  PostingRef LockFurtherPosting(NodeId id, const ColumnRef& column) const {
    if (column && !column.blank) {
      const filter::Row own = view_.ColumnRow(column.page.page, column.index);
      if (!own.IsNull(0) && own.values[0] == row_.values[0]) return {};
    }
    return LockPosting(view_, id, row_);
  }

  // Puts the row into the chain's first chunk if that has room. False: a new chunk is needed.
  // Locks: the node page (L2), then the chunk's (L4), the column page (L7) and one of postings
  // (L9).
  bool AddToHead(NodeId id, format::Place at) {
    pg::PageRef page =
        pg::ReadPage(view_.rel, at.block, BUFFER_LOCK_EXCLUSIVE, format::PageKind::kNodes);
    const format::NodeSlot* node = view_.Node(page.page, at.index);
    joined_ = false;
    bool settled = true;
    if (is_equal_(node)) {
      settled = false;
      if (node->chain != kNoId) {
        const format::Place chunk_at = view_.ChunkAt(node->chain);
        pg::PageRef chain = pg::ReadPage(view_.rel, chunk_at.block, BUFFER_LOCK_EXCLUSIVE,
                                         format::PageKind::kChain);
        const format::ChainChunk* chunk = view_.Chunk(chain.page, chunk_at.index);
        if (chunk->node == id && chunk->count < format::kChunkTids) {
          const ColumnRef column = LockColumn(view_, id);
          const PostingRef posting = LockFurtherPosting(id, column);
          if (posting.full) {
            ReleaseColumn(column);
            pg::Release(chain);
            pg::Release(page);
            MakePostingRoom(view_, posting.entry.hash);
            return AddToHead(id, at);
          }
          pg::PageEdit edit = pg::PageEdit::Begin(view_.rel, view_.meta);
          format::ChainChunk* changed = view_.Chunk(edit.Edit(chain), chunk_at.index);
          PutInChunk(changed, changed->count);
          changed->tids[changed->count++] = tid_;
          MarkNode(&edit, column);
          PutPosting(&edit, posting);
          edit.Finish();
          ReleasePosting(posting);
          ReleaseColumn(column);
          joined_ = settled = true;
        }
        pg::Release(chain);
      }
    }
    pg::Release(page);
    return settled;
  }

  const IndexView& view_;
  format::Tid tid_;
  const filter::Row& row_;
  IsEqual is_equal_;
  bool joined_ = false;
};

}  // namespace ann::hnsw
