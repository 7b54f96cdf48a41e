#!/usr/bin/env bash
# The completions in bash, zsh and fish, and the manual page in its formatters.
#
#     tests/shells/run.sh
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
deploy=$(cd "$here/../../deploy" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit
export HOME=$scratch LC_ALL=C.UTF-8
mkdir 'etc dir'
touch one.json two.json 'with space.json' other.txt
passed=0 failed=0

# expect NAME WANTED FOUND
expect() {
    if [ "$2" = "$3" ]; then
        passed=$((passed + 1))
        echo "ok: $1"
    else
        failed=$((failed + 1))
        printf 'FAILED: %s\n  wanted: %q\n  found:  %q\n' "$1" "$2" "$3"
    fi
}

# What a shell offers for a line, sorted, in one line.
sorted() { LC_ALL=C sort -u | paste -sd' ' -; }

in_bash() {
    bash --norc "$here/offers.bash" "$deploy/completions/ai_proxy.bash" "$@" 2>&1 | sorted
}
in_fish() {
    fish --no-config -c "source $deploy/completions/ai_proxy.fish; complete -C '$1'" 2>&1 |
        cut -f1 | sorted
}
in_zsh() {
    zsh -f "$here/offers.zsh" "$deploy/completions" "$1" 2>&1 | sorted
}

all='--auto --check --config --doctor --help --json --print --schema --spend --version'
# zsh quotes what it inserts.
files='etc\ dir one.json two.json with\ space.json'

expect "bash: every option" "$all -V -c -h" "$(in_bash ai_proxy -)"
expect "bash: a beginning" "--check --config" "$(in_bash ai_proxy --c)"
expect "bash: files" "etc dir one.json two.json with space.json" "$(in_bash ai_proxy --config '')"
expect "bash: files behind -c" "one.json" "$(in_bash ai_proxy -c o)"
expect "bash: files behind =" "two.json" "$(in_bash ai_proxy --config = t)"
expect "bash: all files behind =" "etc dir one.json two.json with space.json" "$(in_bash ai_proxy --config =)"
expect "bash: an option after a file" "--check" "$(in_bash ai_proxy --config one.json --ch)"

expect "fish: every option" "$all" "$(in_fish 'ai_proxy --')"
expect "fish: short ones" "-V -c -h" "$(in_fish 'ai_proxy -' | tr ' ' '\n' | grep -x -- '-.' | sorted)"
expect "fish: a beginning" "--check --config" "$(in_fish 'ai_proxy --c')"
# fish offers any file, but these first.
expect "fish: files" "one.json two.json with space.json" "$(
    fish --no-config -c "source $deploy/completions/ai_proxy.fish; complete -C 'ai_proxy --config '" |
        cut -f1 | head -3 | sorted)"
expect "fish: files behind -c" "two.json" "$(in_fish 'ai_proxy -c t')"
expect "fish: nothing but options" "" "$(in_fish 'ai_proxy o')"

expect "zsh: every option" "$all" "$(in_zsh 'ai_proxy --')"
expect "zsh: a beginning" "--check --config" "$(in_zsh 'ai_proxy --c')"
expect "zsh: files" "$files" "$(in_zsh 'ai_proxy --config ')"
expect "zsh: files behind =" "one.json" "$(in_zsh 'ai_proxy --config=o')"
expect "zsh: --check goes with --config" "--check" "$(in_zsh 'ai_proxy -c one.json --ch')"
expect "zsh: nothing beside --help" "" "$(in_zsh 'ai_proxy --help -')"

expect "manual: mandoc" "" "$(mandoc -T lint -W warning "$deploy/ai_proxy.1" 2>&1)"
expect "manual: groff" "" "$(groff -mandoc -ww -Tutf8 -z "$deploy/ai_proxy.1" 2>&1)"
expect "manual: man" "" "$(MANROFFSEQ='' MANWIDTH=80 man --warnings -l "$deploy/ai_proxy.1" 2>&1 >/dev/null)"

echo "shells: $passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
