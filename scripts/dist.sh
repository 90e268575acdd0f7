#!/usr/bin/env bash
# Packs a built binary for users: stripped, with a list of what it was built from (SBOM, CycloneDX), an archive, and checksums.
#   scripts/dist.sh TARGET BINARY    TARGET: cargo's folder; BINARY: what to pack; the results are in TARGET/dist
# The tree must be committed, and the binary built from that commit: the names of the results say so.
set -euo pipefail

target=${1:?usage: dist.sh TARGET BINARY}
binary=$(realpath "${2:?usage: dist.sh TARGET BINARY}")
root=$(cd "$(dirname "$0")/.." && pwd)
say() { echo "dist: $*"; }
die() { echo "dist: $*" >&2; exit 1; }

# A version of its own, not the newest: two releases of one commit should name their parts in the same way.
cyclonedx=0.5.9
mkdir -p "$target/tools" "$target/dist"
target=$(cd "$target" && pwd)
dist=$target/dist
cd "$root"

commit=$(git rev-parse --short=12 HEAD)
if [ -n "$(git status --porcelain --untracked-files=no)" ]; then
    die "there are changes that are not committed; what is packed could not be built again"
fi
# edgeway 0.1.0 (commit 0123456789ab, release build)
said=$("$binary" --version)
version=$(sed -nE 's/^edgeway ([^ ]+) \(commit .*/\1/p' <<<"$said")
built=$(sed -nE 's/.*\(commit ([0-9a-f]+),.*/\1/p' <<<"$said")
[ "$version" = "$(sed -nE 's/^version = "(.*)"/\1/p' Cargo.toml | head -n 1)" ] || die "the binary says \"$said\", Cargo.toml another version"
[ "$built" = "$commit" ] || die "the binary was built from $built, and the tree is at $commit; build it again"

# Two packings of one commit are the same to the byte, except for the binary, which two compilers may build differently.
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
name=edgeway-$version-linux-$(uname -m)
work=$(mktemp -d)
# Beside Cargo.toml, because that is where cargo-cyclonedx writes.
made=$root/edgeway-sbom.json
trap 'rm -rf "$work" "$made"' EXIT

say "1 of 4: $name, commit $commit"
folder=$work/$name
mkdir -p "$folder"
strip --strip-all -o "$folder/edgeway" "$binary"
"$folder/edgeway" --version >/dev/null || die "the stripped binary does not run"
cp -r conf LICENSE README.md CHANGELOG.md .env.example "$folder"
if [ -e deploy/systemd/edgeway.service ]; then
    install -D -m 644 deploy/systemd/edgeway.service "$folder/systemd/edgeway.service"
else
    say "there is no deploy/systemd/edgeway.service, so none is packed"
fi

say "2 of 4: the list of what it was built from, by cargo-cyclonedx $cyclonedx"
if [ "$("$target/tools/bin/cargo-cyclonedx" cyclonedx --version 2>/dev/null | awk '{print $NF}')" != "$cyclonedx" ]; then
    say "installing cargo-cyclonedx $cyclonedx into $target/tools (a few minutes, once)"
    # Its own build folder: the gateway's would be built again for other features.
    CARGO_TARGET_DIR=$target/tools/build cargo install --locked --quiet --root "$target/tools" --version "$cyclonedx" cargo-cyclonedx
    rm -rf "$target/tools/build"
