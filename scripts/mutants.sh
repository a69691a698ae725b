#!/usr/bin/env bash
# A trial of `cargo mutants` on the state that requests of the runtime share: changes one line at a time in a copy
# of this repository, runs the unit tests of deriva-runtime, and tells which changes nobody noticed. What those tests
# miss may be held by the simulation and by `conformance/tests/planted/`, so each miss is looked at by hand.
#
#   scripts/mutants.sh [SHARD]    SHARD is K/N: every N-th change from the K-th on; default 0/1, which is all of them
#
# MUTANTS_FILES names other files (space between), MUTANTS_SECONDS another limit for one run of the tests, and
# MUTANTS_OUT where `mutants.out/` with the lists goes (default: the folder for temporary files).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

shard="${1:-0/1}"
seconds="${MUTANTS_SECONDS:-120}"
out="${MUTANTS_OUT:-${TMPDIR:-/tmp}}"
default='shared/leases shared/slots shared/memory shared/flights shared/invalidations shared/nesting shared/claimant materialize/carried'
read -r -a names <<<"${MUTANTS_FILES:-$default}"

command -v cargo-mutants >/dev/null || {
    echo 'cargo-mutants is missing: cargo install --locked cargo-mutants' >&2
    exit 2
}

files=()
for name in "${names[@]}"; do
    files+=(--file "deriva-runtime/src/$name.rs")
done

# A mutant that is missed is what this is for, and no failure of the script: 2 is missed, 3 is timed out.
status=0
cargo mutants --package deriva-runtime "${files[@]}" --shard "$shard" --sharding round-robin --jobs 1 --timeout "$seconds" --output "$out" \
    --no-shuffle --baseline run --cargo-arg=--lib || status=$?
case "$status" in 0 | 2 | 3) ;; *) exit "$status" ;; esac

count() { wc -l <"$out/mutants.out/$1.txt"; }
printf 'caught %s, missed %s, timed out %s, unviable %s\n' "$(count caught)" "$(count missed)" "$(count timeout)" "$(count unviable)"
cat "$out/mutants.out/missed.txt"
