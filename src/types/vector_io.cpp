// Text and binary input and output of `vector`, and its type modifier.
#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>

#include "core/float_text.hpp"

#include "types/vector_type.hpp"
#include "pg/entry.hpp"

namespace ann::types {

namespace {

const char* SkipBlanks(const char* p) {
  while (IsTextBlank(*p)) p++;
  return p;
}

// The start of a literal for a message: whole characters, few enough for a log line.
const char* Excerpt(const char* text) {
  constexpr int kBytes = 60;
  const int length = static_cast<int>(strnlen(text, kBytes + MAX_MULTIBYTE_CHAR_LEN));
  if (length <= kBytes) return text;
  return psprintf("%.*s...", pg_mbcliplen(text, length, kBytes), text);
}

Datum ReportSyntax(FunctionCallInfo fcinfo, const char* text, const char* detail) {
  ANN_INPUT_ERROR(fcinfo, (errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
                           errmsg("invalid input syntax for type vector: \"%s\"", Excerpt(text)),
                           errdetail_internal("%s", detail)));
}

Datum ReportElement(FunctionCallInfo fcinfo, const char* text, int index, const char* at) {
  const char* detail =
      *at == '\0'
          ? psprintf("The text ends where element %d was expected.", index + 1)
          : psprintf("Expected a number as element %d, found \"%s\".", index + 1, Excerpt(at));
  return ReportSyntax(fcinfo, text, detail);
}

Datum ReportSeparator(FunctionCallInfo fcinfo, const char* text, int index, const char* at) {
  const char* detail =
      *at == '\0'
          ? psprintf("The text ends after element %d, without \"]\".", index)
          : psprintf("Expected \",\" or \"]\" after element %d, found \"%s\".", index, Excerpt(at));
  return ReportSyntax(fcinfo, text, detail);
}

Datum ReportValue(FunctionCallInfo fcinfo, const ParsedFloat& parsed, int index, const char* at) {
  const char* value = pnstrdup(at, static_cast<Size>(parsed.end - at));
  if (parsed.status == FloatTextStatus::kOverflow) {
    ANN_INPUT_ERROR(fcinfo, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
                             errmsg("\"%s\" is out of range for type vector", Excerpt(value)),
                             errdetail("It is element %d.", index + 1)));
  }
  ANN_INPUT_ERROR(
      fcinfo, (errcode(ERRCODE_DATA_EXCEPTION), errmsg("\"%s\" is not allowed in a vector", value),
               errdetail("It is element %d.", index + 1)));
}

Datum ReportDims(FunctionCallInfo fcinfo, int dims) {
  if (dims < 1) {
    ANN_INPUT_ERROR(fcinfo, (errcode(ERRCODE_DATA_EXCEPTION),
                             errmsg("vector must have at least 1 dimension, not %d", dims)));
  }
  ANN_INPUT_ERROR(fcinfo, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                           errmsg("vector cannot have more than %d dimensions", kMaxVectorDims)));
}

Datum ReportTypmod(FunctionCallInfo fcinfo, int expected, int dims) {
  ANN_INPUT_ERROR(fcinfo, (errcode(ERRCODE_DATA_EXCEPTION),
                           errmsg("expected a vector of %d dimensions, not %d", expected, dims)));
}

// Number of elements of a well-formed text, at most the limit: what to allocate.
int CountElements(const char* text, size_t length) {
  constexpr size_t kBlock = 255;  // so that 8-bit counters, 16 at a time, cannot overflow
  size_t commas = 0;
  for (size_t start = 0; start < length && commas < kMaxVectorDims; start += kBlock) {
    const size_t stop = std::min(length, start + kBlock);
    uint8_t block = 0;
    for (size_t i = start; i < stop; i++) block += text[i] == ',';
    commas += block;
  }
  return static_cast<int>(std::min<size_t>(commas + 1, kMaxVectorDims));
}

}  // namespace

