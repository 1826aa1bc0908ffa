#!/usr/bin/env bash
# Settings for every private server: where the extension lies (ANN_INSTALL, default tmp_install), and
# sizes that suit a test machine.
set -euo pipefail
tree=$(cd "$(dirname "$0")/../.." && pwd)
installed=$tree/${ANN_INSTALL:-tmp_install}
bindir=$("${PG_CONFIG:-pg_config}" --bindir)
# Taken whole: grep -q would close the pipe early, and the server end with SIGPIPE.
settings=$("$bindir/postgres" --describe-config)
if grep -q '^extension_destdir' <<<"$settings"; then
  echo "extension_destdir = '$installed'"
elif grep -q '^extension_control_path' <<<"$settings"; then
  sharedir=$("${PG_CONFIG:-pg_config}" --sharedir)
  libdir=$("${PG_CONFIG:-pg_config}" --pkglibdir)
  echo "extension_control_path = '$installed$sharedir:\$system'"
  echo "dynamic_library_path = '$installed$libdir:\$libdir'"
fi
cat <<'CONF'
shared_buffers = 256MB
maintenance_work_mem = 512MB
max_wal_size = 4GB
fsync = off
jit = off
CONF
