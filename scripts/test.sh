#!/usr/bin/env bash
# Installs what is missing and runs every check; ends with one line that says how it went.
#
#   scripts/test.sh         against one etcd: RDZV_ETCD_BINARY, else the one that scripts/etcd.sh system prints
#   scripts/test.sh --all   against etcd 3.4, 3.5 and 3.6, and with libtorch and PyTorch as peers
#
# With --all an etcd that this machine cannot have is named in the last line; where CI is set it is a failure.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

all=
case ${1:-} in
"") ;;
--all) all=yes ;;
*)
    echo "usage: scripts/test.sh [--all]" >&2
    exit 2
    ;;
esac

step=setup
passed=
versions=()
absent=()

finish() {
    local status=$?
    if [ "$status" = 0 ]; then
        echo "scripts/test.sh: all passed: $passed; etcd run: ${versions[*]}${absent[*]:+; not run: ${absent[*]}}"
    else
        echo "scripts/test.sh: FAILED in '$step' (status $status); passed before: ${passed:-nothing}"
    fi
}
trap finish EXIT

# Runs one check under the name that the last line has for it.
run() {
    step=$1
    shift
    echo "== $step"
    "$@"
    passed+="${passed:+, }$step"
}

# shellcheck source=scripts/setup.sh
source scripts/setup.sh
if [ -n "$all" ]; then setup_all; else setup_test; fi

# The etcds to run against, as CMake takes them: version:path;version:path
matrix=
collect_matrix() {
    local version path reason
    for version in 3.4 3.5 3.6; do
        reason=$(mktemp)
        if path=$(bash scripts/etcd.sh "$version" 2>"$reason"); then
            matrix+="${matrix:+;}$version:$path"
            versions+=("$version")
        else
            cat "$reason" >&2
            absent+=("$version ($(tail -n 1 "$reason"))")
        fi
        rm -f "$reason"
    done
    [ -n "$matrix" ] || setup_fail "none of the etcds can be had"
    if [ -n "${CI:-}" ] && [ ${#absent[@]} -gt 0 ]; then
        setup_fail "CI runs every etcd, and these cannot be had: ${absent[*]}"
    fi
}

# The Rust tests that start an etcd, once more with each one. Add such a test to the list.
rust_matrix() {
    local entry name tests=()
    for name in server etcd handler; do
        if [ -e "tests/$name.rs" ] || [ -e "tests/$name/main.rs" ]; then tests+=(--test "$name"); fi
    done
    local entries
    IFS=';' read -ra entries <<<"$matrix"
    for entry in "${entries[@]}"; do
        echo "-- etcd ${entry%%:*}"
        RDZV_ETCD_BINARY=${entry#*:} cargo test --locked "${tests[@]}"
        # Of the faults a short form: all of them are part of the cargo test before.
        RDZV_ETCD_BINARY=${entry#*:} cargo test --locked --test faults more::
        RDZV_ETCD_BINARY=${entry#*:} RDZV_FAULTS=leader RDZV_HOLD_MS=1200 \
            cargo test --locked --test failover histories -- --nocapture
    done
}

# CMake refuses a build folder that was made for another place.
configure() {
    local cache=build/cmake/CMakeCache.txt
    if [ -e "$cache" ] && ! grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$root" "$cache"; then rm -rf build/cmake; fi
    cmake -S . -B build/cmake -DCMAKE_BUILD_TYPE=RelWithDebInfo -DRDZV_BUILD_TESTS=ON -DRDZV_BUILD_EXAMPLES=ON \
        -DRDZV_ETCD_MATRIX="$matrix" -DRDZV_TORCH="$([ -n "$all" ] && echo ON || echo OFF)"
}

# The C and C++ tests once more, built with AddressSanitizer, which looks for leaks too.
sanitized() {
    local cache=build/asan/CMakeCache.txt
    if [ -e "$cache" ] && ! grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$root" "$cache"; then rm -rf build/asan; fi
    cmake -S . -B build/asan -DCMAKE_BUILD_TYPE=RelWithDebInfo -DRDZV_SANITIZE=ON -DRDZV_BUILD_TESTS=ON \
        -DRDZV_BUILD_EXAMPLES=OFF -DRDZV_CARGO_DIR="$root/build/cmake/cargo"
    cmake --build build/asan --parallel 2
    ctest --test-dir build/asan -j2 --output-on-failure --no-tests=error -E '^int_(install|deb|torch|handler_scale)$'
}

if [ -n "$all" ]; then
    run "etcd versions" collect_matrix
else
    versions=("$("$RDZV_ETCD_BINARY" --version | sed -n 's/^etcd Version: //p')")
fi
run rustfmt cargo fmt --check
run clippy cargo clippy --locked --all-targets -- -D warnings
run "cargo test" cargo test --locked
if [ -n "$all" ]; then run "cargo test with each etcd" rust_matrix; fi
run rustdoc env RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items
run "cmake configure" configure
run "cmake build" cmake --build build/cmake --parallel 2
run ctest ctest --test-dir build/cmake -j2 --output-on-failure --no-tests=error
if [ -n "$all" ]; then
    run AddressSanitizer sanitized
    run fuzzing bash scripts/fuzz.sh 20
fi
