#!/usr/bin/env bash
# Every suite against private servers, in two lanes where they leave each other alone; closes with `N passed, N failed`.
# Logs are kept in build/test/. `run.sh sanitize`: only those that need a server, on the sanitizers' build,
# logs in build/test-sanitize/. `run.sh matrix`: what depends on the server, with pgvector beside it (matrix/run.sh);
# MATRIX_TAP names the TAP files.
set -uo pipefail
cd "$(dirname "$0")/.."
# The servers' user may not reach a folder of the caller's; nor is it to log in as the caller does.
unset TMPDIR PGOPTIONS PGSERVICE PGPASSFILE
only=${1:-}
logs=build/test${only:+-$only}
mkdir -p "$logs"
rm -f "$logs"/*.tally "$logs"/*.failures
jobs=$(nproc)
bindir=$("${PG_CONFIG:-pg_config}" --bindir)
pgxs_dir=$("${PG_CONFIG:-pg_config}" --pgxs)
pgxs_dir=${pgxs_dir%/src/makefiles/pgxs.mk}

say() { printf '%-12s %s\n' "$1" "$2"; }

# Says what of a suite has passed and failed, and leaves it for the totals; a suite that neither passed
# nor failed anything has not run and counts as a failure.
tally() { # suite, log, passed, failed, exit code
  local p=$3 f=$4
  if [ "$5" != 0 ] && [ "$f" = 0 ]; then f=1; fi
  if [ "$p" = 0 ] && [ "$f" = 0 ]; then f=1; fi
  echo "$p $f" >"$logs/$1.tally"
  say "$1" "$p passed, $f failed"
  if [ "$f" != 0 ]; then
    echo "--- $2"
    tail -60 "$2"
    explain "$1" "$2" >"$logs/$1.failures"
  fi
}
# Does the one beside the other, and says at the end of each what it has said.
side_by_side() { # command, command
  local lane
  for lane in "$@"; do
    { $lane >"$logs/lane-$lane.said" 2>&1; cat "$logs/lane-$lane.said"; } &
  done
  wait
}
# Which tests of a log failed, and why.
explain() { # suite, log
  local told diffs=$logs/$1.out/regression.diffs
  [ -s "$diffs" ] || diffs=
  # shellcheck disable=SC2086
  told=$(awk -v suite="$1" -v logs=tmp_check/log -f test/tools/failures.awk "$2" $diffs)
  if [ -n "$told" ]; then printf '%s\n' "$told"; return; fi
  echo "$1: $2"
  { grep -E '(error|ERROR|FATAL|PANIC):' "$2" || tail -5 "$2"; } | head -5 | cut -c1-170 | sed 's/^ */   /'
}
# The failures of all suites, in 15 lines or so: of a long run often only the end is kept.
summary() {
  local tests
  find "$logs" -maxdepth 1 -name '*.failures' -exec cat {} + >"$logs/failures"
  tests=$(count '^[^ ]' "$logs/failures")
  [ "$tests" != 0 ] || return
  echo "--- failed:"
  awk -v most=$((tests < 15 ? 15 / tests : 1)) '/^[^ ]/ { told = 0 } told++ < most' "$logs/failures" | head -15
  [ "$tests" -le 15 ] || echo "... and $((tests - 15)) more"
}
count() { grep -cE "$1" "$2"; true; }

run_unit() {
  local log=$logs/unit.log rc=0
  ./build/unit/run >"$log" 2>&1 || rc=$?
  tally unit "$log" "$(count '^\[       OK \]' "$log")" "$(count '^\[  FAILED  \] .*ms\)$' "$log")" $rc
}

build() { # name of the build, its target; says so if it fails
  make -j"$jobs" "$2" >"$logs/build-$1.log" 2>&1 && return
  tally "build-$1" "$logs/build-$1.log" 0 1 1
  return 1
}
install_build() { test/tools/install.sh "$1" >"$logs/install-$1.log" 2>&1 || { tally "install-$1" "$logs/install-$1.log" 0 1 1; return 1; }; }

# A new server for pg_regress, with what is in $2.
start_server() { # name, install directory
  ANN_INSTALL=$2 test/tools/pgserver.sh stop "$logs/$1"
  rm -rf "$logs/$1"
  ANN_INSTALL=$2 test/tools/pgserver.sh start "$logs/$1" >"$logs/$1.log" 2>&1 || { tally "$1" "$logs/$1.log" 0 1 1; return 1; }
  eval "$(test/tools/pgserver.sh env "$logs/$1")"
  # An ANALYZE at the wrong moment, or a page that is just being written, keeps a spec's VACUUM from removing what it
  # is to remove.
  "$bindir/psql" -XqAt -c 'ALTER SYSTEM SET autovacuum = off' -c 'ALTER SYSTEM SET bgwriter_lru_maxpages = 0' \
    -c "ALTER SYSTEM SET checkpoint_timeout = '1h'" -c 'SELECT pg_reload_conf()' >/dev/null
}

# PostgreSQL 16 and later say `ok 1 - name` where 15 says `test name ... ok`.
run_regress() { # suite, driver, names, extra arguments
  local suite=$1 driver=$2 names=$3 log=$logs/$1.log rc=0
  shift 3
  # shellcheck disable=SC2086
  "$pgxs_dir/$driver" --bindir="$bindir" --dlpath=. --load-extension=ann "$@" $names >"$log" 2>&1 || rc=$?
  tally "$suite" "$log" "$(count '^(ok [0-9]+ +[-+] |(test .*|[ ]+[a-z0-9_]+ +)\.\.\. ok)' "$log")" "$(count '^not ok [0-9]+ |\.\.\. FAILED' "$log")" $rc
  [ $rc = 0 ] || cat "$logs/$suite.out"/regression.diffs 2>/dev/null | head -80
}

