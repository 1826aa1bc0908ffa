// Text and binary input and output of `sparsevec`, and its type modifier.
#include <algorithm>
#include <bit>
#include <climits>
#include <cmath>
#include <cstring>

#include "core/float_text.hpp"

#include "types/sparse_type.hpp"
#include "types/type_text.hpp"
#include "pg/alloc.hpp"
#include "pg/entry.hpp"

namespace ann::types {

namespace {

struct Element {
  int32_t index;  // from 1, as in the text
  float value;
};
static_assert(pg::kJumpSafe<Element>);

// A decimal integer, cut to int's range, which no index or number of dimensions reaches. Null:
// there is none at `p`.
const char* ParseInt(const char* p, int32_t* value) {
  const bool negative = *p == '-';
  if (*p == '-' || *p == '+') p++;
  if (*p < '0' || *p > '9') return nullptr;
  int64_t magnitude = 0;
  for (; *p >= '0' && *p <= '9'; p++)
    magnitude = std::min<int64_t>(magnitude * 10 + (*p - '0'), INT_MAX);
  *value = static_cast<int32_t>(negative ? -magnitude : magnitude);
  return p;
}

// Whether the number's text says more than zero: it was too small for a float.
bool Underflowed(const char* first, const ParsedFloat& parsed) {
  if (parsed.value != 0) return false;
  for (const char* p = first; p < parsed.end && *p != 'e' && *p != 'E'; p++) {
    if (*p >= '1' && *p <= '9') return true;
  }
  return false;
}

Datum ReportIndex(FunctionCallInfo fcinfo, int32_t index, int32_t dims) {
  ANN_INPUT_ERROR(
      fcinfo,
      (errcode(ERRCODE_DATA_EXCEPTION), errmsg("sparsevec index %d is out of bounds", index),
       errdetail("Indices of a sparsevec of %d dimensions are 1 to %d.", dims, dims)));
}

Datum ReportDuplicate(FunctionCallInfo fcinfo, int32_t index) {
  ANN_INPUT_ERROR(fcinfo, (errcode(ERRCODE_DATA_EXCEPTION),
                           errmsg("sparsevec must not contain index %d twice", index)));
}

Datum ReportNonZeros(FunctionCallInfo fcinfo) {
  ANN_INPUT_ERROR(fcinfo, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                           errmsg("sparsevec cannot have more than %d elements that are not zero",
                                  kMaxNonZeros)));
}

// The elements in order of their indices. Zeros are dropped first: their indices are not looked at.
// Its result is an input function's.
Datum BuildSparse(FunctionCallInfo fcinfo, Element* elements, int count, int32_t dims) {
  Element* const end =
      std::remove_if(elements, elements + count, [](const Element& e) { return e.value == 0; });
  std::sort(elements, end, [](const Element& a, const Element& b) { return a.index < b.index; });
  for (const Element* e = elements; e < end; e++) {
    if (e->index < 1 || e->index > dims) return ReportIndex(fcinfo, e->index, dims);
    if (e > elements && e->index == e[-1].index) return ReportDuplicate(fcinfo, e->index);
  }
  const int nonzeros = static_cast<int>(end - elements);
  SparseVector* vector = MakeSparse(dims, nonzeros);
  for (int i = 0; i < nonzeros; i++) {
    vector->indices[i] = elements[i].index - 1;
    vector->values()[i] = elements[i].value;
  }
  return SparseDatum(vector);
}

}  // namespace

// {index:value,...}/dims, indices from 1 in any order. The text is never written to.
ANN_FUNCTION(ann_sparsevec_in)
{
  const char* const text = PG_GETARG_CSTRING(0);
  const int32 typmod = PG_GETARG_INT32(2);
  const InputText input{fcinfo, kSparseName, text};
  const char* const end = text + strlen(text);

  const char* p = SkipBlanks(text);
  if (*p != '{') return input.ReportSyntax("A sparsevec must start with \"{\".");
  p = SkipBlanks(p + 1);
  const auto commas = std::count(p, end, ',');
  if (commas >= kMaxNonZeros) return ReportNonZeros(fcinfo);
  auto* elements =
      static_cast<Element*>(palloc(sizeof(Element) * (static_cast<size_t>(commas) + 1)));
  int count = 0;
  if (*p != '}') {
    for (;;) {
      Element element;
      p = SkipBlanks(p);
      const char* after = ParseInt(p, &element.index);
      if (after == nullptr) return input.ReportElement(count, p);
      p = SkipBlanks(after);
      if (*p != ':') {
        return input.ReportSyntax(psprintf(
            "Expected \":\" after the index of element %d, found \"%s\".", count + 1, Excerpt(p)));
      }
      p = SkipBlanks(p + 1);
      const ParsedFloat parsed = ParseFloat(p, end);
      if (parsed.status == FloatTextStatus::kSyntax) return input.ReportElement(count, p);
      if (parsed.status != FloatTextStatus::kOk || Underflowed(p, parsed)) {
        return input.ReportValue(parsed, count, p);
      }
      element.value = parsed.value;
      elements[count++] = element;
      p = SkipBlanks(parsed.end);
      if (*p == '}') break;
      if (*p != ',') return input.ReportSeparator(count, p, '}');
      p++;
    }
  }
  p = SkipBlanks(p + 1);
  if (*p != '/')
    return input.ReportSyntax("Expected \"/\" and the number of dimensions after \"}\".");
  int32_t dims;
  const char* after = ParseInt(SkipBlanks(p + 1), &dims);
  if (after == nullptr) return input.ReportSyntax("Expected the number of dimensions after \"/\".");
  if (*SkipBlanks(after) != '\0') {
    return input.ReportSyntax("There is text after the number of dimensions.");
  }
  if (dims < 1 || dims > kMaxSparseDims) return input.ReportDims(dims, kMaxSparseDims);
  if (typmod != -1 && typmod != dims) return input.ReportTypmod(typmod, dims);
  return BuildSparse(fcinfo, elements, count, dims);
}

