#!/usr/bin/env bash
# ./dev test: the truth. Every stage is run even if one before it failed; the last line counts.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=scripts/dev/common.sh
source scripts/dev/common.sh

passed=0 failed=0 started=$SECONDS
say() { printf '\n== %s (%d s)\n' "$1" $((SECONDS - started)); }
count() { passed=$((passed + $1)) failed=$((failed + $2)); }

# A stage that is one test by itself: stage NAME PROGRAM ARGUMENTS... It fails if it does not end within 20 minutes.
stage() {
  say "$1"
  shift
  if timeout --kill-after=10 1200 "$@"; then count 1 0; else count 0 1; fi
}

# A stage that is no test, but fails like one: prepare NAME COMMAND...
prepare() {
  say "$1"
  shift
  "$@" || { count 0 1; return 1; }
}

# Runs the ctest entries of a build and counts the cases inside them: ctest_stage PRESET ARGUMENTS...
ctest_stage() {
  local preset=$1 cases
  shift
  say "ctest in $preset"
  local results=build/$preset/results
  rm -rf "$results"
  mkdir -p "$results"
  local status=0
  GTEST_OUTPUT="json:$PWD/$results/" ctest --test-dir "build/$preset" --output-on-failure -j 2 --timeout 900 "$@" || status=1
  cases=$(python3 scripts/dev/count_cases.py "$results" "$status")
  # shellcheck disable=SC2086
  count $cases
}

# Real clients against real processes, file by file; Node's test runner counts. A file that does not end fails, and the
# stages behind it are run all the same.
e2e_stage() {
  say 'end to end, real clients'
  local results=build/e2e file cases status
  rm -rf "$results"
  for file in tests/e2e/*.test.mjs; do
    local of_file=$results/${file##*/}
    mkdir -p "$of_file"
    status=0
    timeout --kill-after=10 600 node --test --test-reporter=spec --test-reporter-destination=stdout \
      --test-reporter=tap --test-reporter-destination="$of_file/e2e.tap" "$file" || status=$?
    [ "$status" -ne 124 ] && [ "$status" -ne 137 ] || echo "$file did not end"
    cases=$(python3 scripts/dev/count_cases.py "$of_file" "$status")
    # shellcheck disable=SC2086
    count $cases
  done
}

prepare 'build release' build release && ctest_stage release -LE e2e
prepare 'clients from npm' npm --prefix tests/e2e ci --no-audit --no-fund --loglevel=error && e2e_stage
stage 'the story of ./dev demo' env CARTWHEEL_UP_OFFSET=20000 node scripts/cluster/demo.mjs
# Fresh for each commit, and the same for everybody who tests that commit: a verdict can be repeated.
seed=${CARTWHEEL_SIM_FIRST_SEED:-$((0x$(git rev-parse HEAD | cut -c1-8) % 1000000 * 1000))}
stage "simulator: 300 seeds from $seed" build/release/tests/sim/cartwheel_sim --seeds 300 --first "$seed" --jobs 2
stage "simulator: 150 seeds with changes of the ring from $seed" \
  build/release/tests/sim/cartwheel_sim --ring --seeds 150 --first "$seed" --jobs 2
stage "simulator: 150 seeds with fallbacks from $seed" \
  build/release/tests/sim/cartwheel_sim --fallbacks --seeds 150 --first "$seed" --jobs 2
stage "simulator: 150 seeds with spoiled rows from $seed" \
  build/release/tests/sim/cartwheel_sim --spoil --seeds 150 --first "$seed" --jobs 2
stage "simulator: 150 seeds with short stops from $seed" \
  build/release/tests/sim/cartwheel_sim --stops --seeds 150 --first "$seed" --jobs 2
stage 'simulator: the same trace twice' build/release/tests/sim/cartwheel_sim --seeds 20 --first "$seed" --twice --jobs 2
prepare 'build planted' build planted crdt_planted_test exchange_by_trees_planted_test hedge_planted_test sim_planted_test gossip_planted_test membership_planted_test paxos_planted_test \
  paxos_exhaustive_planted_test && ctest_stage planted -R planted
prepare 'build asan' build asan && ctest_stage asan -L 'unit|laws|fuzz-replay|sim'
stage "simulator under asan: 30 seeds from $seed" build/asan/tests/sim/cartwheel_sim --seeds 30 --first "$seed" --jobs 2
stage "simulator under asan: 15 seeds with changes of the ring from $seed" \
  build/asan/tests/sim/cartwheel_sim --ring --seeds 15 --first "$seed" --jobs 2
export TSAN_OPTIONS="suppressions=$PWD/tests/tsan.supp"
prepare 'build tsan' build tsan runtime_loop_test runtime_ring_test && ctest_stage tsan -R 'runtime_(loop|ring)_test'

say 'end'
printf 'total: %d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
