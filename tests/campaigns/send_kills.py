"""SIGKILL of the real process while it sends: `python -m campaigns.send_kills --kills 100`.

A backlog of mail leaves by the installed `quietcrm run` to an SMTP server that keeps what it accepts; the mailbox, with
its Sent folder, is on a real Dovecot. The daemon is killed at known stages and started again, until there were enough
kills; then it works to its end and campaigns.sends_checker compares server, mailbox and database. The stages:

claim    the transaction that takes the next mails is being written, or committed
connect  the server accepted the connection, up to: the recipient was accepted and the answer lies unread
attempt  the recipient's answer may be read, DATA is not answered: the attempt is being recorded
data     the go-ahead for the mail was given, the mail is on its way
dot      the mail is whole and the server keeps it, nothing was answered
record   the answer was given, and the database does not say "sent" yet
copy     a copy lies in Sent, and the database does not say so yet
"""

from __future__ import annotations

import argparse
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Protocol

import psycopg
from campaigns.backlog import SQLITE, Backlog, Row
from campaigns.checker import connect
from campaigns.installed import await_true, end
from campaigns.kills import remark
from campaigns.moments import JOURNAL_MAGIC, catch
from campaigns.sends_checker import SendsVerdict, check, copies_in, count_files
from campaigns.stages import StageSink
from servers.dovecot import DovecotServer
from servers.postgres import PostgresServer
from servers.smtp_sink import Stage

PHASES = ("claim", "connect", "attempt", "data", "dot", "record", "copy")
RECORDED = ("data", "dot", "record")
"""Where the attempt has to be in the database already."""
PATIENCE = 40.0
"""Seconds for a start, a first look into the mailbox and some mails."""
_INDEX_LEAF = 10
"""First byte of such a page of an SQLite file (file format, 1.6)."""
_CLAIMS = """
SELECT count(*) FROM pg_stat_activity AS session
WHERE application_name = 'quietcrm' AND datname = current_database() AND backend_xid IS NOT NULL AND ARRAY(
    SELECT relation::regclass || ' ' || mode FROM pg_locks AS held
    WHERE held.pid = session.pid AND relation = ANY(ARRAY['outbox', 'meta', 'send_attempt']::regclass[])
    AND (mode = 'RowExclusiveLock' OR relation = 'meta'::regclass) ORDER BY 1
) = ARRAY['meta AccessShareLock', 'outbox RowExclusiveLock']
"""


@dataclass
class SendsTally:
    """What was done and found."""

    kills: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    on_the_wire: set[int] = field(default_factory=set)
    """Mails that were `sending` at a death: they alone may end uncertain."""
    rolled_back: int = 0
    """Claims of which nothing was left."""
    unrecorded: list[str] = field(default_factory=list)
    """Mails that the server heard of before the database did."""
    verdict: SendsVerdict = field(default_factory=SendsVerdict)

    @property
    def total(self) -> int:
        """All kills."""
        return sum(self.kills.values())

    @property
    def is_clean(self) -> bool:
        """No faults."""
        return self.verdict.is_clean and not self.unrecorded

    def text(self) -> str:
        """For people."""
        counts = ", ".join(f"{phase} {self.kills[phase]}" for phase in PHASES)
        missed = ", ".join(f"{phase} {times}" for phase, times in self.missed.items()) or "none"
        lines = [f"{self.total} kills: {counts}; claims rolled back {self.rolled_back}; missed: {missed}"]
        lines.append(self.verdict.text())
        return "\n".join(lines + [f"  on the wire, not recorded: {self.unrecorded}"] * bool(self.unrecorded))


