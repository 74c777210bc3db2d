#!/usr/bin/env bash
# Counts the instructions of the main operations under callgrind, and the locked ones among them, and
# fails when there are more than benches/instructions.txt says: clocks are noisy, this is not.
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

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# Where locked instructions are: those that write to memory which other threads may use as well, and
# wait for it.
objdump -d --no-show-raw-insn "$program" |
  sed -nE 's/^ +([0-9a-f]+):\t(lock|xchg .*\().*/0x\1/p' >"$scratch/locked"

# Instructions of a whole run with so many repetitions, and how many of them were locked.
total() {
  local all
  all=$(valgrind --tool=callgrind --dump-instr=yes --callgrind-out-file="$scratch/counts" \
    "$program" "$1" "$2" 2>&1 | sed -n 's/.*Collected : //p')
  awk -v all="$all" '
    function number(hex,   n, i) {
      for (i = 3; i <= length(hex); i++) n = 16 * n + index("123456789abcdef", substr(hex, i, 1))
      return n + 0
    }
    NR == FNR { locked[number($1)] = 1; next }
    # Costs of calls belong to the called function, and are listed there.
    /^calls=/ { call = 1; next }
    /^(0x|\+|-|\*)/ {
      if ($1 ~ /^0x/) address = number($1)
      else if ($1 != "*") address += $1
      if (!call && address in locked) count += $NF
      call = 0
    }
    END { print all, count + 0 }
  ' "$scratch/locked" "$scratch/counts"
}

# Both, of one operation: what twice as many cost more.
per_operation() {
  { total "$1" "$count"; total "$1" $((2 * count)); } | awk -v count="$count" '
    NR == 1 { all = $1; locked = $2 }
    END { printf "%.1f %.2f", ($1 - all) / count, ($2 - locked) / count }'
}

measured="$scratch/measured"
for operation in $("$program" --list); do
  echo "$operation $(per_operation "$operation")" | tee -a "$measured"
done

if [ "${1:-}" = --update ]; then
  head="# instructions per operation, and locked ones among them; $(rustc --version | cut -d ' ' -f 1,2), $(uname -m)"
  { echo "$head"; cat "$measured"; } >"$file"
  echo "wrote $file"
  exit
fi

awk -v tolerance="$tolerance" '
  /^#/ { next }
  NR == FNR { before[$1] = $2; locked[$1] = $3; next }
  !($1 in before) { printf "%s is not in the file yet\n", $1; bad = 1; next }
  {
    change = 100 * ($2 / before[$1] - 1)
    verdict = change < -tolerance ? "cheaper: update the file" : "ok"
    if (change > tolerance) verdict = "DEARER"
    # Part of an instruction: a line of the index that is added now and then.
    if ($3 > locked[$1] + 0.2) verdict = "MORE LOCKED"
    format = "%-20s %8.1f was %8.1f  %+6.1f %%  locked %5.2f was %5.2f  %s\n"
    printf format, $1, $2, before[$1], change, $3, locked[$1], verdict
    if (verdict ~ /^(DEARER|MORE)/) bad = 1
  }
  END { exit bad }
' "$file" "$measured"
