"""The daemon as a process: dead accounts beside good ones, reload, stop, what it tells systemd, who may write."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from campaigns.installed import Installed, await_true
from servers.process import free_port
from servers.users import ImapUser
from service_offices import STOP_SECONDS, Systemd, TestOffice, deliver, import_customers, silent_server


@pytest.fixture
def office(tmp_path: Path, imap_user: ImapUser) -> TestOffice:
    office = TestOffice(tmp_path / "office")
    office.add("good", imap_user.server.port, imap_user.name)
    return office


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
            await_true("the good account is read", lambda: office.knows(first), seconds=120)
            assert office.account("silent")["state"] == "new", "it still waits"
            failing = lambda: office.account("silent")["state"] == "failing"  # noqa: E731
            await_true("the silent one is failing", failing, seconds=120, every=1.0)
            assert "did not answer in time" in office.account("silent")["reason"]
            second = deliver(imap_user, 2)
            await_true("the good one is read on", lambda: office.knows(second), seconds=120)
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
            await_true("the good account is read", lambda: office.knows(first), seconds=120)
            process.send_signal(signal.SIGHUP)
            process.send_signal(signal.SIGTERM)
            assert process.wait(STOP_SECONDS) == 0
        assert office.command.rows("PRAGMA integrity_check") == [("ok",)]
        with office.running():
            second = deliver(imap_user, 2)
            await_true("it starts again and reads on", lambda: office.knows(second), seconds=120)


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
        await_true("it works on with the old set", lambda: office.knows(first), seconds=120)

        office.add("other", imap_user.server.port, imap_user.name, "{env: NOT_THERE}")
        office.write()
        process.send_signal(signal.SIGHUP)
        assert "configuration refused" not in systemd.await_message("READY")["STATUS"]
        parked = lambda: office.account("other")["state"] == "parked"  # noqa: E731
        await_true("an account without its password fails alone", parked, seconds=120)
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
        await_true("the new account is read", lambda: office.account("other")["state"] == "ok", seconds=120)

        process.send_signal(signal.SIGTERM)
        systemd.await_message("STOPPING")
        assert process.wait(STOP_SECONDS) == 0


def test_a_mended_password_is_taken_by_a_reload(office: TestOffice, imap_user: ImapUser) -> None:
    office.write()
    import_customers(office)
    (office.directory / "password").write_text("wrong")
    with office.running() as process:
        await_true("the account is parked", lambda: office.account("good")["state"] == "parked", seconds=120)
        first = deliver(imap_user, 1)
        (office.directory / "password").write_text("secret")
        process.send_signal(signal.SIGHUP)
        await_true("it is read again at once", lambda: office.account("good")["state"] == "ok", seconds=120)
        assert await_true("with its mail", lambda: office.knows(first), seconds=120)


def test_one_writer_beside_a_running_daemon(office: TestOffice, imap_user: ImapUser) -> None:
    office.write()
    with office.running() as process:
        refused = office.command.run("sync", "--once", "--json", codes=(8,))
        assert "already" in refused.stderr
        imported = import_customers(office)
        assert imported["applied"] is True, "by the socket: the daemon holds the lock"
        assert office.command.number("SELECT count(*) FROM customer") == 3
        first = deliver(imap_user, 1)
        await_true("the daemon knows them", lambda: office.knows(first), seconds=120)
        assert office.command("log")[0]["customers"] == ["Cliente 1"]
        process.kill()
        process.wait()
        assert office.command("status")["running"] is False, "its socket is left and nobody listens"
        assert import_customers(office)["applied"] is True
        assert office.command("sync", "--once")["accounts"]["good"]["logged"] == 0
