#!/usr/bin/env bash
# Licences, sources, duplicates and known faults of dependencies, by cargo-deny (installed here if it is missing).
# The list of known faults comes over the network: where it cannot be had, that check is left out aloud, unless
# DENY_ADVISORIES=required.
set -euo pipefail

scripts/setup.sh build
if ! command -v cargo-deny >/dev/null 2>&1; then
    echo "deny: installing cargo-deny (a few minutes, once)"
    cargo install --locked --quiet cargo-deny
fi
cargo deny --all-features check --hide-inclusion-graph bans licenses sources

if timeout 120 cargo deny fetch db >/dev/null 2>&1; then
    cargo deny --all-features check --hide-inclusion-graph advisories
elif [ "${DENY_ADVISORIES:-}" = required ]; then
    echo "deny: the list of known faults cannot be fetched" >&2
    exit 1
else
    echo "deny: NOT CHECKED: the list of known faults cannot be fetched from here; the other checks passed"
fi
