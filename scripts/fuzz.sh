#!/usr/bin/env bash
# Runs every fuzz target for some seconds each; installs cargo-fuzz if it is missing.
#
#   scripts/fuzz.sh                 20 seconds each, as in CI
#   SECONDS_EACH=3600 scripts/fuzz.sh cache    one target for an hour
set -euo pipefail
cd "$(dirname "$0")/.."
each="${SECONDS_EACH:-20}"
command -v cargo-fuzz >/dev/null || cargo install cargo-fuzz --locked
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}/fuzz"
targets=("$@")
[ "${#targets[@]}" -gt 0 ] || mapfile -t targets < <(cargo fuzz list)
# Sanitizers need unstable flags: a nightly compiler, or a stable one that is told to accept them.
if cargo +nightly --version >/dev/null 2>&1; then
  export RUSTUP_TOOLCHAIN=nightly
else
  export RUSTC_BOOTSTRAP=1
fi
for target in "${targets[@]}"; do
  echo "== fuzz $target for $each s"
  cargo fuzz run "$target" -- -max_total_time="$each" -verbosity=0 -print_final_stats=1
done
