#!/usr/bin/env bash
# Records and checks many histories of a cluster under each kind of fault, on each API of etcd.
#
#   scripts/soak.sh [HISTORIES] [FAULT]    HISTORIES for each fault and API (default 100); FAULT: those whose name holds it
#
# RDZV_ETCD_BINARY names the etcd, RDZV_TEST_API=v2|v3 one API. A history takes about 4 s. Ends with the number of
# histories and calls of each fault; fails at the first history that is not linearizable or cannot be decided, and
# leaves it under target/tmp.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
export RDZV_HISTORIES=${1:-100}
if [ $# -gt 1 ]; then export RDZV_FAULTS=$2; fi
exec cargo test --locked --release --test failover -- --nocapture --exact histories_under_faults_are_linearizable
