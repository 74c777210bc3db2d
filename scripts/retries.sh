#!/usr/bin/env bash
# Counts how often operations are retried because another thread came between, with 1 to 64 threads.
# Needs a build of its own: in others the counters do not exist.
set -euo pipefail
cd "$(dirname "$0")/.."
export RUSTFLAGS="--cfg retries" CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/retries"
exec cargo run --locked --release -q -p idlewheel-benches --bin retries
