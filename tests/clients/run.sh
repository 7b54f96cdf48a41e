#!/usr/bin/env bash
# Real clients against the real binary: curl, openai-python, openai-node, anthropic-sdk (model lists).
#
#     tests/clients/run.sh BINARY [DIRECTORY]
#
# DIRECTORY (default: target/clients) keeps the installed clients between runs. The tests run in a
# network of their own where the kernel lets us, so that the demo finds its port 8001 free.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/lib.sh
. "$here/../lib.sh"
binary=$(realpath "$1")
directory=$(realpath -m "${2:-$here/../../target/clients}")
mkdir -p "$directory"

python_with "$here/requirements.txt" "$directory"
if ! cmp -s "$here/package.json" "$directory/installed.json"; then
    cp "$here/package.json" "$directory/package.json"
    npm install --prefix "$directory" --silent --no-audit --no-fund --no-package-lock
    cp "$here/package.json" "$directory/installed.json"
fi
"$directory/venv/bin/pip" list --disable-pip-version-check 2>/dev/null | grep -E '^(anthropic|openai|httpx2?) ' || true
echo "openai (npm) $(node -p 'require(process.argv[1]).version' "$directory/node_modules/openai/package.json")"

alone "$directory/venv/bin/python" -B "$here/run.py" "$binary" "$directory/node_modules"
