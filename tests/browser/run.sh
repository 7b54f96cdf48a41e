#!/usr/bin/env bash
# The status page in a real browser: Debian's Chromium, driven by selenium; axe-core looks for what keeps people out.
#
#     tests/browser/run.sh BINARY [DIRECTORY]
#     tests/browser/run.sh --pictures BINARY    # writes docs/images anew
#
# DIRECTORY (default: target/browser) keeps selenium and axe-core between runs, and the screenshots.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/lib.sh
. "$here/../lib.sh"
pictures=()
if [ "$1" = --pictures ]; then
    pictures=("$1")
    shift
fi
binary=$(realpath "$1")
directory=$(realpath -m "${2:-$here/../../target/browser}")
mkdir -p "$directory"

python_with "$here/requirements.txt" "$directory"
if ! cmp -s "$here/package.json" "$directory/installed.json"; then
    cp "$here/package.json" "$directory/package.json"
    npm install --prefix "$directory" --silent --no-audit --no-fund --no-package-lock
    cp "$here/package.json" "$directory/installed.json"
fi
chromium --version 2>/dev/null

export AXE="$directory/node_modules/axe-core/axe.min.js"
target=$directory/screenshots
[ "${#pictures[@]}" = 0 ] || target=$here/../../docs/images
alone "$directory/venv/bin/python" -B "$here/run.py" "${pictures[@]}" "$binary" "$target"
