"""A real Dovecot on loopback in a private folder: plain, STARTTLS and TLS ports, Maildirs that tests may write.

Runs rootless (as `nobody` when the tests run as root), so it never touches the system's own mail server.
Speaks the configuration of Dovecot 2.3 (Debian 12, Ubuntu 22.04/24.04) and of 2.4 (Debian 13).
"""

from __future__ import annotations

import grp
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from servers.certificates import make_certificates
from servers.folders import maildir_path
from servers.process import (
    as_user,
    await_port,
    find_program,
    free_port,
    private_folder,
    server_user,
    spawn,
    stop,
    tail,
)

SPECIAL_USE = {"Sent": r"\Sent", "Drafts": r"\Drafts", "Trash": r"\Trash", "Junk": r"\Junk"}


@dataclass(frozen=True, slots=True, kw_only=True)
class DovecotOptions:
    """What may differ between servers. `extra` is put at the end of the configuration as it stands."""

    special_use: bool = True
    """Announce Sent, Drafts, Trash and Junk by RFC 6154 attributes (the folders exist either way)."""
    separator: str = "/"
    prefix: str = ""
    """Of the personal namespace, separator included, as in `INBOX.` of Courier-like servers."""
    delivery: bool = False
    """Take mail by LMTP on `lmtp_port`, and check logins for a Postfix on `auth_port`. `ana@any.example` is `ana`."""
    introspection: str = ""
    """Where a provider tells whose access token it is (RFC 7662), as http://CLIENT:SECRET@HOST:PORT/PATH."""
    token_mechanisms: str = "xoauth2 oauthbearer"
    """By which tokens are taken, where there is such a provider."""
    extra: str = ""


