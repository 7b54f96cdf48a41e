#!/usr/bin/env bash
# Builds for ARM with Debian's own cross tools, and runs the result under qemu.
#
#   deploy/arm.sh arm64            64 bits, against Debian's OpenSSL (Debian and Raspberry Pi OS have it)
#   deploy/arm.sh armhf            32 bits (ARMv7: a Raspberry Pi 2 or later), the same
#   deploy/arm.sh ARCH vendored    OpenSSL compiled in: needs only glibc there; minutes longer to build
#   deploy/arm.sh ARCH static      that, and glibc compiled in too: needs nothing there
#
# As root, on Debian 12 for amd64. The binary is target/ARCH/ai_proxy-VARIANT.
set -euo pipefail
# shellcheck source=deploy/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

arch=${1:-}
variant=${2:-system}
triple=$(triple_of "$arch")
case $arch in
arm64) gnu=aarch64-linux-gnu emulator=qemu-aarch64-static ;;
armhf) gnu=arm-linux-gnueabihf emulator=qemu-arm-static ;;
esac
flags=()
case $variant in
system) ;;
vendored | static) flags=(--features vendored-tls) ;;
*) fail "unknown variant '$variant': system, vendored or static" ;;
esac

dpkg --print-foreign-architectures | grep -qx "$arch" || dpkg --add-architecture "$arch"
# libssl-dev of both: they must be of one version to stand side by side.
packages rustc-web cargo-web "libstd-rust-web-dev:$arch" "gcc-$gnu" "libc6-dev-$arch-cross" \
    libssl-dev "libssl-dev:$arch" pkg-config perl make qemu-user-static python3 openssl iproute2 file

export CARGO_TARGET_DIR=$target/$arch
under=${triple//-/_}
export "CARGO_TARGET_${under^^}_LINKER=$gnu-gcc" "CC_$under=$gnu-gcc" "AR_$under=$gnu-ar"
export PKG_CONFIG_ALLOW_CROSS=1 PKG_CONFIG_LIBDIR=/usr/lib/$gnu/pkgconfig
[ "$variant" != static ] || export "CARGO_TARGET_${under^^}_RUSTFLAGS=-C target-feature=+crt-static"

# Debian's cargo, wherever rustup stands in PATH: only /usr/bin has the ARM standard library.
PATH=/usr/sbin:/usr/bin:/sbin:/bin
say "building ($arch, $variant) with $(rustc --version)"
cargo build --release --locked --target "$triple" "${flags[@]}"
binary=$CARGO_TARGET_DIR/ai_proxy-$variant
cp "$CARGO_TARGET_DIR/$triple/release/ai_proxy" "$binary"
say "$(file --brief "$binary" | cut -d, -f1-5), $(stat -c %s "$binary") bytes"
say "needs: $("$gnu-readelf" -d "$binary" | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' | xargs)"

say "running under $("$emulator" --version | sed -n 1p)"
if [ "$variant" = static ]; then
    # In a root that holds nothing else than what every container has.
    root=$(mktemp -d)
    trap 'rm -rf "$root"' EXIT
    mkdir -p "$root"/{etc/ssl/certs,work,dev}
    cp "$binary" "$root/ai_proxy"
    cp "$(command -v "$emulator")" "$root/qemu"
    mknod -m 666 "$root/dev/null" c 1 3
    echo "127.0.0.1 localhost" >"$root/etc/hosts"
    echo "nameserver 127.0.0.1" >"$root/etc/resolv.conf"
    alone deploy/smoke.py --dns --work "$root/work" --seen-as /work \
        --system-ca "$root/etc/ssl/certs/ca-certificates.crt" \
        unshare --root="$root" --wd=/work /qemu /ai_proxy
else
    alone deploy/smoke.py "$emulator" "$binary"
fi
