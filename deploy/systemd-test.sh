# The service in a booted Debian, sandbox and all. A part of deploy/deb-test.sh, which defines
# `inside`, `root` and `leader`. The provider is the program's own demo on port 8001 of the container.
# shellcheck shell=bash

: "${root:?}" "${leader:?}"
config=$root/etc/ai_proxy/config.json
logs=$root/var/log/private

ask() { inside curl -sS --max-time 10 "$@"; }

# Waits until a command succeeds, for 10 s.
wait_for() {
    for _ in $(seq 100); do
        "$@" >/dev/null 2>&1 && return
        sleep 0.1
    done
    fail "waited in vain for: $*"
}

main_pid() { inside systemctl show --property MainPID --value "$1"; }

# A configuration for port 8002, with these additional keys.
configure() {
    cat >"$config" <<END
{
    "port": 8002, "log_level": "INFO", $1
    "providers": [{"provider": "next", "baseurl": "http://localhost:8001/v1", "token": "\${DEMO_KEY}"}],
    "tokens": ["traffic|sk-test-123456"]
}
END
}

# Starts a program as a service of the container, in /run/NAME.
helper() {
    inside sh -c 'name=$1; shift; mkdir -p "/run/$name" && cd "/run/systemd/system" &&
        printf "[Service]\nWorkingDirectory=/run/%s\nExecStart=%s\n" "$name" "$*" >"$name.service" &&
        systemctl start "$name"' sh "$@"
}

# Clients for 8 s, and a command after 3 of them.
under_traffic() {
    nsenter --target "$leader" --net -- deploy/traffic.py http://127.0.0.1:8002 next/demo/echo 8 &
    local traffic=$!
    sleep 3
    "$@"
    wait "$traffic" || fail "chats were lost"
}

say "as installed: no providers and no tokens, on port 8001"
wait_for inside systemctl --quiet is-active ai-proxy.service
wait_for ask --fail http://localhost:8001/
ask http://localhost:8001/
echo
[ "$(ask http://localhost:8001/v1/models | grep -o '"data":.*')" = '"data":[]}' ] || fail "it has providers"
[ "$(ask -o /dev/null -w '%{http_code}' -H 'Authorization: Bearer sk-test-123456' -d '{"model":"a/b"}' \
    http://localhost:8001/v1/chat/completions)" = 401 ] || fail "it lets somebody in"
status=$root/proc-status
inside cat "/proc/$(main_pid ai-proxy)/status" >"$status"
grep -E '^(Uid|CapEff|CapBnd|NoNewPrivs|Seccomp):' "$status" | paste -sd' '
grep -qE '^Uid:\s+6[0-9]{4}' "$status" || fail "it does not run as a dynamic user"
rm "$status"
ask -X POST --fail http://localhost:8001/v1/reload || fail "the configuration cannot be read again"
echo
[ -s "$logs/ai_proxy/ai_proxy.log" ] || fail "no log"
inside systemd-analyze security --no-pager ai-proxy.service | tail -1

say "a file that does not load: reload fails and says why, the old one stays"
echo '{' >"$config"
if inside systemctl reload ai-proxy 2>/dev/null; then fail "a broken file was taken"; fi
inside journalctl --quiet --unit ai-proxy --output cat | tail -3 | head -2
ask --fail --output /dev/null http://localhost:8001/

say "a bad file at the start: it stops with 2 and is not started again"
inside systemctl restart ai-proxy 2>/dev/null || true
wait_for inside systemctl --quiet is-failed ai-proxy.service
sleep 3
[ "$(inside systemctl show --property NRestarts --value ai-proxy)" = 0 ] || fail "it was started again"

say "another port, and a key from the environment file"
configure ""
echo 'DEMO_KEY=sk-test-123456' >>"$root/etc/ai_proxy/environment"
helper demo /usr/bin/ai_proxy
inside systemctl restart ai-proxy
wait_for ask --fail http://localhost:8002/
under_traffic inside systemctl reload ai-proxy

say "killed: it comes again"
inside kill -KILL "$(main_pid ai-proxy)"
sleep 2
wait_for ask --fail http://localhost:8002/

say "logrotate: a new log, and the program writes to it"
inside logrotate --force /etc/logrotate.d/ai-proxy
wait_for grep -q 重新加载 "$logs/ai_proxy/ai_proxy.log"
ls -m "$logs/ai_proxy"

say "an https provider whose authority is among the system's"
inside sh -c 'mkdir -p /run/tls && cd /run/tls && openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost -keyout key -out crt 2>/dev/null &&
    echo "{\"data\":[]}" >models &&
    cp crt /usr/local/share/ca-certificates/test.crt && update-ca-certificates' >/dev/null 2>&1
helper tls /usr/bin/openssl s_server -accept 8443 -key key -cert crt -WWW -quiet
sed -i 's,"providers": \[,&{"provider": "tls"\, "baseurl": "https://localhost:8443"}\, ,' "$config"
inside systemctl reload ai-proxy
sleep 0.5
ask http://localhost:8002/health
echo
ask http://localhost:8002/health | grep -q '"tls":true' || fail "TLS from the sandbox"
inside sh -c 'rm /usr/local/share/ca-certificates/test.crt && update-ca-certificates --fresh' >/dev/null 2>&1

say "ai-proxy.socket: a restart under traffic"
inside systemctl stop ai-proxy
sed -i 's/^ListenStream=.*/ListenStream=127.0.0.1:8002/' "$root/usr/lib/systemd/system/ai-proxy.socket"
inside systemctl daemon-reload
configure ""
inside systemctl enable --quiet --now ai-proxy.socket
under_traffic inside systemctl restart ai-proxy
inside systemctl disable --quiet --now ai-proxy.socket
inside systemctl stop ai-proxy

say "ai-proxy@1 and ai-proxy@2 on one port: one restarts under traffic"
configure '"reuse_port": true,'
inside systemctl enable --quiet --now ai-proxy@1 ai-proxy@2
wait_for ask --fail http://localhost:8002/
under_traffic inside systemctl restart ai-proxy@1
say "answered: $(grep -c 耗时: "$logs/ai_proxy-1/ai_proxy.log") and $(grep -c 耗时: "$logs/ai_proxy-2/ai_proxy.log")"
for instance in 1 2; do
    grep -q 耗时: "$logs/ai_proxy-$instance/ai_proxy.log" || fail "ai-proxy@$instance got nothing"
done
inside systemctl reload 'ai-proxy@*'
for instance in 1 2; do
    wait_for grep -q '重新加载成功' "$logs/ai_proxy-$instance/ai_proxy.log"
done
if inside journalctl --quiet --dmesg --output cat | grep -i seccomp; then fail "the sandbox bit"; fi
# As an administrator would leave it: instances enabled. The purge has to see to them.
