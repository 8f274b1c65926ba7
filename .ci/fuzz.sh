#!/usr/bin/env bash
# The fuzz targets, which are outside the workspace: linted and type-checked with the stable compiler. tools/fuzz.sh runs them.
set -euo pipefail
cd "$(dirname "$0")/.."
source .ci/common.sh

# libfuzzer-sys compiles C++.
has_tools c++ || install "a C++ compiler" g++
for manifest in $(git ls-files '*fuzz/Cargo.toml'); do
    cargo clippy --manifest-path "$manifest" --target-dir "${CARGO_TARGET_DIR:-target}/fuzz-lint" -- -D warnings
done
