#!/usr/bin/env bash
# The long runs that are no part of scripts/test.sh.
#
#   scripts/soak.sh histories [HISTORIES] [FAULT]   records and checks HISTORIES (default 100) of a cluster under each kind
#                                                   of fault, or those whose name holds FAULT, on each API of etcd; then a
#                                                   tenth as many of members that are stopped for 10 s
#   scripts/soak.sh limits                          a million operations, 10,000 handles and 4,096 waiters on each API:
#                                                   descriptors, threads and memory stay as they were
#   scripts/soak.sh simulation [SEEDS]              simulates SEEDS (default 100000) runs of the handler under a virtual clock
#   scripts/soak.sh mixed                           the handler beside PyTorch's own nodes, in the build of test.sh --all
#   scripts/soak.sh fuzz [SECONDS]                  every fuzz target for SECONDS (default 600)
#   scripts/soak.sh                                 all of them
#
# RDZV_ETCD_BINARY names the etcd, RDZV_TEST_API=v2|v3 one API. A history takes about 3 s. The first history that is not
# linearizable or cannot be decided ends it, and is left under target/tmp; a seed that fails prints its trace.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

record() {
    RDZV_HOLD_MS=$1 RDZV_HISTORIES=$2 RDZV_FAULTS=$3 \
        cargo test --locked --release --test failover -- --nocapture --exact histories_under_faults_are_linearizable
}

histories() {
    local count=${1:-100}
    record 1200 "$count" "${2:-}"
    record 10000 "$(((count + 9) / 10))" "stop"
}

limits() {
    RDZV_OPERATIONS=1000000 RDZV_CYCLES=10000 RDZV_WAITERS=4096 \
        cargo test --locked --release --test limits -- --nocapture --test-threads 1 resources::
}

simulation() { cargo run --locked --release --example handler_sim -- "${1:-100000}"; }

mixed() {
    if [ -x build/cmake/c-tests/torch_handler/torch_handler_node ]; then
        ctest --test-dir build/cmake -R '^torch_handler_' --output-on-failure
    else
        echo "soak: no runs beside PyTorch: scripts/test.sh --all builds them"
    fi
}

fuzz() { bash scripts/fuzz.sh "${1:-600}"; }

case ${1:-} in
histories | limits | simulation | mixed | fuzz) "$@" ;;
"") histories && limits && simulation && mixed && fuzz ;;
*)
    echo "usage: scripts/soak.sh [histories [HISTORIES] [FAULT] | limits | simulation [SEEDS] | mixed | fuzz [SECONDS]]" >&2
    exit 2
    ;;
esac
