"""Years of old mail behind, and new mail all the same at once: `python -m campaigns.backfill --count 200000`.

One mailbox of tiny old mails, each of which a rule would answer with a draft and a reminder if it were new. The
installed `quietcrm run` reads them at 50 a second. Meanwhile new mails arrive, and their way into the database is
timed; half-way the process is killed and started again. Truth: the mailbox and the database, nothing else.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

from campaigns.installed import Installed, await_true, end
from servers.dovecot import DovecotServer

CUSTOMERS = 300
FIRST = datetime(2021, 1, 4, 8, 0, tzinfo=UTC)
EVERY = 600.0
"""Seconds between two old mails."""

CONFIG = """\
company: {{name: Vendas, zone: America/Sao_Paulo, language: pt}}
internal: ["@vendas.example"]
team: {{rep1: {{mail: rep1@vendas.example, language: pt}}}}
poll: {{backfill_per_second: {rate}}}
accounts:
  rep1: {{type: imap, rep: rep1, host: 127.0.0.1, port: {port}, security: none, login: rep1,
         password: {{env: REP_PASSWORD}}, since: 2020-01-01}}
log: {{format: json}}
"""
RULES = """\
rules:
  - name: pedido
    when: mail arrives
    if: {known: yes, text: {has: orçamento}}
    then:
      draft: {template: proposta, reply: yes, in: 1 business day}
      remind: {who: owner, in: 2 business days, unless: replied, text: "Responder {{ customer.name }}"}
