#!/usr/bin/env bash
# pgvector's own clients, as the registries have them today, against a private server that has the extension under
# the name `vector` (make install-shim). What they need is installed under build/clients; a language that this
# machine does not have is left out and said so. Closes with `N passed, N failed`.
set -uo pipefail
cd "$(dirname "$0")/../.."
unset TMPDIR PGOPTIONS PGSERVICE PGPASSFILE
here=$PWD/test/clients work=$PWD/build/clients
export ANN_INSTALL=tmp_install_clients
passed=0 failed=0
mkdir -p "$work"

count() { grep -cE "$1" "$2"; true; }
tally() { # client, log, passed, failed, exit code
  local p=$3 f=$4
  if [ "$f" = 0 ] && { [ "$5" != 0 ] || [ "$p" = 0 ]; }; then f=1; fi
  passed=$((passed + p)) failed=$((failed + f))
  printf '%-12s %s passed, %s failed\n' "$1" "$p" "$f"
  if [ "$f" != 0 ]; then tail -40 "$2"; fi
}

# An environment of its own for each set of requirements: two of the packages pin what the others are newer than.
run_python() { # suite, requirements, files
  local suite=$1 requirements=$2 log=$work/$1.log venv=$work/venv-$1 rc=0
  shift 2
  { [ -x "$venv/bin/python" ] || python3 -m venv "$venv"; } >"$log" 2>&1 &&
    "$venv/bin/pip" install -q --disable-pip-version-check -r "$here/python/$requirements" >>"$log" 2>&1 ||
    { tally "$suite" "$log" 0 1 1; return; }
  (cd "$here/python" && PYTHONDONTWRITEBYTECODE=1 "$venv/bin/python" -m pytest -v -p no:cacheprovider "$@") >>"$log" 2>&1 || rc=$?
  tally "$suite" "$log" "$(count ' PASSED ' "$log")" "$(count '^(FAILED|ERROR) ' "$log")" $rc
  "$venv/bin/pip" freeze | grep -iE '^(pgvector|psycopg|psycopg2-binary|asyncpg|pg8000|SQLAlchemy|sqlmodel|Django|peewee|langchain-postgres|llama-index-vector-stores-postgres)==' |
    paste -sd' ' | sed 's/^/             /'
}
run_node() {
  local log=$work/node.log rc=0
  command -v npm >/dev/null || { echo "node: not here, left out"; return; }
  mkdir -p "$work/node" && cp "$here"/node/* "$work/node"
  (cd "$work/node" && npm install --no-fund --no-audit --silent && node --test --test-reporter=tap) >"$log" 2>&1 || rc=$?
  tally node "$log" "$(count '^    ok ' "$log")" "$(count '^    not ok ' "$log")" $rc
}
run_go() {
  local log=$work/go.log rc=0
  go version 2>/dev/null | grep -qE 'go1\.(2[3-9]|[3-9][0-9])' || { echo "go: no Go 1.23 or later here, left out"; return; }
  (cd "$here/go" && go test -count=1 -v ./...) >"$log" 2>&1 || rc=$?
  tally go "$log" "$(count '^    --- PASS' "$log")" "$(count '^    --- FAIL' "$log")" $rc
}

trap 'test/tools/pgserver.sh stop "$work/server" >/dev/null 2>&1' EXIT
{ rm -rf "$ANN_INSTALL" && make install install-shim DESTDIR="$PWD/$ANN_INSTALL" && chmod -R a+rX "$ANN_INSTALL" &&
  test/tools/pgserver.sh stop "$work/server" && rm -rf "$work/server" && test/tools/pgserver.sh start "$work/server"; } \
  >"$work/server.log" 2>&1 || { tail -20 "$work/server.log"; echo "0 passed, 1 failed"; exit 1; }
eval "$(test/tools/pgserver.sh env "$work/server")"
run_python drivers requirements.txt test_drivers.py test_orms.py
run_python frameworks requirements-frameworks.txt test_frameworks.py
export CORPUS=$work/corpus.json
"$work/venv-drivers/bin/python" "$here/python/corpus.py" "$CORPUS"
run_node
run_go
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
