#!/usr/bin/env bash
# Builds and tests that differ from the usual ones, each by its name.
#
#   scripts/builds.sh                     all of them, some 30 minutes on two cores
#   scripts/builds.sh overflow bits32     some of them
#
#   overflow    the tests in release, with overflow checks and debug assertions
#   bits32      the tests on 32 bits: i686 with musl, which needs no 32-bit C library or linker
#   msrv        the library and its tests compile with the oldest compiler that Cargo.toml promises
#   minimal     the library compiles with the oldest dependencies that Cargo.toml permits
#   abort       tests where a panic aborts
#   layout      the tests with the fields of structs in random order
#
# msrv and bits32 have rustup install what they need.
set -euo pipefail
cd "$(dirname "$0")/.."
target_dir="${CARGO_TARGET_DIR:-$PWD/target}"
all=(overflow bits32 msrv minimal abort layout)

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

overflow() {
  CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS=true CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS=true \
    CARGO_TARGET_DIR="$target_dir/overflow" \
    cargo test --locked --package idlewheel --release --lib --tests
}

bits32() {
  local target=i686-unknown-linux-musl
  rustup target add "$target"
  # The linker and the C library that come with the compiler.
  CARGO_TARGET_I686_UNKNOWN_LINUX_MUSL_LINKER=rust-lld CARGO_TARGET_DIR="$target_dir/bits32" \
    cargo test --locked --package idlewheel --target "$target" --lib --tests --no-fail-fast
}

msrv() {
  local version
  version=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
  # Clippy knows the version, too, so a machine that cannot get the compiler is no reason to fail.
  if ! rustup toolchain install "$version" --profile minimal; then
    echo "NOT CHECKED: rustup cannot get $version"
    return
  fi
  CARGO_TARGET_DIR="$target_dir/msrv" cargo "+$version" check --locked --package idlewheel \
    --all-targets
}

# Direct dependencies only: what these ask of others is their business. Those of the tests and of
# the benchmarks may be as new as they like, so the library is taken alone.
minimal() {
  cp -r src README.md "$scratch"
  sed '/^\[workspace\]$/,/^$/d; /^\[dev-dependencies/,/^$/d; /^\[\[example\]\]$/,/^$/d' \
    Cargo.toml >"$scratch/Cargo.toml"
  cd "$scratch"
  RUSTC_BOOTSTRAP=1 cargo update -Z direct-minimal-versions
  cargo tree --depth 1 --all-features
  CARGO_TARGET_DIR="$target_dir/minimal" cargo check --locked --all-features --lib
}

# Each test has a process of its own here. Those of panics that are caught cannot pass.
abort() {
  RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Cpanic=abort -Zpanic_abort_tests" \
    CARGO_TARGET_DIR="$target_dir/abort" \
    cargo test --locked --package idlewheel --target "$(rustc -vV | sed -n 's/^host: //p')" \
    --lib --test model --test systems -- --skip panic
}

layout() {
  RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zrandomize-layout" CARGO_TARGET_DIR="$target_dir/layout" \
    cargo test --locked --package idlewheel --lib --test it --test model --test systems
}

steps=("$@")
[ "${#steps[@]}" -gt 0 ] || steps=("${all[@]}")
for step in "${steps[@]}"; do
  case " ${all[*]} " in
    *" $step "*) ;;
    *) sed -n '2,14p' "$0" >&2; exit 2 ;;
  esac
done
for step in "${steps[@]}"; do
  printf '\n== %s\n' "$step"
  ("$step")
done
