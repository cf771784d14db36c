#!/usr/bin/env bash
# ./dev test: the truth. Every stage is run even if one before it failed; the last line counts.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=scripts/dev/common.sh
source scripts/dev/common.sh

passed=0 failed=0 started=$SECONDS
say() { printf '\n== %s (%d s)\n' "$1" $((SECONDS - started)); }
count() { passed=$((passed + $1)) failed=$((failed + $2)); }

# A stage that is one test by itself: stage NAME COMMAND...
stage() {
  say "$1"
  shift
  if "$@"; then count 1 0; else count 0 1; fi
}

# Runs the ctest entries of a build and counts the cases inside them: ctest_stage PRESET ARGUMENTS...
ctest_stage() {
  local preset=$1
  shift
  say "ctest in $preset"
  local results=build/$preset/results
  rm -rf "$results"
  mkdir -p "$results"
  local status=0
  GTEST_OUTPUT="json:$PWD/$results/" ctest --test-dir "build/$preset" --output-on-failure -j 2 --timeout 900 "$@" || status=1
  local cases
  cases=$(python3 scripts/dev/count_cases.py "$results" "$status")
  # shellcheck disable=SC2086
  count $cases
}

stage 'build release' build release || true
ctest_stage release
seed=${CARTWHEEL_SIM_FIRST_SEED:-$(($(date +%s) % 1000000 * 1000))}
stage "simulator: 300 seeds from $seed" build/release/tests/sim/cartwheel_sim --seeds 300 --first "$seed" --jobs 2
stage 'simulator: the same trace twice' build/release/tests/sim/cartwheel_sim --seeds 10 --first "$seed" --twice --jobs 2
stage 'build planted' build planted crdt_planted_test planted_sim_test
ctest_stage planted -R planted
stage 'build asan' build asan
ctest_stage asan -L 'unit|laws|fuzz-replay|sim'
stage "simulator under asan: 30 seeds from $seed" build/asan/tests/sim/cartwheel_sim --seeds 30 --first "$seed" --jobs 2
stage 'build tsan' build tsan runtime_loop_test runtime_ring_test
ctest_stage tsan -R 'runtime_(loop|ring)_test'

say 'end'
printf 'total: %d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
