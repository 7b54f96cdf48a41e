#!/usr/bin/env bash
# The status page in a real browser: Debian's Chromium, driven by selenium.
#
#     tests/browser/run.sh BINARY [DIRECTORY]
#
# DIRECTORY (default: target/browser) keeps selenium between runs, and the screenshots.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/lib.sh
. "$here/../lib.sh"
binary=$(realpath "$1")
directory=$(realpath -m "${2:-$here/../../target/browser}")
mkdir -p "$directory"

python_with "$here/requirements.txt" "$directory"
chromium --version 2>/dev/null

alone "$directory/venv/bin/python" -B "$here/run.py" "$binary" "$directory/screenshots"
