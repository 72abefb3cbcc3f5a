#!/usr/bin/env bash
# The long runs that are no part of scripts/test.sh.
#
#   scripts/soak.sh histories [HISTORIES] [FAULT]   records and checks HISTORIES (default 100) of a cluster under each kind
#                                                   of fault, or those whose name holds FAULT, on each API of etcd
#   scripts/soak.sh simulation [SEEDS]              simulates SEEDS (default 100000) runs of the handler under a virtual clock
#   scripts/soak.sh mixed                           the handler beside PyTorch's own nodes, in the build of test.sh --all
#   scripts/soak.sh                                 all of them
#
# RDZV_ETCD_BINARY names the etcd, RDZV_TEST_API=v2|v3 one API. A history takes about 4 s. The first history that is not
# linearizable or cannot be decided ends it, and is left under target/tmp; a seed that fails prints its trace.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

histories() {
    export RDZV_HISTORIES=${1:-100}
    if [ $# -gt 1 ]; then export RDZV_FAULTS=$2; fi
    cargo test --locked --release --test failover -- --nocapture --exact histories_under_faults_are_linearizable
}

simulation() { cargo run --locked --release --example handler_sim -- "${1:-100000}"; }

mixed() {
    if [ -x build/cmake/c-tests/torch_handler/torch_handler_node ]; then
        ctest --test-dir build/cmake -R '^torch_handler_' --output-on-failure
    else
        echo "soak: no runs beside PyTorch: scripts/test.sh --all builds them"
    fi
}

case ${1:-} in
histories | simulation | mixed) "$@" ;;
"") histories && simulation && mixed ;;
*)
    echo "usage: scripts/soak.sh [histories [HISTORIES] [FAULT] | simulation [SEEDS] | mixed]" >&2
    exit 2
    ;;
esac
