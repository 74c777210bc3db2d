#!/usr/bin/env bash
# Runs every fuzz target for some seconds each; installs cargo-fuzz if it is missing.
#
#   scripts/fuzz.sh                            30 seconds each, as in CI
#   SECONDS_EACH=3600 scripts/fuzz.sh cache    one target for an hour
#   scripts/fuzz.sh --minimize [TARGET]        makes fuzz/corpus anew of what was found
#   scripts/fuzz.sh --coverage [TARGET]        which lines of src what was found reaches
#
# What is found goes to target/fuzz/corpus, seeded by fuzz/corpus; only --minimize changes that.
set -euo pipefail
cd "$(dirname "$0")/.."
each="${SECONDS_EACH:-30}"
# Files that are kept of a target's corpus, and their bytes: each, and together.
most_files=64 most_bytes=4096 most_together=98304
mode=run
case "${1:-}" in
  --minimize | --coverage) mode="${1#--}"; shift ;;
esac
command -v cargo-fuzz >/dev/null || cargo install cargo-fuzz --locked
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}/fuzz"
found="$CARGO_TARGET_DIR/corpus" logs="$CARGO_TARGET_DIR/logs"
mkdir -p "$logs"
targets=("$@")
[ "${#targets[@]}" -gt 0 ] || mapfile -t targets < <(cargo fuzz list)
# Sanitizers need unstable flags: a nightly compiler, or a stable one that is told to accept them.
if cargo +nightly --version >/dev/null 2>&1; then
  export RUSTUP_TOOLCHAIN=nightly
else
  export RUSTC_BOOTSTRAP=1
fi

# Runs a target on what was found and on what is committed. Scripts are long from the start: libFuzzer
# would try short ones first, for hours.
fuzz() {
  local target=$1
  shift
  mkdir -p "$found/$target" "fuzz/corpus/$target"
  cargo fuzz run "$target" "$found/$target" "fuzz/corpus/$target" -- \
    -timeout=60 -len_control=0 -max_len=2000 "$@"
}

run() {
  local target=$1 log="$logs/$1.log"
  echo "== fuzz $target for $each s"
  if ! fuzz "$target" -max_total_time="$each" -print_final_stats=1 >"$log" 2>&1; then
    tail -n 60 "$log"
    exit 1
  fi
}

# One line of the table: what the last run of a target came to.
row() {
  local log="$logs/$1.log" runs cov ft
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  read -r cov ft < <(sed -nE 's/^#[0-9]+\s+DONE\s+cov: ([0-9]+) ft: ([0-9]+) .*/\1 \2/p' "$log")
  printf '%-12s %12s %8s %9s\n' "$1" "$runs" "$cov" "$ft"
}

# Keeps few and small files that together reach the most.
minimize() {
  local target=$1 all
  all=$(mktemp -d)
  mkdir "$all/merged" "$all/kept"
  echo "== minimize the corpus of $target"
  mkdir -p "$found/$target" "fuzz/corpus/$target"
  cargo fuzz run "$target" "$all/merged" "$found/$target" "fuzz/corpus/$target" -- \
    -timeout=60 -set_cover_merge=1 -merge_control_file="$all/control" >"$logs/$target.merge.log" 2>&1
  awk -v files="$most_files" -v each="$most_bytes" -v together="$most_together" \
    -f scripts/cover.awk "$all/control" | xargs -d '\n' cp -t "$all/kept"
  rm -rf "fuzz/corpus/$target"
  mv "$all/kept" "fuzz/corpus/$target"
  rm -rf "$all"
  du -b --summarize "fuzz/corpus/$target"
}

# Lines of src that the targets reach together.
coverage() {
  local tools binary objects=() target
  rustup component add llvm-tools >/dev/null 2>&1 || true
  tools=$(dirname "$(find "$(rustc --print sysroot)" -name llvm-cov | head -n 1)")
  for target in "${targets[@]}"; do
    echo "== coverage of $target"
    mkdir -p "$found/$target"
    cargo fuzz coverage "$target" "fuzz/corpus/$target" "$found/$target" \
      >"$logs/$target.coverage.log" 2>&1 || { tail -n 30 "$logs/$target.coverage.log"; exit 1; }
    # cargo-fuzz has a folder of its own for these.
    binary=$(find target "$CARGO_TARGET_DIR" -path '*coverage*' -name "$target" -type f -perm -u+x)
    # The first one by itself, as the tool wants it.
    [ "${#objects[@]}" -eq 0 ] || objects+=(-object)
    objects+=("$(head -n 1 <<<"$binary")")
  done
  "$tools/llvm-profdata" merge -o "$logs/all.profdata" \
    $(printf 'fuzz/coverage/%s/coverage.profdata ' "${targets[@]}")
  "$tools/llvm-cov" report "${objects[@]}" -instr-profile="$logs/all.profdata" \
    --show-branch-summary=false --show-region-summary=false "$PWD/src"
}

case $mode in
  run)
    for target in "${targets[@]}"; do run "$target"; done
    printf '\n%-12s %12s %8s %9s\n' target executions edges features
    for target in "${targets[@]}"; do row "$target"; done
    ;;
  minimize)
    for target in "${targets[@]}"; do minimize "$target"; done
    ;;
  coverage) coverage ;;
esac
