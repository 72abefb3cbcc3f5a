#!/usr/bin/env bash
# Runs every fuzz target, or those named, and ends with the number of executions of each.
#
#   scripts/fuzz.sh [SECONDS] [TARGET…]    SECONDS for each target, default 20; two targets at a time
#   scripts/fuzz.sh merge [TARGET…]        adds to the committed corpus what was found and reaches more than it does
#
# Begins with the committed corpus (fuzz/corpus); what is found on the way is kept in build/fuzz-found. An input that
# fails is left in build/fuzz-failed and named: add it to the corpus with the fix. FUZZ_JOBS is how many run at once.
#
# The toolchain that builds the library builds the targets: libFuzzer comes with a crate, the instrumentation is LLVM's.
# AddressSanitizer is there too, for which the compiler is told to take options that it calls unstable.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
seconds=${1:-20}
shift || true
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then mapfile -t targets < <(basename -s .rs fuzz/fuzz_targets/*.rs); fi

host=$(rustc -vV | sed -n 's/^host: //p')
flags="--cfg fuzzing -Zsanitizer=address -Cpasses=sancov-module"
for option in level=4 inline-8bit-counters pc-table trace-compares; do
    flags+=" -Cllvm-args=-sanitizer-coverage-$option"
done
RUSTC_BOOTSTRAP=1 RUSTFLAGS=$flags cargo build --quiet --locked --release --manifest-path fuzz/Cargo.toml \
    --target "$host" --target-dir build/fuzz

# Runs one target; its log is long, and its end tells all where nothing was found. Leaks are looked for when it ends: after
# each execution that would take longer than the execution.
fuzz() {
    local target=$1 log=build/fuzz-found/$1.log
    mkdir -p "build/fuzz-found/$target" "build/fuzz-failed/$target"
    if ! "build/fuzz/$host/release/$target" "build/fuzz-found/$target" "fuzz/corpus/$target" \
        -artifact_prefix="build/fuzz-failed/$target/" -max_total_time="$seconds" -timeout=120 -rss_limit_mb=2048 \
        -detect_leaks=0 -print_final_stats=1 >"$log" 2>&1; then
        tail -n 40 "$log"
        echo "fuzz.sh: $target FAILED; the whole log is $log" >&2
        return 1
    fi
    echo "$target $(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -n 1)"
}

merge() {
    mkdir -p build/fuzz-found/"$1"
    "build/fuzz/$host/release/$1" -merge=1 -use_counters=0 "fuzz/corpus/$1" "build/fuzz-found/$1" -detect_leaks=0 >"build/fuzz-found/$1.log" 2>&1
    echo "$1: $(find "fuzz/corpus/$1" -type f | wc -l) inputs, $(du -sb "fuzz/corpus/$1" | cut -f 1) bytes"
}

if [ "$seconds" = merge ]; then
    for target in "${targets[@]}"; do merge "$target"; done
    exit
fi
export -f fuzz
export host seconds

ran=$(printf '%s\n' "${targets[@]}" | xargs -P "${FUZZ_JOBS:-2}" -I '{}' bash -c 'set -euo pipefail; fuzz {}') ||
    { echo "$ran"; exit 1; }
echo "fuzz.sh: nothing found in $seconds s for each target; executions: $(sort <<<"$ran" | paste -sd , | sed 's/,/, /g')"