class SendKills:
    """Kills one daemon after the other on one backlog."""

    def __init__(
        self, backlog: Backlog, sink: StageSink, seed: int, say: Callable[[str], None] = lambda _: None
    ) -> None:
        self.backlog = backlog
        self.sink = sink
        self.say = say
        self.rng = Random(seed)
        self.tally = SendsTally()
        self._acts: dict[str, Callable[[subprocess.Popen[bytes]], bool]] = {
            "claim": self._at_claim, "connect": self._at_connect, "attempt": self._at_attempt,
            "data": self._at_data, "dot": self._at_dot, "record": self._at_record, "copy": self._at_copy,
        }  # fmt: skip

    def run(self, kills: int, least: int, phases: Sequence[str] = PHASES) -> SendsTally:
        """Kill until there were so many, at least `least` in each phase; then let it work to its end, and check."""
        tally = self.tally
        while tally.total < kills or min(tally.kills[phase] for phase in phases) < least:
            if self.backlog_left() < 5:
                states = Counter(row.state for row in self.backlog.rows_after_death())
                said = self.backlog.command.said()
                raise RuntimeError(f"nothing is left to be killed at: {dict(states)}\n{tally.text()}\n{said}")
            self._round(min(phases, key=lambda one: (tally.kills[one], self.rng.random())))
        with self.backlog.running():
            await_true("the backlog is done", self.backlog.is_settled, seconds=600, every=0.5)
        self.sink.stop()
        tally.verdict = check(self.backlog, self.sink.mails, tally.on_the_wire)
        return tally

    def backlog_left(self) -> int:
        """Mails that can still be caught."""
        return sum(row.state in ("planned", "claimed") for row in self.backlog.rows_after_death())

    def _round(self, phase: str) -> None:
        began = time.monotonic()
        process = self.backlog.command.start("run")
        try:
            caught = self._acts[phase](process)
            assert process.poll() is None, f"it ended by itself\n{self.backlog.command.said()}"
        finally:
            end(process, signal.SIGKILL)
            recipient = self.sink.recipient
            self.sink.release()
        rows = self.backlog.rows_after_death()
        if caught and phase == "record":
            caught = self._state(rows, recipient) != "sent"  # else it was quicker than we
        if caught and phase == "copy":
            lying = copies_in(self.backlog.sent_folder)
            caught = any(row.copy == "wanted" and row.message_id in lying for row in rows)
        self.tally.on_the_wire |= {row.number for row in rows if row.state == "sending"}
        (self.tally.kills if caught else self.tally.missed)[phase] += 1
        self.tally.rolled_back += caught and phase == "claim" and all(row.state != "claimed" for row in rows)
        if caught and phase in RECORDED and self._state(rows, recipient) != "sending":
            self.tally.unrecorded.append(f"{recipient}: {self._state(rows, recipient)} at {phase}")
        self.say(f"{self.tally.total}: {phase}{'' if caught else ' (missed)'}, {time.monotonic() - began:.1f} s")

    def _state(self, rows: list[Row], recipient: str) -> str:
        return next((row.state for row in rows if row.recipient == recipient), "")

    # --- the phases: True with the process in it, to be killed at once -----------------------------------------------

    def _at_claim(self, process: subprocess.Popen[bytes]) -> bool:
        self.sink.arm("mail")  # no further than this
        claiming = claiming_of(self.backlog)
        caught = catch(process.pid, lambda: process.poll() is not None, claiming, seconds=PATIENCE)
        if caught and self.rng.random() < 0.5:
            process.send_signal(signal.SIGCONT)  # nearer to the commit, or into it
            time.sleep(self.rng.uniform(0, 0.4))
        claiming.close()
        return caught

    def _at_connect(self, process: subprocess.Popen[bytes]) -> bool:
        stage: Stage = self.rng.choice(("connect", "mail", "rcpt"))
        if not self._stand(process, stage, self.rng.randrange(3) if stage != "connect" else 0):
            return False
        if stage == "rcpt" and self.rng.random() < 0.5:
            self.sink.answer_to_stopped(process)
        return True

    def _at_attempt(self, process: subprocess.Popen[bytes]) -> bool:
        if not self._stand(process, "rcpt", self.rng.randrange(3)):
            return False
        recipient = self.sink.recipient
        self.sink.answer_to_stopped(process)
        self.sink.arm("data")  # it gets no further
        self.sink.recipient = recipient
        process.send_signal(signal.SIGCONT)
        time.sleep(self.rng.uniform(0, 0.02))
        return True

    def _at_data(self, process: subprocess.Popen[bytes]) -> bool:
        if not self._stand(process, "body", self.rng.randrange(3)):
            return False
        await_true("some of the mail has arrived", self.sink.has_unread, seconds=10, every=0.0005)
        return True

    def _at_dot(self, process: subprocess.Popen[bytes]) -> bool:
        return self._stand(process, "dot", self.rng.randrange(3))

    def _at_record(self, process: subprocess.Popen[bytes]) -> bool:
        if not self._stand(process, "dot", self.rng.randrange(3)):
            return False
        self.sink.answer_to_stopped(process)
        if self.rng.random() < 0.7:
            process.send_signal(signal.SIGCONT)
            time.sleep(self.rng.uniform(0, 0.008))
        return True

    def _at_copy(self, process: subprocess.Popen[bytes]) -> bool:
        self.sink.arm("mail", 4)  # no further than this
        folder = self.backlog.sent_folder
        before, deadline = count_files(folder), time.monotonic() + PATIENCE
        while count_files(folder) == before:
            if time.monotonic() > deadline or process.poll() is not None:
                return False
            time.sleep(0.0005)
        return True

    def _stand(self, process: subprocess.Popen[bytes], stage: Stage, skip: int) -> bool:
        self.sink.arm(stage, skip)
        return self.sink.await_caught(process, seconds=PATIENCE)


