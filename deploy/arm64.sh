#!/usr/bin/env bash
# Builds for 64-bit ARM with Debian's own cross tools, and runs the result under qemu.
#
#   deploy/arm64.sh            against Debian's OpenSSL (Raspberry Pi OS and Debian have it)
#   deploy/arm64.sh vendored   OpenSSL compiled in: needs only glibc there; minutes longer to build
#   deploy/arm64.sh static     that, and glibc compiled in too: needs nothing there
#
# As root, on Debian 12 for amd64. The binary is target/arm64/ai_proxy-VARIANT.
set -euo pipefail
# shellcheck source=deploy/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

variant=${1:-system}
triple=aarch64-unknown-linux-gnu
flags=()
case $variant in
system) ;;
vendored | static) flags=(--features vendored-tls) ;;
*) fail "unknown variant $variant: system, vendored or static" ;;
esac

dpkg --print-foreign-architectures | grep -qx arm64 || dpkg --add-architecture arm64
# libssl-dev of both: they must be of one version to stand side by side.
packages rustc-web cargo-web libstd-rust-web-dev:arm64 gcc-aarch64-linux-gnu libc6-dev-arm64-cross \
    libssl-dev libssl-dev:arm64 pkg-config perl make qemu-user-static python3 openssl iproute2 file

export CARGO_TARGET_DIR=$target/arm64
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc AR_aarch64_unknown_linux_gnu=aarch64-linux-gnu-ar
export PKG_CONFIG_ALLOW_CROSS=1 PKG_CONFIG_LIBDIR=/usr/lib/aarch64-linux-gnu/pkgconfig
[ "$variant" != static ] || export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS="-C target-feature=+crt-static"

# Debian's cargo, wherever rustup stands in PATH: only /usr/bin has the ARM standard library.
PATH=/usr/sbin:/usr/bin:/sbin:/bin
say "building ($variant) with $(rustc --version)"
cargo build --release --locked --target "$triple" "${flags[@]}"
binary=$CARGO_TARGET_DIR/ai_proxy-$variant
cp "$CARGO_TARGET_DIR/$triple/release/ai_proxy" "$binary"
say "$(file --brief "$binary" | cut -d, -f1-5), $(stat -c %s "$binary") bytes"
say "needs: $(aarch64-linux-gnu-readelf -d "$binary" | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' | xargs)"

say "running under $(qemu-aarch64-static --version | head -1)"
if [ "$variant" = static ]; then
    # In a root that holds nothing else than what every container has.
    root=$(mktemp -d)
    trap 'rm -rf "$root"' EXIT
    mkdir -p "$root"/{etc/ssl/certs,work,dev}
    cp "$binary" "$root/ai_proxy"
    cp "$(command -v qemu-aarch64-static)" "$root/qemu"
    mknod -m 666 "$root/dev/null" c 1 3
    echo "127.0.0.1 localhost" >"$root/etc/hosts"
    echo "nameserver 127.0.0.1" >"$root/etc/resolv.conf"
    alone deploy/smoke.py --dns --work "$root/work" --seen-as /work \
        --system-ca "$root/etc/ssl/certs/ca-certificates.crt" \
        unshare --root="$root" --wd=/work /qemu /ai_proxy
else
    alone deploy/smoke.py qemu-aarch64-static "$binary"
fi
