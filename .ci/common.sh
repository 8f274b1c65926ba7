# Sourced by the sections that need more than Rust: what is missing is installed where that is allowed (Debian, as root).

# skip WHY: ends a section that cannot run. In CI that is a failure.
skip() {
    if [[ -n ${CI:-} ]]; then
        echo "$(basename "$0" .sh): $1" >&2
        exit 1
    fi
    echo "skipped: $1"
    exit 0
}

# install NEEDS PACKAGE...: installs Debian's packages; elsewhere the section ends, naming what it needs.
install() {
    local needs=$1
    shift
    command -v apt-get >/dev/null || skip "needs $needs"
    [[ $(id -u) == 0 ]] || skip "needs: sudo apt-get install $*"
    { apt-get update -qq && apt-get install -yqq --no-install-recommends "$@"; } >/dev/null ||
        skip "apt-get could not install $*"
}

# has_tools NAME...: whether all programs are there. `command -v` with several names is content with one.
has_tools() {
    local tool
    for tool in "$@"; do
        command -v "$tool" >/dev/null || return
    done
}

# The selection of every section that builds the workspace for this machine: another one would build the engine a second time.
workspace=(--workspace --features camera)
# What the feature `camera` needs: the bindings of V4L2 are generated with libclang and the headers of a C compiler.
libclang_packages=(libclang-dev libc6-dev)

# has_libclang: whether bindings can be generated.
has_libclang() {
    compgen -G '/usr/lib/llvm-*/lib/libclang[.-][s0-9]*' >/dev/null || [[ -n ${LIBCLANG_PATH:-} ]]
}
