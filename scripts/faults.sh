#!/usr/bin/env bash
# Checks that every test and fuzz target that docs/faults.md names exists.
set -euo pipefail
cd "$(dirname "$0")/.."
bad=0
for name in $(grep -o '`[a-z0-9_]*_[a-z0-9_]*`' docs/faults.md | tr -d '`' | sort -u); do
  case "$name" in compile_fail | insert_new) continue ;; esac
  grep -rqE "fn $name\b" tests src examples || { echo "docs/faults.md names no test: $name"; bad=1; }
done
for target in $(grep -o 'fuzz:[a-z]*' docs/faults.md | cut -d: -f2 | sort -u); do
  [ -f "fuzz/fuzz_targets/$target.rs" ] || { echo "docs/faults.md names no fuzz target: $target"; bad=1; }
done
exit "$bad"
