#!/usr/bin/env bash
# Builds and installs the extension into tmp_install, starts a private server of the size that the
# benchmark needs, and runs bench.py. Called by bench.mk; further arguments go to bench.py.
set -euo pipefail
cd "$(dirname "$0")/.."
size=${1:?bench, bench-full or bench-churn}
shift
run=${BENCH_RUN:-bench/.run}
python=$run/venv/bin/python
server=$run/server

measure() {
  local step=$1
  shift
  "$python" bench/bench.py "$step" --data "$BENCH_DATA" ${BENCH_DSN:+--dsn "$BENCH_DSN"} "$@"
}

benchmark() {
  case $size in
    bench)
      measure run --k 10 --clients 1 --seconds 2 --repeats 3 \
        --only pgvector ann pgvector-ivfflat ann-ivf hnswlib "$@"
      measure churn --ef 40 --seconds 1 --repeats 1 "$@"
      ;;
    bench-full)
      measure run --k 10 100 --clients 1 2 8 --seconds 5 --repeats 3 "$@"
      for step in growth builds filtered tenants churn; do measure "$step" "$@"; done
      [ -n "${BENCH_DSN:-}" ] || measure cold --restart "$restart" "$@"
      ;;
    bench-churn) measure churn "$@" ;;
    *) echo "unknown size: $size" >&2; exit 2 ;;
  esac
}

# As root the system's cache is emptied, too; else it still has what the server has lost.
restart="test/tools/pgserver.sh stop '$server' && test/tools/pgserver.sh start '$server'"
[ ! -w /proc/sys/vm/drop_caches ] || restart="test/tools/pgserver.sh stop '$server' && sync && echo 3 >/proc/sys/vm/drop_caches && test/tools/pgserver.sh start '$server'"

if [ -n "${BENCH_DSN:-}" ]; then
  benchmark "$@"
  exit
fi

# The test server's settings suit tests; here the whole of table and index should stay in memory.
configure() {
  local memory_mb
  memory_mb=$(awk '/^MemTotal/ {print int($2 / 1024)}' /proc/meminfo)
  psql -qX -c "ALTER SYSTEM SET shared_buffers = '$((memory_mb / 4))MB'" \
    -c "ALTER SYSTEM SET maintenance_work_mem = '$((memory_mb / 8))MB'" \
    -c "ALTER SYSTEM SET effective_cache_size = '$((memory_mb / 2))MB'" \
    -c "ALTER SYSTEM SET max_wal_size = '20GB'" \
    -c "ALTER SYSTEM SET checkpoint_timeout = '30min'" \
    -c "ALTER SYSTEM SET fsync = on" \
    -c "ALTER SYSTEM SET synchronous_commit = off" \
    -c "ALTER SYSTEM SET autovacuum = off"
}

make -j"$(nproc)" all >/dev/null
test/tools/install.sh >/dev/null
chmod -R a+rX tmp_install

trap 'test/tools/pgserver.sh stop "$server"' EXIT
test/tools/pgserver.sh start "$server"
eval "$(test/tools/pgserver.sh env "$server")"
configure
test/tools/pgserver.sh stop "$server"
test/tools/pgserver.sh start "$server"
benchmark "$@"
