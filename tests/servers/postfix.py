"""A real Postfix on loopback with its own configuration, queue and log: STARTTLS, login, DSN, LMTP to a Dovecot.

The system's own mail server, if there is one, is not touched: nothing of /etc/postfix or /var/spool is used. Postfix
changes users by itself, so only root can start it.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from servers.certificates import Certificates
from servers.process import await_port, find_program, free_port, private_folder, spawn, stop, tail

_DAEMONS = ("/usr/lib/postfix/sbin", "/usr/libexec/postfix", "/usr/lib/postfix")


def why_not() -> str:
    """Why Postfix cannot be started here; "" if it can."""
    if os.geteuid() != 0:
        return "only root can start a Postfix"
    if shutil.which("postfix", path=f"{os.environ.get('PATH', '')}:/usr/sbin") is None:
        return "Postfix is not installed"
    return ""


class PostfixServer:
    """`with PostfixServer("lmtp:inet:127.0.0.1:24", ...) as server:` then `server.port` takes mail after a login.

    transport   where mail to `domains` goes: `lmtp:inet:127.0.0.1:PORT` or `smtp:[127.0.0.1]:PORT`
    sasl_port   a Dovecot's auth service on loopback (`DovecotServer.auth_port`); 0: this machine may send without
    extra       lines at the end of main.cf, as they stand
    """

    host = "127.0.0.1"

    def __init__(
        self,
        transport: str,
        *,
        domains: Sequence[str] = ("vendas.example", "acme.example"),
        certificates: Certificates | None = None,
        sasl_port: int = 0,
        extra: str = "",
    ) -> None:
        self.folder = private_folder("postfix", pwd.getpwuid(os.geteuid()))
        self.folder.chmod(0o755)  # its daemons run as other users
        self.log = self.folder / "postfix.log"
        self.port = 0
        self._transport = transport
        self._domains = tuple(domains)
        self._certificates = certificates
        self._sasl_port = sasl_port
        self._extra = extra
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        """Start on a free port and return when it answers; a second start keeps queue and port."""
        master = find_program("master", *_DAEMONS)
        for name in ("conf", "queue", "data"):
            (self.folder / name).mkdir(exist_ok=True)
        shutil.chown(self.folder / "data", "postfix", "postfix")
        for _ in range(5):
            self.port = self.port or free_port()
            self._write_config(Path(master).parent)
            self._run("postfix", "check")
            self._process = spawn(
                [master, "-c", str(self.folder / "conf"), "-d"], pwd.getpwuid(os.geteuid()), self.folder / "master.out"
            )
            if await_port(self._process, self.port, self.log):
                return
            self.port = 0  # somebody else took it: try another
        raise RuntimeError(f"Postfix does not start:\n{tail(self.log)}\n{tail(self.folder / 'master.out')}")

    def stop(self) -> None:
        """End the server we started; queue and log stay, so it can start again."""
        if self._process is not None:
            stop(self._process)
            self._process = None

    def queue(self) -> list[str]:
        """The mails that wait, one JSON line each (`postqueue -j`)."""
        return self._run("postqueue", "-j").splitlines()

    def await_empty_queue(self, *, seconds: float = 30.0) -> None:
        """Return when everything has been delivered or returned; raises TimeoutError."""
        deadline = time.monotonic() + seconds
        while self.queue():
            if time.monotonic() > deadline:
                raise TimeoutError(f"still in the queue after {seconds:.0f} s: {self.queue()}")
            time.sleep(0.05)

    def flush(self) -> None:
        """Try everything that waits again now."""
        self._run("postqueue", "-f")

    def _run(self, program: str, *arguments: str) -> str:
        command = [find_program(program), "-c", str(self.folder / "conf"), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd="/")
        if done.returncode:
            raise RuntimeError(
                f"{program} {' '.join(arguments)}: exit {done.returncode}\n{done.stderr}{tail(self.log)}"
            )
        return done.stdout

    def _write_config(self, daemons: Path) -> None:
        lines = [_MAIN.format(
            base=self.folder, daemons=daemons, commands=Path(find_program("postfix")).parent,
            transport=self._transport, domains=" ".join(self._domains),
            relay="permit_sasl_authenticated" if self._sasl_port else "permit_mynetworks",
        )]  # fmt: skip
        if self._certificates:
            lines.append(_TLS.format(certificates=self._certificates))
        if self._sasl_port:
            lines.append(_SASL.format(port=self._sasl_port))
        (self.folder / "conf" / "main.cf").write_text("".join([*lines, self._extra]))
        (self.folder / "conf" / "master.cf").write_text(_MASTER.format(port=self.port))


_MAIN = """\
compatibility_level = 3.6
queue_directory = {base}/queue
data_directory = {base}/data
daemon_directory = {daemons}
command_directory = {commands}
maillog_file = {base}/postfix.log
maillog_file_prefixes = {base}
mail_owner = postfix
setgid_group = postdrop
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mx.vendas.example
myorigin = vendas.example
mydestination =
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
local_recipient_maps =
virtual_mailbox_domains = {domains}
virtual_mailbox_maps =
virtual_transport = {transport}
default_transport = error:5.4.4 no mail leaves this machine
smtpd_relay_restrictions = {relay}, reject
smtpd_recipient_restrictions = {relay}, reject
smtputf8_enable = yes
minimal_backoff_time = 3s
maximal_backoff_time = 6s
queue_run_delay = 3s
smtpd_peername_lookup = no
disable_dns_lookups = yes
smtp_host_lookup = native
in_flow_delay = 0
"""

_TLS = """\
smtpd_tls_security_level = may
smtpd_tls_cert_file = {certificates.certificate}
smtpd_tls_key_file = {certificates.key}
smtpd_tls_auth_only = yes
"""

_SASL = """\
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = inet:127.0.0.1:{port}
"""

_MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
postlog unix-dgram n - n - 1 postlogd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
lmtp unix - - n - - lmtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
"""
