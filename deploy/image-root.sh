#!/bin/sh
# Fills a folder with all that the final image holds: the program, the libraries it needs, the
# authorities it trusts, the time zones, a user. The Dockerfile runs it, and deploy/container-test.sh does.
#
#   deploy/image-root.sh BINARY FOLDER
set -eu

binary=$1
root=$2
mkdir -p "$root/usr/bin" "$root/etc/ssl/certs" "$root/etc/ai_proxy" "$root/var/log/ai_proxy" "$root/tmp"
chmod 1777 "$root/tmp"
install -m 755 "$binary" "$root/usr/bin/ai_proxy"
# Each library under the very path where the loader finds it here, the loader itself included.
# (A static binary needs none.)
for library in $(ldd "$binary" 2>/dev/null | grep -o '/[^ ]*'); do
    mkdir -p "$root$(dirname "$library")"
    cp -L "$library" "$root$library"
done
cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
# Time zones by name, for TZ. What goes again: the same ones twice more, and this machine's own.
mkdir -p "$root/usr/share"
cp -a /usr/share/zoneinfo "$root/usr/share/"
(cd "$root/usr/share/zoneinfo" && rm -rf right posix localtime)
echo 'nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin' >"$root/etc/passwd"
echo 'nogroup:x:65534:' >"$root/etc/group"
echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
# The log goes to the container's standard output, where `docker logs` and `kubectl logs` look.
ln -sf /proc/self/fd/1 "$root/var/log/ai_proxy/ai_proxy.log"
chown -R 65534:65534 "$root/var/log/ai_proxy"
