#!/usr/bin/env bash
# Style, without changing anything. Fails on the first kind of finding.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/dev/common.sh
source scripts/dev/common.sh
sources | xargs clang-format --dry-run -Werror
shellcheck dev .ci/run scripts/dev/*.sh
build release
sources | grep '\.cc$' | grep -v '^tests/' | xargs -P 2 -n 4 clang-tidy -p build/release --quiet
