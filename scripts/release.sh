#!/usr/bin/env bash
# Builds the binary for users: optimised by the compiler, then laid out by BOLT in the order in which requests run through
# it. Without BOLT the first half is the result, and this says so.
#   scripts/release.sh TARGET    TARGET: cargo's folder; the result is TARGET/dist/edgeway
set -euo pipefail

target=${1:?usage: release.sh TARGET}
root=$(cd "$(dirname "$0")/.." && pwd)
dist=$target/dist
say() { echo "release: $*"; }

# The newest there is; Debian puts versions side by side.
bolt=$(command -v llvm-bolt || ls -d /usr/lib/llvm-*/bin/llvm-bolt 2>/dev/null | sort -V | tail -n 1 || true)
merge=$(dirname "${bolt:-/}")/merge-fdata

mkdir -p "$dist"
say "1 of 4: compiling, which takes minutes"
# BOLT needs to know every address in the code. In an environment of its own, or each change would build all crates again.
if [ -n "$bolt" ]; then export EDGEWAY_BOLT=1; fi
cargo build --profile release --bin edgeway
built=$target/release/edgeway

if [ -z "$bolt" ]; then
    cp "$built" "$dist/edgeway"
    say "no llvm-bolt here (Debian: bolt-22, bolt-19 or bolt-16): $dist/edgeway is as the compiler made it, and uses about a quarter more CPU"
    exit 0
fi
if [ -e "$dist/edgeway" ] && cmp -s "$built" "$dist/edgeway.compiled"; then
    say "$dist/edgeway is up to date"
    exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
log=$work/log
quietly() { "$@" >"$log" 2>&1 || { tail -n 20 "$log" >&2; say "failed: $1" >&2; exit 1; }; }

say "2 of 4: a binary that counts, with $("$bolt" --version | sed -n 's/.*LLVM version/LLVM/p')"
quietly "$bolt" "$built" --instrument -o "$work/counting" \
    --instrumentation-file="$work/counts" --instrumentation-file-append-pid
say "3 of 4: it serves four works of make bench-load, for half a minute"
quietly "$root/benches/load/run.py" --edgeway "$work/counting" --tools "$target/bench-tools" \
    --json "$work/load.json" --rounds 1 --seconds 3 --only edgeway --work plain,hs256,rs256,es256
quietly "$merge" "$work"/counts* -o "$work/profile"
say "4 of 4: blocks and functions in the order of those requests"
quietly "$bolt" "$built" -o "$work/edgeway" --data="$work/profile" --reorder-blocks=ext-tsp \
    --reorder-functions=cdsort --split-functions --split-all-cold --icf=1 --use-gnu-stack
"$work/edgeway" --version >/dev/null
cp "$built" "$dist/edgeway.compiled"
mv "$work/edgeway" "$dist/edgeway"
say "done: $dist/edgeway"
