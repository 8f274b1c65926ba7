#!/usr/bin/env bash
# Builds microcontroller images, and what they are emulated with, into target/boards/:
#
#   boards/build.sh                        everything
#   boards/build.sh pico nucleo-f411       these boards
#   ARMS=so101 boards/build.sh pico        this arm only (boards/arms/so101.toml); else wx250s and so101
#   boards/build.sh qemu-plugin rp2040js   what `wink eval --board` and the tests in boards/emulate need beside images
#
# BOARD-ARM.elf is what a probe flashes, and what `wink flash` makes a Pico's UF2 file of. Needs the compiler's targets
# (rustup target add thumbv6m-none-eabi thumbv7em-none-eabihf thumbv8m.main-none-eabihf), or on Debian
# rustc-web, cargo-web and rust-web-src, which build their own core library.
set -euo pipefail
cd "$(dirname "$0")/.."

root=$PWD
target_dir=$(realpath -m "${CARGO_TARGET_DIR:-target}")
out=$target_dir/boards
read -ra arms <<<"${ARMS:-wx250s so101}"
all=(mps2-an386 nucleo-f411 pico pico2 qemu-plugin rp2040js)
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

# Whoever runs the old file keeps it.
put() {
    cp "$1" "$out/.$2" && mv "$out/.$2" "$out/$2"
}

build_image() {
    local board=$1 arm=$2 target build
    target=$(target_of "$board")
    # No path of this machine may end up in an image.
    local remap=("$root=wink" "${CARGO_HOME:-$HOME/.cargo}=cargo" "$(rustc --print sysroot)=rust" "/usr/lib/rustlib=rust")
    local flags
    flags=$(printf '"--remap-path-prefix=%s",' "${remap[@]}")
    build=(build ${VERBOSE:+-v} --release --locked "${jobs[@]}" --target "$target" --target-dir "$target_dir/images"
        --features "arm-$arm" --config "target.$target.rustflags=[${flags%,}]")
    (
        cd "boards/$board"
        if [[ -d $(rustc --print sysroot)/lib/rustlib/$target/lib ]]; then
            cargo "${build[@]}"
        elif [[ -d $(/usr/bin/rustc --print sysroot 2>/dev/null)/lib/rustlib/src/rust/library/core ]]; then
            local name=CARGO_TARGET_${target^^}_LINKER
            name=${name//[-.]/_}
            env "$name=$(linker)" RUSTC_BOOTSTRAP=1 RUSTC=/usr/bin/rustc /usr/bin/cargo "${build[@]}" -Zbuild-std=core
        else
            fail "$board needs: rustup target add $target"
        fi
    )
    put "$target_dir/images/$target/release/$board" "$board-$arm.elf"
}

mkdir -p "$out"
(($#)) || set -- "${all[@]}"
for name in "$@"; do
    case $name in
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
