#!/usr/bin/env bash
# Proves `make test` on a machine that has only python3, python3-venv, make and git:
#
#   tests/servers/chroot.sh [bookworm|trixie|...] [root|user] [MAKE-TARGET...]
#
# Makes a fresh Debian with debootstrap (kept as a tarball in /var/tmp, so that the next run is quick), clones the last
# commit into it and runs make there in namespaces of its own, so that mounts and processes end with it. `user` runs as
# a user with sudo instead of root. Needs root. Proxy, certificate and package index settings come from the caller.
set -euo pipefail
suite=${1:-bookworm}
account=${2:-root}
targets=("${@:3}")
[ ${#targets[@]} -gt 0 ] || targets=(test)
mirror=${MIRROR:-$(apt-get indextargets --format '$(SITE)' | grep -v security | head -n 1)}   # where this machine's packages come from
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
base=/var/tmp/quietcrm-base-$suite.tar

[ "$(id -u)" -eq 0 ] || { echo "a chroot needs root" >&2; exit 1; }
command -v debootstrap >/dev/null || { echo "apt-get install debootstrap, then again" >&2; exit 1; }

root=$(mktemp -d /var/tmp/quietcrm-chroot.XXXXXX)
trap 'rm -rf --one-file-system "$root"' EXIT

if [ ! -s "$base" ]; then
  echo "== making a $suite base"
  debootstrap --variant=minbase --include=python3,python3-venv,make,git "$suite" "$root" "$mirror" >"$root.log" 2>&1 \
    || { tail -n 20 "$root.log" >&2; exit 1; }
  rm -f "$root.log" "$root"/var/cache/apt/archives/*.deb
  tar -C "$root" --one-file-system -cf "$base.part" . && mv "$base.part" "$base"
else
  tar -C "$root" -xf "$base"
fi

chmod 755 "$root"   # what mktemp made is closed to the servers' users

echo "deb $mirror $suite main" >"$root/etc/apt/sources.list"
cp /etc/resolv.conf "$root/etc/resolv.conf"
pass=(HOME=/root "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" LANG=C.UTF-8 CI=true)
certificates=${SSL_CERT_FILE:-${PIP_CERT:-}}
if [ -n "$certificates" ]; then
  mkdir -p "$root/etc/ssl/certs"
  cp -L "$certificates" "$root/etc/ssl/certs/ca-certificates.crt"
  pass+=(SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt PIP_CERT=/etc/ssl/certs/ca-certificates.crt)
fi
for name in http_proxy https_proxy no_proxy PIP_INDEX_URL UV_DEFAULT_INDEX PIP_DEFAULT_TIMEOUT UV_HTTP_TIMEOUT PYTEST_ARGS; do
  [ -z "${!name:-}" ] || pass+=("$name=${!name}")
done

git clone --quiet --no-hardlinks "$repository" "$root/srv/quietcrm"
echo "== $suite, as $account, commit $(git -C "$root/srv/quietcrm" rev-parse --short HEAD): make ${targets[*]}"

export account
unshare --mount --pid --fork --kill-child bash -euo pipefail -s -- "$root" "${targets[*]}" "${pass[@]}" <<'INSIDE'
root=$1 targets=$2
shift 2
mount --make-rprivate /
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
[ -e "$root/dev/pts" ] || mkdir "$root/dev/pts"
run() { env -i "$@" </dev/null; }
if [ "$account" = user ]; then
  run "$@" DEBIAN_FRONTEND=noninteractive chroot "$root" sh -c '
    { apt-get update && apt-get install -y --no-install-recommends sudo; } >/dev/null 2>&1
    useradd --create-home tester
    echo "tester ALL=(ALL) NOPASSWD: ALL" >/etc/sudoers.d/tester
    chown -R tester: /srv/quietcrm'
  run "$@" HOME=/home/tester chroot --userspec=tester:tester "$root" sh -c "cd /srv/quietcrm && make $targets"
else
  run "$@" chroot "$root" sh -c "cd /srv/quietcrm && make $targets"
fi
INSIDE