class DovecotServer:
    """One private Dovecot. `start()` it, `stop()` it; or use it in a `with` block."""

    host = "127.0.0.1"

    def __init__(self, options: DovecotOptions | None = None) -> None:
        self.options = options or DovecotOptions()
        self._program = find_program("dovecot")
        self.user = server_user()
        self.folder = private_folder("dovecot", self.user)
        self.certificates = make_certificates(self.folder)
        self.ca = self.certificates.ca
        self.port = 0
        self.tls_port = 0
        self.lmtp_port = 0
        self.auth_port = 0
        self.log = self.folder / "dovecot.log"
        self._config = self.folder / "dovecot.conf"
        self._make_folder(self.folder / "passwords")
        self._process: subprocess.Popen[bytes] | None = None
        self._delivered = 0

    def __enter__(self) -> DovecotServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self.remove()

    def start(self) -> None:
        """Start on two free ports and return when logins are answered; a second start keeps mail and ports."""
        for _ in range(5):
            if not self.port:
                self.port, self.tls_port = free_port(), free_port()
                self.lmtp_port, self.auth_port = free_port(), free_port()
            self._write_config()
            self._process = spawn([self._program, "-F", "-c", str(self._config)], self.user, self.log)
            if await_port(self._process, self.port, self.log):
                return
            self.port = 0  # somebody else took it: try another pair
        raise RuntimeError(f"Dovecot does not start:\n{tail(self.log)}")

    def stop(self) -> None:
        """End the server we started; mail and configuration stay, so it can start again."""
        if self._process is not None:
            stop(self._process)
            self._process = None

    def remove(self) -> None:
        """Delete the private folder with all mail in it."""
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def pid(self) -> int:
        """Process id of the running master."""
        assert self._process is not None, "start() first"
        return self._process.pid

    def add_user(self, name: str, password: str = "secret") -> None:
        """A mailbox that may log in at once, with the four special folders. `name` is a plain login name."""
        if not re.fullmatch(r"[a-z0-9_.-]+", name) or not re.fullmatch(r"[!-9;-~]+", password):
            raise ValueError("a test user is lower-case ASCII, its password printable without a colon")
        self.write(self.folder / "passwords" / name, f"{name}:{{PLAIN}}{password}\n".encode())
        self._make_folder(self.maildir(name).parent)
        for folder in ("INBOX", *SPECIAL_USE):
            self.make_mailbox(name, folder)

    def set_password(self, name: str, password: str) -> None:
        """Change the password of a user; returns when the server has noticed (it looks once a second)."""
        path = self.folder / "passwords" / name
        self.write(path, f"{name}:{{PLAIN}}{password}\n".encode())
        for _ in range(100):
            try:
                self.doveadm("auth", "test", name, password)
            except RuntimeError:
                time.sleep(0.05)
            else:
                return
        raise RuntimeError(f"the new password of {name} is not taken:\n{tail(self.log)}")

    def maildir(self, name: str, folder: str = "INBOX") -> Path:
        """Where a folder of a user lies. `folder` is the decoded name with `/` between its levels."""
        return maildir_path(self.folder / "mail" / name / "Maildir", folder)

    def make_mailbox(self, name: str, folder: str) -> Path:
        """Create a folder on disk, as the mail store would; harmless if it exists."""
        path = self.maildir(name, folder)
        for part in (path, path / "cur", path / "new", path / "tmp"):
            self._make_folder(part)
        if folder != "INBOX" and not (path / "maildirfolder").exists():
            self.write(path / "maildirfolder", b"")
        return path

    def deliver(
        self,
        name: str,
        raw: bytes,
        *,
        folder: str = "INBOX",
        flags: Iterable[str] = (),
        received_at: datetime | None = None,
    ) -> Path:
        r"""Lay one message into a folder as a delivery agent does (tmp, then rename); returns its file.

        `flags` are Maildir letters (S seen, F flagged, R answered, D draft, T deleted, P passed, a-z keywords);
        `received_at` becomes INTERNALDATE. Without flags the message is new and \Recent.
        """
        self._delivered += 1
        path = self.maildir(name, folder)
        unique = f"{self._delivered:09d}.{os.getpid()}.localhost"
        letters = "".join(sorted(set(flags)))
        self.write(path / "tmp" / unique, raw)
        if received_at is not None:
            os.utime(path / "tmp" / unique, (received_at.timestamp(), received_at.timestamp()))
        target = path / "cur" / f"{unique}:2,{letters}" if letters else path / "new" / unique
        (path / "tmp" / unique).rename(target)
        return target

    def write(self, path: Path, content: bytes) -> None:
        """Write a file that the server may read and change."""
        path.write_bytes(content)
        os.chown(path, self.user.pw_uid, self.user.pw_gid)

    def flags(self, name: str) -> dict[tuple[str, int], frozenset[str]]:
        r"""Flags and keywords of every message by (folder, UID), without \Recent, which the server sets by itself."""
        table = self.doveadm("-f", "tab", "fetch", "-u", name, "mailbox uid flags", "all").splitlines()[1:]
        rows = [line.split("\t") for line in table]
        return {(folder, int(uid)): frozenset(words.split()) - {r"\Recent"} for folder, uid, words in rows}

    def new_uidvalidity(self, name: str, folder: str = "INBOX") -> int:
        """Renumber a folder as a restored or moved mail store does; the new UIDVALIDITY."""
        stated = self.doveadm("mailbox", "status", "-u", name, "uidvalidity", folder)
        value = int(stated.rpartition("=")[2]) + 1000
        self.doveadm("mailbox", "update", "-u", name, "--uid-validity", str(value), folder)
        return value

    def own(self, tree: Path) -> None:
        """Give a folder that a test wrote, with all in it, to the server's user."""
        for path in (tree, *tree.rglob("*")):
            os.chown(path, self.user.pw_uid, self.user.pw_gid)

    def doveadm(self, *arguments: str) -> str:
        """Run doveadm on this server as the server's user; its standard output. Raises with what it said."""
        command = [*as_user(self.user), find_program("doveadm"), "-c", str(self._config), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd="/")
        if done.returncode:
            raise RuntimeError(f"doveadm {' '.join(arguments)}: exit {done.returncode}\n{done.stderr}")
        return done.stdout

    def _make_folder(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        for each in (path, *path.parents):
            if each == self.folder:
                break
            os.chown(each, self.user.pw_uid, self.user.pw_gid)

    def _write_config(self) -> None:
        stated = subprocess.run([self._program, "--version"], check=True, capture_output=True, text=True).stdout
        match = re.match(r"(\d+)\.(\d+)", stated)
        assert match, f"dovecot --version says {stated!r}"
        new = (int(match[1]), int(match[2])) >= (2, 4)
        template = _CONFIG_2_4 if new else _CONFIG_2_3
        group = grp.getgrgid(self.user.pw_gid).gr_name
        text = template.format(
            base=self.folder, user=self.user.pw_name, group=group, uid=self.user.pw_uid, gid=self.user.pw_gid,
            port=self.port, tls_port=self.tls_port, certificates=self.certificates,
            separator=self.options.separator, prefix=self.options.prefix,
            mailboxes=self._special_use(),
            extra=self._delivery(new=new) + self._tokens(new=new) + self.options.extra,
        )  # fmt: skip
        self._config.write_text(text)
        self.log.touch()
        for path in self.folder.glob("*"):
            if path.is_file():
                os.chown(path, self.user.pw_uid, self.user.pw_gid)

    def _delivery(self, *, new: bool) -> str:
        if not self.options.delivery:
            return ""
        name = "%{user | username | lower}" if new else "%Ln"
        listen = "listen" if new else "address"
        return _DELIVERY.format(
            user=self.user.pw_name, name=name, listen=listen, lmtp_port=self.lmtp_port, auth_port=self.auth_port
        )

    def _tokens(self, *, new: bool) -> str:
        if not self.options.introspection:
            return ""
        mechanisms = self.options.token_mechanisms
        if new:
            return _TOKENS_2_4.format(url=self.options.introspection, mechanisms=mechanisms)
        file = self.folder / "oauth2.conf.ext"
        file.write_text(_TOKENS_FILE_2_3.format(url=self.options.introspection))
        return _TOKENS_2_3.format(file=file, mechanisms=mechanisms)

    def _special_use(self) -> str:
        if not self.options.special_use:
            return ""
        return "\n".join(f"  mailbox {name} {{\n    special_use = {use}\n  }}" for name, use in SPECIAL_USE.items())


_COMMON = """\
base_dir = {base}/run
state_dir = {base}/run
log_path = {base}/dovecot.log
protocols = imap
listen = 127.0.0.1
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
first_valid_uid = 1
first_valid_gid = 1
mail_max_userip_connections = 200
mailbox_idle_check_interval = 1 secs
auth_mechanisms = plain login
auth_failure_delay = 0
ssl = yes
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
"""

_DELIVERY = """\
protocols = imap lmtp
auth_username_format = {name}
service lmtp {{
  user = {user}
  chroot =
  inet_listener lmtp {{
    {listen} = 127.0.0.1
    port = {lmtp_port}
  }}
}}
service auth {{
  inet_listener sasl {{
    {listen} = 127.0.0.1
    port = {auth_port}
  }}
}}
"""

_TOKENS_2_3 = """\
auth_mechanisms = plain login {mechanisms}
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {file}
}}
"""

_TOKENS_FILE_2_3 = """\
introspection_mode = post
introspection_url = {url}
username_attribute = username
active_attribute = active
active_value = true
"""

_TOKENS_2_4 = """\
auth_mechanisms = plain login {mechanisms}
oauth2 {{
  introspection_mode = post
  introspection_url = {url}
  username_attribute = username
  active_attribute = active
  active_value = true
}}
"""

_NAMESPACE = """\
namespace inbox {{
  inbox = yes
  separator = {separator}
  prefix = {prefix}
{mailboxes}
}}
{extra}
"""

_CONFIG_2_3 = (
    _COMMON
    + """\
disable_plaintext_auth = no
ssl_cert = <{certificates.certificate}
ssl_key = <{certificates.key}
mail_location = maildir:~/Maildir
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {base}/passwords/%u
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={base}/mail/%u
}}
service imap-login {{
  chroot =
  service_count = 0
  inet_listener imap {{
    address = 127.0.0.1
    port = {port}
  }}
  inet_listener imaps {{
    address = 127.0.0.1
    port = {tls_port}
    ssl = yes
  }}
}}
"""
    + _NAMESPACE
)

_CONFIG_2_4 = (
    """\
dovecot_config_version = 2.4.0
dovecot_storage_version = 2.4.0
"""
    + _COMMON
    + """\
auth_allow_cleartext = yes
ssl_server_cert_file = {certificates.certificate}
ssl_server_key_file = {certificates.key}
mail_driver = maildir
mail_path = ~/Maildir
passdb passwd-file {{
  passwd_file_path = {base}/passwords/%{{user}}
  default_password_scheme = PLAIN
}}
userdb static {{
  fields {{
    uid = {uid}
    gid = {gid}
    home = {base}/mail/%{{user}}
  }}
}}
service imap-login {{
  chroot =
  restart_request_count = unlimited
  inet_listener imap {{
    listen = 127.0.0.1
    port = {port}
  }}
  inet_listener imaps {{
    listen = 127.0.0.1
    port = {tls_port}
    ssl = yes
  }}
}}
"""
    + _NAMESPACE
)
