#!/usr/bin/env bash
# Runs every fuzz target, or those named, and ends with the number of executions of each.
#
#   scripts/fuzz.sh [SECONDS] [TARGET…]    SECONDS for each target, default 20
#
# Needs a nightly toolchain (rustup toolchain install nightly) and cargo-fuzz, which is installed into build/tools where
# it is missing. Begins with the committed corpus (fuzz/corpus); what is found on the way is kept in build/fuzz. An
# input that fails is left in fuzz/artifacts and named: add it to the corpus with the fix.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
seconds=${1:-20}
shift || true
export PATH="$PWD/build/tools/bin:$PATH"

if ! rustc +nightly --version >/dev/null 2>&1; then
    echo "fuzz.sh: there is no nightly toolchain, which cargo-fuzz needs" >&2
    exit 77
fi
if ! cargo fuzz --version >/dev/null 2>&1; then
    cargo install --quiet --locked --root build/tools cargo-fuzz
fi
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then mapfile -t targets < <(cargo +nightly fuzz list); fi

cargo +nightly fuzz build --target-dir build/fuzz-target
summary=
for target in "${targets[@]}"; do
    mkdir -p "build/fuzz/$target"
    log=build/fuzz/$target.log
    echo "== $target"
    # The log of libFuzzer is long; its end tells all where nothing was found.
    if ! cargo +nightly fuzz run --target-dir build/fuzz-target "$target" "build/fuzz/$target" "fuzz/corpus/$target" -- \
        -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 >"$log" 2>&1; then
        tail -n 40 "$log"
        echo "fuzz.sh: $target FAILED; the whole log is $log" >&2
        exit 1
    fi
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -n 1)
    summary+="${summary:+, }$target ${runs:-0}"
done
echo "fuzz.sh: nothing found in $seconds s for each target; executions: $summary"
