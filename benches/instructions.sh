#!/usr/bin/env bash
# Instructions (valgrind --tool=callgrind) and system calls (strace -c -f) per request, of the release
# binary and of nginx when it is installed: the difference between a run of 2N and a run of N requests,
# divided by N, so that start-up and shutdown cancel out. These numbers hardly depend on what else the
# machine is doing; those of one connection are the steadiest.
#
#   benches/instructions.sh [N]            default 2000
#   BINARY=path benches/instructions.sh    measure another build of ai_proxy
#   PROFILE=small benches/instructions.sh  list the functions that take most (or PROFILE=events), nothing else
set -euo pipefail
cd "$(dirname "$0")/.."
count=${1:-2000}
for tool in valgrind strace; do
    command -v "$tool" >/dev/null || { echo "$tool is not installed" >&2; exit 1; }
done
nginx=$(PATH="$PATH:/usr/sbin" command -v nginx || true)

bench=$(cargo bench --bench proxy --no-run --message-format=json 2>/dev/null |
    sed -n 's/.*"executable":"\([^"]*proxy-[^"]*\)".*/\1/p' | tail -1)
target=$(realpath "$(dirname "$bench")/../..")
binary=$(realpath "${BINARY:-$target/release/ai_proxy}")

work=$(mktemp -d)
mock= proxy=
cleanup() {
    if [[ -n $proxy ]]; then kill "$proxy" 2>/dev/null || true; fi
    exec 9>&-
    if [[ -n $mock ]]; then wait "$mock" || true; fi
    rm -rf "$work"
}
trap cleanup EXIT

# The mock upstream lives until its standard input, our descriptor 9, is closed.
mkfifo "$work/stdin"
"$bench" mock <"$work/stdin" >"$work/upstream" &
mock=$!
exec 9>"$work/stdin"
until [[ -s $work/upstream ]]; do sleep 0.05; done
nginx_port=$("$bench" configure "$work" "$(cat "$work/upstream")")

# run TOOL PROGRAM MODEL CONNECTIONS REQUESTS: one run; the tool's result is in $work/out.
run() {
    local tool=$1 program=$2 model=$3 connections=$4 requests=$5 wrapper command port
    rm -f "$work/out"; : >"$work/said"
    case $tool in
        callgrind) wrapper=(valgrind -q --tool=callgrind --callgrind-out-file="$work/out") ;;
        strace) wrapper=(strace -c -f -o "$work/out") ;;
    esac
    case $program in
        nginx) command=("$nginx" -p "$work" -c nginx.conf -e stderr) ;;
        *) command=("$program") ;;
    esac
    (cd "$work" && exec "${wrapper[@]}" "${command[@]}" >"$work/said" 2>"$work/stderr") &
    proxy=$!
    port=$nginx_port
    if [[ $program != nginx ]]; then
        for _ in {1..200}; do grep -q listening "$work/said" && break; sleep 0.05; done
        port=$(sed -n '1s/.*:\([0-9]*\)$/\1/p' "$work/said")
    else
        for _ in {1..200}; do (: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break; sleep 0.05; done
    fi
    "$bench" load "$port" "$model" "$connections" "$requests" >"$work/load"
    # strace does not pass signals on: its child is asked to stop.
    if [[ $tool == strace ]]; then pkill -TERM -P "$proxy"; else kill -TERM "$proxy"; fi
    wait "$proxy" || true
    proxy=
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
    local program=$1 model=$2 connections=$3 requests=$4 calls
    printf '%-9s %-6s %3d connections: ' "${program##*/}" "$model" "$connections"
    per_request callgrind "$@" | awk '{ printf "%d instructions", $2 }'
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

for case in "small 1 $count" "small 64 $count" "events 32 $((count / 10))"; do
    read -ra load <<<"$case"
    report "$binary" "${load[@]}"
    if [[ -n $nginx ]]; then report nginx "${load[@]}"; fi
done
