#!/usr/bin/env bash
# Instructions (valgrind --tool=callgrind) and system calls (strace -c -f) per request, of the release
# binary and of nginx when it is installed: the difference between a run of 2N and a run of N requests,
# divided by N, so that start-up and shutdown cancel out. These numbers hardly depend on what else the
# machine is doing; those of one connection are the steadiest.
#
#   benches/instructions.sh [N]            default 2000
#   BINARY=path benches/instructions.sh    measure another build of ai_proxy
#   BESIDE=path benches/instructions.sh    measure this one, too
#   TLS=keeps benches/instructions.sh      with an upstream over TLS, and HAProxy when it is installed
#   TLS=closes benches/instructions.sh     each request opens a TLS connection (TLS=forgets: no session is resumed)
#   PROFILE=small benches/instructions.sh  list the functions that take most (or PROFILE=events), nothing else
set -euo pipefail
cd "$(dirname "$0")/.."
count=${1:-2000}
for tool in valgrind strace; do
    command -v "$tool" >/dev/null || { echo "$tool is not installed" >&2; exit 1; }
done
nginx=$(PATH="$PATH:/usr/sbin" command -v nginx || true)
haproxy=
if [[ -n ${TLS:-} ]]; then haproxy=$(PATH="$PATH:/usr/sbin" command -v haproxy || true); fi
# The bar for one connection and a plain upstream.
instructions_max=32000

bench=$(cargo bench --bench proxy --no-run --message-format=json 2>/dev/null |
    sed -n 's/.*"executable":"\([^"]*proxy-[^"]*\)".*/\1/p' | tail -1)
target=$(realpath "$(dirname "$bench")/../..")
binary=$(realpath "${BINARY:-$target/release/ai_proxy}")
if [[ -n ${BESIDE:-} ]]; then beside=$(realpath "$BESIDE"); fi

work=$(mktemp -d)
mock=
cleanup() {
    # Written by a subshell: variables of this one do not know it.
    if [[ -s $work/pid ]]; then stop "$(<"$work/pid")"; fi
    exec 9>&-
    if [[ -n $mock ]]; then wait "$mock" || true; fi
    rm -rf "$work"
}
trap cleanup EXIT

# strace does not pass signals on: its child is asked to stop.
stop() {
    pkill -TERM -P "$1" || kill "$1" 2>/dev/null || true
}

# The mock upstream lives until its standard input, our descriptor 9, is closed.
mkfifo "$work/stdin"
mode=(mock) roots=()
if [[ -n ${TLS:-} ]]; then
    roots=("$work/roots")
    mode=(mock-tls "${roots[@]}" "$TLS")
    export SSL_CERT_FILE="$work/roots"
fi
"$bench" "${mode[@]}" <"$work/stdin" >"$work/upstream" &
mock=$!
exec 9>"$work/stdin"
until [[ -s $work/upstream ]]; do sleep 0.05; done
read -r nginx_port haproxy_port < <("$bench" configure "$work" "$(cat "$work/upstream")" "${roots[@]}")

# run TOOL PROGRAM MODEL CONNECTIONS REQUESTS: one run; the tool's result is in $work/out.
run() {
    local tool=$1 program=$2 model=$3 connections=$4 requests=$5 wrapper command port proxy
    rm -f "$work/out"; : >"$work/said"
    case $tool in
        callgrind) wrapper=(valgrind -q --tool=callgrind --callgrind-out-file="$work/out") ;;
        strace) wrapper=(strace -c -f -o "$work/out") ;;
    esac
    case $program in
        nginx) command=("$nginx" -p "$work" -c nginx.conf -e stderr) port=$nginx_port ;;
        haproxy) command=("$haproxy" -db -f haproxy.cfg) port=$haproxy_port ;;
        *) command=("$program") ;;
    esac
    (cd "$work" && exec "${wrapper[@]}" "${command[@]}" >"$work/said" 2>"$work/stderr" 9>&-) &
    proxy=$!
    echo "$proxy" >"$work/pid"
    if [[ $program == */* ]]; then
        for _ in {1..1200}; do grep -q listening "$work/said" && break; sleep 0.05; done
        port=$(sed -n '1s/.*:\([0-9]*\)$/\1/p' "$work/said")
    else
        for _ in {1..1200}; do (: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break; sleep 0.05; done
    fi
    # Under valgrind, on a busy machine, reading the roots may outlast the first handshake's deadline.
    for _ in {1..10}; do "$bench" load "$port" small 1 1 >"$work/load" 2>&1 && break; done
    "$bench" load "$port" "$model" "$connections" "$requests" >"$work/load"
    stop "$proxy"
    wait "$proxy" || true
    rm "$work/pid"
}

# Lines "NAME COUNT" of the last run.
counts() {
    case $1 in
        callgrind) sed -n 's/^\(summary\|totals\): \([0-9]*\).*/instructions \2/p' "$work/out" | tail -1 ;;
        strace) awk '$1 ~ /^[0-9.]+$/ { print $NF, $4 }' "$work/out" ;;
    esac
}

# per_request TOOL PROGRAM MODEL CONNECTIONS N: one line per name, the mean of one request.
per_request() {
    run "$1" "$2" "$3" "$4" "$5"
    counts "$1" >"$work/once"
    run "$1" "$2" "$3" "$4" $((2 * $5))
    counts "$1" >"$work/twice"
    awk -v n="$5" 'NR == FNR { once[$1] = $2; next }
        { each = ($2 - once[$1]) / n; if (each > 0.005) printf "%s %.2f\n", $1, each }' "$work/once" "$work/twice"
}

report() {
    local name=${1##*/} calls
    if [[ $1 == "${beside:-}" ]]; then name=before; fi
    printf '%-9s %-6s %3d connections: ' "$name" "$2" "$3"
    per_request callgrind "$@" | awk -v bar="$5" '{ printf "%d instructions", $2 }
        bar { printf " (%s: at most %d)", $2 <= bar ? "PASS" : "MISS", bar }'
    calls=$(per_request strace "$@" | sort -k2 -nr)
    echo "$calls" | awk '$1 == "total" { printf ", %s system calls per request\n", $2 }'
    echo "$calls" | awk '$1 != "total" { printf "    %-16s %8.2f\n", $1, $2 }'
}

if [[ -n ${PROFILE:-} ]]; then
    CARGO_PROFILE_RELEASE_STRIP=none CARGO_PROFILE_RELEASE_DEBUG=line-tables-only \
        cargo build --release --quiet --target-dir "$target/profile"
    run callgrind "$target/profile/release/ai_proxy" "$PROFILE" 1 "$count"
    callgrind_annotate --auto=no "$work/out" | grep -v '^--' | head -60
    exit
fi

cases=("small 1 $count" "small 64 $count" "events 32 $((count / 10))")
# How many TLS connections a burst opens is chance, and each costs as much as a hundred requests.
case ${TLS:-} in
    keeps) cases=("small 1 $count" "events 1 $((count / 10))") ;;
    ?*) cases=("small 1 $((count / 10))") ;;
esac
for case in "${cases[@]}"; do
    read -ra load <<<"$case"
    bar=0
    if [[ -z ${TLS:-} && $case == "small 1 "* ]]; then bar=$instructions_max; fi
    report "$binary" "${load[@]}" "$bar"
    if [[ -n ${BESIDE:-} ]]; then report "$beside" "${load[@]}" 0; fi
    if [[ -n $nginx ]]; then report nginx "${load[@]}" 0; fi
    if [[ -n $haproxy ]]; then report haproxy "${load[@]}" 0; fi
done
