#!/usr/bin/env bash
# A Debian with a PyTorch and libtorch other than this machine's, in a folder of its own; prints the folder.
#
#   scripts/torch-chroot.sh trixie    PyTorch 2.6
#   scripts/torch-chroot.sh sid       the newest that Debian has; 2.14 in November 2026
#
# Made at the first call, in $RDZV_CHROOTS (default build/chroots): some 2.5 GB each, with root and debootstrap, which
# is installed if need be. Nothing stays mounted: scripts/soak.sh mixed-newer shows how to run something there.
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

suite=${1:?"usage: scripts/torch-chroot.sh trixie|sid"}
chroots=${RDZV_CHROOTS:-$setup_root/build/chroots}
root=$chroots/$suite
if [ ! -e "$root/.complete" ]; then
    [ "$(id -u)" = 0 ] || setup_fail "a Debian in a folder of its own needs root"
    setup_programs debootstrap:debootstrap
    setup_say "installing Debian $suite with PyTorch in $root"
    rm -rf "$root"
    mkdir -p "$root"
    setup_quietly debootstrap --variant=minbase "$suite" "$root" || setup_fail "debootstrap could not install $suite"
    setup_quietly env DEBIAN_FRONTEND=noninteractive chroot "$root" \
        apt-get install -y --no-install-recommends \
        python3-torch python3-etcd libtorch-dev libgloo-dev g++ || setup_fail "$suite has no PyTorch"
    setup_quietly chroot "$root" apt-get clean
    touch "$root/.complete"
fi
echo "$root"
