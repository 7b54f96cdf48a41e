#!/usr/bin/env bash
# Two processes share one port ("reuse_port": true): does traffic spread, and what do clients notice
# when one of them restarts?
#
#   deploy/share-port.sh BINARY [SECONDS]
#
# The provider is the program's own demo. As root: it runs in a network of its own.
set -euo pipefail
# shellcheck source=deploy/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

binary=$(realpath "$1")
seconds=${2:-12}
if [ -z "${SHARE_PORT_ALONE:-}" ]; then
    packages python3 iproute2
    SHARE_PORT_ALONE=yes alone "$PWD/deploy/share-port.sh" "$binary" "$seconds"
    exit
fi

work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$work"' EXIT
mkdir "$work"/{demo,1,2}
cat >"$work/config.json" <<'END'
{
    "port": 8002, "reuse_port": true, "log_level": "INFO",
    "providers": [{"provider": "next", "baseurl": "http://localhost:8001/v1", "token": "sk-test-123456"}],
    "tokens": ["traffic|sk-test-123456"]
}
END
chmod 600 "$work/config.json"

# Its log is in its working directory, so each has its own.
proxy() {
    cd "$work/$1"
    exec "$binary" --config "$work/config.json" >>stdout
}
# Lines of answered chats in a log.
chats() { grep -c '耗时:' "$work/$1/ai_proxy.log"; }

(cd "$work/demo" && exec "$binary" >/dev/null) &
proxy 1 &
first=$!
proxy 2 &
sleep 1
"$PWD/deploy/traffic.py" http://127.0.0.1:8002 next/demo/echo "$seconds" &
traffic=$!
sleep "$(((seconds + 2) / 3))"
say "answered before the restart: $(chats 1) and $(chats 2)"
[ "$(chats 1)" -gt 0 ] && [ "$(chats 2)" -gt 0 ] || fail "all went to one process"
kill -TERM "$first"
wait "$first" || fail "it stopped with $?"
before=$(chats 1)
proxy 1 &
wait "$traffic" || fail "chats were lost"
[ "$(chats 1)" -gt "$before" ] || fail "the new process got nothing"
say "answered in all: $(chats 1) and $(chats 2), of them $(($(chats 1) - before)) by the new process"
