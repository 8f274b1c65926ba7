#!/usr/bin/env bash
# The microcontroller images: linted, built, within their limits of flash and RAM, without a panic; then started in their
# emulators, where a host drives them over the wire and they drive simulated servos.
set -euo pipefail
cd "$(dirname "$0")/.."
source .ci/common.sh
source boards/cross.sh

targets=(thumbv6m-none-eabi thumbv7em-none-eabihf thumbv8m.main-none-eabihf)
packages=(qemu-system-arm)

has_compiler() {
    local target
    for target in "${targets[@]}"; do
        has_std "$target" || break
        [[ $target != "${targets[-1]}" ]] || return 0
    done
    packages+=(rustc-web cargo-web rust-web-src rust-web-clippy)
    has_debian_rust && [[ -x /usr/bin/cargo-clippy ]]
}

has_tools npm || packages+=(nodejs npm)
if ! { has_compiler && has_tools qemu-system-arm node npm; }; then
    install "qemu-system-arm, Node.js 18, npm, and: rustup target add ${targets[*]}" "${packages[@]}"
fi

boards/build.sh lint
firmware/no_panic/check.sh lint
boards/build.sh
firmware/no_panic/check.sh
# For the whole workspace, as all tests are built: nothing is built again with other features. An emulator and the program that
# drives it take turns, so that a test keeps one processor busy.
cargo test -q "${workspace[@]}" --test emulated --test boards -- --ignored --nocapture --test-threads="$(nproc)"
