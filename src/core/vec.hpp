// Growing arrays whose memory comes from an allocator that the caller passes: a MemoryContext in
// the server, the heap in unit tests.
#pragma once

#include <memory>

#include <boost/container/vector.hpp>

namespace ann {

template <class T, class Alloc>
using VecOf =
    boost::container::vector<T, typename std::allocator_traits<Alloc>::template rebind_alloc<T>>;

}  // namespace ann
