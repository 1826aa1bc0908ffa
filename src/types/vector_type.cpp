// Making and checking vectors: what all functions of the type share.
#include <bit>
#include <cmath>

#include "types/vector_type.hpp"

namespace ann::types {

Vector* MakeVector(int dims) {
  const size_t bytes = VectorBytes(dims);
  auto* vector = static_cast<Vector*>(palloc(bytes));
  SET_VARSIZE(vector, bytes);
  vector->dims = static_cast<int16_t>(dims);
  vector->unused = 0;
  return vector;
}

void ReportDimsOutOfRange(int64_t dims) {
  if (dims < 1) {
    ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
                    errmsg("vector must have at least 1 dimension, not %lld",
                           static_cast<long long>(dims))));
  }
  ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                  errmsg("vector cannot have %lld dimensions", static_cast<long long>(dims)),
                  errdetail("The limit is %d.", kMaxVectorDims)));
  pg_unreachable();
}

void ReportUnexpectedDims(int expected, int dims) {
  ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
                  errmsg("expected a vector of %d dimensions, not %d", expected, dims)));
  pg_unreachable();
}

void ReportDifferentDims(int a, int b) {
  ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
                  errmsg("vectors have different numbers of dimensions: %d and %d", a, b)));
  pg_unreachable();
}

void ReportNonFinite(const float* values, int dims) {
  int at = 0;
  while (at < dims - 1 && std::isfinite(values[at])) at++;
  ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
                  errmsg("%s is not allowed in a vector", std::isnan(values[at]) ? "NaN"
                                                          : values[at] < 0       ? "-Infinity"
                                                                                 : "Infinity"),
                  errdetail("It is element %d of %d.", at + 1, dims)));
  pg_unreachable();
}

void ReportDamagedVector(size_t bytes) {
  ereport(ERROR,
          (errcode(ERRCODE_DATA_CORRUPTED), errmsg("stored vector of %zu bytes is damaged", bytes),
           errdetail("Its length does not fit its number of dimensions.")));
  pg_unreachable();
}

bool AllFinite(const float* values, int dims) {
  // An exponent of all ones carries into the sign bit; integers, so that the loop vectorises.
  uint32_t seen = 0;
  for (int i = 0; i < dims; i++) {
    seen |= (std::bit_cast<uint32_t>(values[i]) & 0x7FFFFFFFu) + 0x00800000u;
  }
  return seen >> 31 == 0;
}

int VectorDims(Datum datum) {
  auto* stored = reinterpret_cast<struct varlena*>(DatumGetPointer(datum));
  if (!VARATT_IS_EXTERNAL_ONDISK(stored)) return VectorArg(datum).dims();
  int16_t dims = 0;
  struct varlena* head = pg_detoast_datum_slice(stored, 0, sizeof dims);
  if (VARSIZE(head) == VARHDRSZ + sizeof dims) memcpy(&dims, VARDATA(head), sizeof dims);
  pfree(head);
  // Damage is reported by the one place that does.
  if (dims < 1 || toast_raw_datum_size(datum) != VectorBytes(dims)) return VectorArg(datum).dims();
  return dims;
}

}  // namespace ann::types
