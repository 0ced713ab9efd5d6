#!/usr/bin/env bash
# Installs the Debian packages of the servers that the tests start for themselves (Dovecot, PostgreSQL, Postfix, DAViCal), the
# library that recurrences are compared with, and systemd's tools that look at our unit file.
# Does nothing when they are there. The system's own services stay as they are: nothing is started or enabled here.
set -euo pipefail
export PATH="$PATH:/usr/sbin:/sbin"

missing=()
command -v dovecot >/dev/null && [ -e /usr/lib/dovecot/imap ] || missing+=(dovecot-imapd)
[ -e /usr/lib/dovecot/lmtp ] || missing+=(dovecot-lmtpd)
compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql)
compgen -G '/usr/lib/*/libical.so.3' >/dev/null || missing+=(libical3)   # what our recurrences are compared with
[ -e /usr/share/davical/htdocs/caldav.php ] && command -v php >/dev/null || missing+=(davical php-cli)
command -v systemd-analyze >/dev/null || missing+=(systemd)   # its verdict on our unit file; it is not started
if ! command -v postfix >/dev/null; then
  if [ -e /usr/sbin/sendmail ]; then   # Debian has one mail server at a time: installing Postfix would remove this one
    echo "Another mail server is installed here ($(readlink -f /usr/sbin/sendmail)); it stays. The tests on a real" >&2
    echo "Postfix are skipped. To have them, if you can do without it: apt-get install --no-install-recommends postfix" >&2
  else
    missing+=(postfix)
  fi
fi
[ ${#missing[@]} -gt 0 ] || exit 0

if ! command -v apt-get >/dev/null; then
  echo "The tests need Dovecot, PostgreSQL and Postfix. This is no Debian or Ubuntu: install ${missing[*]} by hand," >&2
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
if ! apt-cache show davical >/dev/null 2>&1; then   # not in every release: its tests are skipped there
  MISSING=${MISSING/davical php-cli/}
  [ -n "${MISSING// /}" ] || exit 0
fi
case " $MISSING " in *" postfix "*)   # no /etc/postfix/main.cf: the tests bring a configuration folder of their own
  echo "postfix postfix/main_mailer_type select No configuration" | debconf-set-selections ;;
esac
# shellcheck disable=SC2086
apt-get install -y -qq --no-install-recommends $MISSING >"$log" 2>&1 </dev/null \
  || { tail -n 20 "$log" >&2; exit 1; }
if [ -d /run/systemd/system ]; then
  for package in $MISSING; do   # freshly installed for the tests alone: not to be started at the next boot either
    case $package in libical3 | davical | php-cli) continue ;; dovecot-*) unit=dovecot ;; *) unit=$package ;; esac
    systemctl disable --quiet "$unit" || true
  done
fi
ROOT
