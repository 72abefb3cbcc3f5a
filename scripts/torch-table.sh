#!/usr/bin/env bash
# Measures N processes from the start signal to the end of their first all-reduce, over the library and over PyTorch's
# own EtcdStore, in one run, and prints a table. Needs what scripts/setup.sh --all installs.
#
#   scripts/torch-table.sh [<runs of each, default 5>]
#
# Builds in build/torch-table, or in $RDZV_TABLE_BUILD. Each measurement has an etcd of its own, which is the one of
# RDZV_ETCD_BINARY, else that in PATH, and must know the v2 API.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=${RDZV_TABLE_BUILD:-$root/build/torch-table}
cmake -S "$root" -B "$build" -DCMAKE_BUILD_TYPE=Release -DRDZV_BUILD_TESTS=ON -DRDZV_BUILD_EXAMPLES=ON \
    -DRDZV_TORCH=ON >/dev/null
cmake --build "$build" --target torch_allreduce with_etcd --parallel 2 >/dev/null
exec /usr/bin/python3 "$root/scripts/torch_table.py" "$build" "${1:-5}"
