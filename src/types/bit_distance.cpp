// Distances of core's `bit` and `varbit`: <~> and <%>.
#include "simd/simd.hpp"

#include "pg/entry.hpp"
#include "types/type_errors.hpp"

namespace ann::types {

namespace {

// Two strings of the same number of bits, plain.
class BitPair {
 public:
  explicit BitPair(FunctionCallInfo fcinfo) : a_(PG_GETARG_VARBIT_P(0)), b_(PG_GETARG_VARBIT_P(1)) {
    if (VARBITLEN(a_) != VARBITLEN(b_)) ReportBitLengths(VARBITLEN(a_), VARBITLEN(b_));
  }
  const uint8_t* a() const { return VARBITS(a_); }
  const uint8_t* b() const { return VARBITS(b_); }
  size_t bytes() const { return VARBITBYTES(a_); }

 private:
  VarBit* a_;
  VarBit* b_;
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
