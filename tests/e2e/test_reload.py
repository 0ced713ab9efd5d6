"""`quietcrm run` and its files: loaded when they change, refused with their caret, and never the end of the service."""

from __future__ import annotations

import json
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from email import message_from_bytes, policy
from email.message import EmailMessage
from itertools import pairwise
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest
from campaigns.installed import Installed, await_true, end
from service_offices import Systemd

from daemon.alert_causes import CONFIG_PATIENCE
from daemon.control import ask
from daemon.errors import NotRunning
from daemon.watch import QUIET

SETTINGS = """\
company: {name: Vendas, zone: America/Sao_Paulo, language: en}
internal: ["@vendas.example"]
team:
  ana: {mail: ana@vendas.example, admin: yes}
accounts:
  ana: {type: maildir, rep: ana, path: ana, since: 2000-01-01}
poll: {every: 1 second}
log: {format: json}
"""
RULES = """\
rules:
  - name: private
    when: mail arrives
    if: {from: $banks}
    then: {ignore: private}
  - name: question
    when: mail arrives
    if: {known: yes, subject: {has: caixas}}
    then: {tag: first}
"""
BROKEN = RULES.replace("subject:", "subjet:")
SECOND = RULES.replace("tag: first", "tag: second")


class Scene:
    """A Maildir office and its daemon."""

    def __init__(self, directory: Path, notify: str = "") -> None:
        self.directory = directory
        for place in ("new", "cur", "tmp"):
            (directory / "ana" / place).mkdir(parents=True)
        for name in ("rules", "lists"):
            (directory / name).mkdir()
        (directory / "quietcrm.yaml").write_text(SETTINGS)
        (directory / "lists" / "banks.txt").write_text("@bank.example\n")
        (directory / "customers.csv").write_text("name,email,company\nMaria,maria@sol.example,Sol\n")
        self.write(RULES)
        self.command = Installed(directory, **({"NOTIFY_SOCKET": notify} if notify else {}))
        self.lines: list[str] = []
        self._mails = 0

    def write(self, rules: str) -> None:
        (self.directory / "rules" / "10.yaml").write_text(rules)

    @contextmanager
    def running(self) -> Iterator[Popen[bytes]]:
        process = self.command.start("run")
        try:
            await_true("the daemon answers", lambda: process.poll() is not None or self.answers(), seconds=60)
            assert process.poll() is None, self.command.said()
            yield process
            assert process.poll() is None, self.command.said()
        finally:
            end(process, signal.SIGTERM)

    def answers(self) -> bool:
        try:
            return bool(self.status())
        except NotRunning:
            return False

    def status(self) -> dict[str, Any]:
        """As `quietcrm status` is told."""
        told: dict[str, Any] = ask(self.command.state, "status", {})
        return told

    def await_status(self, what: str, is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        return await_true(what, lambda: told if is_so(told := self.status()) else None, seconds=60, every=0.3) or {}

    def question(self, sender: str = "maria@sol.example") -> str:
        """A mail that the second rule tags; its Message-ID."""
        self._mails += 1
        name = f"<q{self._mails}@sol.example>"
        (self.directory / "ana" / "new" / f"{time.time_ns()}.q.host").write_text(
            f"From: {sender}\nTo: ana@vendas.example\nSubject: caixas\nMessage-ID: {name}\n"
            f"Date: {time.strftime('%a, %d %b %Y %H:%M:%S +0000', time.gmtime())}\n\nQuero caixas.\n"
        )
        return name

    def is_logged(self, name: str) -> bool:
        return bool(self.command.rows("SELECT 1 FROM interaction WHERE message_id = ?", name.strip("<>")))

    def alerts(self) -> list[EmailMessage]:
        """Mails to the admin about the configuration."""
        found: list[EmailMessage] = []
        for path in (self.directory / "ana").glob("[nc]*/*"):
            mail = message_from_bytes(path.read_bytes(), policy=policy.default)
            if mail["X-Quietcrm"] == "alert":
                found.append(mail)  # type: ignore[arg-type]
        return found

    def logged(self, event: str) -> list[dict[str, Any]]:
        """What the daemon logged under this name."""
        lines = [line for line in self.command.log.read_text().splitlines() if line.startswith("{")]
        return [said for line in lines if (said := json.loads(line))["event"] == event]

    def tags(self) -> set[str]:
        return {str(row[0]) for row in self.command.rows("SELECT tag FROM customer_tag")}


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with tempfile.TemporaryDirectory() as folder:  # a socket's path may have 107 bytes
        systemd = Systemd(Path(folder) / "notify")
        scene = Scene(tmp_path / "office", systemd.path)
        listener = threading.Thread(target=_listen, args=(systemd, scene.lines), daemon=True)
        listener.start()
        scene.command("customer", "import", str(scene.directory / "customers.csv"), "--apply")
        yield scene
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"END=1", systemd.path)
        listener.join()
        systemd.close()


def _listen(systemd: Systemd, lines: list[str]) -> None:
    """Hear everything, as systemd does: a daemon that nobody hears would wait."""
    heard: dict[str, str] = {}
    while "END" not in heard:
        with suppress(TimeoutError):
            heard = dict(line.partition("=")[::2] for line in systemd.receive())
            lines.append(heard.get("STATUS", ""))


