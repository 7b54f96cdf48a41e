#!/usr/bin/env bash
# Real clients against the real binary: curl, the SDKs of OpenAI, Anthropic, LangChain and Vercel, Codex CLI,
# Claude Code, Continue and llm.
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

# Both wait for the network most of the time.
python_with "$here/requirements.txt" "$directory" &
python=$!
if ! cmp -s "$here/package.json" "$directory/installed.json"; then
    cp "$here/package.json" "$directory/package.json"
    npm install --prefix "$directory" --silent --no-audit --no-fund --no-package-lock
    cp "$here/package.json" "$directory/installed.json"
fi
wait "$python"
"$directory/venv/bin/pip" list --disable-pip-version-check 2>/dev/null |
    grep -E '^(openai|openai-agents|anthropic|langchain-.*|httpx2?|llm) ' || true
for package in openai @anthropic-ai/sdk ai @openai/codex @anthropic-ai/claude-code @continuedev/cli; do
    echo "$package (npm) $(node -p 'require(process.argv[1]).version' "$directory/node_modules/$package/package.json")"
done

alone "$directory/venv/bin/python" -B "$here/run.py" "$binary" "$directory/node_modules"
