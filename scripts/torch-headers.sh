#!/usr/bin/env bash
# Fetches the headers of newer versions of libtorch, against which the adaptor is syntax-checked.
#
#   scripts/torch-headers.sh <version>…
#
# They go to build/torch-headers/<version>/include, or to $RDZV_TORCH_CACHE/<version>/include where that is set. A
# version that is there already is left alone. They come out of PyPI's wheels for aarch64, which hold the same headers
# as those for x86-64 at a tenth of the size (about 100 MB); one wheel is on the disk at a time.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cache=${RDZV_TORCH_CACHE:-build/torch-headers}
work=
trap 'rm -rf "$work"' EXIT

for version in "$@"; do
    target=$cache/$version
    if [ -e "$target/include/torch/csrc/distributed/c10d/Store.hpp" ]; then continue; fi
    echo "fetching the headers of torch $version" >&2
    mkdir -p "$cache"
    work=$(mktemp -d "$cache/.fetch-XXXXXX")
    python3 -m pip download --quiet --no-deps --only-binary :all: --python-version 3.11 --implementation cp \
        --platform manylinux_2_28_aarch64 --platform manylinux2014_aarch64 --platform manylinux_2_17_aarch64 \
        --dest "$work" "torch==$version"
    python3 - "$work" <<'END'
import glob, sys, zipfile
for wheel in glob.glob(f"{sys.argv[1]}/torch-*.whl"):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(sys.argv[1], [name for name in archive.namelist() if name.startswith("torch/include/")])
END
    rm -rf "$target"
    mkdir -p "$target"
    mv "$work/torch/include" "$target/include"
    rm -rf "$work"
done
