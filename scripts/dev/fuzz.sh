#!/usr/bin/env bash
# ./dev fuzz [target] [seconds]: runs one target, or all, each for so long (60), on a copy of its corpus.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/dev/common.sh
source scripts/dev/common.sh
build fuzz
seconds=${2:-60}
for binary in build/fuzz/tests/fuzz/*_fuzz; do
  name=$(basename "$binary")
  [ $# -eq 0 ] || [ "$1" = all ] || [ "$1" = "$name" ] || [ "$1_fuzz" = "$name" ] || continue
  work=build/fuzz/corpus/$name
  mkdir -p "$work"
  echo "== $name for $seconds s"
  "$binary" -max_total_time="$seconds" -rss_limit_mb=512 -timeout=5 -print_final_stats=0 -verbosity=0 \
    -artifact_prefix="build/fuzz/" "$work" "tests/fuzz/corpus/${name%_fuzz}"
done
