#!/usr/bin/env bash
# Renews the assets of /docs and /redoc in assets/. Only for a change of version: what it writes is committed, and a
# build needs neither npm nor a network.
set -euo pipefail

SWAGGER_UI=5.35.0
REDOC=2.5.4

assets=$(cd "$(dirname "$0")/.." && pwd)/assets
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Unpacks NAME@VERSION to $work/NAME.
unpack() {
    (cd "$work" && npm pack --silent "$1@$2" >/dev/null)
    mkdir "$work/$1"
    tar -xzf "$work/$1-$2.tgz" -C "$work/$1" --strip-components=1
}

# Compresses FILE as NAME.gz, the same bytes every time. Comments that name source maps go: there are none here, and
# a browser would ask for them.
pack() {
    sed -E \
        -e 's@//# sourceMappingURL=[A-Za-z0-9._-]+\.map@@g' \
        -e 's@/\*# sourceMappingURL=[A-Za-z0-9._-]+\.map ?\*/@@g' \
        "$1" | gzip -9n >"$assets/$2.gz"
}

sum() { sha256sum "$assets/$1" | cut -d' ' -f1; }

unpack swagger-ui-dist "$SWAGGER_UI"
unpack redoc "$REDOC"
swagger=$work/swagger-ui-dist
redoc=$work/redoc

# ReDoc shows a logo from another host beside its name. An image that cannot be read is one that it leaves out.
logo='src:"https://cdn.redoc.ly/redoc/logo-mini.svg"'
if [ "$(grep -o "$logo" "$redoc/bundles/redoc.standalone.js" | wc -l)" -ne 1 ]; then
    echo "assets: redoc $REDOC loads its logo in another way; look at it and change this script" >&2
    exit 1
fi
sed -i "s@$logo@src:\"data:,\"@" "$redoc/bundles/redoc.standalone.js"

rm -f "$assets"/*.gz "$assets"/LICENSE.*
pack "$swagger/swagger-ui-bundle.js" swagger-ui-bundle.js
pack "$swagger/swagger-ui.css" swagger-ui.css
pack "$redoc/bundles/redoc.standalone.js" redoc.standalone.js
cat "$swagger/NOTICE" <(echo) "$swagger/LICENSE" >"$assets/LICENSE.swagger-ui"
cp "$swagger/swagger-ui-bundle.js.LICENSE.txt" "$assets/LICENSE.swagger-ui-bundle.js"
cp "$redoc/LICENSE" "$assets/LICENSE.redoc"
cp "$redoc/bundles/redoc.standalone.js.LICENSE.txt" "$assets/LICENSE.redoc.standalone.js"

cat >"$assets/README.md" <<END
# Assets of the pages \`/docs\` and \`/redoc\`

They are part of the binary (\`src/own/assets.rs\`). \`scripts/assets.sh\` writes the compressed files, their licences
and this page; the other files are ours.

| file | npm package | version | licence | SHA-256 |
|---|---|---|---|---|
| \`swagger-ui-bundle.js.gz\` | \`swagger-ui-dist\` | $SWAGGER_UI | Apache-2.0 | \`$(sum swagger-ui-bundle.js.gz)\` |
| \`swagger-ui.css.gz\` | \`swagger-ui-dist\` | $SWAGGER_UI | Apache-2.0 | \`$(sum swagger-ui.css.gz)\` |
| \`redoc.standalone.js.gz\` | \`redoc\` | $REDOC | MIT | \`$(sum redoc.standalone.js.gz)\` |

Changed in them: comments that name source maps are removed, and ReDoc's logo, which it would load from another host,
is left out. \`LICENSE.swagger-ui-bundle.js\` and \`LICENSE.redoc.standalone.js\` are the licences of what the two
bundles contain.
END
