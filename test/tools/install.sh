#!/usr/bin/env bash
# Installs the built extension into tmp_install, where private servers look (server_config.sh); with
# `hooks` or `sanitize` that build (make hooks, make sanitize) into tmp_install_hooks, ... A server that
# cannot be told to look there gets it where extensions lie: that needs the right to.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${1:-release}
into=tmp_install
[ "$build" = release ] || into=tmp_install_$build
place() { # the prefix to install under
  make install DESTDIR="$1"
  if [ "$build" != release ]; then
    install -m 755 "build/$build/ann.so" "$1$("${PG_CONFIG:-pg_config}" --pkglibdir)/ann.so"
  fi
}
rm -rf "$into"
place "$PWD/$into"
chmod -R a+rX "$into"
if ! test/tools/server_config.sh | grep -E '^extension_(destdir|control_path)' >/dev/null; then
  place ""
fi
