#!/usr/bin/env bash
# Cameras and buses on Linux's own interfaces, in a virtual machine: Debian's kernel with its virtual drivers boots in QEMU, without
# KVM, from an initial RAM disk that holds the programs that `tests` has built, with their libraries.
#
#   .ci/guest.sh             on this machine's processor
#   .ci/guest.sh arm64       programs for aarch64, in qemu-system-aarch64 (cross-compiles them first)
#   .ci/guest.sh shell       no tests, a shell on the console
set -euo pipefail
cd "$(dirname "$0")/.."
source .ci/common.sh
source boards/cross.sh

architecture=amd64 shell= tool=()
for word in "$@"; do
    case $word in
    arm64 | amd64) architecture=$word ;;
    shell) shell=1 ;;
    *) echo "guest: unknown argument $word" >&2; exit 2 ;;
    esac
done
[[ $(uname -m) == x86_64 ]] || skip "is written for an x86-64 host"

case $architecture in
amd64)
    qemu=(qemu-system-x86_64 -accel tcg -cpu max)
    console=ttyS0 kernel_of=linux-image-amd64 packages=(qemu-system-x86 busybox-static)
    ;;
arm64)
    qemu=(qemu-system-aarch64 -accel tcg -machine virt -cpu max)
    console=ttyAMA0 kernel_of=linux-image-arm64
    packages=(qemu-system-arm gcc-aarch64-linux-gnu libc6-dev-arm64-cross)
    export BINDGEN_EXTRA_CLANG_ARGS_aarch64_unknown_linux_gnu=-I/usr/aarch64-linux-gnu/include
    ;;
esac
packages+=(cpio kmod zstd xz-utils)
if ! has_tools "${qemu[0]}" cpio depmod || { [[ $architecture == amd64 ]] && [[ ! -x /bin/busybox ]]; }; then
    install "QEMU, cpio, kmod, busybox" "${packages[@]}"
fi
has_libclang || install "libclang, for the feature camera" "${libclang_packages[@]}"

work=$(realpath -m "${CARGO_TARGET_DIR:-target}")/guest/$architecture
mkdir -p "$work"

# fetch PACKAGE: downloads and unpacks a package of the guest's architecture, once; prints the folder.
fetch() {
    local folder=$work/packages/$1
    if [[ ! -d $folder ]]; then
        rm -rf "$work/download"
        mkdir -p "$work/download" "$work/packages"
        (cd "$work/download" && apt-get download -qq "$1:$architecture" 2>/dev/null) || return
        dpkg -x "$work/download/"*.deb "$work/download/unpacked"
        mv "$work/download/unpacked" "$folder"
        rm -r "$work/download"
    fi
    echo "$folder"
}

if [[ $architecture != $(dpkg --print-architecture) ]] && ! dpkg --print-foreign-architectures | grep -qx "$architecture"; then
    [[ $(id -u) == 0 ]] || skip "needs: sudo dpkg --add-architecture $architecture"
    dpkg --add-architecture "$architecture"
    apt-get update -qq
fi
[[ -n $(apt-cache depends "$kernel_of:$architecture" 2>/dev/null) ]] || apt-get update -qq || true
package=$(apt-cache depends "$kernel_of:$architecture" 2>/dev/null | awk '$1 == "Depends:" { print $2; exit }')
package=${package%%:*}
[[ -n $package ]] || skip "no package $kernel_of"
kernel=$(fetch "$package") || skip "apt-get could not download $package"
if [[ $architecture == arm64 ]]; then
    busybox=$(fetch busybox-static)/bin/busybox
    command -v cross_cargo >/dev/null
else
    busybox=/bin/busybox
