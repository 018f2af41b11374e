#!/bin/sh
# Installs the embedded ClickHouse engine into the user's cache, outside the checkout, so that every
# clone shares it. Does nothing when it is there. Prints the path of the library.
#
#   BURSAR_CHDB_LIB   if set, that library is used and nothing is installed
#   XDG_CACHE_HOME    moves the cache (Linux); else ~/.cache, or ~/Library/Caches on macOS
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
pin="$root/deployments/chdb"
version=$(sed -n 's/.*"@chdb\/lib-linux-x64-gnu": *"\([^"]*\)".*/\1/p' "$pin/package.json")

if [ -n "${BURSAR_CHDB_LIB:-}" ]; then
    [ -f "$BURSAR_CHDB_LIB" ] || { echo "BURSAR_CHDB_LIB=$BURSAR_CHDB_LIB is not a file" >&2; exit 1; }
    echo "$BURSAR_CHDB_LIB"
    exit 0
fi

case "$(uname -s)-$(uname -m)" in
    Linux-x86_64)  platform=linux-x64-gnu ;;
    Linux-aarch64) platform=linux-arm64-gnu ;;
    Darwin-arm64)  platform=darwin-arm64 ;;
    Darwin-x86_64) platform=darwin-x64 ;;
    *) echo "no engine for $(uname -s) $(uname -m): run a ClickHouse server and pass --clickhouse-url" >&2; exit 1 ;;
esac
case "$platform" in
    darwin-*) cache="$HOME/Library/Caches" ;;
    *)        cache="${XDG_CACHE_HOME:-$HOME/.cache}" ;;
esac
target="$cache/bursar/chdb/$version"

if [ -f "$target/libchdb.so" ]; then
    echo "$target/libchdb.so"
    exit 0
fi
command -v npm >/dev/null || { echo "npm is needed to install the ClickHouse engine: install Node.js 18 or newer" >&2; exit 1; }

echo "installing the ClickHouse engine $version (about 550 MB unpacked)" >&2
mkdir -p "$target"
work=$(mktemp -d "$target/install.XXXXXX")
trap 'rm -rf "$work"' EXIT
cp "$pin/package.json" "$pin/package-lock.json" "$work/"
# The lock file holds the hash of the package it names; packages of other platforms are pinned by version.
if [ "$platform" = linux-x64-gnu ]; then
    (cd "$work" && npm ci --ignore-scripts --no-audit --no-fund >&2)
else
    (cd "$work" && rm package.json package-lock.json &&
        npm install --prefix "$work" --ignore-scripts --no-audit --no-fund "@chdb/lib-$platform@$version" >&2)
fi
# The move is last, so that a library that is there is whole.
mv "$work/node_modules/@chdb/lib-$platform/libchdb.so" "$target/libchdb.so"
echo "$target/libchdb.so"
