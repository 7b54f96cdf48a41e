#!/usr/bin/env bash
# nginx and HAProxy in front of two proxies, as deploy/ configures them, with real clients.
#
#     tests/fronts/run.sh BINARY [DIRECTORY]
#
# DIRECTORY (default: target/fronts) keeps openai-python between runs.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/lib.sh
. "$here/../lib.sh"
binary=$(realpath "$1")
directory=$(realpath -m "${2:-$here/../../target/fronts}")
mkdir -p "$directory"

python_with "$here/requirements.txt" "$directory"
nginx -v
haproxy -v | sed -n 1p

alone "$directory/venv/bin/python" -B "$here/run.py" "$binary"