fi
release=$(basename "$kernel"/lib/modules/*)

# The programs: built as `tests` builds them, so that nothing is built twice.
# programs NAME...: prints the programs of these test targets and of the tool.
programs() {
    local names=() name
    for name in "$@"; do names+=(--test "$name"); done
    if [[ $architecture == amd64 ]]; then
        cargo test -q "${workspace[@]}" "${names[@]}" --no-run --message-format=json-render-diagnostics
    else
        export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
        CARGO_TARGET_DIR=$work/build cross_cargo aarch64-unknown-linux-gnu std,panic_unwind test -q --features camera \
            -p wink-camera -p wink-board-linux "${names[@]}" --no-run --message-format=json-render-diagnostics
    fi | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p'
}
tests=(vivid i2c)
# `cameras` is a test of the tool, which is built with it.
[[ $architecture == arm64 ]] || tool=(cameras)
mapfile -t built < <(programs "${tests[@]}" "${tool[@]}")

root=$work/root
rm -rf "$root"
mkdir -p "$root"/{bin,dev,proc,sys,tmp,run,lib64,modules,programs,work}
cp "$busybox" "$root/bin/busybox"
# pack PROGRAM NAME: the program without its symbols, and the libraries that it loads.
pack() {
    local strip=strip library
    [[ $architecture == amd64 ]] || strip=aarch64-linux-gnu-strip
    "$strip" -o "$root/programs/$2" "$1"
    if [[ $architecture == amd64 ]]; then
        while read -r library; do
            mkdir -p "$root/$(dirname "$library")"
            cp -nL "$library" "$root/$library"
        done < <(ldd "$1" | grep -o '/[^ ]*')
    else
        mkdir -p "$root/lib"
        cp -rnL /usr/aarch64-linux-gnu/lib/{ld-linux-aarch64.so.1,libc.so.6,libm.so.6,libgcc_s.so.1} "$root/lib/"
    fi
}
for program in "${built[@]}"; do
    name=$(basename "$program")
    [[ $program == */deps/* ]] && name=${name%-*}
    case " ${tests[*]} wink " in *" $name "*) pack "$program" "$name" ;; esac
done
needed=("${tests[@]}")
[[ $architecture == arm64 ]] || needed+=(wink)
for name in "${needed[@]}"; do
    [[ -x $root/programs/$name ]] || { echo "guest: $name was not built" >&2; exit 1; }
done
mkdir -p "$root"/work/{boards/arms,boards/linux,devices}
cp boards/camera/tests/fixtures/webcam-{640x480,64x48}.jpg tools/tests/scripts/{first-hour,run}.txt "$root/work/"
cp -r tools/tests/fixtures/tiny-so101 "$root/work/"
cp boards/arms/*.toml "$root/work/boards/arms/"
cp boards/linux/*.toml "$root/work/boards/linux/"

# Modules with all that they need, in the order in which they load.
depmod -b "$kernel" "$release"
order() {
    local module
    for module in "$@"; do
        modprobe -d "$kernel" -S "$release" --show-depends "$module" 2>/dev/null | awk '$1 == "insmod" { print $2 }'
    done | awk '!seen[$0]++'
}
: >"$root/modules/order"
while read -r module; do
    name=$(basename "$module")
    case $module in
    *.xz) xz -dc "$module" >"$root/modules/${name%.xz}" ;;
    *.zst) zstd -qdc "$module" >"$root/modules/${name%.zst}" ;;
    *) cp "$module" "$root/modules/$name" ;;
    esac
    name=${name%.xz}
    echo "${name%.zst}" >>"$root/modules/order"
done < <(order vivid uhid hid-mcp2221 i2c-dev)

cp .ci/guest-init.sh "$root/init"
[[ -z $shell ]] || touch "$root/shell"
chmod +x "$root/init"
(cd "$root" && find . | cpio --quiet -o -H newc) >"$work/initrd"

start=$SECONDS log=$work/console.log
run=("${qemu[@]}" -m 1024 -smp 2 -nographic -no-reboot -kernel "$(echo "$kernel"/boot/vmlinuz-*)" -initrd "$work/initrd"
    -append "console=$console quiet panic=-1")
if [[ -n $shell ]]; then
    exec "${run[@]}"
fi
timeout -s KILL 220 "${run[@]}" </dev/null 2>&1 | tr -d '\r' | tee "$log" | sed -u 's/^/  /' || true
echo "guest ($architecture): $((SECONDS - start)) s"
grep -qx 'guest: all passed' "$log" || {
    echo "guest: not everything passed; the console's log is $log" >&2
    exit 1
}
