#!/usr/bin/env bash
# The mechanical checks: each prints `ok NAME` or `not ok NAME` with what it found.
#   C1 forbidden tokens      C2 no C++ run-time errors   C3 exported symbols   C4 include firewall
#   C5 vector registers      C6 one version              format clang-format
#   and of every file of the tree: no path of one machine, no unfinished work, no binaries, no giants
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
built=$(ls ann.so src/*/*.o 2>/dev/null | wc -l)
[ "$built" -gt 1 ] || built=
check "C2 no C++ run-time errors" "$(if [ -z "$built" ]; then echo "nothing is built"; else nm -DC --undefined-only ann.so | grep -E 'operator (new|delete)|__cxa_(throw|guard)|std::__throw'; fi)"
check "C3 exported symbols" "$(if [ -z "$built" ]; then echo "nothing is built"; else nm -D --defined-only ann.so | awk '{print $NF}' | sed 's/@.*//' | grep -vE '^(ann_.*|pg_finfo_ann_.*|Pg_magic_func|_PG_init)$' | grep -vE '^[0-9]+$'; fi)"
server='(c|postgres|fmgr|funcapi|miscadmin|pgstat|varatt)\.h|(access|catalog|commands|common|executor|lib|libpq|mb|nodes|optimizer|port|storage|utils)/[a-z_/]+\.h'
core_dirs=$(ls -d src/core src/simd src/quant src/cluster src/graph src/format src/filter 2>/dev/null)
# shellcheck disable=SC2086
check "C4 include firewall" "$(grep -RnE '#include [<"]((pg|types|am|hnsw|ivf|planner)/|utils/)' $core_dirs; grep -RnE "#include [<\"]($server)[>\"]" src | grep -v '^src/pg/pg.hpp:'; grep -RnE '#include [<"]hwy/' src --include='*.?pp' | grep -v '^src/simd/')"
# Counted, not `grep -q`: that would end objdump by SIGPIPE, which pipefail takes for "not found".
check "C5 vector registers" "$(if [ -z "$built" ]; then echo "nothing is built"; else for o in src/*/*.o; do case $o in src/simd/*) ;; *) [ "$(objdump -d --no-show-raw-insn "$o" | grep -cE '%[yz]mm')" = 0 ] || echo "$o";; esac; done; fi)"
# Hooks, their settings and the names of stop points are in the hook build only.
points=$(grep -ohE 'StopPoint\("[^"]+"\)' src/*/*.cpp src/*/*.hpp | cut -d'"' -f2 | sort -u)
check "no test hooks" "$(if [ -z "$built" ]; then echo "nothing is built"; else nm -C ann.so src/*/*.o 2>/dev/null | grep -E 'StopPoint|UnitDone|DefineTestSettings'; strings ann.so | grep -xF -e ann.stop_at -e ann.kill_after_units -e ann.kill_what -e ann.trace_units ${points:+-e "$points"}; fi)"
v=$(sed -n 's/^EXTVERSION = //p' Makefile)
# A permutation that takes a lock has a step that waits for it.
check "stops are reached" "$(awk 'FNR == 1 || /^starting permutation:/ { if (held) print held; held = "" } /^starting permutation:.* hold( |$)/ { held = FILENAME ": " $0 } /<waiting/ { held = "" } END { if (held) print held }' test/isolation_hooks/expected/*.out)"
check "C6 one version" "$(grep -q "default_version = '$v'" ann.control || echo ann.control; grep -q "\"version\": \"$v\"" META.json || echo META.json; [ -f "sql/ann--$v.sql" ] || echo "sql/ann--$v.sql")"
check "unique base names" "$(ls src/*/*.cpp | xargs -n1 basename | sort | uniq -d)"
# src/hnsw/README.md and src/ivf/README.md, "Locks": the level stands in a comment at most 16 lines above.
check "lock levels" "$(awk 'FNR == 1 { named = -99 } /\/\/.*L[0-9]([^0-9]|$)/ { named = FNR } !/^ *\/\// && /BUFFER_LOCK_(SHARE|EXCLUSIVE)|[^n]LockPage\(|[^n]LockRelationForExtension\(/ && FNR - named > 16 { print FILENAME ":" FNR }' src/hnsw/*.cpp src/hnsw/*.hpp src/ivf/*.cpp src/ivf/*.hpp)"
check "format" "$(command -v clang-format-14 >/dev/null || echo "clang-format-14 is missing"; clang-format-14 --dry-run src/*/*.cpp src/*/*.hpp $(ls test/unit/*.cpp test/unit/*.hpp bench/kernels/*.cpp 2>/dev/null) 2>&1 | grep -E 'warning|error' | cut -d: -f1 | sort | uniq -c)"

tree_files() { # all but what building, testing and running leave
  find . \( -path ./.git -o -path ./build -o -path ./tmp_install -o -path './tmp_install_*' -o -path ./tmp_check -o -path ./results \
    -o -path ./output_iso -o -path ./bench/kernels/build -o -name .run -o -name __pycache__ \) -prune -o -type f ! -name '*.o' ! -name '*.d' \
    ! -name '*.so' ! -name 'regression.*' -print | sed 's|^\./||'
}
text_files=$(tree_files | grep -vE '^(test/data/.*\.npy|bench/results/.*\.png|\.git)$')
# shellcheck disable=SC2086
check "machine paths" "$(grep -nIE '(^|[^A-Za-z0-9_.$}])/(work|root|home|Users)/[A-Za-z0-9]' $text_files)"
# shellcheck disable=SC2086
check "unfinished work" "$(grep -nIwE 'TOD[O]|FIXM[E]|XX[X]|HAC[K]' $text_files)"
# shellcheck disable=SC2086
check "binaries" "$(for f in $text_files; do [ ! -s "$f" ] || grep -Iq . "$f" || echo "$f"; done)"
# shellcheck disable=SC2086
check "files above 700 lines" "$(for f in $text_files; do case $f in expected/* | sql/ann--*.sql) ;; *) n=$(wc -l <"$f"); [ "$n" -le 700 ] || echo "$f: $n";; esac; done)"
exit $bad
