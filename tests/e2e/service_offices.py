"""An office on real servers for tests of the running daemon, and the other end of systemd's notify socket."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from campaigns.backfill import old_mail
from campaigns.installed import Installed, await_true, end
from servers.listener import Listener
from servers.users import ImapUser

STOP_SECONDS = 10
BASE = """\
company: {name: Vendas, zone: America/Sao_Paulo, language: pt}
internal: ["@vendas.example"]
team:
  ana: {mail: ana@vendas.example, language: pt}
poll: {every: 2 seconds}
log: {format: json}
"""


class TestOffice:
    """Accounts are added one by one; `write` makes the files."""

    __test__ = False

    def __init__(self, directory: Path, notify: str = "", **environment: str) -> None:
        directory.mkdir()
        self.directory = directory
        self.accounts: dict[str, str] = {}
        (directory / "password").write_text("secret")
        (directory / "password").chmod(0o600)
        (directory / "customers.csv").write_text(
            "name,email,company,domain\n" + "".join(f",,Cliente {n},cliente{n}.example\n" for n in range(3))
        )
        self.command = Installed(directory, **({"NOTIFY_SOCKET": notify} if notify else {}), **environment)

    def add(self, name: str, port: int, login: str = "ana", password: str = "{file: password}") -> None:
        """An IMAP account on loopback."""
        self.accounts[name] = (
            f"  {name}: {{type: imap, rep: ana, host: 127.0.0.1, port: {port}, security: none, login: {login}, "
            f"password: {password}, since: 2000-01-01}}\n"
        )

    def write(self, more: str = "") -> None:
        """The configuration as it is now; `more` goes to its end."""
        text = BASE + "accounts:\n" + "".join(self.accounts.values()) + more
        (self.directory / "quietcrm.yaml").write_text(text, encoding="utf-8")

    @contextlib.contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        """`quietcrm run`, listening; ended at the end."""
        socket_file = self.command.state / "quietcrm.sock"
        socket_file.unlink(missing_ok=True)  # one that was cut short leaves its own behind
        process = self.command.start("run")
        try:
            await_true("the daemon listens", lambda: socket_file.exists() or process.poll() is not None, seconds=120)
            assert process.poll() is None, self.command.said()
            yield process
        finally:
            end(process, signal.SIGKILL)

    def account(self, name: str) -> dict[str, Any]:
        """What `status` says of an account."""
        told: dict[str, Any] = self.command("status")["accounts"][name]
        return told

    def knows(self, start: str) -> bool:
        """Whether a mail whose id begins so is in the history."""
        return bool(self.command.rows("SELECT 1 FROM interaction WHERE message_id LIKE ?", start + "%"))


def deliver(user: ImapUser, number: int) -> str:
    """A mail of a customer; the beginning of its id."""
    user.server.deliver(user.name, old_mail(number, datetime.now(UTC), "mail"))
    return f"mail{number}@"


def import_customers(office: TestOffice) -> Any:
    return office.command("customer", "import", str(office.directory / "customers.csv"), "--apply")


@contextlib.contextmanager
def silent_server() -> Iterator[int]:
    """Accepts and never answers; its port."""
    over = threading.Event()
    with Listener("silent", lambda _: over.wait() and None) as listener:
        yield listener.port
        over.set()


class Systemd:
    """The other end of NOTIFY_SOCKET."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self._socket.settimeout(30)
        self.heard: list[dict[str, str]] = []

    def await_message(self, key: str) -> dict[str, str]:
        """The next message with this key; those before it are in `heard` too."""
        while True:
            self.heard.append(dict(line.partition("=")[::2] for line in self.receive()))
            if key in self.heard[-1]:
                return self.heard[-1]

    def receive(self) -> list[str]:
        """The lines of the next message. Raises TimeoutError."""
        return self._socket.recv(65536).decode().splitlines()

    def close(self) -> None:
        self._socket.close()
