#!/usr/bin/env bash
# Runs TAP tests against the extension in ANN_INSTALL (default tmp_install), TAP_JOBS (default: one for each processor, and
# one more) files at a time. Each file has a folder of its own in tmp_check for its servers; logs go to tmp_check/log. What
# a file says comes out in one piece when it has ended; a single file's at once.
#
#   tap.sh FILE...
set -euo pipefail
cd "$(dirname "$0")/../.."
bindir=$("${PG_CONFIG:-pg_config}" --bindir)
pgxs_dir=$("${PG_CONFIG:-pg_config}" --pgxs)
pgxs_dir=${pgxs_dir%/src/makefiles/pgxs.mk}
rm -rf tmp_check
mkdir -p tmp_check/log tmp_check/said
# Builds of hnsw are the same each time without workers only; tests of workers ask for them.
{ test/tools/server_config.sh | grep -v shared_buffers; echo 'max_parallel_maintenance_workers = 0'; } >tmp_check/tap.conf
install=${ANN_INSTALL:-tmp_install}
# Ports are given out in one place: files that run at the same time must not take the same.
run=(test/tools/pgserver.sh as tmp_check env TEMP_CONFIG="$PWD/tmp_check/tap.conf" TESTLOGDIR="$PWD/tmp_check/log"
  PG_TEST_PORT_DIR="$PWD/tmp_check/ports" PATH="$PWD/build/${install#tmp_install_}/bin:$bindir:$PATH"
  PG_REGRESS="$pgxs_dir/src/test/regress/pg_regress" PERL5LIB="$pgxs_dir/src/test/perl:$PWD/test/perl"
  ANN_TREE="$PWD" ANN_INSTALL="$install" PG_TEST_TIMEOUT_DEFAULT=600 PGCTLTIMEOUT=600)

# A small disk for each file, in a mount namespace that ends with it. Where none may be made, what needs it is skipped.
inside=(unshare --mount)
[ "$(id -u)" = 0 ] || inside=(unshare --mount --user --map-current-user --keep-caps)
inside+=(sh -c 'mount -t tmpfs -o size=2m,mode=777 none "$0" && exec setpriv --inh-caps=-all --ambient-caps=-all "$@"')
mkdir tmp_check/small
"${inside[@]}" "$PWD/tmp_check/small" true 2>/dev/null || inside=()
rmdir tmp_check/small

# Up to 15 the server's own modules know TESTDIR only, and write into its tmp_check.
for file in "$@"; do
  folder=tmp_check/$(basename "$file" .pl)
  mkdir -p "$folder/small" "$folder/tmp_check"
  ln -s ../../log "$folder/tmp_check/log"
done
[ "$(id -u)" != 0 ] || chown -R postgres tmp_check 2>/dev/null || chown -R nobody tmp_check

run_file() {
  local folder
  folder=$PWD/tmp_check/$(basename "$1" .pl)
  set -- "${run[@]}" TESTDIR="$folder" TESTDATADIR="$folder/tmp_check" ${inside[@]:+ANN_SMALL_DISK="$folder/small"} prove --norc --verbose --merge "$1"
  if [ ${#inside[@]} = 0 ]; then "$@"; else "${inside[@]}" "$folder/small" "$@"; fi
}
if [ $# = 1 ]; then run_file "$1" && exit; exit 1; fi

for file in "$@"; do
  while [ "$(jobs -pr | wc -l)" -ge "${TAP_JOBS:-$(($(nproc) + 1))}" ]; do wait -n || true; done
  {
    said=tmp_check/said/$(basename "$file" .pl)
    run_file "$file" >"$said" 2>&1 || touch tmp_check/failed
    flock tmp_check/said cat "$said"
  } &
done
wait
[ ! -e tmp_check/failed ]
