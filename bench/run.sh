#!/usr/bin/env bash
# bench/run.sh [--quick]: installs what is missing (Debian 12), builds a release, measures pmixrun beside its peers, and prints
# one table. Writes bench/results.json and bench/*.svg.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/packages.sh
. tests/packages.sh
install_packages g++ meson ninja-build pkg-config python3 libasio-dev libfmt-dev doctest-dev libpmix-dev libbenchmark-dev

build=build/bench
mkdir -p build
[ -f $build/build.ninja ] || meson setup --buildtype=release -Db_ndebug=true $build >$build.txt || { cat $build.txt; exit 1; }
ninja -C $build examples/pmixrun bench/{floor,neighbour,load,codecs,client,libpmix_host,contexts}
exec python3 bench/run.py $build "$@"