fi
# What is linked into the binary, and what built it (scope "excluded"), for this machine's kind alone: neither tools of the
# tests nor other systems' crates.
host=$(rustc -vV | sed -n 's/^host: //p')
"$target/tools/bin/cargo-cyclonedx" cyclonedx --quiet --format json --spec-version 1.5 --override-filename edgeway-sbom --target "$host"
crates() { cargo tree --locked --target "$host" --edges "$1" --prefix none --no-dedupe --format '{p}' | sed -E 's/^([^ ]+) v([^ ]+).*/\1@\2/'; }
crates normal >"$work/linked"
crates normal,build >"$work/all"
python3 - "$made" "$work" "$commit" "$version" "$(sha256sum "$folder/edgeway" | cut -d' ' -f1)" "$root" <<'PYTHON'
import json, sys
source, work, commit, version, digest, root = sys.argv[1:]
# Its references name the folder in which it was made, which nobody needs to know, and which differs from machine to machine.
sbom = json.loads(open(source).read().replace(f"path+file://{root}#", "path+file://.#"))
component = sbom["metadata"]["component"]
assert (component["name"], component["version"]) == ("edgeway", version), component
# So that list and binary cannot be mistaken for those of others.
component["hashes"] = [{"alg": "SHA-256", "content": digest}]
sbom["metadata"].setdefault("properties", []).append({"name": "edgeway:commit", "value": commit})
# It also lists crates behind features that nobody has asked for. cargo knows better what it compiles.
linked, compiled = (set(open(f"{work}/{name}").read().split()) for name in ("linked", "all"))
sbom["components"] = [one for one in sbom["components"] if f"{one['name']}@{one['version']}" in compiled]
kept = {one["bom-ref"] for one in sbom["components"]} | {component["bom-ref"]}
sbom["dependencies"] = [
    one | {"dependsOn": [ref for ref in one["dependsOn"] if ref in kept]} if "dependsOn" in one else one
    for one in sbom["dependencies"] if one["ref"] in kept
]
required = {f"{one['name']}@{one['version']}" for one in sbom["components"] if one["scope"] == "required"}
assert required == linked - {f"edgeway@{version}"}, f"differently linked and listed: {sorted(required ^ linked)}"
text = json.dumps(sbom, indent=1, sort_keys=True) + "\n"
assert root not in text, f"the list names {root}"
open(f"{work}/sbom", "w").write(text)
print(f"dist: {len(required)} crates are in it, {len(sbom['components']) - len(required)} more have built it")
PYTHON
cp "$work/sbom" "$folder/edgeway.cdx.json"

say "3 of 4: archive and checksums"
# The service's user is another than who unpacks it, whatever the packer's umask was.
tar -C "$work" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --mode=go=u-w -cf - "$name" |
    gzip -n >"$work/archive"
mv "$work/archive" "$dist/$name.tar.gz"
cp "$work/sbom" "$dist/$name.cdx.json"
cp "$folder/edgeway" "$dist/$name"
(cd "$dist" && sha256sum "$name" "$name.tar.gz" "$name.cdx.json" >"$name.sha256")

say "4 of 4: what users do with it"
mkdir "$work/user"
cp "$dist/$name.tar.gz" "$dist/$name" "$dist/$name.cdx.json" "$dist/$name.sha256" "$work/user"
cd "$work/user"
sha256sum --quiet -c "$name.sha256"
tar -xzf "$name.tar.gz"
cd "$name"
[ "$(./edgeway --version)" = "$said" ] || die "the packed binary says $(./edgeway --version)"
export JWT_SECRET_KEY=0123456789abcdef0123456789abcdef
./edgeway check --config conf/edgeway.yaml
./edgeway check --config conf/minimal.yaml
python3 - "$commit" "$(sha256sum edgeway | cut -d' ' -f1)" <<'PYTHON'
import json, sys
sbom = json.load(open("edgeway.cdx.json"))
assert sbom["bomFormat"] == "CycloneDX" and sbom["specVersion"] == "1.5"
assert len(sbom["components"]) > 100, "only %d components" % len(sbom["components"])
assert {"name": "edgeway:commit", "value": sys.argv[1]} in sbom["metadata"]["properties"]
assert sbom["metadata"]["component"]["hashes"][0]["content"] == sys.argv[2]
PYTHON
say "done: $said"
ls -lh "$dist/$name" "$dist/$name.tar.gz" "$dist/$name.cdx.json" "$dist/$name.sha256"
