#!/usr/bin/env bash
# Counts the instructions of the main operations under callgrind, and fails when one got dearer than
# benches/instructions.txt says: clocks are noisy, this is not.
#
#   scripts/instructions.sh             compares
#   scripts/instructions.sh --update    writes the file anew
#   TOLERANCE=5 scripts/instructions.sh     percent; default 3
#
# The counts belong to the compiler in the head of the file; with another one, update it first.
set -euo pipefail
cd "$(dirname "$0")/.."
file=benches/instructions.txt
tolerance="${TOLERANCE:-3}"
count=20000

if ! command -v valgrind >/dev/null; then
  echo "valgrind is missing; trying to install it"
  { { apt-get update && apt-get install -y valgrind; } ||
    sudo -n sh -c 'apt-get update && apt-get install -y valgrind'; } >/dev/null 2>&1 || {
    echo "valgrind cannot be installed here: install it and run this again" >&2
    exit 2
  }
fi

cargo build --locked --release -q -p idlewheel-benches --bin instructions
program="${CARGO_TARGET_DIR:-target}/release/instructions"

# Instructions of a whole run with so many repetitions.
total() {
  valgrind --tool=callgrind --callgrind-out-file=/dev/null "$program" "$1" "$2" 2>&1 |
    sed -n 's/.*Collected : //p'
}

# In tenths, of one operation: what twice as many cost more.
per_operation() {
  local once twice
  once=$(total "$1" "$count")
  twice=$(total "$1" $((2 * count)))
  awk -v more=$((twice - once)) -v count="$count" 'BEGIN { printf "%.1f", more / count }'
}

measured=$(mktemp)
trap 'rm -f "$measured"' EXIT
for operation in $("$program" --list); do
  echo "$operation $(per_operation "$operation")" | tee -a "$measured"
done

if [ "${1:-}" = --update ]; then
  head="# instructions per operation, $(rustc --version | cut -d ' ' -f 1,2), $(uname -m)"
  { echo "$head"; cat "$measured"; } >"$file"
  echo "wrote $file"
  exit
fi

awk -v tolerance="$tolerance" '
  /^#/ { next }
  NR == FNR { before[$1] = $2; next }
  !($1 in before) { printf "%s is not in the file yet\n", $1; bad = 1; next }
  {
    change = 100 * ($2 / before[$1] - 1)
    verdict = change < -tolerance ? "cheaper: update the file" : "ok"
    if (change > tolerance) verdict = "DEARER"
    printf "%-20s %8.1f was %8.1f  %+6.1f %%  %s\n", $1, $2, before[$1], change, verdict
    if (change > tolerance) bad = 1
  }
  END { exit bad }
' "$file" "$measured"
