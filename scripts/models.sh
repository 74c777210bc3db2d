#!/usr/bin/env bash
# Model-checks the lock-free protocols, each with its negative tests: with loom, in every interleaving
# and with weak memory, one protocol at a time, and every two operations on a whole cache; with shuttle,
# whole caches under random schedules, and histories of them, for which an order is searched.
#
#   scripts/models.sh               short bounds, as in CI
#   LOOM_MAX_PREEMPTIONS=3 scripts/models.sh loom wheel::     deeper, some models only
#   SHUTTLE_ITERATIONS=100000 scripts/models.sh shuttle model::links
#   LINEARIZABILITY_ROUNDS=10000 scripts/models.sh shuttle    more scripts for the histories
set -euo pipefail
cd "$(dirname "$0")/.."
target="${CARGO_TARGET_DIR:-target}"
kinds=(loom shuttle)
case "${1:-}" in
  loom | shuttle) kinds=("$1"); shift ;;
esac
for kind in "${kinds[@]}"; do
  echo "== $kind"
  RUSTFLAGS="--cfg $kind" CARGO_TARGET_DIR="$target/$kind" \
    cargo test --locked --release --package idlewheel --lib -- "${@:-model}"
  if [ "$kind" = shuttle ] && [ "$#" -eq 0 ]; then
    RUSTFLAGS="--cfg $kind" CARGO_TARGET_DIR="$target/$kind" \
      cargo test --locked --release --package idlewheel --test linearizability
  fi
done
