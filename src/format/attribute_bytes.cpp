#include "format/attribute_bytes.hpp"

#include <bit>

namespace ann::format {

bool AreAttributes(const uint8_t attributes[kMaxAttributes], uint32_t count, uint32_t bytes) {
  uint32_t value_bytes = 0;
  for (uint32_t i = 0; i < kMaxAttributes; ++i) {
    const uint32_t width = AttributeWidth(attributes[i]);
    if (i >= count) {
      if (attributes[i] != 0) return false;
      continue;
    }
    // Hashes and signatures are of 8 bytes.
    const AttributeKind kind = KindOfAttribute(attributes[i]);
    if (kind > AttributeKind::kSignature || (kind != AttributeKind::kOrdered && width != 8)) {
      return false;
    }
    if (!std::has_single_bit(width) || width > 16) return false;
    value_bytes += width;
  }
  return count <= kMaxAttributes && value_bytes <= kMaxAttributeBytes &&
         bytes == (count == 0 ? 0 : value_bytes + 2);
}

}  // namespace ann::format