// The text is never written to: logical replication reads it again.
ANN_FUNCTION(ann_vector_in)
{
  const char* const text = PG_GETARG_CSTRING(0);
  const int32 typmod = PG_GETARG_INT32(2);
  const size_t length = strlen(text);
  const char* const end = text + length;

  const char* p = SkipBlanks(text);
  if (*p != '[') return ReportSyntax(fcinfo, text, "A vector must start with \"[\".");
  p = SkipBlanks(p + 1);
  if (*p == ']') return ReportDims(fcinfo, 0);

  Vector* vector = MakeVector(CountElements(p, static_cast<size_t>(end - p)));
  int dims = 0;
  for (;;) {
    if (dims == kMaxVectorDims) return ReportDims(fcinfo, dims + 1);
    p = SkipBlanks(p);
    const ParsedFloat parsed = ParseFloat(p, end);
    if (parsed.status == FloatTextStatus::kSyntax) return ReportElement(fcinfo, text, dims, p);
    if (parsed.status != FloatTextStatus::kOk) return ReportValue(fcinfo, parsed, dims, p);
    // Each element but the first follows a comma that CountElements saw.
    vector->values[dims++] = parsed.value;
    p = SkipBlanks(parsed.end);
    if (*p == ']') break;
    if (*p != ',') return ReportSeparator(fcinfo, text, dims, p);
    p++;
  }
  p = SkipBlanks(p + 1);
  if (*p != '\0') return ReportSyntax(fcinfo, text, "There is text after the closing \"]\".");
  if (typmod != -1 && typmod != dims) return ReportTypmod(fcinfo, typmod, dims);

  SET_VARSIZE(vector, VectorBytes(dims));
  vector->dims = static_cast<int16_t>(dims);
  return VectorDatum(vector);
}

ANN_FUNCTION(ann_vector_out)
{
  const VectorArg vector(fcinfo, 0);
  // FLOAT_SHORTEST_DECIMAL_LEN counts a terminating zero; here it is the comma or bracket.
  const auto bytes = static_cast<size_t>(vector.dims()) * FLOAT_SHORTEST_DECIMAL_LEN + 2;
  auto* text = static_cast<char*>(palloc(bytes));
  char* p = text;
  *p++ = '[';
  for (int i = 0; i < vector.dims(); i++) {
    p += float_to_shortest_decimal_bufn(vector.values()[i], p);
    *p++ = ',';
  }
  p[-1] = ']';
  *p = '\0';
  PG_RETURN_CSTRING(text);
}

ANN_FUNCTION(ann_vector_typmod_in)
{
  int count = 0;
  const int32* typmods = ArrayGetIntegerTypmods(PG_GETARG_ARRAYTYPE_P(0), &count);
  if (count != 1) {
    ereport(ERROR,
            (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
             errmsg("type vector takes one modifier, the number of dimensions, not %d", count)));
  }
  if (typmods[0] < 1 || typmods[0] > kMaxVectorDims) {
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                    errmsg("dimensions for type vector must be between 1 and %d, not %d",
                           kMaxVectorDims, typmods[0])));
  }
  PG_RETURN_INT32(typmods[0]);
}

ANN_FUNCTION(ann_vector_recv)
{
  auto* message = reinterpret_cast<StringInfo>(PG_GETARG_POINTER(0));
  const int32 typmod = PG_GETARG_INT32(2);
  const int dims = static_cast<int>(pq_getmsgint(message, sizeof(int16)));
  const int unused = static_cast<int>(pq_getmsgint(message, sizeof(int16)));
  CheckDims(dims);
  CheckExpectedDims(typmod, dims);
  if (unused != 0) {
    ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
                    errmsg("expected 0 in the reserved field of a vector, not %d", unused)));
  }
  // Before memory is taken: a message too short is an error here.
  const char* bytes = pq_getmsgbytes(message, dims * static_cast<int>(sizeof(float)));
  Vector* vector = MakeVector(dims);
  for (int i = 0; i < dims; i++) {
    uint32 bits;
    memcpy(&bits, bytes + sizeof(bits) * static_cast<size_t>(i), sizeof bits);
    vector->values[i] = std::bit_cast<float>(pg_ntoh32(bits));
  }
  CheckFinite(vector->values, dims);
  return VectorDatum(vector);
}

ANN_FUNCTION(ann_vector_send)
{
  const VectorArg vector(fcinfo, 0);
  StringInfoData message;
  pq_begintypsend(&message);
  pq_sendint16(&message, static_cast<uint16>(vector.dims()));
  pq_sendint16(&message, 0);
  enlargeStringInfo(&message, static_cast<int>(vector.value_bytes()));
  char* bytes = message.data + message.len;
  for (int i = 0; i < vector.dims(); i++) {
    const uint32 bits = pg_hton32(std::bit_cast<uint32>(vector.values()[i]));
    memcpy(bytes + sizeof(bits) * static_cast<size_t>(i), &bits, sizeof bits);
  }
  message.len += static_cast<int>(vector.value_bytes());
  PG_RETURN_BYTEA_P(pq_endtypsend(&message));
}

}  // namespace ann::types
