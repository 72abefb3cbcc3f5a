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
#   scripts/soak.sh mixed-newer [PYTHON CPP]...     the same beside PyTorch 2.6 and 2.14, with so many nodes of each
#                                                   (default 1 1 2 2 1 3 3 1); scripts/torch-chroot.sh says what that needs
#   scripts/soak.sh fuzz [SECONDS]                  every fuzz target for SECONDS (default 600)
#   scripts/soak.sh                                 all of them but mixed-newer
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

# The nodes of both languages run in the chroot, where libtorch is PyTorch's own: Gloo agrees with itself alone. PyTorch
# needs /proc, which is there for these processes only.
mixed-newer() {
    local library=${RDZV_LIBRARY:-$PWD/build/cmake/lib/librdzv.so.0} suite root home dies etcd
    [ -e "$library" ] || { echo "soak: $library is missing: scripts/test.sh --all builds it" >&2; return 1; }
    etcd=${RDZV_ETCD_BINARY:-$(bash scripts/etcd.sh 3.4)}
    [ $# -gt 0 ] || set -- 1 1 2 2 1 3 3 1
    inside() { unshare --mount sh -c 'mount --bind /proc "$0/proc" && exec chroot "$0" "$@"' "$root" "$@"; }
    for suite in trixie sid; do
        root=$(bash scripts/torch-chroot.sh "$suite")
        home=$root/root/rdzv
        rm -rf "$home"
        mkdir -p "$home"
        cp -r include c-tests/torch_handler "$home"
        cp -L "$library" "$etcd" "$home"
        inside g++ -std=c++20 -DUSE_C10D_GLOO -I/root/rdzv/include -I/usr/include/torch/csrc/api/include \
            /root/rdzv/torch_handler/node.cpp -o /root/rdzv/node -L/root/rdzv -l:librdzv.so.0 -ltorch -ltorch_cpu -lc10 \
            -Wl,-rpath,/root/rdzv
        inside python3 -c 'import torch; print("== PyTorch", torch.__version__)'
        local nodes=("$@")
        while [ ${#nodes[@]} -ge 2 ]; do
            for dies in "python cpp" "cpp python"; do
                echo "-- ${nodes[0]} Python and ${nodes[1]} C++ nodes; who dies, and who closes: $dies"
                # Debian builds PyTorch without libuv; and 2.6 fails an assertion of its own where a node gets rank 0 that
                # had another before, unless each round tells its MASTER_ADDR anew.
                # shellcheck disable=SC2086
                inside env USE_LIBUV=0 TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 RDZV_ETCD_BINARY="/root/rdzv/${etcd##*/}" \
                    RDZV_TEST_NODE=/root/rdzv/node RDZV_TEST_DIALECT=2.6 python3 /root/rdzv/torch_handler/mixed.py v2 "${nodes[0]}" "${nodes[1]}" $dies
            done
            nodes=("${nodes[@]:2}")
        done
    done
}

fuzz() { bash scripts/fuzz.sh "${1:-600}"; }

case ${1:-} in
histories | limits | simulation | mixed | mixed-newer | fuzz) "$@" ;;
"") histories && limits && simulation && mixed && fuzz ;;
*)
    echo "usage: scripts/soak.sh [histories [HISTORIES] [FAULT] | limits | simulation [SEEDS] | mixed |
                       mixed-newer [PYTHON CPP]... | fuzz [SECONDS]]" >&2
    exit 2
    ;;
esac
