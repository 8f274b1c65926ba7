#!/usr/bin/env bash
# Nothing that the firmware's loop does can panic: a program with nothing but that loop, whose panic handler needs a symbol
# that does not exist, links for a Cortex-M4 and a Cortex-M0+. Needs the targets (rustup target add thumbv7em-none-eabihf
# thumbv6m-none-eabi), or Debian's rustc-web, cargo-web and rust-web-src, which build their own core library.
set -euo pipefail
cd "$(dirname "$0")"
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/no-panic

sysroot=$(rustc --print sysroot)
lld=$(find "$sysroot" -name rust-lld -type f | head -1)
build() {
    local target=$1
    shift
    if [[ -d $sysroot/lib/rustlib/$target/lib ]]; then
        cargo build --release --target "$target" "$@"
    else
        RUSTC_BOOTSTRAP=1 RUSTC=/usr/bin/rustc /usr/bin/cargo build --release --target "$target" -Zbuild-std=core "$@"
    fi
}

export RUSTFLAGS="-Clinker=${lld:-rust-lld} -Clink-arg=--entry=start -Clink-arg=--gc-sections"
for target in thumbv7em-none-eabihf thumbv6m-none-eabi; do
    build "$target"
    echo "no panic can be reached on $target"
done
if told=$(build thumbv6m-none-eabi --features broken 2>&1) || [[ $told != *a_panic_can_be_reached* ]]; then
    echo "the check does not find a panic that is there" >&2
    exit 1
fi
echo "and one that is there is found"
