# What tests/*/run.sh share. Sourced, never run.
# shellcheck shell=bash

# python_with REQUIREMENTS DIRECTORY: an environment with these packages, kept between runs.
python_with() {
    cmp -s "$1" "$2/requirements.txt" && return
    python3 -m venv --clear "$2/venv"
    "$2/venv/bin/pip" install --quiet --disable-pip-version-check -r "$1"
    cp "$1" "$2/requirements.txt"
}

# Becomes this command, in a network of its own where the kernel lets us: every fixed port is free there.
alone() {
    if unshare --net true 2>/dev/null; then
        exec unshare --net sh -c 'ip link set lo up && exec "$@"' sh "$@"
    fi
    echo "no network of our own here: the demo needs port 8001"
    exec "$@"
}
