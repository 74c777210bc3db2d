#!/usr/bin/env bash
# Suspends threads before each access to shared memory, one at a time and in pairs, and drives others
# past them: nobody may wait. Then lets threads give way to each other at any access, and searches an
# order for what they saw. The short form is that of CI.
#
#   scripts/progress.sh             10,000 operations past each point, and all pairs
#   scripts/progress.sh --short
set -euo pipefail
cd "$(dirname "$0")/.."
export LINEARIZABILITY_ROUNDS="${LINEARIZABILITY_ROUNDS:-100000}"
if [ "${1:-}" = --short ]; then
  export PROGRESS_OPERATIONS=1000 PROGRESS_VISITS=1 PROGRESS_STEP=8 LINEARIZABILITY_ROUNDS=5000
fi
RUSTFLAGS="--cfg steps" CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/steps" \
  cargo test --locked --release --package idlewheel --test progress --test linearizability -- --nocapture
