#!/usr/bin/env bash
# Suspends threads before each access to shared memory, one at a time and in pairs, and drives others
# past them: nobody may wait. The short form is that of CI.
#
#   scripts/progress.sh             10,000 operations past each point, all pairs: about ... minutes
#   scripts/progress.sh --short
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "${1:-}" = --short ]; then
  export PROGRESS_OPERATIONS=1000 PROGRESS_VISITS=1 PROGRESS_STEP=16
fi
RUSTFLAGS="--cfg steps" CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/steps" \
  cargo test --locked --release --package idlewheel --test progress -- --nocapture
