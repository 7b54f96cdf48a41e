# What the scripts in deploy/ share. Sourced, never run: bash, as root on Debian 12 for what installs.
# shellcheck shell=bash

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
target=${CARGO_TARGET_DIR:-target}
mkdir -p "$target"
target=$(realpath "$target")
export CARGO_TERM_COLOR=never

say() { echo "--- $*"; }

skip() { echo "--- SKIPPED: $*"; }

fail() {
    echo "--- FAILED: $*" >&2
    exit 1
}

# Installs the Debian packages that are missing.
packages() {
    local package missing=()
    for package in "$@"; do
        dpkg-query --show --showformat '${db:Status-Status}\n' "$package" 2>/dev/null |
            grep -qx installed || missing+=("$package")
    done
    [ "${#missing[@]}" -gt 0 ] || return 0
    say "installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get -o DPkg::Lock::Timeout=600 update -qq
    apt-get -o DPkg::Lock::Timeout=600 install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# What Rust calls a Debian architecture.
triple_of() {
    case $1 in
    arm64) echo aarch64-unknown-linux-gnu ;;
    armhf) echo armv7-unknown-linux-gnueabihf ;;
    *) fail "unknown architecture '$1': arm64 or armhf" ;;
    esac
}

# Makes a minimal Debian 12 in the folder $1, with the packages that follow, from this machine's mirror.
debian() {
    local folder=$1 mirror
    shift
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Codename: bookworm' | sed -n 1p)
    [ -n "$mirror" ] || fail "apt names no mirror for bookworm"
    mkdir -p "$target/deploy"
    debootstrap --variant=minbase ${1:+"--include=$(IFS=, && echo "$*")"} bookworm "$folder" "$mirror" \
        >"$target/deploy/debootstrap.log"
}

# Runs a command in a network of its own: the demo's port is free there, and nothing gets out.
alone() {
    unshare --net -- sh -c 'ip link set lo up && exec "$@"' sh "$@"
}

# A Python environment with these packages, kept under target/.
python_tools() {
    local venv=$target/deploy/venv
    packages python3-venv
    [ -x "$venv/bin/pip" ] || /usr/bin/python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check "$@"
    PATH=$venv/bin:$PATH
}
