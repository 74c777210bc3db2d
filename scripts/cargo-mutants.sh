#!/usr/bin/env bash
# Lets cargo-mutants make its changes of the index, the slab, the wheel and the links, one at a time, and
# says which suite notices each: first the quick suites, then models, then the slow ones.
#
#   scripts/cargo-mutants.sh                    all 1,100, on two threads, for hours
#   scripts/cargo-mutants.sh --shard 3/40 --sharding round-robin        one in forty
#   scripts/cargo-mutants.sh -F 'Bits::spot'    those whose name matches; any option that selects mutants
#   SUITES="unit oracle whole" scripts/cargo-mutants.sh       the quick suites only: 80 minutes
#
# Prints a line for each mutant, and the share that was noticed. cargo-mutants' own loop is not used: it
# knows no suite but `cargo test`, and a mutant of a memory ordering or of a race shows in the models only.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
jobs="${JOBS:-2}"
suites="${SUITES:-unit oracle whole leaks shuttle loom slow}"
command -v cargo-mutants >/dev/null || cargo install --locked cargo-mutants

scratch=$(mktemp -d)
clean_up() {
  for job in $(seq "$jobs"); do
    git -C "$root" worktree remove --force "$scratch/tree$job" >/dev/null 2>&1 || true
  done
  rm -rf "$scratch"
}
trap clean_up EXIT

# One file for each mutant: its name, then its diff. Not of tests, nor of what is built for models only.
cargo mutants --list --diff --package idlewheel --exclude '**/model/**' --exclude '**/*model.rs' \
  --exclude '**/*_tests.rs' --exclude-re 'tests::|zeroed|Place<T>::empty|Plan::(single|double)' \
  --file 'src/index/*.rs' --file 'src/slab/*.rs' --file 'src/wheel/*.rs' --file 'src/link/*.rs' "$@" |
  awk -v at="$scratch" '/^src\/[^ ]*:[0-9]+:[0-9]+: / { file = sprintf("%s/%05d.mutant", at, ++n) }
    { print > file }'

export CARGO_PROFILE_TEST_OPT_LEVEL=0 CARGO_PROFILE_TEST_DEBUG=0 CARGO_PROFILE_DEV_DEBUG=0
test_it() { # SECONDS, arguments of `cargo test` up to `--`, and after it
  local limit=$1 builds=()
  shift
  for argument in "$@"; do
    [ "$argument" = -- ] && break
    builds+=("$argument")
  done
  cargo test --locked --quiet --package idlewheel "${builds[@]}" --no-run &&
    timeout --kill-after=5 "$limit" cargo test --locked --quiet --package idlewheel "$@"
}
modelled() { # KIND, FILTER
  RUSTFLAGS="--cfg $1" CARGO_TARGET_DIR="$CARGO_TARGET_DIR/$1" \
    test_it 900 --release --lib -- "$2"
}
slow=(--skip a_flusher_that_wakes_after --skip survivors_touched_in_every_tick
  --skip a_sweep_visits_the_expired --skip a_parent_of_a_million_children)

leaks=(a_cache_that_is_dropped_gives_everything_back linked_caches_that_are_gone_are_forgotten)

suite() { # SUITE, FILE
  case $1 in
    unit) test_it 20 --lib ;;
    oracle) test_it 40 --test model ;;
    whole) test_it 90 --test it -- "${slow[@]}" ;;
    leaks) test_it 90 --test memory -- "${leaks[@]}" ;;
    shuttle) modelled shuttle model:: ;;
    loom) modelled loom "$(echo "$2" | cut -d/ -f2)::" ;;
    slow) test_it 600 --test it --test memory --test linearizability --test secrets --test systems ;;
  esac
}

failed() { # the first test of the last list of failures in the log
  awk '/^failures:$/ { wanted = 1; next } wanted && NF { name = $1; wanted = 0 }
    END { print name ? name : "hangs-or-dies" }' "$log"
}

verdict() { # FILE
  cargo test --locked --quiet --package idlewheel --lib --no-run >"$log" 2>&1 ||
    { echo unviable -; return; }
  for name in $suites; do
    suite "$name" "$1" >"$log" 2>&1 || { echo "$name $(failed)"; return; }
  done
  echo MISSED -
}

work() { # JOB
  local tree="$scratch/tree$1" mutant name
  log="$scratch/log$1"
  export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$root/target}/cargo-mutants$1"
  # A mutant may ask for all memory there is.
  ulimit -v 12000000
  cd "$tree"
  for mutant in "$scratch"/*.mutant; do
    mkdir "$mutant.taken" 2>/dev/null || continue
    name=$(head -1 "$mutant")
    sed 1d "$mutant" | patch --quiet "${name%%:*}"
    printf '%-8s %-60s %s\n' $(verdict "${name%%:*}") "$name"
    git checkout --quiet .
  done
}

for job in $(seq "$jobs"); do
  git worktree add --quiet --detach "$scratch/tree$job" HEAD
done
{
  for job in $(seq "$jobs"); do work "$job" & done
  wait
} | tee "$scratch/table"

awk '{ count[$1]++ } END {
    for (suite in count) printf "%6d %s\n", count[suite], suite
    tried = NR - count["unviable"]
    printf "%d of %d viable mutants were noticed\n", tried - count["MISSED"], tried
  }' "$scratch/table"
