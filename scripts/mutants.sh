#!/usr/bin/env bash
# Breaks the code in ways that a test must notice, one at a time, and says which suite did.
#
#   scripts/mutants.sh                  all patches of tests/mutants, some 20 minutes
#   scripts/mutants.sh names-leak       one of them
#   scripts/mutants.sh --check          only whether the patches fit the code
#
# A patch says in its head which suite must fail: `suite: TEST FILTER`, of `cargo test --test TEST`, or
# `suite: model FILTER`, of the models of whole caches under random schedules, or `suite: loom FILTER`, of
# those with weak memory, or `suite: progress FILTER`. The steps of the lock-free protocols have mutants of
# their own: `scripts/models.sh` leaves out each `Step` of src/sync.rs in turn, and expects a model to fail.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
if [ "${1:-}" = --check ]; then
  for patch in tests/mutants/*.patch; do
    git apply --check "$patch" || { echo "$patch does not fit any more"; exit 2; }
  done
  exit
fi
names=("$@")
[ "${#names[@]}" -gt 0 ] || mapfile -t names < <(basename -s .patch -a tests/mutants/*.patch)

scratch=$(mktemp -d)
trap 'git worktree remove --force "$scratch/tree" >/dev/null 2>&1; rm -rf "$scratch"' EXIT
git worktree add --quiet --detach "$scratch/tree" HEAD
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$root/target}/mutants"
cd "$scratch/tree"

survivors=0
for name in "${names[@]}"; do
  patch="$root/tests/mutants/$name.patch"
  read -r test filter < <(sed -n 's/^suite: //p' "$patch")
  git apply "$patch" || { echo "$name: the patch does not fit any more"; exit 2; }
  # A mutant may also hang: that is noticed, too.
  status=0
  if [ "$test" = model ]; then
    RUSTFLAGS="--cfg shuttle" CARGO_TARGET_DIR="$CARGO_TARGET_DIR/shuttle" \
      timeout --kill-after=5 300 cargo test --locked --quiet --release --package idlewheel --lib -- \
      "model::${filter:-}" >"$scratch/log" 2>&1 || status=$?
  elif [ "$test" = loom ]; then
    RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR="$CARGO_TARGET_DIR/loom" \
      timeout --kill-after=5 300 cargo test --locked --quiet --release --package idlewheel --lib -- \
      "${filter:-model::}" >"$scratch/log" 2>&1 || status=$?
  elif [ "$test" = progress ]; then
    RUSTFLAGS="--cfg steps" CARGO_TARGET_DIR="$CARGO_TARGET_DIR/steps" PROGRESS_OPERATIONS=1000 \
      timeout --kill-after=5 500 cargo test --locked --quiet --release --package idlewheel \
      --test progress -- "${filter:-}" >"$scratch/log" 2>&1 || status=$?
  else
    timeout --kill-after=5 300 cargo test --locked --quiet --package idlewheel --test "$test" -- \
      "${filter:-}" >"$scratch/log" 2>&1 || status=$?
  fi
  if grep -q 'could not compile' "$scratch/log"; then
    verdict="DOES NOT COMPILE"
  elif [ "$status" -eq 0 ]; then
    verdict="SURVIVED"
  else
    verdict="killed by $test ${filter:-}"
  fi
  [[ "$verdict" == killed* ]] || survivors=$((survivors + 1))
  printf '%-30s %s\n' "$name" "$verdict"
  git checkout --quiet .
done
echo "$survivors of ${#names[@]} mutants were not killed"
[ "$survivors" -eq 0 ]