"""
TEMPLATE = """\
---
name: proposta
subject: "Re: {{ mail.subject }}"
---
{{ greeting }}, segue a proposta.
"""


_CAUSED = """
SELECT count(*) FROM {table} JOIN interaction ON interaction.id = {table}.interaction_id
WHERE interaction.message_id LIKE ?
"""


@dataclass
class Report:
    """What was measured. Latencies in seconds, from the file in the mailbox to the row in the database."""

    old: int
    latencies: list[float] = field(default_factory=list)
    done_before_kill: int = 0
    done_after_kill: int = 0
    rows_before_kill: int = 0
    seconds: float = 0.0
    rows: int = 0
    acted_on_old: int = 0
    acted_on_new: int = 0

    def text(self) -> str:
        """For people."""
        return "\n".join(
            (
                f"old mails behind: {self.old}",
                f"back-fill after {self.seconds:.0f} s: {self.rows} rows, {self.rows / self.seconds:.1f} a second",
                f"SIGKILL at {self.done_before_kill} done ({self.rows_before_kill} rows), "
                f"first progress after the restart: {self.done_after_kill} done",
                f"new mails: {len(self.latencies)}, a row after {statistics.median(self.latencies):.2f} s (median), "
                f"{max(self.latencies):.2f} s (worst)",
                f"drafts and reminders for old mail: {self.acted_on_old}, for the new ones: {self.acted_on_new}",
            )
        )


def fill(server: DovecotServer, count: int) -> None:
    """Lay `count` old mails into the Inbox of rep1, the way Maildir holds mail that was read long ago."""
    server.add_user("rep1")
    folder = server.maildir("rep1") / "cur"
    for number in range(count):
        at = FIRST.timestamp() + number * EVERY * min(1.0, 200_000 / count)
        path = folder / f"{int(at)}.M{number}.localhost:2,S"
        path.write_bytes(old_mail(number, datetime.fromtimestamp(at, UTC)))
        os.utime(path, (at, at))
        os.chown(path, server.user.pw_uid, server.user.pw_gid)


def old_mail(number: int, at: datetime, prefix: str = "old") -> bytes:
    """A customer asks for an offer."""
    domain = f"cliente{number % CUSTOMERS}.example"
    return (
        f"From: Maria <maria@{domain}>\nTo: rep1@vendas.example\nSubject: Pedido {number}\n"
        f"Date: {format_datetime(at)}\nMessage-ID: <{prefix}{number}@{domain}>\n\n"
        f"Peço um orçamento de {number} caixas.\n"
    ).encode()


class Scene:
    """A filled mailbox, the configuration on it, and the daemon that is started and killed."""

    def __init__(self, directory: Path, server: DovecotServer, count: int, rate: int = 50) -> None:
        self.server = server
        self.command = Installed(directory)
        self.report = Report(count)
        self._new = 0
        for name in ("rules", "templates"):
            (directory / name).mkdir(parents=True)
        self.set_rate(rate)
        (directory / "rules" / "10.yaml").write_text(RULES, encoding="utf-8")
        (directory / "templates" / "proposta.md").write_text(TEMPLATE, encoding="utf-8")
        customers = directory / "customers.csv"
        lines = [f",,Cliente {n},cliente{n}.example" for n in range(CUSTOMERS)]
        customers.write_text("\n".join(["name,email,company,domain", *lines, ""]), encoding="utf-8")
        self.command("customer", "import", str(customers), "--apply")

    def set_rate(self, rate: int) -> None:
        """Write the settings with another throttle."""
        text = CONFIG.format(port=self.server.port, rate=rate)
        (self.command.directory / "quietcrm.yaml").write_text(text, encoding="utf-8")

    @contextmanager
    def running(self) -> Iterator[int]:
        """The daemon, once it listens; its process id. Ended politely at the end if it still runs."""
        process = self.command.start("run")
        began = time.monotonic()
        try:
            await_true("the daemon listens", lambda: self.command("status")["running"], seconds=60, every=0.2)
            yield process.pid
        finally:
            self.report.seconds += time.monotonic() - began
            end(process)

    def done(self) -> int:
        """Mails of the back-fill that are done, as `status` tells."""
        return int((self.command("status")["accounts"]["rep1"]["backfill"] or {"done": 0})["done"])

    def rows(self) -> int:
        """Old mails in the history."""
        return self.command.number("SELECT count(*) FROM interaction WHERE message_id LIKE 'old%'")

    def new_mail(self) -> float:
        """Deliver one and wait for its row; the seconds it took. Raises TimeoutError after 60."""
        self._new += 1
        raw = old_mail(self._new, datetime.now(UTC), "new")
        began = time.monotonic()
        self.server.deliver("rep1", raw)
        known = "SELECT 1 FROM interaction WHERE message_id LIKE ?"
        await_true("the new mail is a row", lambda: self.command.rows(known, f"new{self._new}@%"), seconds=60)
        self.report.latencies.append(time.monotonic() - began)
        return self.report.latencies[-1]

    def work(self, mails: int, pause: float) -> None:
        """Wait until the back-fill moves, then deliver new mails with pauses, the back-fill going on."""
        start = self.rows()
        await_true("the back-fill moves", lambda: self.rows() > start, seconds=300)
        for _ in range(mails):
            self.new_mail()
            self._await_old(self.rows() + int(pause * 40), seconds=60 + 2 * pause)

    def _await_old(self, goal: int, seconds: float) -> None:
        """Until so many old mails are rows; a rate of 50 a second is not reached where the machine is busy."""
        await_true("the back-fill goes on", lambda: self.rows() >= min(goal, self.report.old), seconds=seconds)

    def kill_and_resume(self, mails: int, pause: float) -> None:
        """One daemon until it is killed in the middle of the back-fill, and another one after it."""
        with self.running() as pid:
            self.work(mails - mails // 2, pause)
            self.report.done_before_kill = self.done()
            os.kill(pid, signal.SIGKILL)
        self.report.rows_before_kill = self.rows()
        with self.running():
            await_true("the back-fill goes on", lambda: self.rows() > self.report.rows_before_kill, seconds=120)
            self.report.done_after_kill = self.done()
            self.work(mails // 2, pause)
        self.judge()

    def judge(self) -> None:
        """Fill in what the database says at the end."""
        report, number = self.report, self.command.number
        report.rows = self.rows()
        for who in ("old", "new"):
            counts = [number(_CAUSED.format(table=table), f"{who}%") for table in ("outbox", "reminder")]
            setattr(report, f"acted_on_{who}", sum(counts))
        assert report.done_before_kill > 0
        assert report.done_after_kill >= report.done_before_kill, "started again from zero"
        assert report.rows == number("SELECT count(DISTINCT message_id) FROM interaction WHERE message_id LIKE 'old%'")
        assert report.acted_on_old == 0, "old mail was acted on"
        assert report.acted_on_new == 2 * len(report.latencies), "the rules are there and fire"
        assert max(report.latencies) <= 60


def main(arguments: list[str] | None = None) -> None:
    """Print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--mails", type=int, default=10, help="new mails, one after the other")
    parser.add_argument("--minutes", type=float, default=10.0, help="about how long the back-fill is watched")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="quietcrm-backfill-") as folder, DovecotServer() as server:
        began = time.monotonic()
        fill(server, options.count)
        print(f"mailbox filled in {time.monotonic() - began:.0f} s", flush=True)
        scene = Scene(Path(folder) / "office", server, options.count)
        scene.kill_and_resume(options.mails, options.minutes * 60 / options.mails)
        print(scene.report.text())


if __name__ == "__main__":
    main()
