#!/usr/bin/env bash
# nginx and HAProxy in front of two proxies, as deploy/ configures them, with real clients.
#
#     tests/fronts/run.sh BINARY [DIRECTORY]
#
# DIRECTORY (default: target/fronts) keeps openai-python between runs.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
binary=$(realpath "$1")
directory=$(realpath -m "${2:-$here/../../target/fronts}")
requirements=$here/../clients/requirements.txt
mkdir -p "$directory"

if ! cmp -s "$requirements" "$directory/requirements.txt"; then
    python3 -m venv --clear "$directory/venv"
    "$directory/venv/bin/pip" install --quiet --disable-pip-version-check -r "$requirements"
    cp "$requirements" "$directory/requirements.txt"
fi
nginx -v
haproxy -v | head -1

tests=("$directory/venv/bin/python" -B "$here/run.py" "$binary")
if unshare --net true 2>/dev/null; then
    exec unshare --net sh -c 'ip link set lo up && exec "$@"' sh "${tests[@]}"
fi
exec "${tests[@]}"
