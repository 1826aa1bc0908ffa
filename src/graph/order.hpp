// An order of nodes in which neighbours stand near each other, so that they share pages.
#pragma once

#include "core/ids.hpp"
#include "core/vec.hpp"

namespace ann::graph {

// Breadth-first from `start` over links(id, out) -> count; nodes it does not reach follow in their
// own order. `order[new] = old`.
template <class Alloc, class Links>
void BreadthFirst(uint32_t size, NodeId start, Links&& links, const Alloc& alloc,
                  VecOf<NodeId, Alloc>& order) {
  VecOf<uint8_t, Alloc> placed(alloc);
  placed.assign(size, 0);
  order.clear();
  order.reserve(size);
  auto place = [&](NodeId id) {
    if (placed[id] != 0) return;
    placed[id] = 1;
    order.push_back(id);
  };
  if (start != kNoId) place(start);
  NodeId unseen = 0;
  for (uint32_t head = 0; order.size() < size; ++head) {
    while (head == order.size() && unseen < size) place(unseen++);
    const NodeId* out;
    const uint32_t n = links(order[head], &out);
    for (uint32_t i = 0; i < n; ++i) place(out[i]);
  }
}

}  // namespace ann::graph
