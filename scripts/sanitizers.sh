#!/usr/bin/env bash
# Runs the tests under a sanitizer, under valgrind, or in Miri.
#
#   scripts/sanitizers.sh              all of them, some 30 minutes on two cores
#   scripts/sanitizers.sh address      out of bounds, use after free; leaks as well
#   scripts/sanitizers.sh leak         leaks alone
#   scripts/sanitizers.sh thread       data races
#   scripts/sanitizers.sh valgrind     memcheck: what is read before it is written, and leaks
#   scripts/sanitizers.sh miri         undefined behaviour by the rules of the language
#
# address and leak need unstable flags: a stable compiler is told to accept them. thread needs a std
# that is instrumented as well, else it cannot see what std orders: a nightly compiler and rust-src,
# by `rustup component add rust-src --toolchain nightly`. miri needs that, and the component miri. Nothing
# is installed here.
#
# No reports are suppressed. What is left out, and why:
#   - tests/memory.rs, but for address: it does ten million operations, and counts allocations.
#   - tests/secrets.rs under thread and valgrind: it looks for secrets in all memory there is or
#     was, while others write there.
#   - tests/starved.rs: the sanitizers' own allocators do not fail.
#   - all but the tests named in `quick_in_miri`, and those of the modules, under miri: it is a thousand
#     times slower.
#   - tests named in `slow_in_thread` and `slow_in_valgrind`: millions of steps, that take minutes.
# ThreadSanitizer does not know fences. It need not in this crate: they only order stores
# before loads, while what is read and freed is ordered by acquiring what others released.
set -euo pipefail
cd "$(dirname "$0")/.."
target_dir="${CARGO_TARGET_DIR:-$PWD/target}"
host=$(rustc -vV | sed -n 's/^host: //p')
suites=(--lib --test it --test model --test exit --test systems)

slow_in_thread=(
  sweep::survivors_touched_in_every_tick_for_three_timeouts_are_never_visited
)
slow_in_valgrind=(
  capacity::the_limit_holds_whenever_many_threads_come_to_rest
  links::a_parent_of_a_million_children_cascades_within_budgets_while_others_work
  reclaim::a_flusher_that_wakes_after_a_turn_of_the_generations_drops_nothing_that_is_read
)

quick_in_miri=(
  capacity::a_cache_that_rejects_hands_the_value_back_until_something_has_expired
  capacity::entries_that_never_expire_go_last
  capacity::room_for_none_and_for_one
  capacity::the_entries_that_would_expire_soonest_make_room
  capacity::timeouts_of_their_own_decide_who_goes_first
  capacity::what_makes_room_takes_its_children_along
  conditional::a_condition_that_panics_changes_nothing
  conditional::conditions_may_use_the_cache
  conditional::only_a_value_that_fits_is_replaced_and_the_entry_keeps_its_identity
  conditional::only_an_entry_whose_value_fits_is_removed
  events::a_key_that_panics_when_cloned_leaves_its_entry_as_it_was
  events::a_listener_may_drop_the_last_handle
  events::a_slow_listener_delays_no_other_thread
  events::a_weak_handle_keeps_nothing_alive
)

# address and leak: what std does is not instrumented, and need not be.
heap() {
  local kind="$1"
  shift
  RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=$kind" CARGO_TARGET_DIR="$target_dir/$kind" \
    cargo test --locked --package idlewheel --target "$host" "$@"
}

address() {
  heap address "${suites[@]}" --test secrets --test stopped --test memory
}

leak() {
  heap leak "${suites[@]}" --test secrets --test stopped
}

thread() {
  if ! cargo +nightly --version >/dev/null 2>&1 ||
    [ ! -d "$(rustc +nightly --print sysroot)/lib/rustlib/src/rust/library" ]; then
    echo "thread needs a nightly compiler with rust-src" >&2
    return 2
  fi
  RUSTFLAGS="-Zsanitizer=thread" CARGO_TARGET_DIR="$target_dir/thread" \
    cargo +nightly test --locked --package idlewheel -Zbuild-std --target "$host" \
    "${suites[@]}" --test stopped -- \
    "${slow_in_thread[@]/#/--skip=}"
}

# One thread runs at a time, 30 times slower: the tests of many threads that do little.
valgrind() {
  command -v valgrind >/dev/null || { echo "valgrind is missing" >&2; return 2; }
  local run="valgrind --quiet --error-exitcode=99 --leak-check=full --fair-sched=yes"
  run+=" --show-leak-kinds=definite --errors-for-leak-kinds=definite"
  local name="CARGO_TARGET_$(tr 'a-z-' 'A-Z_' <<<"$host")_RUNNER"
  env "$name=$run" CARGO_TARGET_DIR="$target_dir/valgrind" \
    cargo test --locked --package idlewheel --lib --test it -- \
    api:: capacity:: conditional:: events:: expiry:: lease:: lifecycle:: links:: loading:: \
    panics:: reclaim:: rekey:: siblings:: index link reclaim slab wheel \
    "${slow_in_valgrind[@]/#/--skip=}"
}

# The rules of aliases are those of Tree Borrows.
miri() {
  cargo +nightly miri --version >/dev/null 2>&1 ||
    { echo "miri needs a nightly compiler with miri and rust-src" >&2; return 2; }
  export MIRIFLAGS="-Zmiri-disable-isolation -Zmiri-tree-borrows"
  CARGO_TARGET_DIR="$target_dir/miri" cargo +nightly miri test --locked --package idlewheel --lib -- \
    --skip buckets_are_fine_enough
  CARGO_TARGET_DIR="$target_dir/miri" cargo +nightly miri test --locked --package idlewheel --test it -- \
    --exact "${quick_in_miri[@]}"
}

step() {
  printf '\n== %s\n' "$1"
  "$1"
}

case "${1:-all}" in
  all) for kind in address leak thread valgrind miri; do step "$kind"; done ;;
  address | leak | thread | valgrind | miri) step "$1" ;;
  *) sed -n '2,9p' "$0" >&2; exit 2 ;;
esac
