#!/usr/bin/env bash
# What needs a nightly toolchain: rustup toolchain install nightly --component rust-src,miri
#
#   scripts/sanitize.sh threads    the tests with threads under ThreadSanitizer, the standard library included
#   scripts/sanitize.sh miri       the unit tests of the C boundary and of what it stands on under Miri
#   scripts/sanitize.sh            both
#
# RDZV_ETCD_BINARY names the etcd. Fails at the first finding. (AddressSanitizer and valgrind are part of
# scripts/test.sh --all.)
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

need() {
    if ! cargo +nightly ${1:+"$1"} --version >/dev/null 2>&1 || [ ! -d "$(rustc +nightly --print sysroot)/lib/rustlib/src" ]; then
        echo "sanitize.sh: the nightly toolchain is missing, or its components rust-src and miri" >&2
        exit 77
    fi
}

# Without an instrumented standard library contended locks are misjudged. What forks is left out: ThreadSanitizer does
# not follow it.
threads() {
    need
    local host
    host=$(rustc +nightly -vV | sed -n 's/^host: //p')
    sanitized() {
        RUSTFLAGS=-Zsanitizer=thread TSAN_OPTIONS="halt_on_error=1 second_deadlock_stack=1" \
            cargo +nightly test --locked -Zbuild-std --target "$host" --target-dir build/tsan "$@"
    }
    sanitized --lib
    sanitized --test handler
    RDZV_MOST_GROWTH=$((1 << 30)) sanitized --test limits -- cancel_ interrupted_ many_waiters_alone
    RDZV_FAULTS=leader sanitized --test failover -- --nocapture histories
}

# Leaks are valgrind's business: what a forked child inherits is left alone on purpose, and a test shows it.
miri() {
    need miri
    MIRIFLAGS="-Zmiri-disable-isolation -Zmiri-ignore-leaks" cargo +nightly miri test --locked --lib --target-dir build/miri -- \
        ffi:: base64:: fork:: error:: random:: --skip agrees_with_python
}

case ${1:-} in
threads | miri) "$1" ;;
"") threads && miri ;;
*)
    echo "usage: scripts/sanitize.sh [threads | miri]" >&2
    exit 2
    ;;
esac
echo "sanitize.sh: nothing found (${1:-threads and miri})"
