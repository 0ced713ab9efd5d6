"""What systemd hears of a daemon whose worker hangs, and of one whose disk fills up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from email.header import decode_header, make_header
from pathlib import Path

import pytest
from campaigns.installed import await_true, end
from imapclient import IMAPClient
from servers.users import ImapUser
from service_offices import STOP_SECONDS, Systemd, TestOffice, deliver, import_customers, silent_server

IMPATIENT = Path(__file__).with_name("impatient.py")
TMPFS = 'mount -t tmpfs -o size=200m,mode=0700 tmpfs "$1" && shift && exec "$@"'
BALLAST = 110_000_000


@pytest.fixture
def systemd() -> Iterator[Systemd]:
    with tempfile.TemporaryDirectory() as folder:
        systemd = Systemd(Path(folder) / "notify")
        yield systemd
        systemd.close()


def test_the_pings_stop_while_a_worker_hangs_and_the_admin_hears_of_it(
    tmp_path: Path, imap_user: ImapUser, systemd: Systemd
) -> None:
    office = TestOffice(tmp_path / "office", systemd.path, WATCHDOG_USEC="2000000")
    office.command.before = (sys.executable, str(IMPATIENT))
    office.add("good", imap_user.server.port, imap_user.name)
    with ExitStack() as silence:
        office.add("silent", silence.enter_context(silent_server()))
        office.write()
        import_customers(office)
        with office.running() as process:
            systemd.await_message("READY")
            systemd.await_message("WATCHDOG")
            await_true(
                "systemd hears who hangs", lambda: "hangs" in systemd.await_message("STATUS")["STATUS"], seconds=60
            )
            heard = [systemd.await_message("STATUS") for _ in range(8)]
            assert all('"fetch silent" hangs' in told["STATUS"] for told in heard)
            assert not any("WATCHDOG" in told for told in heard), "then systemd ends it"
            first = deliver(imap_user, 1)
            await_true("the others work on", lambda: office.knows(first), seconds=120)

            alert = await_true("the admin hears of it", lambda: inbox(imap_user, "X-Quietcrm", "alert"), seconds=55)
            assert "travou" in alert[0], "in the admin's language, by the mailbox that works"
            silence.close()
            systemd.await_message("WATCHDOG")  # the server let go: the worker moves again
            process.send_signal(signal.SIGTERM)
            systemd.await_message("STOPPING")
            assert process.wait(STOP_SECONDS) == 0
    assert office.command.said().count("worker.hangs") == 1
    assert "worker.moves" in office.command.said()
    assert "alert.sent" in office.command.said()
    assert not office.command.rows("SELECT 1 FROM interaction WHERE subject LIKE '%quietcrm%'"), "mail of our own"


def inbox(user: ImapUser, header: str, value: str) -> list[str]:
    """Subjects of the mails in the Inbox with this header."""
    with IMAPClient(user.server.host, port=user.server.port, ssl=False) as client:
        client.login(user.name, user.password)
        client.select_folder("INBOX", readonly=True)
        found = client.search(["HEADER", header, value])
        return (
            [
                str(make_header(decode_header(one[b"ENVELOPE"].subject.decode())))
                for one in client.fetch(found, ["ENVELOPE"]).values()
            ]
            if found
            else []
        )


def test_a_database_that_breaks_ends_nothing(tmp_path: Path, imap_user: ImapUser, systemd: Systemd) -> None:
    """The daemon stays, says so to systemd and by mail, writes a few lines and not one for each tick, and goes on."""
    office = TestOffice(tmp_path / "office", systemd.path, WATCHDOG_USEC="2000000")
    office.add("good", imap_user.server.port, imap_user.name)
    office.write()
    import_customers(office)
    with office.running() as process:
        first = deliver(imap_user, 1)
        await_true("mail is read", lambda: office.knows(first), seconds=120)
        sound = office.command.database.read_bytes()
        office.command.database.write_bytes(b"this is no database " * (len(sound) // 20 + 1))
        look = lambda: "database does not answer" in systemd.await_message("WATCHDOG")["STATUS"]  # noqa: E731
        await_true("systemd hears of it, and is still fed", look, seconds=60)
        await_true("the admin hears of it", lambda: inbox(imap_user, "X-Quietcrm", "alert"), seconds=60)
        for _ in range(6):  # seconds, of ticks that fail
            systemd.await_message("WATCHDOG")
        assert process.poll() is None
        failures = office.command.log.read_text().count("tick.failed")
        assert failures < 12, "a line for each worker, not for each tick"

        office.command.database.write_bytes(sound)
        second = deliver(imap_user, 2)
        await_true("it goes on", lambda: office.knows(second), seconds=60)
        process.send_signal(signal.SIGTERM)
        assert process.wait(STOP_SECONDS) == 0
    assert len(inbox(imap_user, "X-Quietcrm", "alert")) == 1


def test_reading_stops_before_the_disk_is_full_and_goes_on_alone(
    tmp_path: Path, imap_user: ImapUser, systemd: Systemd
) -> None:
    """On a disk of its own, which only the daemon and what enters its mount namespace can see."""
    state = tmp_path / "state"
    state.mkdir()
    office = TestOffice(tmp_path / "office", systemd.path, STATE_DIRECTORY=str(state))
    office.add("good", imap_user.server.port, imap_user.name)
    office.write()
    root = os.geteuid() == 0
    user = () if root else ("--user", "--map-root-user")
    # In a chroot "/" is no mount point, so unshare cannot make it private; its mounts are private there already.
    ways = [("unshare", *user, "--mount"), ("unshare", *user, "--mount", "--propagation", "unchanged")]
    apart = next((way for way in ways if not subprocess.run([*way, "true"], capture_output=True).returncode), None)
    if apart is None:
        pytest.skip("a disk of its own wants root or user namespaces (which a chroot has not), skipped")
    office.command.before = (*apart, "sh", "-c", TMPFS, "sh", str(state))
    process = office.command.start("run")
    try:
        systemd.await_message("READY")
        enter = (
            "nsenter",
            *(() if root else ("--user", "--preserve-credentials")),
            "--mount",
            "--root",
            f"--target={process.pid}",
        )
        office.command.before = (*enter, "--")
        ballast = Path(f"/proc/{process.pid}/root{state}/ballast")
        import_customers(office)
        deliver(imap_user, 1)
        await_true("mail is read", lambda: len(office.command("log")) == 1, seconds=120)

        ballast.write_bytes(bytes(BALLAST))
        await_true("the account is paused", lambda: office.account("good")["state"] == "paused", seconds=120)
        assert "MB are free on the disk of" in office.account("good")["reason"]
        deliver(imap_user, 2)
        await_true("systemd is told", lambda: "1 paused" in systemd.await_message("STATUS")["STATUS"], seconds=70)
        assert len(office.command("log")) == 1, "not a mail more"

        ballast.unlink()
        await_true("it reads on alone", lambda: len(office.command("log")) == 2, seconds=120)
        await_true("and is well", lambda: office.account("good")["state"] == "ok", seconds=120)
        process.send_signal(signal.SIGTERM)
        assert process.wait(STOP_SECONDS) == 0
    finally:
        end(process, signal.SIGKILL)
    assert office.command.log.read_text().count("account.paused") == 1
