#!/usr/bin/env bash
# A private PostgreSQL server under a directory of the tree: socket only, never as root, with the
# extension found in tmp_install where the server has extension_destdir.
#
#   pgserver.sh start DIR    initdb when there is none, then start
#   pgserver.sh stop DIR
#   pgserver.sh env DIR      shell lines that export PGHOST PGPORT PGUSER PGDATABASE
#   pgserver.sh as DIR CMD   run CMD as the server's user
#
# ANN_INSTALL=tmp_install_hooks or _sanitize: it runs that build.
set -euo pipefail
# The server's user may not reach a folder of the caller's; nor is it to log in as the caller does.
unset TMPDIR PGOPTIONS PGSERVICE PGPASSFILE
tree=$(cd "$(dirname "$0")/../.." && pwd)
bindir=$("${PG_CONFIG:-pg_config}" --bindir)
# A build that a server must be started for in its own way has a pg_ctl of its own.
install=${ANN_INSTALL:-tmp_install}
pg_ctl=$tree/build/${install#tmp_install_}/bin/pg_ctl
[ -x "$pg_ctl" ] || pg_ctl=$bindir/pg_ctl
action=${1:?start, stop, env or as} dir=${2:?directory}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
user=$(id -un)
if [ "$(id -u)" = 0 ]; then
  user=postgres
  getent passwd postgres >/dev/null || user=nobody
fi

# A unix socket's path holds 107 bytes.
sockets=$dir/socket
if [ ${#sockets} -gt 85 ]; then sockets=/tmp/ann-$(printf %s "$dir" | cksum | cut -d' ' -f1); fi

# Root hands over to $user. Where the tree lies in a folder closed to it (/root), it keeps the one
# capability that lets it pass.
as_user() {
  if [ "$(id -u)" != 0 ]; then "$@"; return; fi
  if runuser -u "$user" -- test -x "$dir" -a -r "$tree/Makefile"; then
    runuser -u "$user" -- "$@"
  else
    setpriv --reuid="$user" --regid="$(id -gn "$user")" --init-groups \
      --inh-caps=+dac_read_search --ambient-caps=+dac_read_search -- "$@"
  fi
}

start() {
  mkdir -p "$sockets"
  # A name in /tmp can be guessed: what another user has put there is not used.
  if [ -L "$sockets" ] || ! [[ $(stat -c %U "$sockets") =~ ^($user|$(id -un))$ ]]; then
    echo "$sockets belongs to another user" >&2
    exit 1
  fi
  if [ "$(id -u)" = 0 ]; then chown -R "$user" "$dir" "$sockets"; fi
  if [ ! -s "$dir/data/PG_VERSION" ]; then
    as_user env LC_ALL=C "$bindir/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --no-sync >"$dir/initdb.log" 2>&1 ||
      { cat "$dir/initdb.log" >&2; exit 1; }
    {
      echo "listen_addresses = ''"
      echo "unix_socket_directories = '$sockets'"
      "$tree/test/tools/server_config.sh"
    } | as_user tee -a "$dir/data/postgresql.conf" >/dev/null
  fi
  as_user "$pg_ctl" -D "$dir/data" status >/dev/null 2>&1 && return
  as_user "$pg_ctl" -D "$dir/data" -l "$dir/server.log" -w -t 120 start >/dev/null ||
    { tail -20 "$dir/server.log" >&2; exit 1; }
}

case $action in
  start) start ;;
  stop)
    as_user "$pg_ctl" -D "$dir/data" -m fast -w stop >/dev/null 2>&1 || true
    if [ "$sockets" != "$dir/socket" ] && [ -d "$sockets" ]; then rmdir "$sockets" 2>/dev/null || true; fi
    ;;
  env) printf 'export PGHOST=%q PGPORT=5432 PGUSER=postgres PGDATABASE=postgres\n' "$sockets" ;;
  as) shift 2; as_user "$@" ;;
  *) echo "unknown action: $action" >&2; exit 2 ;;
esac
