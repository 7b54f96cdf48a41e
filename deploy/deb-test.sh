#!/usr/bin/env bash
# Installs the Debian package into a new Debian, uses it, purges it, and looks for what is left.
#
#   deploy/deb-test.sh [PACKAGE.deb]      without it: builds one with deploy/deb.sh
#
# As root. The Debian is made by debootstrap from this machine's own mirror, and booted in a container
# (systemd-nspawn, without network). Where that is not possible, or with DEB_TEST_BOOT=no, the program
# is started by hand.
set -euo pipefail
# shellcheck source=deploy/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

packages debootstrap systemd-container iproute2 curl python3
if [ $# -gt 0 ]; then
    package=$(realpath "$1")
else
    deploy/deb.sh
    package=$(find "$target/deploy" -name "ai-proxy_*_$(dpkg --print-architecture).deb" -printf '%T@ %p\n' |
        sort -n | tail -1 | cut -d' ' -f2)
fi
say "$(dpkg-deb --field "$package" Package Version Architecture Depends Installed-Size | paste -sd' ')"

base=$target/deploy/base.tar
if [ ! -e "$base" ]; then
    say "debootstrap: once on a machine"
    rm -rf "$target/deploy/base"
    debian "$target/deploy/base" systemd libssl3 ca-certificates procps logrotate curl
    # Every machine has it but one that no installer has seen.
    printf '127.0.0.1 localhost\n::1 localhost\n' >"$target/deploy/base/etc/hosts"
    tar -C "$target/deploy/base" -cf "$base.new" . && mv "$base.new" "$base"
    rm -rf "$target/deploy/base"
fi

root=$(mktemp -d "${TMPDIR:-/tmp}/ai-proxy-deb.XXXXXX")
container="" leader=""

leave() {
    [ -z "$leader" ] || inside systemctl poweroff 2>/dev/null || true
    [ -z "$container" ] || { timeout 20 tail --pid="$container" -f /dev/null || kill -KILL "$container"; }
    find /sys/fs/cgroup/{,*/}ai-proxy-test -depth -type d -exec rmdir {} \; 2>/dev/null || true
    rm -rf "$root"
}
trap leave EXIT

# Runs a command in the new Debian, booted or not.
inside() {
    local clean=(env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive)
    if [ -n "$leader" ]; then
        nsenter --target "$leader" --all -- "${clean[@]}" "$@"
    else
        chroot "$root" "${clean[@]}" "$@"
    fi
}

# Boots it in a container and in control groups of its own.
boot() {
    local options=() group
    if [ ! -d /run/systemd/system ]; then
        options=(--keep-unit)
        for group in /sys/fs/cgroup /sys/fs/cgroup/*; do
            [ "$group" = /sys/fs/cgroup ] || [ ! -e /sys/fs/cgroup/cgroup.controllers ] || break
            if [ -e "$group/cgroup.procs" ] && mkdir -p "$group/ai-proxy-test"; then
                echo "$BASHPID" >"$group/ai-proxy-test/cgroup.procs" || true
            fi
        done 2>/dev/null
    fi
    exec systemd-nspawn --quiet --directory="$root" --register=no --private-network --boot \
        --console=pipe --kill-signal=SIGRTMIN+3 "${options[@]}" >"$target/deploy/boot.log" 2>&1 </dev/null
}

# All that a package could leave: files (but for logs and caches of dpkg, systemd and ld.so), users.
inventory() {
    (cd "$root" && find . -xdev \( -path ./proc -o -path ./sys -o -path ./dev -o -path ./run -o -path ./tmp \
        -o -path ./var/tmp -o -path ./var/cache -o -path ./var/log/journal -o -path ./var/lib/dpkg \
        -o -path ./var/lib/systemd -o -path ./var/lib/logrotate \) -prune -o -print |
        grep -vxE './etc/(passwd|group|g?shadow)-|./etc/machine-id|./var/log/private|./etc/\.pwd\.lock' | sort)
    cat "$root/etc/passwd" "$root/etc/group"
    ls -R "$root/etc/systemd" "$root/var/lib/systemd/deb-systemd-helper-enabled" \
        "$root/var/lib/systemd/deb-systemd-helper-masked" 2>/dev/null || true
}

tar -C "$root" -xf "$base"
cp "$package" "$root/root/ai-proxy.deb"
if [ "${DEB_TEST_BOOT:-yes}" = yes ]; then
    boot &
    container=$!
fi
for _ in $(seq 60); do
    [ -n "$container" ] || break
    sleep 0.5
    leader=$(pgrep -P "$container" | head -1 || true)
    case "$([ -z "$leader" ] || inside systemctl is-system-running 2>/dev/null || true)" in
    running | degraded) break ;;
    esac
    leader=""
    kill -0 "$container" 2>/dev/null || break
done
inventory >"$target/deploy/before"
inside dpkg --install /root/ai-proxy.deb
[ "$(stat -c '%a %U' "$root/etc/ai_proxy/config.json")" = "640 root" ] || fail "mode of config.json"
[ "$(stat -c '%a %U' "$root/etc/ai_proxy/environment")" = "600 root" ] || fail "mode of environment"
inside sh -c '[ "$(stat -c %G /etc/ai_proxy/config.json)" = ai-proxy-config ]' || fail "group of config.json"

if [ -n "$leader" ]; then
    say "booted: $(inside systemctl --version | head -1)"
    # shellcheck source=deploy/systemd-test.sh
    . deploy/systemd-test.sh
else
    skip "systemd: not booted ($(tail -1 "$target/deploy/boot.log" 2>/dev/null || true))"
    say "starting ExecStart by hand, as nobody with the group"
    mkdir "$root/var/log/ai_proxy"
    chown 65534:65534 "$root/var/log/ai_proxy"
    command=$(sed -n 's/^ExecStart=//p' "$root/usr/lib/systemd/system/ai-proxy.service")
    group=$(inside getent group ai-proxy-config | cut -d: -f3)
    # shellcheck disable=SC2086  # words
    alone sh -c 'port=8001; root=$1; group=$2; shift 2
        chroot "$root" setpriv --reuid 65534 --regid 65534 --groups "$group" sh -c "cd /var/log/ai_proxy; exec $*" &
        sleep 1; curl -fsS http://127.0.0.1:$port/ && kill -TERM $! && wait $!' sh "$root" "$group" $command
fi

inside dpkg --purge ai-proxy
inventory >"$target/deploy/after"
diff "$target/deploy/before" "$target/deploy/after" || fail "the purge has left something"
say "purged: nothing is left"
