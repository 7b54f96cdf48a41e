#!/usr/bin/env bash
# Builds the Debian package, and prints its path in the last line.
#
#   deploy/deb.sh           for this machine
#   deploy/deb.sh arm64     for ARM with 64 bits, from what deploy/arm.sh builds
#   deploy/deb.sh armhf     for ARM with 32 bits, the same
#
# Install it with: apt install ./ai-proxy_VERSION_ARCH.deb
set -euo pipefail
# shellcheck source=deploy/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

CARGO_DEB=3.8.0

packages libssl-dev pkg-config dpkg-dev
export CARGO_TARGET_DIR=$target
# Built from its source, without optimisation, and only once on a machine.
if [ ! -x "$target/deploy/bin/cargo-deb" ]; then
    say "installing cargo-deb $CARGO_DEB"
    CARGO_PROFILE_DEV_DEBUG=0 CARGO_TARGET_DIR=$target/cargo-deb cargo install --quiet --locked --debug \
        --no-track --root "$target/deploy" --version "$CARGO_DEB" cargo-deb
fi

options=(--no-build --no-strip)
if [ $# -gt 0 ]; then
    options+=(--target "$(triple_of "$1")")
    deploy/arm.sh "$1"
    # The libraries of arm.sh's OpenSSL and glibc are what the package will depend on.
    export CARGO_TARGET_DIR=$target/$1
else
    cargo build --release --locked
fi
"$target/deploy/bin/cargo-deb" --output "$target/deploy/" "${options[@]}"
