#!/usr/bin/env bash
# Runs TAP tests against the extension in ANN_INSTALL (default tmp_install). Servers and logs go to tmp_check.
#
#   tap.sh FILE...
set -euo pipefail
cd "$(dirname "$0")/../.."
bindir=$("${PG_CONFIG:-pg_config}" --bindir)
pgxs_dir=$("${PG_CONFIG:-pg_config}" --pgxs)
pgxs_dir=${pgxs_dir%/src/makefiles/pgxs.mk}
rm -rf tmp_check
mkdir -p tmp_check
test/tools/server_config.sh | grep -v shared_buffers >tmp_check/tap.conf
[ "$(id -u)" != 0 ] || chown -R postgres tmp_check 2>/dev/null || chown -R nobody tmp_check
install=${ANN_INSTALL:-tmp_install}
run=(test/tools/pgserver.sh as tmp_check env TEMP_CONFIG="$PWD/tmp_check/tap.conf" TESTDIR="$PWD" TESTDATADIR="$PWD/tmp_check"
  TESTLOGDIR="$PWD/tmp_check/log" PATH="$PWD/build/${install#tmp_install_}/bin:$bindir:$PATH" PG_REGRESS="$pgxs_dir/src/test/regress/pg_regress"
  PERL5LIB="$pgxs_dir/src/test/perl:$PWD/test/perl" ANN_TREE="$PWD" ANN_INSTALL="$install" PG_TEST_TIMEOUT_DEFAULT=600 PGCTLTIMEOUT=600)

# A small disk, in a mount namespace that ends with the tests. Where none may be made, what needs it is skipped.
small=$PWD/tmp_check/small
mkdir "$small"
inside=(unshare --mount)
[ "$(id -u)" = 0 ] || inside=(unshare --mount --user --map-current-user --keep-caps)
inside+=(sh -c 'mount -t tmpfs -o size=2m,mode=777 none "$0" && exec setpriv --inh-caps=-all --ambient-caps=-all "$@"' "$small")
if "${inside[@]}" true 2>/dev/null; then
  exec "${inside[@]}" "${run[@]}" ANN_SMALL_DISK="$small" prove --norc --verbose --merge "$@"
fi
exec "${run[@]}" prove --norc --verbose --merge "$@"
