#!/usr/bin/env bash
# On aarch64, in QEMU: the golden tests of the simulated board (the same pixels and the same physics as on x86-64), the kernels'
# tests on processors without the dot product (Cortex-A72), with it (A76) and with the matrix product too (max), the shipped
# policy, whose actions have the bits that they have on x86-64; and that camera frames decode to the same bits.
set -euo pipefail
cd "$(dirname "$0")/.."
source .ci/common.sh
source boards/cross.sh

target=aarch64-unknown-linux-gnu
packages=(qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross)
has_std $target || packages+=(rustc-web cargo-web rust-web-src)
if ! { has_tools qemu-aarch64 aarch64-linux-gnu-gcc && [[ -d /usr/aarch64-linux-gnu/lib ]] &&
    { has_std $target || has_debian_rust; }; }; then
    install "qemu-aarch64, aarch64-linux-gnu-gcc and: rustup target add $target" "${packages[@]}"
fi

export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
CARGO_TARGET_DIR=$(realpath -m "${CARGO_TARGET_DIR:-target}")/aarch64
export CARGO_TARGET_DIR

# build ARG...: builds tests and prints their programs. All in one profile, so that nothing is built twice; not --release, as the
# engine alone would take minutes to compile.
build() {
    cross_cargo $target std,panic_unwind test --no-run --message-format=json-render-diagnostics "$@" |
        sed -n 's/.*"executable":"\([^"]*\)".*/\1/p'
}
programs=$(build -p wink-sim -p wink-runtime -p wink-camera --test golden --test same_bits --test decoding)
kernels=$(build -p wink-kernels --tests)

# on_cpu CPU FOLDER PROGRAM...: runs tests of the package in FOLDER on that processor.
on_cpu() {
    local cpu=$1 folder=$2 program
    shift 2
    for program in "$@"; do
        printf '%s: %s\n' "$cpu" "$(basename "${program%-*}")"
        (cd "$folder" && qemu-aarch64 -cpu "$cpu" -L /usr/aarch64-linux-gnu "$program" --quiet)
    done
}

golden=$(grep '/golden-' <<<"$programs")
decoding=$(grep '/decoding-' <<<"$programs")
same_bits=$(grep '/same_bits-' <<<"$programs")
mapfile -t kernels <<<"$kernels"
on_cpu cortex-a76 boards/sim "$golden"
on_cpu cortex-a76 boards/camera "$decoding"
# The policy's test keeps one processor busy.
running=()
for cpu in cortex-a72 cortex-a76 max; do
    on_cpu "$cpu" runtime "$same_bits" &
    running+=($!)
    on_cpu "$cpu" runtime/kernels "${kernels[@]}"
done
for process in "${running[@]}"; do
    wait "$process"
done
