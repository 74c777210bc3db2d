#!/usr/bin/env bash
# Runs every fuzz target for some seconds each; installs cargo-fuzz if it is missing.
#
#   scripts/fuzz.sh                 20 seconds each, as in CI
#   SECONDS_EACH=3600 scripts/fuzz.sh cache    one target for an hour
set -euo pipefail
cd "$(dirname "$0")/.."
each="${SECONDS_EACH:-20}"
command -v cargo-fuzz >/dev/null || cargo install cargo-fuzz --locked
targets=("$@")
[ "${#targets[@]}" -gt 0 ] || mapfile -t targets < <(cargo fuzz list)
for target in "${targets[@]}"; do
  echo "== fuzz $target for $each s"
  cargo +nightly fuzz run "$target" -- -max_total_time="$each" -verbosity=0 -print_final_stats=1
done
