#!/usr/bin/env bash
# Feeds the readers of `fuzz/` with what libFuzzer makes, which sees what of their code each input reaches. What breaks a promise is kept in
# `fuzz/artifacts/`, and what reaches more in `fuzz/corpus/`, made small.
#
#   scripts/fuzz.sh [TARGET] [SECONDS]    one target, or `all`, which is the default; seconds for each, default 60
#
# Needs a nightly toolchain of Rust (FUZZ_TOOLCHAIN names another one) and a C++ compiler. cargo-fuzz is compiled where it is missing, once,
# into the cache folder. FUZZ_SANITIZER is `address` unless it says otherwise; with `none` it is twice as fast, and nothing is seen of
# the memory of C libraries.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cache="${XDG_CACHE_HOME:-$HOME/.cache}/deriva"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$cache/target}"
export PATH="/usr/lib/ccache:$PATH:$cache/tools/bin"
target="${1:-all}"
seconds="${2:-60}"

cargo fuzz --version >/dev/null 2>&1 ||
    CARGO_TARGET_DIR="$cache/tools/target" cargo install --quiet --locked --root "$cache/tools" cargo-fuzz

export RUSTUP_TOOLCHAIN="${FUZZ_TOOLCHAIN:-nightly}"
build=(--fuzz-dir fuzz --features libfuzzer --no-cfg-fuzzing --sanitizer "${FUZZ_SANITIZER:-address}")
# Longer inputs reach no more. A reader that takes so many seconds, or so much memory, breaks a promise.
limits=(-max_len=4096 -timeout=10 -rss_limit_mb=4096 -malloc_limit_mb=512)

if [[ $target == all ]]; then
    list="$(cargo fuzz list --fuzz-dir fuzz)"
    mapfile -t targets <<<"$list"
else
    targets=("$target")
fi
found="$(mktemp -d)"
trap 'rm -rf "$found"' EXIT
failed=()
for target in "${targets[@]}"; do
    echo "==> $target"
    mkdir "$found/$target"
    # New inputs go to the first folder. Everything that it makes of the kept ones is there, too: hundreds of each.
    cargo fuzz run "${build[@]}" "$target" "$found/$target" "fuzz/corpus/$target" -- "${limits[@]}" -verbosity=0 \
        -print_final_stats=1 -max_total_time="$seconds" || failed+=("$target")
    # Kept are those alone that reach what no kept one does.
    cargo fuzz run "${build[@]}" "$target" "fuzz/corpus/$target" "$found/$target" -- "${limits[@]}" -verbosity=0 -merge=1
done
if ((${#failed[@]})); then
    echo "a promise was broken: ${failed[*]}; see fuzz/artifacts/" >&2
    exit 1
fi
