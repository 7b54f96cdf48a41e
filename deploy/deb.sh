#!/usr/bin/env bash
# Builds the Debian package, and prints its path in the last line.
#
#   deploy/deb.sh           for this machine
#   deploy/deb.sh arm64     for 64-bit ARM, from what deploy/arm64.sh has built
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

options=()
if [ "${1:-}" = arm64 ]; then
    deploy/arm64.sh
    export CARGO_TARGET_DIR=$target/arm64
    # The libraries of arm64.sh's OpenSSL and glibc are what the package will depend on.
    options=(--no-build --no-strip --target aarch64-unknown-linux-gnu)
else
    cargo build --release --locked
    options=(--no-build --no-strip)
fi
"$target/deploy/bin/cargo-deb" --output "$target/deploy/" "${options[@]}"
