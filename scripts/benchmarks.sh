#!/usr/bin/env bash
# Measures everything and rewrites docs/benchmarks.md and its plots.
#
#   scripts/benchmarks.sh           the full run
#   scripts/benchmarks.sh --quick   five minutes
#
# Further arguments go to the report.
set -euo pipefail
cd "$(dirname "$0")/.."
run=(cargo run --locked --release -q -p idlewheel-benches --bin)
mkdir -p docs/benchmarks
"${run[@]}" report -- --json docs/benchmarks/results.json --markdown docs/benchmarks.md "$@"
"${run[@]}" plots -- docs/benchmarks/results.json docs/benchmarks
