#!/usr/bin/env bash
# On aarch64, in qemu: the golden tests of the simulated board (the same pixels and the same physics as on x86-64), the kernels'
# tests on processors without the dot product (Cortex-A72), with it (A76) and with the matrix product too (max), and the shipped
# policy, whose actions have the bits that they have on x86-64.
# Installs what is missing where it may (Debian, as root). Without the tools it fails in CI and is skipped elsewhere.
set -euo pipefail
cd "$(dirname "$0")/.."

target=aarch64-unknown-linux-gnu
packages=(qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross)

skip() {
    if [[ -n ${CI:-} ]]; then
        echo "aarch64: $1" >&2
        exit 1
    fi
    echo "skipped: $1"
    exit 0
}

has_std() { [[ -d $(rustc --print sysroot)/lib/rustlib/$target/lib ]]; }
has_debian_rust() { [[ -x /usr/bin/cargo && -x /usr/bin/rustc && -d $(/usr/bin/rustc --print sysroot)/lib/rustlib/src/rust/library/std ]]; }
# One by one: of several names `command -v` wants only one to exist.
has_tools() {
    command -v qemu-aarch64 >/dev/null && command -v aarch64-linux-gnu-gcc >/dev/null && [[ -d /usr/aarch64-linux-gnu/lib ]]
}

# Where rustup has the target, all is simple; else Debian's compiler builds the standard library from its own sources.
has_std || packages+=(rustc-web cargo-web rust-web-src)
if ! { has_tools && { has_std || has_debian_rust; }; }; then
    command -v apt-get >/dev/null || skip "needs qemu-aarch64, aarch64-linux-gnu-gcc and the $target standard library (rustup target add $target)"
    [[ $(id -u) == 0 ]] || skip "needs: sudo apt-get install ${packages[*]}"
    { apt-get update -qq && apt-get install -yqq --no-install-recommends "${packages[@]}"; } >/dev/null ||
        skip "apt-get could not install ${packages[*]}"
fi

export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/aarch64

# on_cpu CPU ARG...: cargo test ARG... on that processor.
on_cpu() {
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64 -cpu $1 -L /usr/aarch64-linux-gnu"
    local run=(test --target $target "${@:2}")
    if has_std; then
        cargo "${run[@]}"
    else
        RUSTC_BOOTSTRAP=1 RUSTC=/usr/bin/rustc /usr/bin/cargo "${run[@]}" -Zbuild-std=std,panic_unwind
    fi
}

on_cpu cortex-a76 --release -p wink-sim --test golden
for cpu in cortex-a72 cortex-a76 max; do
    on_cpu "$cpu" --release -p wink-kernels --lib --test exact --test floats --test fours --test not_finite
done
for cpu in cortex-a72 cortex-a76 max; do
    # Not --release: the engine alone would take minutes to compile.
    on_cpu "$cpu" -p wink-runtime --test same_bits
done
