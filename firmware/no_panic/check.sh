#!/usr/bin/env bash
# Nothing that the firmware's loop does can panic: a program with nothing but that loop, whose panic handler needs a symbol
# that does not exist, links for a Cortex-M4 and a Cortex-M0+. Needs the targets (rustup target add thumbv7em-none-eabihf
# thumbv6m-none-eabi), or Debian's rustc-web, cargo-web and rust-web-src, which build their own core library.
set -euo pipefail
cd "$(dirname "$0")"
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/no-panic

sysroot=$(rustc --print sysroot)
lld=$(find "$sysroot" -name rust-lld -type f | head -1)
for target in thumbv7em-none-eabihf thumbv6m-none-eabi; do
    export RUSTFLAGS="-Clinker=${lld:-rust-lld} -Clink-arg=--entry=start -Clink-arg=--gc-sections"
    build=(build --release --target "$target")
    if [[ -d $sysroot/lib/rustlib/$target/lib ]]; then
        cargo "${build[@]}"
    else
        RUSTC_BOOTSTRAP=1 RUSTC=/usr/bin/rustc /usr/bin/cargo "${build[@]}" -Zbuild-std=core
    fi
    echo "no panic can be reached on $target"
done
