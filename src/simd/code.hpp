// Kernels over packed codes. A *plane* holds b bits of every dim (b = 2, 4 or 8) in
// PlaneBytes(b, dims) bytes, a multiple of 16. It is planar: dim i lies in byte i % bytes, at bit
// b * (i / bytes). The k-th bit group of all bytes therefore meets the contiguous piece
// [k * bytes, (k + 1) * bytes) of a query that is in natural order of dims and padded with zeros to
// PlaneEntries(b, dims) entries: nothing is rearranged on the query side and no shuffle is needed.
//
// Every kernel reads exactly `bytes` bytes of code and (8 / b) * bytes bytes of query, at any
// address. `bytes` is the plane's size, a multiple of 16 (0 gives 0). Results are exact integers,
// equal on every target; the int32 result holds up to 65 536 dims of 8-bit codes.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ann::simd {

// Size in bytes of a plane of `bits` (2, 4 or 8) bits a dim.
constexpr size_t PlaneBytes(int bits, size_t dims) {
  const size_t bytes = (dims * static_cast<size_t>(bits) + 7) / 8;
  return (bytes + 15) / 16 * 16;
}

// Entries of the query (or unpacked values) that belong to such a plane, padding included.
constexpr size_t PlaneEntries(int bits, size_t dims) {
  return PlaneBytes(bits, dims) * (8 / static_cast<size_t>(bits));
}

struct CodeKernels {
  // sum u_i * q_i of the unsigned codes u and int8 q (-128 included).
  int32_t (*dot2)(const uint8_t* code, const int8_t* q, size_t bytes);
  int32_t (*dot4)(const uint8_t* code, const int8_t* q, size_t bytes);
  int32_t (*dot8)(const uint8_t* code, const int8_t* q, size_t bytes);
  // sum |u_i - v_i| of the unsigned codes u and unsigned bytes v (0..255 whatever b is).
  uint32_t (*sad2)(const uint8_t* code, const uint8_t* v, size_t bytes);
  uint32_t (*sad4)(const uint8_t* code, const uint8_t* v, size_t bytes);
  uint32_t (*sad8)(const uint8_t* code, const uint8_t* v, size_t bytes);
  // One byte a dim in natural order: writes (8 / b) * bytes entries, padding included.
  void (*unpack2)(const uint8_t* code, uint8_t* out, size_t bytes);
  void (*unpack4)(const uint8_t* code, uint8_t* out, size_t bytes);
};

// Writes the plane of `dims` values below 2^bits, padding with zeros. `code` has
// PlaneBytes(bits, dims) bytes.
void PackPlane(int bits, const uint8_t* values, size_t dims, uint8_t* code);

}  // namespace ann::simd
