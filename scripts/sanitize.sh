#!/usr/bin/env bash
# Looks for data races: the Rust tests with threads under ThreadSanitizer (nightly), the C tests with threads under
# helgrind. (AddressSanitizer: cmake -DRDZV_SANITIZE=ON; leaks: the leak_ tests of CTest.)
#
#   scripts/sanitize.sh [tsan|helgrind]    both by default
#
# RDZV_ETCD_BINARY names the etcd. Fails at the first race.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
what=${1:-both}

# Without instrumented std (rust-src) races in std itself are not seen and contended locks are misjudged.
tsan() {
    if ! rustup +nightly component list 2>/dev/null | grep -q 'rust-src (installed)'; then
        echo "sanitize.sh: ThreadSanitizer needs the nightly toolchain with its component rust-src" >&2
        exit 77
    fi
    local target
    target=$(rustc +nightly -vV | sed -n 's/^host: //p')
    # What runs again as a process of its own forks with threads, which ThreadSanitizer does not follow.
    RUSTFLAGS=-Zsanitizer=thread TSAN_OPTIONS="halt_on_error=1 second_deadlock_stack=1" \
        cargo +nightly test --locked -Zbuild-std --target "$target" --target-dir build/tsan \
        --lib --test limits -- --skip alone --skip no_descriptors --skip handler
}

helgrind() {
    cmake -S . -B build/helgrind -DCMAKE_BUILD_TYPE=Debug -DRDZV_BUILD_TESTS=ON >/dev/null
    cmake --build build/helgrind --parallel 2
    local program
    for program in api_threads int_sigint; do
        valgrind --tool=helgrind --quiet --error-exitcode=99 "build/helgrind/c-tests/$program"
    done
}

case $what in
tsan) tsan ;;
helgrind) helgrind ;;
both) tsan && helgrind ;;
*)
    echo "usage: scripts/sanitize.sh [tsan|helgrind]" >&2
    exit 2
    ;;
esac
echo "sanitize.sh: no races found ($what)"
