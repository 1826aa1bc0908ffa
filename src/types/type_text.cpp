#include "types/type_text.hpp"

#include <cstring>

#include "pg/entry.hpp"

namespace ann::types {

const char* Excerpt(const char* text) {
  constexpr int kBytes = 60;
  const int length = static_cast<int>(strnlen(text, kBytes + MAX_MULTIBYTE_CHAR_LEN));
  if (length <= kBytes) return text;
  return psprintf("%.*s...", pg_mbcliplen(text, length, kBytes), text);
}

Datum InputText::ReportSyntax(const char* detail) const {
  ANN_INPUT_ERROR(fcinfo, (errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
                           errmsg("invalid input syntax for type %s: \"%s\"", type, Excerpt(text)),
                           errdetail_internal("%s", detail)));
}

Datum InputText::ReportElement(int index, const char* at) const {
  return ReportSyntax(
      *at == '\0'
          ? psprintf("The text ends where element %d was expected.", index + 1)
          : psprintf("Expected a number as element %d, found \"%s\".", index + 1, Excerpt(at)));
}

Datum InputText::ReportSeparator(int index, const char* at, char closing) const {
  return ReportSyntax(
      *at == '\0' ? psprintf("The text ends after element %d, without \"%c\".", index, closing)
                  : psprintf("Expected \",\" or \"%c\" after element %d, found \"%s\".", closing,
                             index, Excerpt(at)));
}

Datum InputText::ReportValue(const ParsedFloat& parsed, int index, const char* at) const {
  const char* value = pnstrdup(at, static_cast<Size>(parsed.end - at));
  if (parsed.status == FloatTextStatus::kNan || parsed.status == FloatTextStatus::kInfinite) {
    ANN_INPUT_ERROR(fcinfo, (errcode(ERRCODE_DATA_EXCEPTION),
                             errmsg("\"%s\" is not allowed in a %s", value, type),
                             errdetail("It is element %d.", index + 1)));
  }
  ANN_INPUT_ERROR(fcinfo, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
                           errmsg("\"%s\" is out of range for type %s", Excerpt(value), type),
                           errdetail("It is element %d.", index + 1)));
}

Datum InputText::ReportDims(int64_t dims, int limit) const {
  if (dims < 1) {
    ANN_INPUT_ERROR(fcinfo, (errcode(ERRCODE_DATA_EXCEPTION),
                             errmsg("%s must have at least 1 dimension, not %lld", type,
                                    static_cast<long long>(dims))));
  }
  ANN_INPUT_ERROR(fcinfo, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                           errmsg("%s cannot have more than %d dimensions", type, limit)));
}

Datum InputText::ReportTypmod(int expected, int dims) const {
  ANN_INPUT_ERROR(fcinfo, (errcode(ERRCODE_DATA_EXCEPTION),
                           errmsg("expected a %s of %d dimensions, not %d", type, expected, dims)));
}

int32 ReadDimsModifier(FunctionCallInfo fcinfo, const char* type, int limit) {
  int count = 0;
  const int32* typmods = ArrayGetIntegerTypmods(PG_GETARG_ARRAYTYPE_P(0), &count);
  if (count != 1) {
    ereport(ERROR,
            (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
             errmsg("type %s takes one modifier, the number of dimensions, not %d", type, count)));
  }
  if (typmods[0] < 1 || typmods[0] > limit) {
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                    errmsg("dimensions for type %s must be between 1 and %d, not %d", type, limit,
                           typmods[0])));
  }
  return typmods[0];
}

}  // namespace ann::types
