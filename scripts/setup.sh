#!/usr/bin/env bash
# Installs what a build or a test run needs, where it may; else says exactly what to install.
#   scripts/setup.sh build    a C compiler, make and cmake (pingora compresses with zlib-ng, which cmake builds)
#   scripts/setup.sh test     that, and what tests drive: Chromium, curl, OpenSSL, Redis, Prometheus, wrk, systemd's tools
#   scripts/setup.sh release  that of a build, and BOLT, where the distribution has it
#   scripts/setup.sh cross-ARCH  that of a build, and a compiler and linker for ARCH (amd64, arm64) where it is another
#   scripts/setup.sh packages  what `make lint-packages` needs: Python, npm, Prometheus; it installs the linters itself
#   scripts/setup.sh image    what `make prove-image` needs: curl, bubblewrap, buildah, mmdebstrap
set -euo pipefail

purpose=${1:-build}
missing=()
need() { command -v "$1" >/dev/null 2>&1 || missing+=("$2"); }

need cc gcc
need make make
need cmake cmake
if [ "$purpose" = test ]; then
    command -v chromium >/dev/null 2>&1 || command -v chromium-browser >/dev/null 2>&1 || command -v google-chrome >/dev/null 2>&1 || missing+=(chromium)
    need curl curl
    need openssl openssl
    need redis-server redis-server
    need wrk wrk
    need prometheus prometheus
    need promtool prometheus
    # Reads the unit; nothing of it is started.
    need systemd-analyze systemd
fi

case $purpose in
    cross-amd64) [ "$(uname -m)" = x86_64 ] || { need x86_64-linux-gnu-g++ g++-x86-64-linux-gnu; missing+=(libc6-dev-amd64-cross); } ;;
    cross-arm64) [ "$(uname -m)" = aarch64 ] || { need aarch64-linux-gnu-g++ g++-aarch64-linux-gnu; missing+=(libc6-dev-arm64-cross); } ;;
    packages)
        need python3 python3
        need npm npm
        need promtool prometheus
        python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
        ;;
    image)
        need python3 python3
        need curl curl
        need bwrap bubblewrap
        need buildah buildah
        need mmdebstrap mmdebstrap
        ;;
esac

if ! command -v cargo >/dev/null 2>&1; then
    echo "setup: there is no Rust toolchain; install one from https://rustup.rs and run this again" >&2
    exit 1
fi
if [ "$purpose" = release ] && command -v apt-cache >/dev/null 2>&1 && ! ls /usr/lib/llvm-*/bin/llvm-bolt >/dev/null 2>&1; then
    # The newest that there is. Without it the release is only what the compiler makes of it, so nothing fails here.
    [ "$(id -u)" -ne 0 ] || apt-get update >/dev/null 2>&1 || true
    bolt=$(apt-cache search --names-only '^bolt-[0-9]+$' | awk '{print $1}' | sort -V | tail -n 1)
    [ -z "$bolt" ] || missing+=("$bolt")
fi
[ ${#missing[@]} -eq 0 ] && exit 0

install="apt-get install -y --no-install-recommends ${missing[*]}"
as_root=""
if [ "$(id -u)" -ne 0 ]; then
    as_root="sudo -n"
fi
if ! command -v apt-get >/dev/null 2>&1; then
    echo "setup: please install these with your package manager and run this again: ${missing[*]}" >&2
    exit 1
fi
if [ -n "$as_root" ] && ! $as_root true 2>/dev/null; then
    echo "setup: these are missing: ${missing[*]}" >&2
    echo "setup: please run: sudo apt-get update && sudo $install" >&2
    exit 1
fi
echo "setup: installing ${missing[*]}"
log=$(mktemp)
if ! { $as_root apt-get update && DEBIAN_FRONTEND=noninteractive $as_root $install; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "setup: the installation failed; the whole log is in $log" >&2
    exit 1
fi
rm -f "$log"
