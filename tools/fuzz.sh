#!/usr/bin/env bash
# Builds the fuzz targets of a folder and runs them one after the other, each from its seeds and from what earlier runs have found.
#
#   fuzz.sh FOLDER [SECONDS [TARGET...]]      60 seconds each, all of them
#
# The flags that `cargo fuzz run` has, without needing cargo-fuzz: a nightly compiler is enough (NIGHTLY names another).
# Ends with 1 at the first crash; the input that did it is in FOLDER/artifacts/TARGET, `fuzz.sh FOLDER 0 TARGET` runs it again.
set -euo pipefail
[[ $# -gt 0 && -d $1/fuzz_targets ]] || { echo "usage: fuzz.sh FOLDER [SECONDS [TARGET...]], FOLDER with fuzz_targets" >&2; exit 2; }
root=$(realpath "$(dirname "$0")/..")
cd "$1"
shift

seconds=${1:-60}
shift || true
targets=("$@")
if ((!${#targets[@]})); then
    for file in fuzz_targets/*.rs; do
        targets+=("$(basename "$file" .rs)")
    done
fi

host=x86_64-unknown-linux-gnu
CARGO_TARGET_DIR=$(cd "$root" && realpath -m "${CARGO_TARGET_DIR:-target}")/fuzz
export CARGO_TARGET_DIR
# Only the workspace's own crates are instrumented: with their dependencies, a build would take an hour.
flags=(--cfg fuzzing -Zsanitizer=address -Cdebug-assertions -Coverflow-checks -Ccodegen-units=1 -Cpasses=sancov-module)
flags+=(-Cllvm-args=-sanitizer-coverage-{level=4,inline-8bit-counters,pc-table,trace-compares})
list=$(printf '"%s",' "${flags[@]}")
cargo "+${NIGHTLY:-nightly}" build -Zprofile-rustflags --config "profile.fuzz.rustflags=[${list%,}]" \
    --config 'profile.fuzz.package."*".rustflags=[]' --profile fuzz --target "$host" "${targets[@]/#/--bin=}"

for target in "${targets[@]}"; do
    program=$CARGO_TARGET_DIR/$host/fuzz/$target
    mkdir -p "corpus/$target" "artifacts/$target"
    if ((seconds == 0)); then
        find "seeds/$target" "corpus/$target" "artifacts/$target" -type f -exec "$program" {} +
        continue
    fi
    echo "== $target"
    "$program" "corpus/$target" "seeds/$target" -max_total_time="$seconds" -artifact_prefix="artifacts/$target/" \
        -print_final_stats=1
done
