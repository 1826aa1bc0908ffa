#!/usr/bin/env bash
# The mechanical checks: each prints `ok NAME` or `not ok NAME` with what it found.
#   C1 forbidden tokens      C2 no C++ run-time errors   C3 exported symbols   C4 include firewall
#   C5 vector registers      C6 one version              format clang-format   text   paths
# C2, C3 and C5 look at the built objects, so they need `make` first.
set -uo pipefail
cd "$(dirname "$0")/../.."
bad=0
check() { # name, output that must be empty
  if [ -z "$2" ]; then echo "ok $1"; else echo "not ok $1"; printf '%s\n' "$2" | head -20 | sed 's/^/    /'; bad=1; fi
}
code() { # file: its text without comments and string literals, each line numbered
  sed -E 's://.*$::; s:"([^"\\]|\\.)*":"":g' "$1" | grep -nE "$2" | sed "s|^|$1:|"
}

tokens='(^|[^A-Za-z0-9_])(throw|try|catch|new|std::(string|vector|map|unordered_map|set|mutex|thread|function|shared_ptr|unique_ptr))([^A-Za-z0-9_]|$)'
# Placement new is allowed in one file.
check "C1 forbidden tokens" "$(for f in src/*/*.cpp src/*/*.hpp; do code "$f" "$tokens"; done | grep -vE '^src/pg/alloc.hpp:.*(#include <new>|::new \(memory\))')"
check "C2 no C++ run-time errors" "$(nm -DC --undefined-only ann.so | grep -E 'operator (new|delete)|__cxa_(throw|guard)|std::__throw')"
check "C3 exported symbols" "$(nm -D --defined-only ann.so | awk '{print $NF}' | sed 's/@.*//' | grep -vE '^(ann_.*|pg_finfo_ann_.*|Pg_magic_func|_PG_init)$' | grep -vE '^[0-9]+$')"
check "C4 include firewall" "$(grep -RnE '#include [<"](postgres|fmgr|access/|storage/|utils/|nodes/|pg/)' src/core src/simd src/quant src/cluster src/graph src/format; grep -RnE '#include [<"]hwy/' src --include='*.?pp' | grep -v '^src/simd/')"
check "C5 vector registers" "$(for o in src/*/*.o; do case $o in src/simd/*) ;; *) objdump -d --no-show-raw-insn "$o" | grep -qE '%[yz]mm' && echo "$o";; esac; done)"
v=$(sed -n 's/^EXTVERSION = //p' Makefile)
check "C6 one version" "$(grep -q "default_version = '$v'" ann.control || echo ann.control; grep -q "\"version\": \"$v\"" META.json || echo META.json; [ -f "sql/ann--$v.sql" ] || echo "sql/ann--$v.sql")"
check "unique base names" "$(ls src/*/*.cpp | xargs -n1 basename | sort | uniq -d)"
check "format" "$(clang-format-14 --dry-run src/*/*.cpp src/*/*.hpp $(ls test/unit/*.cpp test/unit/*.hpp bench/kernels/*.cpp 2>/dev/null) 2>&1 | grep -E 'warning' | cut -d: -f1 | sort | uniq -c)"
exit $bad
