#!/bin/sh
# Runs the demo: virtual environment, private server, then demo.py.
# Usage: demo/run.sh show | search TEXT | stop | clean
# Everything it makes is below demo/.run. ANN_DEMO_EXTENSION names another extension with the same
# SQL, for comparison.
set -eu

cd "$(dirname "$0")/.."
run=demo/.run
venv=$run/venv
server=$run/server
pgserver=${PGSERVER:-test/tools/pgserver.sh}

die() {
    echo "demo: $*" >&2
    exit 1
}

need_tools() {
    command -v apt-cache >/dev/null ||
        die "this demo reads Debian's package catalogue with apt-cache, which is not here.
It needs Debian 12 or newer (or a system made from it)."
    command -v python3 >/dev/null && python3 -c 'import ensurepip, venv' 2>/dev/null ||
        die "python3 with its venv module is missing. As root run
    apt-get install python3 python3-venv"
}

need_writable() {
    mkdir -p "$run" 2>/dev/null && [ -w "$run" ] ||
        die "$run cannot be written by $(id -un): run as the user who made it, or as that user
    make demo-clean"
}

# A copy of the requirements is written last, so that a broken installation is made again.
make_venv() {
    if cmp -s demo/requirements.txt "$venv/requirements.txt"; then
        return
    fi
    echo "  installing Python packages into $venv (about 200 MB, once)"
    rm -rf "$venv"
    python3 -m venv "$venv" >"$run/pip.log" 2>&1 &&
        "$venv/bin/python" -m pip install --disable-pip-version-check -q -r demo/requirements.txt \
            >>"$run/pip.log" 2>&1 || {
        tail -n 3 "$run/pip.log" >&2
        die "the Python packages of demo/requirements.txt could not be installed ($run/pip.log):
pip needs to reach its package index once; a proxy or mirror is set with \`pip config\`."
    }
    cp demo/requirements.txt "$venv/requirements.txt"
}

start_server() {
    "$pgserver" start "$server" >"$run/server.log" 2>&1 || {
        tail -n 5 "$run/server.log" >&2
        die "the private server did not start ($run/server.log)"
    }
    environment=$("$pgserver" env "$server") || die "the private server does not answer"
    eval "$environment"
}

command=${1:-show}
[ $# -eq 0 ] || shift
case $command in
show | search)
    if [ "$command" = search ] && [ -z "${1:-}" ]; then
        die 'what for? make demo-search Q="edit photos from the command line"'
    fi
    need_tools
    need_writable
    if [ "$command" = show ]; then
        echo "ann: search by meaning in this machine's own package catalogue"
    elif [ ! -d "$server" ]; then
        die 'no packages are loaded yet: run `make demo` first'
    fi
    make_venv
    start_server
    exec "$venv/bin/python" demo/demo.py --extension "${ANN_DEMO_EXTENSION:-ann}" "$command" "$@"
    ;;
stop)
    [ ! -d "$server" ] || "$pgserver" stop "$server"
    ;;
clean)
    [ ! -d "$server" ] || "$pgserver" stop "$server"
    rm -rf "$run"
    ;;
*)
    die "unknown command \"$command\" (show, search TEXT, stop, clean)"
    ;;
esac
