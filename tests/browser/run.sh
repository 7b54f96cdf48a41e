#!/usr/bin/env bash
# The status page in a real browser: Debian's Chromium, driven by selenium.
#
#     tests/browser/run.sh BINARY [DIRECTORY]
#
# DIRECTORY (default: target/browser) keeps selenium between runs, and the screenshots.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
binary=$(realpath "$1")
directory=$(realpath -m "${2:-$here/../../target/browser}")
mkdir -p "$directory"

if ! cmp -s "$here/requirements.txt" "$directory/requirements.txt"; then
    python3 -m venv --clear "$directory/venv"
    "$directory/venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
    cp "$here/requirements.txt" "$directory/requirements.txt"
fi
chromium --version 2>/dev/null

tests=("$directory/venv/bin/python" -B "$here/run.py" "$binary" "$directory/screenshots")
if unshare --net true 2>/dev/null; then
    exec unshare --net sh -c 'ip link set lo up && exec "$@"' sh "${tests[@]}"
fi
exec "${tests[@]}"
