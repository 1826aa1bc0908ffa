// Reading the text form of the types: blanks and errors.
#pragma once

#include "core/float_text.hpp"

#include "pg/pg.hpp"

namespace ann::types {

inline const char* SkipBlanks(const char* p) {
  while (IsTextBlank(*p)) p++;
  return p;
}

// The text of a value of `type`, for errors about it. What these functions return is for an input
// function to return: where the caller collects errors they come back.
struct InputText {
  FunctionCallInfo fcinfo;
  const char* type;
  const char* text;

  Datum ReportSyntax(const char* detail) const;
  // `index` counts from 0; `at`: where the element or the separator was looked for.
  Datum ReportElement(int index, const char* at) const;
  Datum ReportSeparator(int index, const char* at, char closing) const;
  // A number that the type does not take, which starts at `at`.
  Datum ReportValue(const ParsedFloat& parsed, int index, const char* at) const;
  Datum ReportDims(int64_t dims, int limit) const;
  Datum ReportTypmod(int expected, int dims) const;
};

// The start of a literal for a message: whole characters, few enough for a log line.
const char* Excerpt(const char* text);

// The number of dimensions that a type modifier says. Errors: not one number in 1 .. limit.
int32 ReadDimsModifier(FunctionCallInfo fcinfo, const char* type, int limit);

}  // namespace ann::types
