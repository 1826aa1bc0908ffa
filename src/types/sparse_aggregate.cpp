// sum() and avg() of `sparsevec`. The state holds a term for each dimension in which a row had a
// value, in order of dimensions, and behind them the terms of the latest rows as they came: these
// are merged in when there are as many of them as of the others, so that a row costs as much as its
// own elements, times a logarithm.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "types/sparse_type.hpp"
#include "pg/entry.hpp"

namespace ann::types {

namespace {

struct Term {
  int32_t index;
  double sum;
};

// In the memory of the aggregate.
struct SparseSums {
  MemoryContext context;
  int32_t dims;
  int64_t rows;
  size_t merged;  // terms that are in order
  size_t count;
  size_t capacity;
  Term* terms;
};

constexpr size_t kFirstTerms = 256;

SparseSums* MakeSums(MemoryContext context, int dims, size_t capacity) {
  auto* sums = static_cast<SparseSums*>(MemoryContextAllocZero(context, sizeof(SparseSums)));
  sums->context = context;
  sums->dims = dims;
  sums->capacity = std::max(capacity, kFirstTerms);
  sums->terms = static_cast<Term*>(MemoryContextAllocHuge(context, sums->capacity * sizeof(Term)));
  return sums;
}

// Of one dimension the smaller ones first: the sum does not depend on how the sort went.
bool Before(const Term& a, const Term& b) {
  return a.index != b.index ? a.index < b.index : a.sum < b.sum;
}

// One term for each dimension, in order.
void Merge(SparseSums* sums) {
  if (sums->merged == sums->count) return;
  std::sort(sums->terms, sums->terms + sums->count, Before);
  size_t kept = 0;
  for (size_t i = 1; i < sums->count; ++i) {
    if (sums->terms[i].index == sums->terms[kept].index) {
      sums->terms[kept].sum += sums->terms[i].sum;
    } else {
      sums->terms[++kept] = sums->terms[i];
    }
  }
  sums->merged = sums->count = kept + 1;
}

void MakeRoom(SparseSums* sums, size_t more) {
  if (sums->count + more <= sums->capacity) return;
  Merge(sums);
  const size_t wanted = 2 * (sums->count + more);
  if (wanted <= sums->capacity) return;
  sums->terms = static_cast<Term*>(repalloc_huge(sums->terms, wanted * sizeof(Term)));
  sums->capacity = wanted;
}

MemoryContext AggregateMemory(FunctionCallInfo fcinfo) {
  MemoryContext context;
  if (AggCheckCallContext(fcinfo, &context) == 0) {
    elog(ERROR, "an aggregate's function was called outside of an aggregate");
  }
  return context;
}

SparseSums* SumsArgument(FunctionCallInfo fcinfo, int n) {
  return PG_ARGISNULL(n) ? nullptr : reinterpret_cast<SparseSums*>(PG_GETARG_POINTER(n));
}

// The sums divided by `divisor`.
SparseVector* Quotient(SparseSums* sums, double divisor) {
  Merge(sums);
  const auto value = [&](size_t i) { return static_cast<float>(sums->terms[i].sum / divisor); };
  int64_t nonzeros = 0;
  for (size_t i = 0; i < sums->count; ++i) {
    if (!std::isfinite(value(i))) float_overflow_error();
    nonzeros += value(i) != 0;
  }
  CheckNonZeros(nonzeros);
  SparseVector* result = MakeSparse(sums->dims, static_cast<int>(nonzeros));
  int at = 0;
  for (size_t i = 0; i < sums->count; ++i) {
    if (value(i) == 0) continue;
    result->indices[at] = sums->terms[i].index;
    result->values()[at++] = value(i);
  }
  return result;
}

}  // namespace

ANN_FUNCTION(ann_sparsevec_accum)
{
  const MemoryContext context = AggregateMemory(fcinfo);
  SparseSums* sums = SumsArgument(fcinfo, 0);
  if (PG_ARGISNULL(1)) {
    if (sums == nullptr) PG_RETURN_NULL();
    PG_RETURN_POINTER(sums);
  }
  const SparseArg vector(fcinfo, 1);
  const auto more = static_cast<size_t>(vector.nonzeros());
  if (sums == nullptr) sums = MakeSums(context, vector.dims(), more);
  CheckExpectedSparseDims(sums->dims, vector.dims());
  MakeRoom(sums, more);
  for (size_t i = 0; i < more; ++i) {
    sums->terms[sums->count++] = {vector.indices()[i], vector.values()[i]};
  }
  ++sums->rows;
  PG_RETURN_POINTER(sums);
}

ANN_FUNCTION(ann_sparsevec_combine)
{
  const MemoryContext context = AggregateMemory(fcinfo);
  SparseSums* a = SumsArgument(fcinfo, 0);
  const SparseSums* b = SumsArgument(fcinfo, 1);
  if (b != nullptr) {
    if (a == nullptr) a = MakeSums(context, b->dims, b->count);
    CheckExpectedSparseDims(a->dims, b->dims);
    MakeRoom(a, b->count);
    std::copy_n(b->terms, b->count, a->terms + a->count);
    a->count += b->count;
    a->rows += b->rows;
  }
  if (a == nullptr) PG_RETURN_NULL();
  PG_RETURN_POINTER(a);
}

namespace {

// How a worker hands its state over: dims, rows, then indices, then sums.
constexpr size_t kHeadBytes = sizeof(int32_t) + sizeof(int64_t);
constexpr size_t kTermBytes = sizeof(int32_t) + sizeof(double);

}  // namespace

ANN_FUNCTION(ann_sparsevec_serialize)
{
  SparseSums* sums = SumsArgument(fcinfo, 0);
  Merge(sums);
  const size_t bytes = VARHDRSZ + kHeadBytes + sums->count * kTermBytes;
  // The server's own limit on values; 16,000 elements are far below it.
  if (!AllocSizeIsValid(bytes)) CheckNonZeros(static_cast<int64_t>(sums->count));
  auto* result = static_cast<bytea*>(palloc(bytes));
  SET_VARSIZE(result, bytes);
  char* at = VARDATA(result);
  const auto write = [&at](const auto& value) {
    std::memcpy(at, &value, sizeof value);
    at += sizeof value;
  };
  write(sums->dims);
  write(sums->rows);
  for (size_t i = 0; i < sums->count; ++i) {
    write(sums->terms[i].index);
    write(sums->terms[i].sum);
  }
  PG_RETURN_BYTEA_P(result);
}

ANN_FUNCTION(ann_sparsevec_deserialize)
{
  const MemoryContext context = AggregateMemory(fcinfo);
  const bytea* state = PG_GETARG_BYTEA_PP(0);
  const char* at = VARDATA_ANY(state);
  const auto read = [&at](auto* value) {
    std::memcpy(value, at, sizeof *value);
    at += sizeof *value;
  };
  int32_t dims;
  read(&dims);
  const size_t count = (VARSIZE_ANY_EXHDR(state) - kHeadBytes) / kTermBytes;
  SparseSums* sums = MakeSums(context, dims, count);
  read(&sums->rows);
  for (size_t i = 0; i < count; ++i) {
    read(&sums->terms[i].index);
    read(&sums->terms[i].sum);
  }
  sums->merged = sums->count = count;
  PG_RETURN_POINTER(sums);
}

ANN_FUNCTION(ann_sparsevec_avg)
{
  SparseSums* sums = SumsArgument(fcinfo, 0);
  if (sums == nullptr) PG_RETURN_NULL();
  return SparseDatum(Quotient(sums, static_cast<double>(sums->rows)));
}

ANN_FUNCTION(ann_sparsevec_sum)
{
  SparseSums* sums = SumsArgument(fcinfo, 0);
  if (sums == nullptr) PG_RETURN_NULL();
  return SparseDatum(Quotient(sums, 1));
}

}  // namespace ann::types
