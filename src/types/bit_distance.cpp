// Distances of core's `bit` and `varbit`: <~> and <%>.
#include <cstring>

#include "simd/simd.hpp"

#include "pg/entry.hpp"
#include "types/type_errors.hpp"

namespace ann::types {

namespace {

// A string of bits where it lies: up to 120 bytes of them are stored behind a header of one byte,
// and to copy such a string for its alignment, which no kernel needs, takes four times the time of
// its distance.
class BitArg {
 public:
  BitArg(FunctionCallInfo fcinfo, int n) {
    const struct varlena* stored = PG_GETARG_VARLENA_PP(n);
    const auto* content = reinterpret_cast<const uint8_t*>(VARDATA_ANY(stored));
    memcpy(&length_, content, sizeof length_);
    bits_ = content + sizeof length_;
    bytes_ = VARSIZE_ANY_EXHDR(stored) - sizeof length_;
  }
  int32_t length() const { return length_; }
  const uint8_t* bits() const { return bits_; }
  size_t bytes() const { return bytes_; }

 private:
  const uint8_t* bits_;
  size_t bytes_;
  int32_t length_;
};

// Two strings of the same number of bits.
class BitPair {
 public:
  explicit BitPair(FunctionCallInfo fcinfo) : a_(fcinfo, 0), b_(fcinfo, 1) {
    if (a_.length() != b_.length()) ReportBitLengths(a_.length(), b_.length());
  }
  const uint8_t* a() const { return a_.bits(); }
  const uint8_t* b() const { return b_.bits(); }
  size_t bytes() const { return a_.bytes(); }

 private:
  BitArg a_;
  BitArg b_;
};

}  // namespace

ANN_FUNCTION(ann_hamming_distance)
{
  const BitPair pair(fcinfo);
  PG_RETURN_FLOAT8(static_cast<double>(simd::Bits().hamming(pair.a(), pair.b(), pair.bytes())));
}

// Strings that have no one in common are as far as can be, strings of zeros, too.
ANN_FUNCTION(ann_jaccard_distance)
{
  const BitPair pair(fcinfo);
  const simd::BitCounts counts = simd::Bits().counts(pair.a(), pair.b(), pair.bytes());
  PG_RETURN_FLOAT8(counts.both == 0
                       ? 1
                       : 1 - static_cast<double>(counts.both) / static_cast<double>(counts.either));
}

}  // namespace ann::types
