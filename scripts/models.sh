#!/usr/bin/env bash
# Model-checks the lock-free protocols with loom, each with its negative tests.
#
#   scripts/models.sh               short bounds, as in CI
#   LOOM_MAX_PREEMPTIONS=3 scripts/models.sh wheel    deeper, some models only
set -euo pipefail
cd "$(dirname "$0")/.."
export RUSTFLAGS="--cfg loom"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/loom"
exec cargo test --locked --release --package idlewheel --lib -- model "$@"
