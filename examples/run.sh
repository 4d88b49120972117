#!/usr/bin/env bash
# examples/run.sh [RANKS]: installs what is missing (Debian 12), builds a release, and runs an Open MPI program under pmixrun:
# no mpirun, no libpmix server. Then a tool asks the server about its jobs.
set -euo pipefail
cd "$(dirname "$0")/.."
ranks=${1:-4}

# shellcheck source=tests/packages.sh
. tests/packages.sh
install_packages g++ meson ninja-build pkg-config python3 libasio-dev libfmt-dev doctest-dev openmpi-bin libopenmpi-dev

build=build/examples
mkdir -p build
setup='meson setup --buildtype=release -Db_ndebug=true -Dwerror=false'
[ -f $build/build.ninja ] || $setup $build >$build.txt || { cat $build.txt; exit 1; }
ninja -C $build examples/pmixrun examples/tool
mpicc -O2 -o $build/mpi_hello tests/conformance/mpi/hello.c

echo "+ pmixrun -n $ranks --tag-output mpi_hello"
$build/examples/pmixrun -n "$ranks" --tag-output --stats $build/stats.json $build/mpi_hello
echo "The server's counters: $(cat $build/stats.json)"

echo "+ pmixrun tool"
$build/examples/pmixrun -n 1 --nspace demo "$build/examples/tool" pmix.qry.ns
