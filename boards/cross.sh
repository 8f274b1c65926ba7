# Sourced: cargo for another processor. It comes from rustup where that has the target's standard library (rustup target add
# TARGET), else from Debian (rustc-web, cargo-web, rust-web-src, and rust-web-clippy to lint), which builds the library from source.

has_std() { [[ -d $(rustc --print sysroot)/lib/rustlib/$1/lib ]]; }

has_debian_rust() {
    [[ -x /usr/bin/cargo && -x /usr/bin/rustc && -d $(/usr/bin/rustc --print sysroot)/lib/rustlib/src/rust/library/core ]]
}

# cross_cargo TARGET CRATES COMMAND ARG...: cargo COMMAND ARG... for TARGET; CRATES (core, or std,panic_unwind) are what Debian's builds.
cross_cargo() {
    local target=$1 crates=$2 command=$3
    shift 3
    if has_std "$target"; then
        cargo "$command" --target "$target" "$@"
    elif ! has_debian_rust; then
        echo "$target needs: rustup target add $target" >&2
        return 1
    elif [[ $command == clippy ]]; then
        # Started by itself: cargo would find rustup's clippy, which refuses another compiler's libraries.
        CARGO=/usr/bin/cargo RUSTC_BOOTSTRAP=1 RUSTC=/usr/bin/rustc \
            /usr/bin/cargo-clippy clippy --target "$target" "-Zbuild-std=$crates" "$@"
    else
        RUSTC_BOOTSTRAP=1 RUSTC=/usr/bin/rustc /usr/bin/cargo "$command" --target "$target" "-Zbuild-std=$crates" "$@"
    fi
}
