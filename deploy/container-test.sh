#!/usr/bin/env bash
# Builds what the Dockerfile builds, with the very steps of it, and runs it as an engine would.
#
#   deploy/container-test.sh [BINARY]      without it: cargo build --release
#
# As root. First by hand: the final image's folder (deploy/image-root.sh, as in the Dockerfile), read
# only, as nobody, without capabilities. Then, where buildah can be had, the Dockerfile itself, upon a
# base image that debootstrap and this machine's Rust make, so that nothing is pulled.
set -euo pipefail
# shellcheck source=deploy/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

packages python3 openssl iproute2 ca-certificates libssl-dev pkg-config tzdata
binary=${1:-}
if [ -z "$binary" ]; then
    CARGO_TARGET_DIR=$target cargo build --release --locked
    binary=$target/release/ai_proxy
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/ai-proxy-image.XXXXXX")
store=(--root "$target/deploy/images" --runroot "$work/run" --storage-driver vfs)
leave() {
    [ ! -d "$target/deploy/images" ] || buildah "${store[@]}" rm --all >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap leave EXIT

# Starts the image like an engine: read-only root, /proc, /etc/hosts, nobody (or $IMAGE_USER, as --user); in a
# mount namespace of its own, which smoke.py's command makes. Trusts the authority in $work/authorities.
cat >"$work/engine" <<END
#!/bin/sh
set -e
image=$work/image
mount --bind "\$image" "\$image"
mount -t proc proc "\$image/proc"
mount --bind "$work/smoke" "\$image/smoke"
mount --bind "$work/hosts" "\$image/etc/hosts"
mount --bind "$work/resolv.conf" "\$image/etc/resolv.conf"
mount --bind /dev/null "\$image/dev/null"
mount --bind "$work/authorities" "\$image/etc/ssl/certs/ca-certificates.crt"
mount -o remount,bind,ro "\$image"
# As runc does, so that the log's name in /proc can be opened.
user=\${IMAGE_USER:-65534}
chown "\$user:\$user" /proc/self/fd/1
exec setpriv --no-new-privs unshare --root="\$image" --wd=/var/log/ai_proxy --setgid "\$user" --setuid "\$user" \
    /usr/bin/ai_proxy "\$@"
END
chmod 755 "$work" "$work/engine"
echo '127.0.0.1 localhost' >"$work/hosts"
echo 'nameserver 127.0.0.1' >"$work/resolv.conf"

# Runs the image in the folder $1.
try_image() {
    rm -rf "$work/image" "$work/smoke"
    cp -a "$1" "$work/image"
    say "the image: $(du -sh "$work/image" | cut -f1), $(find "$work/image" -type f | wc -l) files"
    (cd "$work/image" && find . \( -type f -o -type l \) -printf '%10s %M %U %p\n')
    # The mount points that engines make.
    mkdir -p "$work"/image/{proc,dev,smoke} "$work/smoke"
    touch "$work"/image/{etc/hosts,etc/resolv.conf,dev/null} "$work/authorities"
    chown 65534:65534 "$work/smoke"
    alone deploy/smoke.py --dns --work "$work/smoke" --seen-as /smoke --system-ca "$work/authorities" \
        unshare --mount "$work/engine"
    # For its own user and for another, with a configuration that only that user can read. The log comes out
    # where `docker logs` looks, and nowhere else.
    local user
    for user in 65534 1000; do
        chown "$user:$user" "$work/smoke/smoke.json"
        [ "$(stat -c %a "$work/smoke/smoke.json")" = 600 ] || fail "mode of the configuration"
        IMAGE_USER=$user SMOKE_KEY=key timeout --preserve-status 2 unshare --mount --net "$work/engine" \
            --config /smoke/smoke.json 2>&1 | cat >"$work/said" || true
        grep WARNING "$work/said" || { cat "$work/said" && fail "no log on standard output"; }
        if grep -q 'cannot write the log' "$work/said"; then fail "the log cannot be written"; fi
    done
    # It is still that other user's: the image's own one is told so.
    if unshare --mount --net "$work/engine" --config /smoke/smoke.json --check >"$work/said" 2>&1; then
        fail "a file of mode 600 was read by somebody else"
    fi
    grep 'belongs to the user 1000, mode 600, and the program runs as the user 65534' "$work/said" ||
        { cat "$work/said" && fail "it does not say whose the file is"; }
    chown 65534:65534 "$work/smoke/smoke.json"
    # In the zone that TZ names; no rule changes this one's eight hours.
    local before after
    before=$(TZ=CST-8 date '+%F %H')
    SMOKE_KEY=key TZ=Asia/Shanghai timeout --preserve-status 2 unshare --mount --net "$work/engine" \
        --config /smoke/smoke.json 2>&1 | cat >"$work/said" || true
    after=$(TZ=CST-8 date '+%F %H')
    grep -E "^($before|$after):[0-9:,]+ WARNING" "$work/said" ||
        { cat "$work/said" && fail "the log does not know TZ=Asia/Shanghai"; }
}

say "by hand"
deploy/image-root.sh "$binary" "$work/by-hand"
try_image "$work/by-hand"

if ! apt-cache show buildah >/dev/null 2>&1; then
    skip "the Dockerfile itself: no buildah"
    exit
fi
packages buildah debootstrap
export BUILDAH_ISOLATION=chroot
name=$(sed -n 's/^FROM \(.*\) AS build$/\1/p' Dockerfile)
say "the Dockerfile itself, by $(buildah --version | cut -d' ' -f1-3), upon our own $name"
if ! buildah "${store[@]}" inspect --type image "$name" >/dev/null 2>&1; then
    debian "$work/base" gcc libc6-dev ca-certificates
    base=$(buildah "${store[@]}" from scratch)
    buildah "${store[@]}" add --quiet "$base" "$work/base" / >/dev/null
    buildah "${store[@]}" config --env PATH=/usr/local/rust/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        --env CARGO_HOME=/usr/local/cargo --env CARGO_NET_OFFLINE=true "$base"
    # The steps are tried here, not the optimiser, which takes minutes.
    buildah "${store[@]}" config --env CARGO_PROFILE_RELEASE_LTO=off --env CARGO_PROFILE_RELEASE_OPT_LEVEL=0 \
        --env CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 "$base"
    buildah "${store[@]}" commit --quiet --rm "$base" "$name" >/dev/null
    rm -rf "$work/base"
fi
# The toolchain and the crates' sources are this machine's.
cargo fetch --locked --quiet
buildah "${store[@]}" bud --pull-never --network host --quiet --tag ai_proxy --file Dockerfile \
    --volume "$(rustc --print sysroot):/usr/local/rust:ro" \
    --volume "${CARGO_HOME:-$HOME/.cargo}/registry:/usr/local/cargo/registry" .
buildah "${store[@]}" inspect --type image \
    --format '{{.OCIv1.Config.User}} {{.OCIv1.Config.WorkingDir}} {{.OCIv1.Config.Entrypoint}} {{.OCIv1.Config.Cmd}}{{"\n"}}' \
    ai_proxy
container=$(buildah "${store[@]}" from --pull-never ai_proxy)
try_image "$(buildah "${store[@]}" mount "$container")"
