#!/usr/bin/env bash
# Installs the built extension into tmp_install, where private servers look (server_config.sh). A
# server that cannot be told to look there gets it where extensions lie: that needs the right to.
set -euo pipefail
cd "$(dirname "$0")/../.."
rm -rf tmp_install
make install DESTDIR="$PWD/tmp_install"
chmod -R a+rX tmp_install
if ! test/tools/server_config.sh | grep -E '^extension_(destdir|control_path)' >/dev/null; then
  make install
fi
