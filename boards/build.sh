#!/usr/bin/env bash
# Builds microcontroller images, and what they are emulated with, into target/boards/:
#
#   boards/build.sh                        everything
#   boards/build.sh pico nucleo-f411       these boards
#   ARMS=so101 boards/build.sh pico        this arm only (boards/arms/so101.toml); else wx250s and so101
#   boards/build.sh qemu-plugin rp2040js   what `wink eval --board` and the tests in boards/emulate need beside images
#   boards/build.sh lint                   clippy on every image instead
#
# BOARD-ARM.elf is what a probe flashes, and what `wink flash` makes a Pico's UF2 file of. Needs the compiler's targets
# (rustup target add thumbv6m-none-eabi thumbv7em-none-eabihf thumbv8m.main-none-eabihf), or on Debian
# rustc-web, cargo-web and rust-web-src, which build their own core library.
set -euo pipefail
cd "$(dirname "$0")/.."

source boards/cross.sh
root=$PWD
target_dir=$(realpath -m "${CARGO_TARGET_DIR:-target}")
out=$target_dir/boards
read -ra arms <<<"${ARMS:-wx250s so101}"
boards=(mps2-an386 nucleo-f411 pico pico2)
all=("${boards[@]}" qemu-plugin rp2040js)
jobs=(${JOBS:+-j"$JOBS"})

fail() {
    echo "boards/build.sh: $1" >&2
    exit 1
}

target_of() {
    case $1 in
    mps2-an386 | nucleo-f411) echo thumbv7em-none-eabihf ;;
    pico) echo thumbv6m-none-eabi ;;
    pico2) echo thumbv8m.main-none-eabihf ;;
    esac
}

# The linker that comes with the compiler, or the system's.
linker() {
    find "$(rustc --print sysroot)" -name rust-lld -type f | head -1 | grep . && return
    for name in rust-lld ld.lld ld.lld-{22,21,20,19,18,17,16,15,14}; do
        command -v "$name" && return
    done
    fail "no linker for ARM: install rustup's toolchain, or lld"
}

# A program that runs the old file keeps it.
put() {
    cp "$1" "$out/.$2" && mv "$out/.$2" "$out/$2"
}

# image_cargo COMMAND BOARD ARM ARG...: cargo for a board's image. Lints and builds share their build scripts.
image_cargo() {
    local command=$1 board=$2 arm=$3 target
    target=$(target_of "$board")
    # No path of this machine may end up in an image.
    local remap=("$root=wink" "${CARGO_HOME:-$HOME/.cargo}=cargo" "$(rustc --print sysroot)=rust" "/usr/lib/rustlib=rust")
    local flags
    flags=$(printf '"--remap-path-prefix=%s",' "${remap[@]}")
    (
        cd "boards/$board"
        if ! has_std "$target"; then
            local name=CARGO_TARGET_${target^^}_LINKER
            export "${name//[-.]/_}=$(linker)"
        fi
        cross_cargo "$target" core "$command" ${VERBOSE:+-v} --release --locked "${jobs[@]}" --target-dir "$target_dir/images" \
            --features "arm-$arm" --config "target.$target.rustflags=[${flags%,}]" "${@:4}"
    )
}

build_image() {
    image_cargo build "$1" "$2"
    put "$target_dir/images/$(target_of "$1")/release/$1" "$1-$2.elf"
}

mkdir -p "$out"
(($#)) || set -- "${all[@]}"
for name in "$@"; do
    case $name in
    lint)
        for board in "${boards[@]}"; do
            image_cargo clippy "$board" "${arms[0]}" -- -D warnings
        done
        exit
        ;;
    qemu-plugin)
        cargo build --release "${jobs[@]}" --target-dir "$target_dir/images" -p wink-qemu-plugin
        put "$target_dir/images/release/libwink_qemu_plugin.so" libwink_qemu_plugin.so
        ;;
    rp2040js)
        command -v npm >/dev/null || fail "rp2040js needs Node.js and npm"
        (cd boards/emulate/rp2040js && npm ci --silent --no-audit --no-fund)
        ;;
    *)
        [[ -n $(target_of "$name") ]] || fail "no board named $name; there are: ${all[*]}"
        for arm in "${arms[@]}"; do
            build_image "$name" "$arm"
        done
        ;;
    esac
done
ls -l "$out"
