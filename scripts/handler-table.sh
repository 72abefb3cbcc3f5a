#!/usr/bin/env bash
# Measures N nodes that join a round at once, over the library and over PyTorch's own handler, in one run, and prints a
# table: from the last node's first request to the last one's return, without the random start of up to 0.3 s.
#
#   scripts/handler-table.sh [<runs of each, default 5>]
#
# Needs what scripts/setup.sh --all installs. The etcd is the one of RDZV_ETCD_BINARY, else that in PATH, and must know
# the v2 API. Builds in build/handler-table, or in $RDZV_TABLE_BUILD.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=${RDZV_TABLE_BUILD:-$root/build/handler-table}
if [ ! -x "$build/c-tests/int_handler_scale" ]; then
    cmake -S "$root" -B "$build" -DCMAKE_BUILD_TYPE=Release -DRDZV_BUILD_TESTS=ON >/dev/null
    cmake --build "$build" --target int_handler_scale --parallel 2 >/dev/null
fi
exec /usr/bin/python3 "$root/scripts/handler_table.py" "$build/c-tests/int_handler_scale" "${1:-5}"
