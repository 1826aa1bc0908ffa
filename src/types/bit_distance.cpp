// Distances of core's `bit` and `varbit`: <~> and <%>.
#include <cstring>

#include "simd/simd.hpp"

#include "pg/entry.hpp"
#include "types/type_errors.hpp"

namespace ann::types {

namespace {

// A string of bits where it lies: up to 120 bytes of them are stored behind a header of one byte,
// and to copy such a string for its alignment, which no kernel needs, takes four times the time of
// its distance. Of 1,024 bits a distance takes 8 ns, and the call that finds nothing to detoast 1.
class BitArg {
 public:
  BitArg(FunctionCallInfo fcinfo, int n) {
    auto* stored = reinterpret_cast<struct varlena*>(PG_GETARG_POINTER(n));
    if (VARATT_IS_EXTERNAL(stored) || VARATT_IS_COMPRESSED(stored)) {
      stored = pg_detoast_datum_packed(stored);
    }
    const bool is_short = VARATT_IS_SHORT(stored);
    const auto* content =
        reinterpret_cast<const uint8_t*>(stored) + (is_short ? VARHDRSZ_SHORT : VARHDRSZ);
    memcpy(&length_, content, sizeof length_);
    bits_ = content + sizeof length_;
    bytes_ = (is_short ? VARSIZE_SHORT(stored) - VARHDRSZ_SHORT : VARSIZE(stored) - VARHDRSZ) -
             sizeof length_;
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
  const auto ones = static_cast<int64_t>(simd::Bits().hamming(pair.a(), pair.b(), pair.bytes()));
  PG_RETURN_FLOAT8(static_cast<double>(ones));
}

// Strings that have no one in common are as far as can be, strings of zeros, too.
ANN_FUNCTION(ann_jaccard_distance)
{
  const BitPair pair(fcinfo);
  const simd::BitCounts counts = simd::Bits().counts(pair.a(), pair.b(), pair.bytes());
  PG_RETURN_FLOAT8(counts.both == 0
                       ? 1
                       : 1 - static_cast<double>(static_cast<int64_t>(counts.both)) /
                                 static_cast<double>(static_cast<int64_t>(counts.either)));
}

}  // namespace ann::types
