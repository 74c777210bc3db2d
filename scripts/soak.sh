#!/usr/bin/env bash
# Soaks the caches: examples/soak.rs with 2 threads, with 64, and with a process that is stopped and
# continued all the time.
#
#   scripts/soak.sh                       10^8 requests each, some ten minutes on two cores
#   OPERATIONS=1000000 scripts/soak.sh    a short one
#   scripts/soak.sh stopped               only that: MINUTES (1), STOP_EVERY seconds (3)
set -euo pipefail
cd "$(dirname "$0")/.."
operations="${OPERATIONS:-100000000}"
cargo build --locked --release --example soak
program="${CARGO_TARGET_DIR:-target}/release/examples/soak"

threads() {
  printf '\n== %s requests, %s threads\n' "$operations" "$1"
  "$program" --operations "$operations" --threads "$1"
}

# A tenth of the load, for as long as asked for. The process stands still for half a second each.
stopped() {
  local minutes="${MINUTES:-1}" every="${STOP_EVERY:-3}" pid stops=0
  printf '\n== stopped and continued every %s s, %s minutes\n' "$every" "$minutes"
  "$program" --operations $((operations / 10)) --threads 8 --minutes "$minutes" &
  pid=$!
  trap 'kill -CONT "$pid" 2>/dev/null; kill "$pid" 2>/dev/null' EXIT
  while sleep "$every" && kill -STOP "$pid" 2>/dev/null; do
    sleep 0.5
    kill -CONT "$pid"
    stops=$((stops + 1))
  done
  trap - EXIT
  wait "$pid"
  echo "stopped and continued $stops times"
}

case "${1:-all}" in
  all) threads 2; threads 64; stopped ;;
  stopped) stopped ;;
  *) sed -n '2,8p' "$0" >&2; exit 2 ;;
esac
