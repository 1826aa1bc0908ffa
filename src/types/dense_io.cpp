// Text and binary input and output of `vector` and `halfvec`, and their type modifiers.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "core/float_text.hpp"

#include "types/dense_type.hpp"
#include "types/type_text.hpp"
#include "pg/entry.hpp"

namespace ann::types {

namespace {

// Number of elements, at most the limit: what to allocate.
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

// The text is never written to: logical replication reads it again.
template <class Number>
Datum Input(FunctionCallInfo fcinfo) {
  const char* const text = PG_GETARG_CSTRING(0);
  const InputText input{fcinfo, kTypeName<Number>, text};
  const int32 typmod = PG_GETARG_INT32(2);
  const size_t length = strlen(text);
  const char* const end = text + length;

  const char* p = SkipBlanks(text);
  if (*p != '[') return input.ReportSyntax("A vector must start with \"[\".");
  p = SkipBlanks(p + 1);
  if (*p == ']') return input.ReportDims(0, kMaxVectorDims);

  Dense<Number>* vector = MakeVector<Number>(CountElements(p, static_cast<size_t>(end - p)));
  int dims = 0;
  for (;;) {
    if (dims == kMaxVectorDims) return input.ReportDims(dims + 1, kMaxVectorDims);
    p = SkipBlanks(p);
    const ParsedFloat parsed = ParseFloat(p, end);
    if (parsed.status == FloatTextStatus::kSyntax) return input.ReportElement(dims, p);
    if (parsed.status != FloatTextStatus::kOk) return input.ReportValue(parsed, dims, p);
    const Number value = Narrow<Number>(parsed.value);
    if (!AllFinite(&value, 1)) return input.ReportValue(parsed, dims, p);
    // Each element but the first follows a comma that CountElements saw.
    vector->values[dims++] = value;
    p = SkipBlanks(parsed.end);
    if (*p == ']') break;
    if (*p != ',') return input.ReportSeparator(dims, p, ']');
    p++;
  }
  p = SkipBlanks(p + 1);
  if (*p != '\0') return input.ReportSyntax("There is text after the closing \"]\".");
  if (typmod != -1 && typmod != dims) return input.ReportTypmod(typmod, dims);

  SET_VARSIZE(vector, VectorBytes<Number>(dims));
  vector->dims = static_cast<int16_t>(dims);
  return VectorDatum(vector);
}

template <class Number>
Datum Output(FunctionCallInfo fcinfo) {
  const DenseArg<Number> vector(fcinfo, 0);
  // FLOAT_SHORTEST_DECIMAL_LEN counts a terminating zero; here it is the comma or bracket.
  const auto bytes = static_cast<size_t>(vector.dims()) * FLOAT_SHORTEST_DECIMAL_LEN + 2;
  auto* text = static_cast<char*>(palloc(bytes));
  char* p = text;
  *p++ = '[';
  for (int i = 0; i < vector.dims(); i++) {
    p += float_to_shortest_decimal_bufn(Widen(vector.values()[i]), p);
    *p++ = ',';
  }
  p[-1] = ']';
  *p = '\0';
  PG_RETURN_CSTRING(text);
}

// A number's bits, of the width that it has.
template <class Number>
using BitsOf = std::conditional_t<sizeof(Number) == 2, uint16, uint32>;

inline uint32 Swap(uint32 bits) { return pg_ntoh32(bits); }
inline uint16 Swap(uint16 bits) { return pg_ntoh16(bits); }

template <class Number>
Datum Receive(FunctionCallInfo fcinfo) {
  auto* message = reinterpret_cast<StringInfo>(PG_GETARG_POINTER(0));
  const int32 typmod = PG_GETARG_INT32(2);
  const int dims = static_cast<int>(pq_getmsgint(message, sizeof(int16)));
  const int unused = static_cast<int>(pq_getmsgint(message, sizeof(int16)));
  CheckDims<Number>(dims);
  CheckExpectedDims<Number>(typmod, dims);
  if (unused != 0) {
    ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
                    errmsg("expected 0 in the reserved field of a %s, not %d", kTypeName<Number>,
                           unused)));
  }
  // Before memory is taken: a message too short is an error here.
  const char* bytes = pq_getmsgbytes(message, dims * static_cast<int>(sizeof(Number)));
  Dense<Number>* vector = MakeVector<Number>(dims);
  for (int i = 0; i < dims; i++) {
    BitsOf<Number> bits;
    memcpy(&bits, bytes + sizeof(bits) * static_cast<size_t>(i), sizeof bits);
    vector->values[i] = std::bit_cast<Number>(Swap(bits));
  }
  CheckFinite(vector->values, dims);
  return VectorDatum(vector);
}

template <class Number>
Datum Send(FunctionCallInfo fcinfo) {
  const DenseArg<Number> vector(fcinfo, 0);
  StringInfoData message;
  pq_begintypsend(&message);
  pq_sendint16(&message, static_cast<uint16>(vector.dims()));
  pq_sendint16(&message, 0);
  enlargeStringInfo(&message, static_cast<int>(vector.value_bytes()));
  char* bytes = message.data + message.len;
  for (int i = 0; i < vector.dims(); i++) {
    const BitsOf<Number> bits = Swap(std::bit_cast<BitsOf<Number>>(vector.values()[i]));
    memcpy(bytes + sizeof(bits) * static_cast<size_t>(i), &bits, sizeof bits);
  }
  message.len += static_cast<int>(vector.value_bytes());
  PG_RETURN_BYTEA_P(pq_endtypsend(&message));
}

}  // namespace

ANN_FUNCTION(ann_vector_in)
{ return Input<float>(fcinfo); }
ANN_FUNCTION(ann_halfvec_in)
{ return Input<Half>(fcinfo); }

ANN_FUNCTION(ann_vector_out)
{ return Output<float>(fcinfo); }
ANN_FUNCTION(ann_halfvec_out)
{ return Output<Half>(fcinfo); }

ANN_FUNCTION(ann_vector_typmod_in)
{ PG_RETURN_INT32(ReadDimsModifier(fcinfo, kTypeName<float>, kMaxVectorDims)); }
ANN_FUNCTION(ann_halfvec_typmod_in)
{ PG_RETURN_INT32(ReadDimsModifier(fcinfo, kTypeName<Half>, kMaxVectorDims)); }

ANN_FUNCTION(ann_vector_recv)
{ return Receive<float>(fcinfo); }
ANN_FUNCTION(ann_halfvec_recv)
{ return Receive<Half>(fcinfo); }

ANN_FUNCTION(ann_vector_send)
{ return Send<float>(fcinfo); }
ANN_FUNCTION(ann_halfvec_send)
{ return Send<Half>(fcinfo); }

}  // namespace ann::types
