#!/usr/bin/env bash
# Installs the Debian packages of the servers that the tests start for themselves (Dovecot, PostgreSQL), and systemd's
# tools that look at our unit file.
# Does nothing when they are there. The system's own services stay as they are: nothing is started or enabled here.
set -euo pipefail
export PATH="$PATH:/usr/sbin:/sbin"

missing=()
command -v dovecot >/dev/null && [ -e /usr/lib/dovecot/imap ] || missing+=(dovecot-imapd)
compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql)
command -v systemd-analyze >/dev/null || missing+=(systemd)   # its verdict on our unit file; it is not started
[ ${#missing[@]} -gt 0 ] || exit 0

if ! command -v apt-get >/dev/null; then
  echo "The tests need Dovecot and PostgreSQL. This is no Debian or Ubuntu: install ${missing[*]} by hand," >&2
  echo "with dovecot on the PATH and initdb under /usr/lib/postgresql/VERSION/bin." >&2
  exit 1
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! { command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; }; then
    echo "The tests need ${missing[*]}. Run as root: apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi

echo "Installing ${missing[*]} for the tests (Debian packages, services not started)"
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive MISSING="${missing[*]}" bash -euo pipefail <<'ROOT'
policy=/usr/sbin/policy-rc.d   # answers 101 = "do not start": how Debian keeps an install from starting daemons
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if [ ! -e "$policy" ]; then
  trap 'rm -f "$log" "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
fi
apt-get update -qq
# shellcheck disable=SC2086
apt-get install -y -qq --no-install-recommends $MISSING >"$log" 2>&1 </dev/null \
  || { tail -n 20 "$log" >&2; exit 1; }
if [ -d /run/systemd/system ]; then
  for package in $MISSING; do   # freshly installed for the tests alone: not to be started at the next boot either
    case $package in dovecot-imapd) unit=dovecot ;; *) unit=$package ;; esac
    systemctl disable --quiet "$unit" || true
  done
fi
ROOT