def test_a_start_on_broken_files_runs_the_last_good_set_until_they_are_mended(scene: Scene) -> None:
    with scene.running():
        good = scene.status()["config"]
        await_true("the set is kept", (scene.command.state / "config.good").exists, seconds=120)
    scene.write(BROKEN)
    (scene.directory / "lists" / "banks.txt").unlink()
    with scene.running():
        told = "configuration refused, the last good one runs"
        await_true("systemd is told", lambda: any(line.endswith(told) for line in scene.lines), seconds=120)
        status = scene.status()
        assert status["config"] == good
        assert "rules/10.yaml:8:" in status["config_trouble"]
        assert status["config_refused_at"]
        assert "the last good one runs" in scene.command.run("status").stdout
        assert scene.command("status")["config_trouble"] == status["config_trouble"]
        assert scene.logged("config.refused")[0]["kept"] == good
        wanted, private = scene.question(), scene.question("extrato@bank.example")
        await_true("mail is logged by the last good rules", lambda: scene.is_logged(wanted), seconds=120)
        assert not scene.is_logged(private), "the list that is gone from the folder still holds"
        assert scene.tags() == {"first"}
        (mail,) = await_true("the admin is told", scene.alerts, seconds=60)
        text = mail.get_body(("plain",)).get_content()  # type: ignore[union-attr]
        assert "subjet" in text
        assert "^^^^^^" in text

        (scene.directory / "lists" / "banks.txt").write_text("@bank.example\n")
        scene.write(SECOND)
        status = scene.await_status("the mended files run", lambda told: not told["config_trouble"])
        assert status["config"] != good
        assert status["config_mended_at"] > status["config_refused_at"]
        assert "is mended" in scene.command.run("status").stdout
        assert scene.logged("config.mended")
        scene.question()
        await_true("the new rule runs", lambda: scene.tags() == {"first", "second"}, seconds=120)
        assert len(scene.alerts()) == 1


def test_without_a_last_good_set_a_broken_start_is_refused(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "office")
    scene.write(BROKEN)
    refused = scene.command.run("run", codes=(3,))
    assert "rules/10.yaml:8:" in refused.stderr
    assert "^^^^^^" in refused.stderr
    assert not (scene.command.state / "crm.db").exists()


def test_changed_files_are_loaded_and_a_fault_is_told_once(scene: Scene) -> None:
    with scene.running() as process:
        first = scene.status()["config"]
        scene.write(SECOND)
        second = scene.await_status("the change is loaded", lambda told: told["config"] != first)["config"]
        scene.write(BROKEN)
        scene.await_status("the fault is seen", lambda told: bool(told["config_trouble"]))
        (mail,) = await_true("the admin is told", scene.alerts, seconds=60)
        assert mail["Subject"] == "quietcrm needs you: Configuration"
        process.send_signal(signal.SIGHUP)
        assert "subjet" in scene.command.run("reload", codes=(3,)).stdout
        assert scene.status()["config"] == second
        scene.write(SECOND)
        scene.await_status("it is mended", lambda told: not told["config_trouble"])
        assert len(scene.alerts()) == 1


def test_half_saved_files_and_folders_swapped_by_links_are_not_told(scene: Scene) -> None:
    rules = scene.directory / "rules"
    for name, text in (("v1", RULES), ("v2", SECOND)):
        (scene.directory / name).mkdir()
        (scene.directory / name / "10.yaml").write_text(text)
    (rules / "10.yaml").unlink()
    rules.rmdir()
    rules.symlink_to("v1")
    with scene.running():
        first = scene.status()["config"]
        saved = [time.monotonic()]
        while saved[-1] - saved[0] < CONFIG_PATIENCE.total_seconds() + 5:  # an editor that saves in pieces
            (scene.directory / "v1" / "10.yaml").write_text(BROKEN[: (10, 60, len(RULES) - 3)[len(saved) % 3]])
            time.sleep(0.4)
            saved.append(time.monotonic())
        (scene.directory / "next").symlink_to("v2")
        (scene.directory / "next").replace(rules)
        scene.await_status("the other folder is loaded", lambda told: told["config"] != first)
        if max(later - one for one, later in pairwise(saved)) < QUIET:  # else this machine stood still, not the editor
            assert scene.logged("config.refused") == []
        (rules / ".10.yaml.swp").write_text("x")
        (scene.directory / "lists" / "#banks.txt#").write_text("x")
        (scene.directory / "lists" / "4913").write_text("123")
        (scene.directory / "lists" / "4913").unlink()
        name = scene.question()
        await_true("it works on", lambda: scene.is_logged(name), seconds=120)
        assert scene.alerts() == []
        assert scene.status()["config_trouble"] == ""


def test_another_store_waits_for_the_next_start(scene: Scene) -> None:
    with scene.running():
        settings = scene.directory / "quietcrm.yaml"
        settings.write_text(SETTINGS + "store: sqlite:///state/other.db\n")
        trouble = scene.await_status("it is told", lambda told: bool(told["config_trouble"]))["config_trouble"]
        assert "another `store`" in trouble
        assert "start it again" in trouble
        assert not (scene.command.state / "other.db").exists()
    with scene.running():
        assert scene.status()["config_trouble"] == ""
        assert (scene.command.state / "other.db").exists()
