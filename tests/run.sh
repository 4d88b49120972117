#!/usr/bin/env bash
# tests/run.sh [quick]: installs what is missing (Debian 12), builds with every compiler and sanitizer, runs the tests.
# quick: only the unit tests of one build. The last line counts Meson's results: N passed, N failed, N skipped
set -u
cd "$(dirname "$0")/.." || exit

# shellcheck source=tests/packages.sh
. tests/packages.sh

passed=0 failed=0 skipped=0
trap 'echo "$passed passed, $failed failed, $skipped skipped"' EXIT
fail() {
    echo "FAILED: $*"
    failed=$((failed + 1))
}

packages='g++ clang meson ninja-build pkg-config python3 libasio-dev libfmt-dev doctest-dev libclang-rt-14-dev
    libpmix-dev libpmix-bin python3-pmix openmpi-bin libopenmpi-dev munge libmunge-dev faketime iproute2
    hpcc zlib1g-dev libbenchmark-dev'

# Adds what the log of the last `meson test` says: 0 all passed, 1 nothing ran, 2 some failed.
count() {
    local p f s
    read -r p f s < <(python3 - "$1" <<'PY'
import collections, json, pathlib, sys
log = pathlib.Path(sys.argv[1])
results = [json.loads(line)["result"] for line in log.read_text().splitlines()] if log.exists() else []
n = collections.Counter({"OK": "passed", "EXPECTEDFAIL": "passed", "SKIP": "skipped"}.get(r, "failed") for r in results)
print(n["passed"], n["failed"], n["skipped"])
PY
    )
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    [ $((p + f + s)) -gt 0 ] && return "$((f > 0 ? 2 : 0))"
}

# leg NAME C++-COMPILER "SETUP OPTIONS" "TARGETS" TEST-OPTIONS...: one build directory; no target means what the tests need
leg() {
    local name=$1 cxx=$2 options=$3 targets=$4 dir=build/$1 start=$SECONDS again='' status
    shift 4
    printf '\n== %s\n' "$name"
    mkdir -p "$dir"
    [ -f "$dir/build.ninja" ] && again=--reconfigure
    # shellcheck disable=SC2086  # options and targets are words
    CXX=$cxx meson setup $again "$dir" $options >"$dir/setup.txt" 2>&1 || { cat "$dir/setup.txt"; fail "setup of $name"; return; }
    # shellcheck disable=SC2086
    [ -z "$targets" ] || ninja -C "$dir" $targets || { fail "build of $name"; return; }
    rm -f "$dir/meson-logs/testlog.json"
    $fixed_addresses meson test -C "$dir" --print-errorlogs "$@"
    status=$?
    count "$dir/meson-logs/testlog.json"
    case $?,$status in  # counted, said by Meson
        0,0 | 2,*) ;;
        *,125) fail "build of $name" ;;
        *) fail "$name: status $status, yet no test failed or none ran" ;;
    esac
    echo "$name took $((SECONDS - start)) s"
}

# shellcheck disable=SC2086  # packages are words
install_packages $packages || { fail 'packages'; exit 1; }
command -v clang++-19 >/dev/null || install_packages clang-19 || echo 'no clang-19'

# The sanitizers of g++ 12 and clang 14 fail at random where the kernel scatters addresses widely.
fixed_addresses=$(setarch -R true 2>/dev/null && echo setarch -R)

# The sanitizers go with clang, which compiles with them in half of g++'s time; -O0, as -O1 takes twice as long.
san='-Db_sanitize=address,undefined -Doptimization=0 -Db_lundef=false'
if [ "${1:-}" = quick ]; then
    leg gcc g++ '-Doptimization=0' '' --suite unit
else
    leg clang clang++ "$san" all
    leg gcc g++ '-Doptimization=0' all --no-suite conformance --no-suite storm
    leg release g++ '--buildtype=release' '' --suite examples --suite release
    leg tsan g++ '-Db_sanitize=thread -Doptimization=1' '' --suite tsan
    if ! command -v clang++-19 >/dev/null; then
        echo 'clang-19: not installed, left out'
    elif [ $SECONDS -gt 720 ]; then
        echo 'clang-19: left out, the others took long'
    else
        leg clang-19 clang++-19 '-Doptimization=1' '' --suite unit
    fi
fi
echo
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
