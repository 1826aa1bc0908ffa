#include "types/array_input.hpp"

#include <cstring>

#include "core/float_text.hpp"
#include "types/type_text.hpp"

#include "pg/entry.hpp"

namespace ann::types {

namespace {

[[noreturn]] void ReportText(const char* type, const char* text, int index) {
  ereport(ERROR, (errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
                  errmsg("invalid input syntax for type %s: \"%s\"", type, Excerpt(text)),
                  errdetail("Expected a number as element %d.", index + 1)));
  pg_unreachable();
}

float ReadFloat(const char* text, const char* type, int index) {
  const char* const end = text + strlen(text);
  const char* const first = SkipBlanks(text);
  const ParsedFloat parsed = ParseFloat(first, end);
  switch (parsed.status) {
    case FloatTextStatus::kSyntax:
      ReportText(type, text, index);
    case FloatTextStatus::kOverflow:
      ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
                      errmsg("\"%s\" is out of range for type %s", Excerpt(text), type),
                      errdetail("It is element %d.", index + 1)));
    case FloatTextStatus::kNan:
    case FloatTextStatus::kInfinite:
      ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
                      errmsg("\"%s\" is not allowed in a %s", Excerpt(text), type),
                      errdetail("It is element %d.", index + 1)));
    case FloatTextStatus::kOk:
      break;
  }
  if (*SkipBlanks(parsed.end) != '\0') ReportText(type, text, index);
  return parsed.value;
}

template <class Element>
float ElementAt(const ArrayType* array, int i) {
  return static_cast<float>(reinterpret_cast<const Element*>(ARR_DATA_PTR(array))[i]);
}

}  // namespace

ArrayNumbers::ArrayNumbers(ArrayType* array, const char* type) : array_(array), type_(type) {
  if (ARR_NDIM(array) > 1) {
    ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
                    errmsg("cannot convert an array of %d dimensions to %s", ARR_NDIM(array), type),
                    errhint("The array must have one dimension.")));
  }
  if (array_contains_nulls(array)) {
    ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
                    errmsg("cannot convert an array that contains nulls to %s", type)));
  }
  count_ = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
  switch (ARR_ELEMTYPE(array)) {
    case INT4OID:
    case FLOAT4OID:
    case FLOAT8OID:
      break;
    case NUMERICOID:
    case TEXTOID:
      deconstruct_array(array, ARR_ELEMTYPE(array), -1, false, TYPALIGN_INT, &elements_, nullptr,
                        &count_);
      break;
    default:
      ereport(ERROR,
              (errcode(ERRCODE_DATA_EXCEPTION), errmsg("cannot convert an array of type %s to %s",
                                                       format_type_be(ARR_ELEMTYPE(array)), type)));
  }
}

float ArrayNumbers::operator[](int i) const {
  switch (ARR_ELEMTYPE(array_)) {
    case INT4OID:
      return ElementAt<int32>(array_, i);
    case FLOAT4OID:
      return ElementAt<float4>(array_, i);
    case FLOAT8OID:
      return ElementAt<float8>(array_, i);
    case NUMERICOID:
      return DatumGetFloat4(DirectFunctionCall1(numeric_float4, elements_[i]));
    default:
      return ReadFloat(TextDatumGetCString(elements_[i]), type_, i);
  }
}

JsonNumbers::JsonNumbers(Jsonb* json, const char* type) {
  if (!JB_ROOT_IS_ARRAY(json) || JB_ROOT_IS_SCALAR(json)) {
    ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
                    errmsg("cannot convert a jsonb value that is not an array to %s", type)));
  }
  values_ = static_cast<float*>(palloc(sizeof(float) * (JB_ROOT_COUNT(json) + 1)));
  JsonbIterator* iterator = JsonbIteratorInit(&json->root);
  JsonbValue value;
  JsonbIteratorToken token = JsonbIteratorNext(&iterator, &value, true);
  while ((token = JsonbIteratorNext(&iterator, &value, true)) == WJB_ELEM) {
    if (value.type == jbvNull) {
      ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
                      errmsg("cannot convert a jsonb array that contains nulls to %s", type)));
    }
    if (value.type != jbvNumeric) {
      ereport(ERROR,
              (errcode(ERRCODE_DATA_EXCEPTION), errmsg("cannot convert a jsonb array to %s", type),
               errdetail("Element %d is not a number.", count_ + 1)));
    }
    values_[count_++] =
        DatumGetFloat4(DirectFunctionCall1(numeric_float4, NumericGetDatum(value.val.numeric)));
  }
}

}  // namespace ann::types