class Claiming(Protocol):
    """The transaction that claims is under way (a campaigns.moments.Moment)."""

    def look(self) -> bool:
        """Whether it is so now."""
        ...

    def close(self) -> None:
        """Let go of what it looks through."""
        ...


def claiming_of(backlog: Backlog) -> Claiming:
    """How to see it in this backlog's database."""
    if backlog.store == SQLITE:
        return JournalOfClaim(backlog.command.database)
    return SessionThatClaims(backlog.database)


class JournalOfClaim:
    """SQLite: the page with the index of planned mail is in the journal, while nothing is on its way already."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._path = database.with_name(database.name + "-journal")
        self._left = self._stamp()

    def look(self) -> bool:
        """Mail leaves the planned ones, and the database as others see it has none that is claimed or sending."""
        return self._moves_planned() and not self._on_its_way()

    def close(self) -> None:
        """Nothing is held."""

    def _moves_planned(self) -> bool:
        if self._stamp() in (None, self._left):
            return False  # there is none, or the one that the last process left
        try:
            journal = self._path.read_bytes()
        except FileNotFoundError:
            return False
        if len(journal) < 512 or journal.startswith(JOURNAL_MAGIC):
            return False
        sector, size = int.from_bytes(journal[20:24]), int.from_bytes(journal[24:28])
        starts = range(sector + 4, len(journal) - size, size + 8) if sector and size else ()
        return any(journal[at] == _INDEX_LEAF and b"planned" in journal[at : at + size] for at in starts)

    def _stamp(self) -> int | None:
        try:
            return self._path.stat().st_mtime_ns
        except FileNotFoundError:
            return None

    def _on_its_way(self) -> bool:
        try:
            with closing(connect(str(self._database))) as connection:
                found = connection.execute("SELECT count(*) FROM outbox WHERE state IN ('claimed', 'sending')")
                return bool(found.fetchone()[0])
        except sqlite3.OperationalError:
            return True  # it is in its commit


class SessionThatClaims:
    """PostgreSQL: a session writes mails and has looked at the fence. An attempt writes `send_attempt` too, a start and
    a sweep the fence."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(url.replace("+psycopg", ""), autocommit=True)

    def look(self) -> bool:
        """By the locks that it holds to the end of its transaction."""
        row = self._connection.execute(_CLAIMS).fetchone()
        return row is not None and row[0] > 0

    def close(self) -> None:
        """Let go of the session."""
        self._connection.close()


def main(arguments: list[str] | None = None) -> int:
    """Print what was done and found; 1 if a mail was sent twice, lost or stuck."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--least", type=int, default=10, help="at least so many in each phase")
    parser.add_argument("--mails", type=int, default=0, help="at least 220, and three a kill")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--postgres", action="store_true", help="on PostgreSQL")
    options = parser.parse_args(arguments)
    began = time.monotonic()
    count = options.mails or max(220, 3 * options.kills)
    with (
        tempfile.TemporaryDirectory(prefix="quietcrm-sends-") as folder,
        DovecotServer() as server,
        StageSink() as sink,
        PostgresServer() if options.postgres else nullcontext() as postgres,
    ):
        store = postgres.new_database() if postgres else SQLITE
        backlog = Backlog(Path(folder) / "office", server, sink.port, count, store=store)
        tally = SendKills(backlog, sink, options.seed, remark).run(options.kills, options.least)
    print(tally.text())
    on = "PostgreSQL" if options.postgres else f"SQLite {sqlite3.sqlite_version}"
    print(
        f"send_kills: {tally.total} kills, {tally.verdict.planned} mails, {on}, {time.monotonic() - began:.0f} s: "
        + ("clean" if tally.is_clean else "FAULTS")
    )
    return 0 if tally.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
