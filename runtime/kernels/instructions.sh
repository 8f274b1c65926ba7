#!/usr/bin/env bash
# Instructions per multiply-accumulate of the kernels' inner loops on aarch64, counted in the compiler's output, against the ideal
# of the instruction used: nothing but those. Compiles the kernels; runs nothing.
set -euo pipefail
cd "$(dirname "$0")/../.."

target=aarch64-unknown-linux-gnu
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/aarch64
build=(rustc --release --target $target -p wink-kernels --lib)
if [[ -d $(rustc --print sysroot)/lib/rustlib/$target/lib ]]; then
    cargo "${build[@]}" -- --emit asm
else
    RUSTC_BOOTSTRAP=1 RUSTC=/usr/bin/rustc /usr/bin/cargo "${build[@]}" -Zbuild-std=std,panic_unwind -- --emit asm
fi

# An inner loop is what lies between a label and a later branch back to it, where no branch before led as far back.
awk '
    function report(first, last,   i, all, fmla, smlal, sdot, smmla, macs, op) {
        all = fmla = smlal = sdot = smmla = 0
        for (i = first; i <= last; i++) {
            op = instruction[i]
            all++
            fmla += op == "fmla"
            smlal += op ~ /^smlal2?$/
            sdot += op == "sdot"
            smmla += op == "smmla"
        }
        macs = (fmla + smlal) * 4 + sdot * 16 + smmla * 32
        # Polynomials of the epilogue multiply and accumulate too, among much else.
        if (macs < 64 || all > macs) return
        op = smmla ? "smmla" : sdot ? "sdot" : smlal ? "smlal" : "fmla"
        ideal = smmla ? 1 / 32 : sdot ? 1 / 16 : 1 / 4
        printf "%-7s %5d MACs in %3d instructions: %.4f each, ideal %.4f, %3.0f%%\n", op, macs, all, all / macs, ideal, 100 * ideal * macs / all
    }
    /^[A-Za-z_.$][^ ]*:/ {
        label[substr($1, 1, index($1, ":") - 1)] = count
        next
    }
    /^\t[a-z]/ && !/^\t\./ {
        instruction[count++] = $1
        to = $NF
        if ($1 ~ /^(b|b\..*|cbnz|cbz|tbnz|tbz)$/ && to in label && label[to] > farthest) {
            farthest = label[to]
            report(label[to], count - 1)
        }
    }
' "$CARGO_TARGET_DIR/$target"/release/deps/wink_kernels-*.s | sort | uniq
