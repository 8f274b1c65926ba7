#!/usr/bin/env bash
# Nothing that the firmware's loop does can panic: a program with nothing but that loop, whose panic handler needs a symbol
# that does not exist, links for a Cortex-M4 and a Cortex-M0+. Needs the targets (rustup target add thumbv7em-none-eabihf
# thumbv6m-none-eabi), or Debian's rustc-web, cargo-web and rust-web-src, which build their own core library.
# `check.sh lint` runs clippy on that program instead.
set -euo pipefail
cd "$(dirname "$0")"
source ../../boards/cross.sh
CARGO_TARGET_DIR=$(realpath -m "${CARGO_TARGET_DIR:-../../target}")/no-panic
export CARGO_TARGET_DIR

lld=$(find "$(rustc --print sysroot)" -name rust-lld -type f | head -1)
export RUSTFLAGS="-Clinker=${lld:-rust-lld} -Clink-arg=--entry=start -Clink-arg=--gc-sections"

if [[ ${1:-} == lint ]]; then
    cross_cargo thumbv6m-none-eabi core clippy --release -- -D warnings
    exit
fi
for target in thumbv7em-none-eabihf thumbv6m-none-eabi; do
    cross_cargo "$target" core build --release
    echo "no panic can be reached on $target"
done
if output=$(cross_cargo thumbv6m-none-eabi core build --release --features broken 2>&1) ||
    [[ $output != *a_panic_can_be_reached* ]]; then
    echo "the check does not find a panic that is there" >&2
    exit 1
fi
echo "and one that is there is found"
