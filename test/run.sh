#!/usr/bin/env bash
# Every suite, one after the other, against a private server; closes with `N passed, N failed`.
# Logs are kept in build/test/.
set -uo pipefail
cd "$(dirname "$0")/.."
logs=build/test
mkdir -p "$logs"
passed=0 failed=0
jobs=$(nproc)
bindir=$("${PG_CONFIG:-pg_config}" --bindir)
pgxs_dir=$("${PG_CONFIG:-pg_config}" --pgxs)
pgxs_dir=${pgxs_dir%/src/makefiles/pgxs.mk}

say() { printf '%-12s %s\n' "$1" "$2"; }

# Adds the lines of a log that say "passed" and "failed" to the totals; a suite that neither passed
# nor failed anything has not run and counts as a failure.
tally() { # suite, log, passed, failed, exit code
  local p=$3 f=$4
  if [ "$5" != 0 ] && [ "$f" = 0 ]; then f=1; fi
  if [ "$p" = 0 ] && [ "$f" = 0 ]; then f=1; fi
  passed=$((passed + p)) failed=$((failed + f))
  say "$1" "$p passed, $f failed"
  if [ "$f" != 0 ]; then echo "--- $2"; tail -60 "$2"; fi
}
count() { grep -cE "$1" "$2"; true; }

run_unit() {
  local log=$logs/unit.log rc=0
  make -j"$jobs" build/unit/run >"$logs/unit-build.log" 2>&1 || { tally unit "$logs/unit-build.log" 0 1 1; return; }
  ./build/unit/run >"$log" 2>&1 || rc=$?
  tally unit "$log" "$(count '^\[       OK \]' "$log")" "$(count '^\[  FAILED  \] .*ms\)$' "$log")" $rc
}

build_and_install() {
  make -j"$jobs" all >"$logs/build.log" 2>&1 &&
    test/tools/install.sh >"$logs/install.log" 2>&1
}

run_regress() { # suite, driver, names, extra arguments
  local suite=$1 driver=$2 names=$3 log=$logs/$1.log rc=0
  shift 3
  # shellcheck disable=SC2086
  "$pgxs_dir/$driver" --bindir="$bindir" --dlpath=. --load-extension=ann "$@" $names >"$log" 2>&1 || rc=$?
  tally "$suite" "$log" "$(count '^(test .*|ok .*|[ ]+[a-z0-9_]+ +)\.\.\. ok' "$log")" "$(count '\.\.\. FAILED' "$log")" $rc
  [ $rc = 0 ] || cat "$logs/$suite.out"/regression.diffs 2>/dev/null | head -80
}

run_tap() {
  local log=$logs/tap.log rc=0
  rm -rf tmp_check; mkdir -p tmp_check
  test/tools/server_config.sh | grep -v shared_buffers >tmp_check/tap.conf
  [ "$(id -u)" != 0 ] || chown -R postgres tmp_check 2>/dev/null || chown -R nobody tmp_check
  test/tools/pgserver.sh as tmp_check env TEMP_CONFIG="$PWD/tmp_check/tap.conf" TESTDATADIR="$PWD/tmp_check" \
    TESTLOGDIR="$PWD/tmp_check/log" PATH="$bindir:$PATH" PG_REGRESS="$pgxs_dir/src/test/regress/pg_regress" \
    PERL5LIB="$pgxs_dir/src/test/perl:$PWD/test/perl" ANN_TREE="$PWD" PG_TEST_TIMEOUT_DEFAULT=180 \
    prove --verbose --merge test/t/*.pl >"$log" 2>&1 || rc=$?
  tally tap "$log" "$(count '^ok ' "$log")" "$(count '^not ok ' "$log")" $rc
}

run_demo_unit() {
  local log=$logs/demo.log rc=0
  python3 -m unittest -v demo/test_demo.py >"$log" 2>&1 || rc=$?
  tally demo "$log" "$(count ' \.\.\. ok$' "$log")" "$(count ' \.\.\. (FAIL|ERROR)$' "$log")" $rc
}

# The benchmark's own tests need numpy, which `make deps` gives to the system's Python.
run_bench_unit() {
  local log=$logs/bench.log rc=0 python=python3
  "$python" -c 'import numpy' 2>/dev/null || python=/usr/bin/python3
  "$python" -m unittest -v bench/test_bench.py >"$log" 2>&1 || rc=$?
  tally bench "$log" "$(count ' \.\.\. ok$' "$log")" "$(count ' \.\.\. (FAIL|ERROR)$' "$log")" $rc
}

run_lint() {
  local log=$logs/lint.log rc=0
  bash test/lint/run.sh >"$log" 2>&1 || rc=$?
  tally lint "$log" "$(count '^ok ' "$log")" "$(count '^not ok ' "$log")" $rc
}

names() { for f in $1; do b=$(basename "$f"); echo "${b%.*}"; done; }

trap 'test/tools/pgserver.sh stop build/test/server >/dev/null 2>&1' EXIT
run_unit
if build_and_install; then
  run_lint
  test/tools/pgserver.sh stop build/test/server
  rm -rf build/test/server
  test/tools/pgserver.sh start build/test/server || exit 1
  eval "$(test/tools/pgserver.sh env build/test/server)"
  run_regress regress src/test/regress/pg_regress "$(names 'sql/*.sql' | grep -v '^ann--')" --inputdir=. --outputdir="$logs/regress.out" --dbname=contrib_regression --host="$PGHOST"
  run_regress isolation src/test/isolation/pg_isolation_regress "$(names 'test/isolation/specs/*.spec')" --inputdir=test/isolation --outputdir="$logs/isolation.out" --dbname=isolation_regress --host="$PGHOST"
  test/tools/pgserver.sh stop build/test/server
  run_tap
  run_demo_unit
  run_bench_unit
else
  tally build "$logs/build.log" 0 1 1
fi
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