run_tap() { # suite, install directory, files
  local suite=$1 install=$2 log=$logs/$1.log rc=0 skipped='^(ok [0-9]+ # skip|1\.\.0 # SKIP) *'
  shift 2
  ANN_INSTALL=$install test/tools/tap.sh "$@" >"$log" 2>&1 || rc=$?
  tally "$suite" "$log" "$(($(count '^ok ' "$log") - $(count '^ok [0-9]+ # skip' "$log")))" "$(count '^not ok ' "$log")" $rc
  # A file that is skipped as a whole counts as one.
  if grep -qE "$skipped" "$log"; then
    echo "$suite: $(count "$skipped" "$log") skipped: $(sed -nE "s/$skipped//p" "$log" | sort | uniq -c |
      sed -E 's/^ *([0-9]+) (.*)/\2 (\1)/' | paste -sd';' | sed 's/;/; /g')"
  fi
}

run_demo_unit() {
  local log=$logs/demo.log rc=0
  python3 -m unittest -v demo/test_demo.py >"$log" 2>&1 || rc=$?
  tally demo "$log" "$(count ' \.\.\. ok$' "$log")" "$(count ' \.\.\. (FAIL|ERROR)$' "$log")" $rc
}

# The benchmark's own tests need numpy and psycopg, which `make deps` gives to the system's Python.
run_bench_unit() {
  local log=$logs/bench.log rc=0 python=python3
  "$python" -c 'import numpy, psycopg' 2>/dev/null || python=/usr/bin/python3
  "$python" -m unittest -v bench/test_*.py >"$log" 2>&1 || rc=$?
  tally bench "$log" "$(count ' \.\.\. ok$' "$log")" "$(count ' \.\.\. (FAIL|ERROR)$' "$log")" $rc
}

run_lint() {
  local log=$logs/lint.log rc=0
  bash test/lint/run.sh >"$log" 2>&1 || rc=$?
  tally lint "$log" "$(count '^ok ' "$log")" "$(count '^not ok ' "$log")" $rc
}

names() { for f in $1; do b=$(basename "$f"); echo "${b%.*}"; done; }

run_sql() { # suite
  run_regress "$1" src/test/regress/pg_regress "$(names 'sql/*.sql' | grep -v '^ann--')" --inputdir=. --outputdir="$logs/$1.out" --dbname=contrib_regression --host="$PGHOST"
}
run_isolation() { # suite, directory
  run_regress "$1" src/test/isolation/pg_isolation_regress "$(names "$2/specs/*.spec")" --inputdir="$2" --outputdir="$logs/$1.out" --dbname=isolation_regress --host="$PGHOST"
}

trap 'test/tools/pgserver.sh stop $logs/server >/dev/null 2>&1; test/tools/pgserver.sh stop $logs/hooks-server >/dev/null 2>&1' EXIT
finish() {
  summary
  awk '{ passed += $1; failed += $2 } END { print passed + 0 " passed, " failed + 0 " failed"; exit failed != 0 }' "$logs"/*.tally
  exit
}
beside_servers() {
  [ ! -x build/unit/run ] || run_unit
  run_lint
  run_demo_unit
  run_bench_unit
}
on_release() {
  start_server server tmp_install || return
  run_sql regress
  run_isolation isolation test/isolation
  test/tools/pgserver.sh stop "$logs/server"
}
# The same library with hooks and assertions.
on_hooks() {
  start_server hooks-server tmp_install_hooks || return
  run_sql assertions
  run_isolation interleave test/isolation_hooks
  test/tools/pgserver.sh stop "$logs/hooks-server"
}
tap_on_hooks() { run_tap tap tmp_install_hooks test/t/*.pl; }

if [ "$only" = sanitize ]; then
  if build sanitize sanitize && install_build sanitize; then
    if start_server server tmp_install_sanitize; then
      run_sql regress
      run_isolation isolation test/isolation
      test/tools/pgserver.sh stop "$logs/server"
    fi
    run_tap tap tmp_install_sanitize test/t/*.pl
    # A server that looks in one place only gets the release back.
    install_build release
  fi
  finish
fi
if [ "$only" = matrix ]; then
  if build release all && install_build release; then
    run_tap pgvector tmp_install test/matrix/pgvector.pl
    on_release
  fi
  if build hooks hooks && install_build hooks; then
    start_server hooks-server tmp_install_hooks && {
      run_isolation interleave test/isolation_hooks
      test/tools/pgserver.sh stop "$logs/hooks-server"
    }
    # pg_upgrade of PostgreSQL 18 looks for libraries where the server's own are, and nowhere else.
    pkglibdir=$("${PG_CONFIG:-pg_config}" --pkglibdir)
    cp "tmp_install_hooks$pkglibdir/ann.so" "$pkglibdir/"
    # shellcheck disable=SC2086
    run_tap tap tmp_install_hooks ${MATRIX_TAP:-test/t/*.pl}
  fi
  finish
fi
build unit build/unit/run
if build release all && install_build release; then side_by_side beside_servers on_release; fi
if build hooks hooks && install_build hooks; then
  side_by_side on_hooks tap_on_hooks
  install_build release
fi
finish
