#!/bin/sh
# Installs axe-core, which checks how accessible the page is, into the user's cache, outside the checkout. Does nothing
# when it is there. Prints the path of its script.
set -eu

version=4.14.1
sum=sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==

target="${XDG_CACHE_HOME:-$HOME/.cache}/bursar/axe-core/$version"
if [ -f "$target/axe.min.js" ]; then
    echo "$target/axe.min.js"
    exit 0
fi
command -v npm >/dev/null || { echo "npm is needed to install axe-core: install Node.js 18 or newer" >&2; exit 1; }
mkdir -p "$target"
work=$(mktemp -d "$target/install.XXXXXX")
trap 'rm -rf "$work"' EXIT
# The lock holds the sum of the package, and npm refuses another one.
cat >"$work/package.json" <<EOF
{"private": true, "dependencies": {"axe-core": "$version"}}
EOF
cat >"$work/package-lock.json" <<EOF
{"lockfileVersion": 3, "requires": true, "packages": {
  "": {"dependencies": {"axe-core": "$version"}},
  "node_modules/axe-core": {"version": "$version", "integrity": "$sum", "license": "MPL-2.0"}}}
EOF
(cd "$work" && npm ci --ignore-scripts --no-audit --no-fund >&2)
# The move is last, so that a script that is there is whole.
mv "$work/node_modules/axe-core/axe.min.js" "$target/axe.min.js"
echo "$target/axe.min.js"
