#!/usr/bin/env bash
# Installs what is missing, builds the library and the launcher example, and runs it: N worker processes find each
# other over etcd. Arguments go to the launcher. It starts an etcd of its own unless RDZV_ENDPOINT names one.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$root/build/demo

# shellcheck source=scripts/setup.sh
source "$root/scripts/setup.sh"
setup_demo

cache=$build/CMakeCache.txt
if [ -e "$cache" ] && ! grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$root" "$cache"; then rm -rf "$build"; fi

# A build says nothing unless it fails.
echo "demo: building (the first time takes a minute or two)" >&2
setup_quietly cmake -S "$root" -B "$build" -DCMAKE_BUILD_TYPE=Release -DRDZV_BUILD_TESTS=OFF -DRDZV_BUILD_EXAMPLES=ON
setup_quietly cmake --build "$build" --target launcher --parallel 2

launcher=$(find "$build" -type f -name launcher -perm -u+x -print -quit)
[ -n "$launcher" ] || setup_fail "the build left no launcher in $build"
exec "$launcher" "$@"
