// Identifiers shared by the graph, the page formats and the access methods.
#pragma once

#include <cstdint>
#include <limits>

namespace ann {

// A node of the level-0 graph: its dense number, from which geometry.hpp derives block and slot.
using NodeId = uint32_t;
// A record of an upper level, or a chunk of a chain: block * records-per-page + slot.
using RecordId = uint32_t;

inline constexpr uint32_t kNoId = std::numeric_limits<uint32_t>::max();
// Beams keep a flag in the top bit of an id.
inline constexpr uint32_t kMaxNodes = (uint32_t{1} << 31) - 1;

}  // namespace ann
