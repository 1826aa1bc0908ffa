// Lists that are split and merged: README section "Splitting and merging".
#pragma once

#include "ivf/ivf_chain.hpp"
#include "ivf/ivf_rows.hpp"

namespace ann::ivf {

// A row on its way to another list: its vector, and its codes there.
struct MovingRow {
  float* x;
  float* work;
  float prior;  // ListCodec::Encode
  uint8_t* code;
  uint8_t* second;  // null: there is none
};

// Parts that a list of the frame can still be split into: slots in use, on one page of the
// directory, of which what is left of the present one may be passed over.
uint32_t SlotsInARow(const format::IvfFrame& shape);

// Moves rows between the lists in use of an index, while others read and write. Only under the
// table's lock for vacuum. Vectors are read by the active snapshot, which must protect what it
// sees; those of rows that it does not see are taken from their codes.
class Regrouper {
 public:
  static constexpr uint32_t kMostParts = 16;

  // Memory of `context`, of which each call gives back what it takes.
  Regrouper(IndexView& view, Relation heap, MemoryContext context);

  // Splits a list into up to `parts` (2 .. kMostParts) by the means that they have then, if its
  // rows' mean squared distance to their centroid is above `most`. False: there are no slots left.
  bool Split(uint32_t list, uint32_t parts, double most);
  // Puts the rows of a list into another one. Memory: a segment.
  void Merge(uint32_t list, uint32_t into);

  void Close() { rows_.Close(); }

 private:
  struct Look;
  struct Parts;

  bool SplitIn(uint32_t list, uint32_t parts, double most, MemoryContext context);
  void MergeIn(uint32_t list, uint32_t into, MemoryContext context);
  format::ListEntry EntryOf(uint32_t list) const;
  void Fetch(uint32_t list, const ListRow& row);
  float Residual(const float* centroid) const;
  void Recode(const float* centroid);
  Look LookAt(uint32_t list, const format::ListEntry& entry, uint32_t parts, MemoryContext context);
  void NoteLook(uint32_t list, const Look& look, bool indivisible);
  Parts FindParts(uint32_t list, uint32_t parts, const Look& look, MemoryContext context);
  void WriteCentroids(const Parts& parts);
  void FillParts(uint32_t list, ListReader& reader, Parts& parts);
  bool SwitchToParts(uint32_t list, ListReader& reader, const Parts& parts);
  bool SwitchToOne(uint32_t list, ListReader* leaving, uint32_t into, ListReader* staying,
                   const ChainBuilder& chain, double spread);

  IndexView& view_;
  MemoryContext context_;
  RowReader rows_;
  MovingRow row_{};
};

}  // namespace ann::ivf