ANN_FUNCTION(ann_sparsevec_out)
{
  const SparseArg vector(fcinfo, 0);
  // An index has at most 10 digits; a colon and a comma.
  constexpr size_t kElementBytes = 10 + 2 + FLOAT_SHORTEST_DECIMAL_LEN;
  auto* text = static_cast<char*>(
      palloc(static_cast<size_t>(vector.nonzeros()) * kElementBytes + 2 + 12 + 1));
  char* p = text;
  *p++ = '{';
  for (int i = 0; i < vector.nonzeros(); i++) {
    if (i > 0) *p++ = ',';
    p += pg_ltoa(vector.indices()[i] + 1, p);
    *p++ = ':';
    p += float_to_shortest_decimal_bufn(vector.values()[i], p);
  }
  *p++ = '}';
  *p++ = '/';
  p += pg_ltoa(vector.dims(), p);
  *p = '\0';
  PG_RETURN_CSTRING(text);
}

ANN_FUNCTION(ann_sparsevec_typmod_in)
{ PG_RETURN_INT32(ReadDimsModifier(fcinfo, kSparseName, kMaxSparseDims)); }

// dims, number of values, 0, indices from 0, values; 4 bytes each, in network order.
ANN_FUNCTION(ann_sparsevec_recv)
{
  auto* message = reinterpret_cast<StringInfo>(PG_GETARG_POINTER(0));
  const int32 typmod = PG_GETARG_INT32(2);
  const auto dims = static_cast<int32>(pq_getmsgint(message, sizeof(int32)));
  const auto nonzeros = static_cast<int32>(pq_getmsgint(message, sizeof(int32)));
  const auto unused = static_cast<int32>(pq_getmsgint(message, sizeof(int32)));
  CheckSparseDims(dims);
  CheckNonZeros(nonzeros);
  if (nonzeros > dims) {
    ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                    errmsg("sparsevec of %d dimensions cannot have %d values", dims, nonzeros)));
  }
  CheckExpectedSparseDims(typmod, dims);
  if (unused != 0) {
    ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
                    errmsg("expected 0 in the reserved field of a sparsevec, not %d", unused)));
  }
  // Before memory is taken: a message too short is an error here.
  const char* bytes = pq_getmsgbytes(message, 8 * nonzeros);
  SparseVector* vector = MakeSparse(dims, nonzeros);
  const auto word = [bytes](int i) {
    uint32 bits;
    memcpy(&bits, bytes + sizeof(bits) * static_cast<size_t>(i), sizeof bits);
    return pg_ntoh32(bits);
  };
  int64_t last = -1;
  for (int i = 0; i < nonzeros; i++) {
    const auto index = static_cast<int32>(word(i));
    if (index < 0 || index >= dims) {
      ereport(
          ERROR,
          (errcode(ERRCODE_DATA_EXCEPTION), errmsg("sparsevec index %d is out of bounds", index),
           errdetail("In the binary form indices of %d dimensions are 0 to %d.", dims, dims - 1)));
    }
    if (index <= last) {
      ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
                      index == last ? errmsg("sparsevec must not contain index %d twice", index)
                                    : errmsg("sparsevec indices must be in ascending order")));
    }
    last = vector->indices[i] = index;
  }
  for (int i = 0; i < nonzeros; i++) {
    const auto value = std::bit_cast<float>(word(nonzeros + i));
    if (!std::isfinite(value)) ReportNonFinite(kSparseName, value, i + 1, nonzeros);
    if (value == 0) {
      ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
                      errmsg("the binary form of a sparsevec must not contain zeros"),
                      errdetail("Value %d is one.", i + 1)));
    }
    vector->values()[i] = value;
  }
  return SparseDatum(vector);
}

ANN_FUNCTION(ann_sparsevec_send)
{
  const SparseArg vector(fcinfo, 0);
  StringInfoData message;
  pq_begintypsend(&message);
  pq_sendint32(&message, static_cast<uint32>(vector.dims()));
  pq_sendint32(&message, static_cast<uint32>(vector.nonzeros()));
  pq_sendint32(&message, 0);
  for (int i = 0; i < vector.nonzeros(); i++) {
    pq_sendint32(&message, static_cast<uint32>(vector.indices()[i]));
  }
  for (int i = 0; i < vector.nonzeros(); i++) {
    pq_sendint32(&message, std::bit_cast<uint32>(vector.values()[i]));
  }
  PG_RETURN_BYTEA_P(pq_endtypsend(&message));
}

}  // namespace ann::types
