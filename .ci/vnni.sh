#!/usr/bin/env bash
# The kernels' tests on processors with VNNI, in Bochs, as few machines that run this have one and QEMU emulates none: with
# AVX-512 VNNI (Tiger Lake) and, from Bochs 3.0 on, with AVX-VNNI (Arrow Lake), which Bochs 2.7 gives to none of its processors.
# Bochs emulates a whole machine: Debian's kernel boots from a CD image, and its first process runs the tests. A machine that has
# AVX-512 VNNI ran them in the section `tests` already; WINK_BOCHS=1 emulates there, too.
set -euo pipefail
cd "$(dirname "$0")/.."
source .ci/common.sh

# The tests run the kernels of every instruction set that they find, and print which.
if [[ -z ${WINK_BOCHS:-} ]]; then
    found=$(cargo test -q "${workspace[@]}" --test exact -- --exact tells_what_it_ran --nocapture 2>&1 | grep '^kernels here:') || found=
    if [[ $found == *"avx512-vnni"* ]]; then
        echo "not emulated, as the tests ran here with the processor's own: $found"
        exit 0
    fi
fi

target=x86_64-unknown-linux-gnu
packages=(bochs bochs-term bochsbios vgabios busybox-static cpio isolinux syslinux-common xorriso)
needed=(
    /bin/busybox
    /usr/lib/ISOLINUX/isolinux.bin
    /usr/lib/syslinux/modules/bios/ldlinux.c32
    /usr/share/bochs/BIOS-bochs-latest
    /usr/share/bochs/VGABIOS-lgpl-latest
)

has_bochs() {
    local file
    has_tools bochs cpio xorriso || return
    for file in "${needed[@]}"; do
        [[ -e $file ]] || return
    done
    # The package busybox has one that needs libraries.
    [[ $(ldd /bin/busybox 2>&1) != *"=>"* ]]
}

# The package with the kernel that Debian's own one for virtual machines stands for.
kernel_package() { apt-cache depends linux-image-cloud-amd64 2>/dev/null | awk '$1 == "Depends:" { print $2; exit }'; }

[[ $(uname -m) == x86_64 ]] || skip "builds the tests for x86-64 only where that is the host"
if ! has_bochs || [[ -z $(kernel_package) ]]; then
    install "Debian's packages: ${packages[*]}" "${packages[@]}"
    has_bochs || skip "Debian's packages lack some of: bochs cpio xorriso ${needed[*]}"
fi
package=$(kernel_package)
[[ -n $package ]] || skip "no package linux-image-cloud-amd64"

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/vnni
mkdir -p "$CARGO_TARGET_DIR"
work=$(realpath "$CARGO_TARGET_DIR")/machine

# Unpacked, not installed: the host keeps its kernel.
kernel=$work/$package
if [[ ! -d $kernel ]]; then
    rm -rf "$work"
    mkdir -p "$work/download"
    (cd "$work/download" && apt-get download -qq "$package" 2>/dev/null) || skip "apt-get could not download $package"
    dpkg -x "$work/download/"*.deb "$work/unpacked"
    mv "$work/unpacked" "$kernel"
    rm -r "$work/download"
fi

# Static, as the machine has no libraries.
mapfile -t tests < <(
    RUSTFLAGS="-C target-feature=+crt-static" \
        cargo test -q --release --target $target -p wink-kernels --test exact --test floats --test fours --test not_finite --no-run --message-format=json |
        sed -n 's/.*"executable":"\([^"]*\)".*/\1/p'
)
[[ ${#tests[@]} == 4 ]]

rm -rf "$work/root" "$work/cd"
mkdir -p "$work/root/bin" "$work/root/dev" "$work/root/proc" "$work/root/tests" "$work/cd"
cp /bin/busybox "$work/root/bin"
for test in "${tests[@]}"; do
    strip -o "$work/root/tests/$(basename "${test%-*}")" "$test"
done
cat >"$work/root/init" <<'EOF'
#!/bin/busybox sh
busybox mount -t devtmpfs none /dev
busybox mount -t proc none /proc
exec >/dev/ttyS0 2>&1
busybox sed -n '/^model name/{p;q}' /proc/cpuinfo
for test in /tests/*; do
    $test --nocapture --test-threads=1
    echo "${test#/tests/}: exit status $?"
done
# Waits until all is sent.
busybox stty -echo <&1
busybox poweroff -f
EOF
chmod +x "$work/root/init"
(cd "$work/root" && find . | cpio --quiet -o -H newc | gzip -1) >"$work/cd/initrd"
cp "$kernel"/boot/vmlinuz-* "$work/cd/vmlinuz"
cp /usr/lib/ISOLINUX/isolinux.bin /usr/lib/syslinux/modules/bios/ldlinux.c32 "$work/cd"
# What Bochs 2.7 tells of its processors is not all true: the sizes of what `xsave` stores are wrong for protection keys and for
# the compacted form, so that the kernel would do without AVX; and short moves are said to be fast (`fsrm`) where `rep movsb` is
# not, with which the kernel's memmove runs past its end.
cat >"$work/cd/isolinux.cfg" <<EOF
default linux
label linux
kernel vmlinuz
append initrd=initrd console=ttyS0 quiet panic=-1 mitigations=off clearcpuid=pku,xsaves,xsavec,fsrm
EOF
xorriso -as mkisofs -quiet -o "$work/cd.iso" -b isolinux.bin -c boot.cat -no-emul-boot -boot-load-size 4 -boot-info-table \
    "$work/cd" 2>/dev/null

# on_cpu MODEL ISAS: the tests on that processor, where they must find those instruction sets.
on_cpu() {
    local serial=$work/$1.serial log=$work/$1.log start=$SECONDS test
    rm -f "$serial" "$log"
    cat >"$work/$1.bochsrc" <<EOF
display_library: term
cpu: model=$1, count=1, ips=50000000, reset_on_triple_fault=0
clock: sync=none
memory: guest=256, host=256
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
ata0-master: type=cdrom, path="$work/cd.iso", status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev="$serial"
log: $log
panic: action=fatal
error: action=ignore
info: action=report
EOF
    local run=(bochs -q -f "$work/$1.bochsrc")
    # Debian's has a debugger, which waits for a word to begin.
    if [[ $(bochs --help 2>&1) == *" -rc "* ]]; then
        printf 'c\nq\n' >"$work/debugger"
        run+=(-rc "$work/debugger")
    fi
    # To Bochs, that the machine switches itself off is a fatal error too: its status says nothing.
    TERM=vt100 timeout -s KILL 1200 "${run[@]}" </dev/null >"$work/$1.screen" 2>&1 || true
    touch "$serial"
    tr -d '\r' <"$serial" | tee "$work/$1.out"
    echo "$1: $((SECONDS - start)) s"
    for test in exact floats fours not_finite; do
        grep -qx "$test: exit status 0" "$work/$1.out" || {
            echo "vnni: on $1 '$test' did not pass; Bochs' log is $log" >&2
            exit 1
        }
    done
    grep -q "kernels here: $2;" "$work/$1.out" || {
        echo "vnni: on $1 the tests should find: $2" >&2
        exit 1
    }
}

on_cpu tigerlake "scalar, avx2, avx512-vnni"
if [[ $(bochs --help cpu 2>&1) == *arrow_lake* ]]; then
    on_cpu arrow_lake "scalar, avx2, avx-vnni"
else
    echo "skipped: AVX-VNNI needs Bochs 3.0"
fi
