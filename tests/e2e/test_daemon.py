"""The daemon as a process: dead accounts beside good ones, reload, stop, what it tells systemd, who may write."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from campaigns.backfill import old_mail
from campaigns.installed import Installed, await_true, end
from conftest import ImapUser
from servers.listener import Listener
from servers.process import free_port

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

    def __init__(self, directory: Path, notify: str = "") -> None:
        directory.mkdir()
        self.directory = directory
        self.accounts: dict[str, str] = {}
        (directory / "password").write_text("secret")
        (directory / "password").chmod(0o600)
        (directory / "customers.csv").write_text(
            "name,email,company,domain\n" + "".join(f",,Cliente {n},cliente{n}.example\n" for n in range(3))
        )
        self.command = Installed(directory, **({"NOTIFY_SOCKET": notify} if notify else {}))

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
        process = self.command.start("run")
        try:
            socket_file = self.directory / "state" / "quietcrm.sock"
            await_true("the daemon listens", lambda: socket_file.exists() or process.poll() is not None, seconds=30)
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


@pytest.fixture
def office(tmp_path: Path, imap_user: ImapUser) -> TestOffice:
    office = TestOffice(tmp_path / "office")
    office.add("good", imap_user.server.port, imap_user.name)
    return office


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


def test_sync_tells_dead_accounts_by_state_and_exit_code(office: TestOffice, imap_user: ImapUser) -> None:
    office.add("closed", free_port())
    office.write()
    import_customers(office)
    first = deliver(imap_user, 1)
    accounts = office.command("sync", "--once", codes=(6,))["accounts"]
    assert accounts["good"]["logged"] == 1
    assert office.knows(first)
    assert accounts["closed"]["state"] == "failing"
    assert "refused" in accounts["closed"]["reason"]

    office.add("wrong", imap_user.server.port, imap_user.name, "{env: WRONG}")
    office.write()
    office.command = Installed(office.directory, WRONG="not-it")
    second = deliver(imap_user, 2)
    accounts = office.command("sync", "--once", codes=(5,))["accounts"]
    assert accounts["good"]["logged"] == 1
    assert office.knows(second)
    assert accounts["wrong"]["state"] == "parked"
    assert "refused the login" in accounts["wrong"]["reason"]
    assert "not-it" not in office.command.run("status", "--json").stdout
    status = office.command("status")["accounts"]
    assert {name: one["state"] for name, one in status.items()} == {
        "good": "ok", "closed": "failing", "wrong": "parked",
    }  # fmt: skip
    assert status["wrong"]["hint"]


def test_a_server_that_never_answers_holds_up_nobody(office: TestOffice, imap_user: ImapUser) -> None:
    with silent_server() as port:
        office.add("silent", port)
        office.write()
        import_customers(office)
        with office.running() as process:
            first = deliver(imap_user, 1)
            await_true("the good account is read", lambda: office.knows(first), seconds=30)
            assert office.account("silent")["state"] == "new", "it still waits"
            failing = lambda: office.account("silent")["state"] == "failing"  # noqa: E731
            await_true("the silent one is failing", failing, seconds=120, every=1.0)
            assert "did not answer in time" in office.account("silent")["reason"]
            second = deliver(imap_user, 2)
            await_true("the good one is read on", lambda: office.knows(second), seconds=30)
            assert office.account("good")["state"] == "ok"
            process.send_signal(signal.SIGTERM)
            assert process.wait(STOP_SECONDS) == 0


def test_sigterm_ends_beside_a_server_that_hangs(office: TestOffice, imap_user: ImapUser) -> None:
    with silent_server() as port:
        for name in ("silent1", "silent2", "silent3"):
            office.add(name, port)
        office.write()
        import_customers(office)
        first = deliver(imap_user, 1)
        with office.running() as process:
            await_true("the good account is read", lambda: office.knows(first), seconds=30)
            process.send_signal(signal.SIGHUP)
            process.send_signal(signal.SIGTERM)
            assert process.wait(STOP_SECONDS) == 0
        assert office.command.rows("PRAGMA integrity_check") == [("ok",)]
        with office.running():
            second = deliver(imap_user, 2)
            await_true("it starts again and reads on", lambda: office.knows(second), seconds=30)


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
            lines = self._socket.recv(65536).decode().splitlines()
            self.heard.append(dict(line.partition("=")[::2] for line in lines))
            if key in self.heard[-1]:
                return self.heard[-1]

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def systemd() -> Iterator[Systemd]:
    with tempfile.TemporaryDirectory() as folder:  # a socket's path may have 107 bytes
        systemd = Systemd(Path(folder) / "notify")
        yield systemd
        systemd.close()


def test_reload_keeps_the_good_set_or_swaps_it_whole(tmp_path: Path, imap_user: ImapUser, systemd: Systemd) -> None:
    office = TestOffice(tmp_path / "office", systemd.path)
    office.add("good", imap_user.server.port, imap_user.name)
    office.write()
    import_customers(office)
    with office.running() as process:
        ready = systemd.await_message("READY")
        assert ready["STATUS"].startswith("1 accounts")
        before = office.command("status")
        assert (before["running"], before["config_trouble"]) == (True, "")

        office.write(more="retention: {tracse: 90 days}\n")
        process.send_signal(signal.SIGHUP)
        assert systemd.await_message("RELOADING")["MONOTONIC_USEC"].isdigit()
        assert "configuration refused" in systemd.await_message("READY")["STATUS"]
        status = office.command("status")
        assert status["config"] == before["config"], "the old set stays"
        assert "tracse" in status["config_trouble"]
        assert "quietcrm.yaml:" in status["config_trouble"], "with its place"
        shown = office.command.run("status").stdout
        assert "refused" in shown
        assert "tracse" in shown
        first = deliver(imap_user, 1)
        await_true("it works on with the old set", lambda: office.knows(first), seconds=30)

        office.add("other", imap_user.server.port, imap_user.name, "{env: NOT_THERE}")
        office.write()
        process.send_signal(signal.SIGHUP)
        assert "configuration refused" not in systemd.await_message("READY")["STATUS"]
        parked = lambda: office.account("other")["state"] == "parked"  # noqa: E731
        await_true("an account without its password fails alone", parked, seconds=30)
        assert "NOT_THERE" in office.account("other")["reason"]
        assert office.account("good")["state"] == "ok"

        office.add("other", imap_user.server.port, imap_user.name)
        office.write()
        process.send_signal(signal.SIGHUP)
        assert systemd.await_message("RELOADING")
        assert "configuration refused" not in systemd.await_message("READY")["STATUS"]
        status = office.command("status")
        assert status["config"] != before["config"]
        assert status["config_trouble"] == ""
        await_true("the new account is read", lambda: office.account("other")["state"] == "ok", seconds=30)

        process.send_signal(signal.SIGTERM)
        systemd.await_message("STOPPING")
        assert process.wait(STOP_SECONDS) == 0


def test_a_mended_password_is_taken_by_a_reload(office: TestOffice, imap_user: ImapUser) -> None:
    office.write()
    import_customers(office)
    (office.directory / "password").write_text("wrong")
    with office.running() as process:
        await_true("the account is parked", lambda: office.account("good")["state"] == "parked", seconds=30)
        first = deliver(imap_user, 1)
        (office.directory / "password").write_text("secret")
        process.send_signal(signal.SIGHUP)
        await_true("it is read again at once", lambda: office.account("good")["state"] == "ok", seconds=30)
        await_true("with its mail", lambda: office.knows(first), seconds=30)


def test_one_writer_beside_a_running_daemon(office: TestOffice, imap_user: ImapUser) -> None:
    office.write()
    with office.running() as process:
        refused = office.command.run("sync", "--once", "--json", codes=(8,))
        assert "already" in refused.stderr
        imported = import_customers(office)
        assert imported["applied"] is True, "by the socket: the daemon holds the lock"
        assert office.command.number("SELECT count(*) FROM customer") == 3
        first = deliver(imap_user, 1)
        await_true("the daemon knows them", lambda: office.knows(first), seconds=30)
        assert office.command("log")[0]["customers"] == ["Cliente 1"]
        process.kill()
        process.wait()
        assert office.command("status")["running"] is False, "its socket is left and nobody listens"
        assert import_customers(office)["applied"] is True
        assert office.command("sync", "--once")["accounts"]["good"]["logged"] == 0
