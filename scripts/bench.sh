#!/usr/bin/env bash
# Builds librdzv for release, measures it against the floor (a raw loop over a socket) and against PyTorch's stores
# where they are installed, and writes the tables and plots of docs/performance.md. It takes about ten minutes.
#
#   scripts/bench.sh           everything
#   scripts/bench.sh --quick   fewer rounds, no scale: two minutes, and docs/performance.md stays as it is
#
# RDZV_ETCD_BINARY names the etcd for both APIs; else scripts/etcd.sh brings 3.4 for v2, and 3.6 or 3.5 for v3.
# RDZV_BENCH_TMPFS and RDZV_BENCH_DISK are where etcd's data goes: /dev/shm and build/bench/data.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
build=$root/build/bench

# shellcheck source=scripts/setup.sh
source scripts/setup.sh

rounds=1000
quick=
case ${1:-} in
"") ;;
--quick) rounds=200 quick=yes ;;
*)
    echo "usage: scripts/bench.sh [--quick]" >&2
    exit 2
    ;;
esac

tmpfs=${RDZV_BENCH_TMPFS:-/dev/shm}
disk=${RDZV_BENCH_DISK:-$build/data}
mkdir -p "$disk"
[ "$(stat -f -c %T "$tmpfs")" = tmpfs ] || setup_fail "$tmpfs is no tmpfs; set RDZV_BENCH_TMPFS"

setup_rust
setup_programs cmake:cmake c++:g++ make:make python3:python3
if setup_is_root; then setup_programs valgrind:valgrind strace:strace; fi
etcd_v2=${RDZV_ETCD_BINARY:-$(bash scripts/etcd.sh 3.4)}
etcd_v3=${RDZV_ETCD_BINARY:-$(bash scripts/etcd.sh 3.6 || bash scripts/etcd.sh 3.5)}

echo "bench: building" >&2
setup_quietly cmake -S . -B "$build" -DCMAKE_BUILD_TYPE=Release -DRDZV_BUILD_TESTS=OFF -DRDZV_BUILD_EXAMPLES=OFF \
    -DRDZV_BUILD_BENCHES=ON
setup_quietly cmake --build "$build" --parallel 2

json=$build/results.json
rm -f "$json"
programs=$build/benches

# What the tables are about: one line of JSON, made of names and values.
record() { python3 -c 'import json, sys; print(json.dumps(dict(zip(sys.argv[1::2], sys.argv[2::2]))))' "$@" >>"$json"; }

commit=$(git rev-parse --short=10 HEAD 2>/dev/null || echo unknown)
[ -z "$(git status --porcelain --untracked-files=no -- src benches Cargo.toml Cargo.lock 2>/dev/null)" ] || commit+=", changed"
strip -o "$build/stripped.so" "$build/lib/librdzv.so"
record operation run date "$(date -u +%Y-%m-%d)" commit "$commit" cpus "$(nproc)" \
    cpu "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" kernel "$(uname -r)" \
    disk "$(df --output=fstype "$disk" | tail -n 1) on $(df --output=source "$disk" | tail -n 1 | xargs basename)" \
    stripped_bytes "$(stat -c %s "$build/stripped.so")"

for api in v2 v3; do
    etcd=etcd_$api
    "$programs/rdzv_bench" --api $api --etcd "${!etcd}" --data "$tmpfs" --disk tmpfs --rounds $rounds --json "$json"
    "$programs/rdzv_bench" --api $api --etcd "${!etcd}" --data "$disk" --disk disk --rounds $((rounds / 2)) \
        --json "$json" single wake
    if [ -z "$quick" ]; then
        "$programs/rdzv_scale" --api $api --etcd "${!etcd}" --data "$tmpfs" --json "$json"
    fi
done

# What one operation costs this side: processor time; instructions, by callgrind; system calls, by strace. Each is the
# difference between 1,200 and 200 operations, or comes from many.
loop() {
    local api=$1 operation=$2 times=$3 etcd=etcd_$1
    timeout 120 "$programs/rdzv_bench" --api "$api" --etcd "${!etcd}" --data "$tmpfs" --run "$counter $programs/rdzv_loop \
        \$RDZV_ENDPOINT $api $operation $times" >"$build/loop.log" 2>&1
}
for api in v2 v3; do
    for operation in floor get set get_state set_state add compare_set; do
        counter=
        loop $api $operation $((rounds * 3))
        read -r _ user _ system < <(grep '^user_us ' "$build/loop.log")
        record operation processor api $api of $operation user_us "$user" system_us "$system"
        if setup_has valgrind && [ -z "$quick" ]; then
            counter="valgrind --tool=callgrind --callgrind-out-file=/dev/null"
            for times in 200 1200; do
                loop $api $operation $times
                instructions[times]=$(sed -n 's/.*Collected : //p' "$build/loop.log")
            done
            record operation instructions api $api of $operation \
                instructions $(((instructions[1200] - instructions[200]) / 1000))
        fi
        if setup_has strace && [ -z "$quick" ]; then
            counter="strace -f -o $build/strace.log"
            for times in 200 1200; do
                loop $api $operation $times
                calls[times]=$(wc -l <"$build/strace.log")
            done
            record operation syscalls api $api of $operation \
                calls "$(awk "BEGIN { printf \"%.1f\", (${calls[1200]} - ${calls[200]}) / 1000 }")"
        fi
    done
done

if /usr/bin/python3 -c 'import torch, etcd' 2>/dev/null; then
    "$programs/rdzv_bench" --api v2 --etcd "$etcd_v2" --data "$tmpfs" \
        --run "/usr/bin/python3 '$root/benches/torch_peers.py' '$json' $((rounds / 4))"
else
    echo "bench: PyTorch or python-etcd is not installed: no columns for its stores" >&2
fi

if [ -z "$quick" ]; then python3 scripts/bench_report.py "$json" docs; else python3 scripts/bench_report.py "$json"; fi
echo "bench: the results are in ${json#"$root"/}"
