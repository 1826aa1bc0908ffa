#!/usr/bin/env bash
# Settings for every private server: where the extension lies, and sizes that suit a test machine.
set -euo pipefail
tree=$(cd "$(dirname "$0")/../.." && pwd)
bindir=$("${PG_CONFIG:-pg_config}" --bindir)
# Taken whole: grep -q would close the pipe early, and the server end with SIGPIPE.
settings=$("$bindir/postgres" --describe-config)
if grep -q '^extension_destdir' <<<"$settings"; then
  echo "extension_destdir = '$tree/tmp_install'"
elif grep -q '^extension_control_path' <<<"$settings"; then
  sharedir=$("${PG_CONFIG:-pg_config}" --sharedir)
  libdir=$("${PG_CONFIG:-pg_config}" --pkglibdir)
  echo "extension_control_path = '$tree/tmp_install$sharedir:\$system'"
  echo "dynamic_library_path = '$tree/tmp_install$libdir:\$libdir'"
fi
cat <<'CONF'
shared_buffers = 256MB
maintenance_work_mem = 512MB
max_wal_size = 4GB
fsync = off
jit = off
CONF
