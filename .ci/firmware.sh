#!/usr/bin/env bash
# The microcontroller images: all built, within their limits of flash and RAM, without a panic; then started in their
# emulators, where a host drives them over the wire and simulated servos hang on their bus.
# Installs what is missing where it may (Debian, as root). Without the tools it fails in CI and is skipped elsewhere.
set -euo pipefail
cd "$(dirname "$0")/.."

targets=(thumbv6m-none-eabi thumbv7em-none-eabihf thumbv8m.main-none-eabihf)
packages=(qemu-system-arm)

skip() {
    if [[ -n ${CI:-} ]]; then
        echo "firmware: $1" >&2
        exit 1
    fi
    echo "skipped: $1"
    exit 0
}

has_targets() {
    local target
    for target in "${targets[@]}"; do
        [[ -d $(rustc --print sysroot)/lib/rustlib/$target/lib ]] || return
    done
}
has_debian_rust() { [[ -x /usr/bin/cargo && -x /usr/bin/rustc && -d $(/usr/bin/rustc --print sysroot)/lib/rustlib/src/rust/library/core ]]; }
# One by one: of several names `command -v` wants only one to exist.
has_tools() {
    local tool
    for tool in qemu-system-arm node npm; do
        command -v "$tool" >/dev/null || return
    done
}

# Where rustup has the targets, all is simple; else Debian's compiler builds the core library from its own sources.
has_targets || packages+=(rustc-web cargo-web rust-web-src)
command -v npm >/dev/null || packages+=(nodejs npm)
if ! { has_tools && { has_targets || has_debian_rust; }; }; then
    command -v apt-get >/dev/null || skip "needs qemu-system-arm, Node.js 18, npm, and: rustup target add ${targets[*]}"
    [[ $(id -u) == 0 ]] || skip "needs: sudo apt-get install ${packages[*]}"
    { apt-get update -qq && apt-get install -yqq --no-install-recommends "${packages[@]}"; } >/dev/null ||
        skip "apt-get could not install ${packages[*]}"
fi

target_dir=$(realpath -m "${CARGO_TARGET_DIR:-target}")
boards/build.sh
# For the whole workspace, so that nothing is built twice with other features.
cargo build -q --workspace --bin image-report
"$target_dir"/debug/image-report "$target_dir"/boards/*.elf
# One after the other: each is two programs that take turns.
cargo test -q --workspace --test emulated -- --ignored --nocapture --test-threads=1 drives_ nucleo_f411::keeps_the_fault_table
