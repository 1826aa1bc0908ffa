// How C++ functions become SQL functions. PostgreSQL 15's PG_FUNCTION_INFO_V1 does not export the
// function itself, so the macro declares it with PGDLLEXPORT first.
#pragma once

#include "pg/pg.hpp"

#define ANN_FUNCTION(name)                  \
  extern "C" {                              \
  PGDLLEXPORT Datum name(PG_FUNCTION_ARGS); \
  PG_FUNCTION_INFO_V1(name);                \
  }                                         \
  Datum name([[maybe_unused]] PG_FUNCTION_ARGS)
