#!/usr/bin/env bash
# The suites that depend on the server, on the newest PostgreSQL of each of Debian's suites that are named, in a chroot of
# it that is made for this and removed, with pgvector's package: closes with `N passed, N failed` for all of them.
# Logs are kept in build/matrix/SUITE.
#
#   run.sh SUITE...        MATRIX_MIRROR, MATRIX_TAP: test.mk
set -uo pipefail
cd "$(dirname "$0")/../.."
if [ "$(id -u)" != 0 ]; then echo "test-matrix makes chroots: run it as root" >&2; exit 1; fi
if ! command -v debootstrap >/dev/null; then
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends debootstrap; } >/dev/null || exit 1
fi
# What the chroots mount goes with the namespace.
if [ -z "${MATRIX_ALONE:-}" ]; then MATRIX_ALONE=1 exec unshare --mount --propagation private bash "$0" "$@"; fi
mirror=${MATRIX_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' 'Label: Debian' | head -1)}
if [ -z "$mirror" ]; then echo "apt names no mirror of Debian: set MATRIX_MIRROR" >&2; exit 1; fi

into() { DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 HOME=/root chroot "$root" "$@"; }

make_root() { # suite
  # One that is newer than this debootstrap is made as all are by now.
  local scripts=/usr/share/debootstrap/scripts script=
  [ -e "$scripts/$1" ] || script=$scripts/sid
  debootstrap --variant=minbase "$1" "$root" "$mirror" $script || return
  # Servers' packages ask for a compiler that is not used.
  printf 'path-exclude=%s\n' '/usr/lib/llvm-*/*' '/usr/share/doc/*' '/usr/share/man/*' '/usr/share/locale/*' >"$root/etc/dpkg/dpkg.cfg.d/small"
  mount -t proc proc "$root/proc" && mount --rbind /dev "$root/dev" || return
  into apt-get update -qq
  major=$(into apt-cache search --names-only '^postgresql-server-dev-[0-9]+$' | sed 's/^postgresql-server-dev-\([0-9]*\) .*/\1/' | sort -n | tail -1)
  into apt-get install -y -qq --no-install-recommends "postgresql-$major" "postgresql-server-dev-$major" "postgresql-$major-pgvector" \
    g++ make libhwy-dev libboost-dev libipc-run-perl python3 util-linux || return
  into apt-get clean
  mkdir "$root/src"
  git ls-files -z | tar c --null -T - | tar x -C "$root/src"
}

passed=0 failed=0
for suite in "$@"; do
  logs=build/matrix/$suite
  rm -rf "$logs" && mkdir -p "$logs"
  root=$(mktemp -d "$PWD/build/matrix/root.XXXXXX")
  chmod 755 "$root"
  echo "=== $suite"
  if make_root "$suite" >"$logs/root.log" 2>&1; then
    into /bin/bash -c 'cd /src && pg_config --version && MATRIX_TAP="$1" exec bash test/run.sh matrix' matrix "${MATRIX_TAP:-}" 2>&1 | tee "$logs/run.log"
    cp -r "$root/src/build/test-matrix/." "$logs/" 2>/dev/null
    cp -r "$root/src/tmp_check/log" "$logs/tap-logs" 2>/dev/null
    read -r p f < <(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' "$logs/run.log" | tail -1)
    passed=$((passed + ${p:-0})) failed=$((failed + ${f:-1}))
  else
    tail -5 "$logs/root.log"
    failed=$((failed + 1))
  fi
  umount -R "$root/dev" "$root/proc" 2>/dev/null
  # Never into what is still mounted
  rm -rf --one-file-system "$root"
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
