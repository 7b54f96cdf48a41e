#!/usr/bin/env bash
# From nothing to the first answer, as somebody new to it has it: makes a minimal Debian 12, copies HEAD into it,
# pastes README.md's two commands as they stand, sends the first curl command that the demo prints, and says
# what came, after how long, what the build took, and how many tests passed.
#
#   deploy/fresh-debian.sh            as root, in a Debian without sudo
#   deploy/fresh-debian.sh --sudo     as an ordinary user with sudo
#   ... --no-tests                    without the second command
#
# As root, on Debian 12. Mirrors, proxies and authorities are this machine's. The demo's port must be free.
set -euo pipefail
# shellcheck source=deploy/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

if [ -z "${FRESH_DEBIAN:-}" ]; then
    packages debootstrap time iproute2
    [ -z "$(ss --no-header --listening --tcp 'sport = :8001')" ] || fail "the demo's port 8001 is taken"
    FRESH_DEBIAN=$(mktemp -d "${TMPDIR:-/tmp}/ai-proxy-fresh.XXXXXX")
    trap 'rm -rf --one-file-system "$FRESH_DEBIAN"' EXIT
    export FRESH_DEBIAN
    say "debootstrap"
    debian "$FRESH_DEBIAN"
    # Mounts and processes of its own, which end with it.
    unshare --mount --pid --fork --kill-child --mount-proc "deploy/$(basename "$0")" "$@"
    exit
fi

# The first process of a namespace is deaf to what it does not wait for.
trap 'exit 130' INT TERM
root=$FRESH_DEBIAN
log=$target/deploy/fresh-debian.log
user=root home=/root tests=yes
for option in "$@"; do
    case $option in
    --sudo) user=newcomer home=/home/newcomer ;;
    --no-tests) tests=no ;;
    *) fail "unknown option $option" ;;
    esac
done

# The first two commands of README.md's first shell block.
mapfile -t commands < <(sed -n '/^```\(bash\|sh\)$/,/^```$/{/^```$/q;/^```/d;/^#/d;/./p}' <(git show HEAD:README.md) | head -2)
[ "${#commands[@]}" = 2 ] || fail "README.md's first shell block has no two commands"

# What an installer would have left, and the settings of this machine without which nothing can be fetched.
prepare() {
    chmod 755 "$root"
    mount -t proc proc "$root/proc"
    mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts"
    mount -t tmpfs tmpfs "$root/dev/shm"
    printf '127.0.0.1 localhost\n127.0.1.1 %s\n::1 localhost\n' "$(hostname)" >"$root/etc/hosts"
    apt-get indextargets --format 'deb $(SITE) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 'Origin: Debian' |
        sort -u >"$root/etc/apt/sources.list"
    apt-config dump | grep -E '^Acquire::(https?|Check|Retries)' >"$root/etc/apt/apt.conf.d/90host" || true
    mkdir -p "$root/usr/local/share/ca-certificates"
    find /usr/local/share/ca-certificates -name '*.crt' -exec cp {} "$root/usr/local/share/ca-certificates/" \;
    if [ "$user" != root ]; then
        chroot "$root" sh -c 'apt-get update -qq && apt-get install -y -qq --no-install-recommends sudo' >/dev/null 2>&1
        chroot "$root" useradd --create-home --shell /bin/bash "$user"
        echo "$user ALL=(ALL) NOPASSWD: ALL" >"$root/etc/sudoers.d/$user"
        rm -rf "$root"/var/lib/apt/lists/*
    fi
    mkdir -p "$root$home/ai_proxy" "$root$home/.cargo"
    git archive HEAD | tar -x -C "$root$home/ai_proxy"
    local settings=${CARGO_HOME:-$HOME/.cargo}/config.toml
    [ ! -e "$settings" ] || cp "$settings" "$root$home/.cargo/"
    chroot "$root" chown -R "$user:" "$home"
}

megabytes() { du -sxm "$@" | awk '{ sum += $1 } END { print sum " MB" }'; }

# The first curl command that the demo prints, with the lines that continue it.
offered() { awk '/^ *curl .*http:/ { on = 1 } on { print; if (!/\\$/) exit }' "$log"; }

prepare
# A terminal of the user's: what it reads is what is pasted.
terminal=(chroot --userspec="$user:" "$root" env -i HOME="$home" TERM=dumb bash --login -s)
debian=$(megabytes "$root")
say "pasted: ${commands[0]}"
set -m
SECONDS=0
/usr/bin/time --quiet --format %M --output "$root/tmp/memory" \
    "${terminal[@]}" <<<"cd ~/ai_proxy; ${commands[0]}" >"$log" 2>&1 &
demo=$!
while [ -z "$(offered)" ]; do
    kill -0 "$demo" 2>/dev/null || { tail -20 "$log" && fail "the first command ended"; }
    sleep 0.1
done
say "pasted: $(offered)"
"${terminal[@]}" <<<"$(offered)" 2>/dev/null
echo
say "from nothing to this first answer: $SECONDS s"
# As Ctrl-C.
kill -INT -- "-$demo"
wait "$demo" || true
say "memory: $(($(cat "$root/tmp/memory") / 1024)) MB, the largest process of the build"
say "disk: $(megabytes "$root$home"/ai_proxy/target) for target/, $(megabytes "$root$home/.cargo") for crates," \
    "the Debian grew from $debian to $(megabytes "$root")"
[ "$tests" = yes ] || exit 0

say "pasted: ${commands[1]}"
SECONDS=0
failed=0
"${terminal[@]}" <<<"cd ~/ai_proxy; ${commands[1]}" >"$log" 2>&1 || failed=$?
sed -n '/^failures:$/,/^test result:/p' "$log"
awk '/^test result:/ { passed += $4; failed += $6; ignored += $8 }
    END { print passed + 0 " tests passed, " failed + 0 " failed, " ignored + 0 " ignored" }' "$log"
say "after $SECONDS s; disk: $(megabytes "$root$home"/ai_proxy/target) for target/"
[ "$failed" = 0 ] || { tail -5 "$log" && fail "the second command ended with $failed"; }
