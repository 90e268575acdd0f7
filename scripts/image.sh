#!/usr/bin/env bash
# The parts of the image, as the Dockerfile, CI and a person at a terminal make them. ARCH is amd64 or arm64, or empty for
# that of this machine. A foreign one is cross-compiled, never emulated.
#   scripts/image.sh dependencies ARCH    compiles what Cargo.lock names, without Edgeway itself: a layer that is kept
#   scripts/image.sh binary ARCH FILE     the binary: this machine's own as `make release` has it, a foreign one by gcc
#   scripts/image.sh root ARCH FOLDER     the root of the image without the binary, out of this machine's Debian packages
set -euo pipefail

say() { echo "image: $*"; }
usage() { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 64; }

own=$(dpkg --print-architecture)
command=${1:-}
arch=${2:-$own}
case $arch in
    amd64) triple=x86_64-unknown-linux-gnu gnu=x86_64-linux-gnu ;;
    arm64) triple=aarch64-unknown-linux-gnu gnu=aarch64-linux-gnu ;;
    *) echo "image: there is no image for \"$arch\"; amd64 and arm64 are built" >&2; exit 64 ;;
esac
target=${CARGO_TARGET_DIR:-target}

# Cargo with the compiler and linker of a foreign architecture; its own needs neither.
foreign() {
    # Toolchains that rustup does not keep bring their standard libraries themselves.
    if command -v rustup >/dev/null 2>&1; then rustup target add "$triple"; fi
    local cc=$gnu-gcc name=${triple//-/_}
    env "CARGO_TARGET_${name^^}_LINKER=$cc" "CC_$name=$cc" "CXX_$name=$gnu-g++" "AR_$name=$gnu-ar" \
        cargo build --locked --profile release --bin edgeway --target "$triple"
}

# What scripts/release.sh gives to cargo, so that what is compiled here is not compiled again there.
native() {
    if compgen -G '/usr/lib/llvm-*/bin/llvm-bolt' >/dev/null || command -v llvm-bolt >/dev/null; then export EDGEWAY_BOLT=1; fi
    cargo build --locked --profile release --bin edgeway
}

dependencies() {
    [ ! -e src ] || { echo "image: dependencies: src is there; this is for a folder with the manifest alone" >&2; exit 1; }
    # Benches and examples, which Cargo.toml names with their paths, are not looked for.
    mkdir src
    : >src/lib.rs
    echo 'fn main() {}' >src/main.rs
    if [ "$arch" = "$own" ]; then native; else foreign; fi
    rm -r src
}

binary() {
    local file=${1:?a file for the binary}
    # The files of a build context may be older than what was compiled in place of them.
    touch build.rs src/main.rs src/lib.rs
    mkdir -p "$(dirname "$file")"
    if [ "$arch" = "$own" ]; then
        make release
        cp "$target/dist/edgeway" "$file"
    else
        foreign
        cp "$target/$triple/release/edgeway" "$file"
    fi
    say "$file: $(stat -c %s "$file") bytes, $arch"
}

# What the binary links (libc6, libgcc-s1) and the authorities that it trusts when it fetches keys. Nothing that a request
# or an operator needs is missing: there is no shell to be had by an attacker, and `edgeway health` needs none.
root() {
    local folder=${1:?a folder for the root} packages=("libc6:$arch" "libgcc-s1:$arch" ca-certificates)
    [ "$arch" = "$own" ] || dpkg --add-architecture "$arch"
    rm -rf "$folder"
    mkdir -p "$folder"/{dev,etc/edgeway,etc/ssl/certs,proc,run,sys,tmp,usr/bin,var/lib/dpkg/status.d}
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    download() { (cd "$work" && apt-get -qq download "${packages[@]}") >"$work/log" 2>&1; }
    # Lists that are not there, as in a fresh image, or that name what is no longer to be had are fetched anew.
    if ! { download || { apt-get -qq update >"$work/log" 2>&1 && download; }; }; then
        cat "$work/log" >&2
        echo "image: the packages cannot be had: ${packages[*]}" >&2
        exit 1
    fi
    for package in "$work"/*.deb; do
        dpkg-deb --extract "$package" "$folder"
        # Where scanners of images look for what is installed.
        dpkg-deb --field "$package" >"$folder/var/lib/dpkg/status.d/$(dpkg-deb --field "$package" Package)"
    done
    # Since Debian 13 the libraries are under /usr alone, and what links them asks for /lib and /lib64.
    for place in lib lib64; do
        [ -e "$folder/$place" ] || [ ! -e "$folder/usr/$place" ] || ln -s "usr/$place" "$folder/$place"
    done
    cat "$folder"/usr/share/ca-certificates/mozilla/*.crt >"$folder/etc/ssl/certs/ca-certificates.crt"
    rm -rf "$folder"/usr/{sbin,share/doc,share/man,share/ca-certificates,share/lintian,lib/*/gconv,lib/*/audit} \
        "$folder"/lib/*/{gconv,audit} "$folder"/etc/{ca-certificates,ld.so.conf.d}
    echo 'edgeway:x:65532:65532:edgeway:/nonexistent:/nonexistent' >"$folder/etc/passwd"
    echo 'edgeway:x:65532:' >"$folder/etc/group"
    echo 'hosts: files dns' >"$folder/etc/nsswitch.conf"
    chmod 1777 "$folder/tmp"
    say "$folder: $(du -sk "$folder" | cut -f1) KiB, $arch"
}

case $command in
    dependencies) dependencies ;;
    binary) binary "${3:-}" ;;
    root) root "${3:-}" ;;
    *) usage ;;
esac
