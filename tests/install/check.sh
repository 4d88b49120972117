#!/bin/sh
# check.sh BUILD PREFIX COMPILER...: what `meson install` puts down is enough to compile, link and run a program.
set -eu
build=$1 prefix=$2
shift 2
pkg-config --exists fmt || exit 77

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
DESTDIR=$stage meson install -C "$build" --no-rebuild --quiet

# As if installed there for good; the other packages stay where they are.
sed -i "s|^prefix=.*|prefix=$stage$prefix|" "$stage$prefix/share/pkgconfig/pmixio.pc"
export PKG_CONFIG_PATH="$stage$prefix/share/pkgconfig"
printf '#include <pmixio/server.hpp>\nint main() {}\n' > "$stage/main.cpp"
set -x
# shellcheck disable=SC2046  # flags are words
"$@" -std=c++20 "$stage/main.cpp" -o "$stage/main" $(pkg-config --cflags --libs pmixio)
"$stage/main"
