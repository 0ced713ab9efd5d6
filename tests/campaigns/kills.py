"""SIGKILL of the real process in known moments: `python -m campaigns.kills --kills 100`.

Three mailboxes on a real Dovecot are read by the installed `quietcrm sync --once` and `quietcrm run`. Each is killed in
a phase that was seen from outside (campaigns.moments) and started again; at the end the work is done to its end, and
campaigns.checker compares mailbox and database. Then the same with an empty database, until there were enough kills.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from campaigns.checker import Verdict, check, connect
from campaigns.installed import Installed, await_true, end
from campaigns.moments import Fetching, Journal, Moment, Parsing, Transaction, catch, parser_of
from servers.dovecot import DovecotServer
from servers.imap_proxy import ImapProxy
from servers.mailboxes import generate
from servers.postgres import PostgresServer

REPS = ("rep1", "rep2", "rep3")
SQLITE = "sqlite:///state/crm.db"
RUNNING = 8
"""Exit code: another process holds the lock; PostgreSQL needs a moment to see that its client is dead."""


@dataclass
class Tally:
    """What was done and found."""

    kills: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By command and phase."""
    cycles: int = 0
    missed: int = 0
    verdicts: list[Verdict] = field(default_factory=list)
    half_written: int = 0
    """Kills that left a journal which the next start had to roll back."""

    @property
    def total(self) -> int:
        """All kills."""
        return sum(self.kills.values())

    def of(self, phase: str) -> int:
        """Kills in a phase."""
        return sum(times for (_, where), times in self.kills.items() if where == phase)

    def text(self) -> str:
        """For people."""
        phases = dict.fromkeys(phase for _, phase in sorted(self.kills))
        counts = ", ".join(f"{phase} {self.of(phase)}" for phase in phases)
        by = {command: sum(n for (who, _), n in self.kills.items() if who == command) for command in ("sync", "run")}
        last = self.verdicts[-1] if self.verdicts else Verdict()
        bad = [verdict for verdict in self.verdicts if not verdict.is_clean]
        lines = [
            f"{self.total} kills: {counts}",
            f"by command: sync --once {by['sync']}, run {by['run']}; left a journal: {self.half_written}",
            f"{self.cycles} times from an empty database to the end; moments that did not come in time: {self.missed}",
            f"each time {last.copies} copies of {last.expected} mails that belong: "
            + ("nothing lost, nothing doubled, every copy listed, integrity ok" if not bad else "FAULTS"),
        ]
        return "\n".join(lines + [verdict.text() for verdict in bad])


class Campaign:
    """One office, filled once; every cycle begins with an empty database."""

    def __init__(
        self, folder: Path, server: DovecotServer, count: int, seed: int, say: Callable[[str], None] = lambda _: None
    ) -> None:
        self.folder = folder
        self.say = say
        self.server = server
        self.rng = Random(seed)
        self.tally = Tally()
        self.office = generate(seed, count)
        self.office.write_maildirs(server)
        self.customers = folder / "customers.csv"
        self.office.customers_csv(self.customers)
        self.mailboxes = {rep: server.maildir(rep) for rep in REPS}

    def run(self, kills: int, least: int, *, postgres: PostgresServer | None = None) -> Tally:
        """Cycles until there were so many kills, at least `least` in each phase."""
        phases = ("fetch", "parse", "write") if postgres else ("fetch", "parse", "write", "commit")
        with ImapProxy(self.server.host, self.server.port) as proxy:
            while self.tally.total < kills or min(map(self.tally.of, phases)) < least:
                store = postgres.new_database() if postgres else SQLITE
                self._cycle(proxy, store, phases, kills, least)
        return self.tally

    def _cycle(self, proxy: ImapProxy, store: str, phases: tuple[str, ...], kills: int, least: int) -> None:
        self.tally.cycles += 1
        command = self.install(proxy.port, store)
        while self.tally.total < kills or min(map(self.tally.of, phases)) < least:
            phase = min(phases, key=lambda one: (self.tally.of(one), self.rng.random()))
            if not self._round(command, proxy, store, phase):
                self.tally.missed += 1
                break
        proxy.release()
        self._finish(command, store)
        shutil.rmtree(command.directory)
        self.say(f"after {self.tally.cycles} cycles: {self.tally.text().splitlines()[0]}")

    def install(self, port: int, store: str) -> Installed:
        """A new configuration on the office's mailboxes at this port, its customers imported."""
        directory = self.folder / f"office{self.tally.cycles}"
        directory.mkdir()
        accounts = "".join(
            f"  {rep}: {{type: imap, rep: {rep}, host: 127.0.0.1, port: {port}, security: none, login: {rep}, "
            "password: {env: REP_PASSWORD}, since: 2020-01-01}\n"
            for rep in REPS
        )
        team = "".join(f"  {rep}: {{mail: {rep}@vendas.example, language: pt}}\n" for rep in REPS)
        (directory / "quietcrm.yaml").write_text(
            "company: {name: Vendas, zone: America/Sao_Paulo, language: pt}\n"
            f'store: {store}\ninternal: ["@vendas.example"]\npublic_domains: [freemail.example]\n'
            f"team:\n{team}accounts:\n{accounts}",
            encoding="utf-8",
        )
        command = Installed(directory)
        command("customer", "import", str(self.customers), "--apply")
        return command

    def _round(self, command: Installed, proxy: ImapProxy, store: str, phase: str) -> bool:
        """Start, wait for the phase, kill. False if the work was done before it came."""
        began = time.monotonic()
        verb = self.rng.choice(("sync", "run"))
        proxy.release()
        with self._moment(phase, proxy, command, store) as make:
            process = command.start(*(["sync", "--once", "--json"] if verb == "sync" else ["run"]))
            try:
                work = Work(process, str(command.database) if store == SQLITE else store)
                caught = catch(process.pid, work.is_over, make(process.pid), seconds=20)
                child = parser_of(process.pid) if caught else 0
                if not caught:
                    proxy.release()
                    code = _end_well(process, verb)
                    assert code in (0, RUNNING), f"{verb}: exit {code}\n{command.said()}"
                    return code == RUNNING
            finally:
                code = end(process, signal.SIGKILL)
        assert code == -signal.SIGKILL
        self.tally.kills[verb, phase] += 1
        self.say(f"{self.tally.total}: {verb} killed in {phase}, {time.monotonic() - began:.1f} s")
        if child:
            await_true("the parser child ends with its parent", lambda: not _lives(child), seconds=10)
        journal = command.database.with_name("crm.db-journal")
        if store == SQLITE and journal.exists() and journal.stat().st_size:
            self.tally.half_written += 1
        return True

    @contextmanager
    def _moment(
        self, phase: str, proxy: ImapProxy, command: Installed, store: str
    ) -> Iterator[Callable[[int], Moment]]:
        if phase == "fetch":
            fetching = Fetching(proxy, self.rng)
            yield lambda _: fetching
        elif phase == "parse":
            yield lambda pid: Parsing(pid, self.rng)
        elif store == SQLITE:
            yield lambda _: Journal(command.database, self.rng, whole=phase == "commit")
        else:
            transaction = Transaction(store, self.rng)
            yield lambda _: transaction
            transaction.close()

    def _finish(self, command: Installed, store: str) -> None:
        """Work to the end, check, and see that there is nothing more to do."""
        await_true("nobody holds the lock", lambda: self._sync(command), seconds=60, every=0.5)
        verdict = check(str(command.database) if store == SQLITE else store, self.mailboxes)
        again = command("sync", "--once")
        new = sum(one["logged"] + one["degraded"] for one in again["accounts"].values())
        verdict.wrong["new in one more sync"] = [str(new)] if new else []
        self.tally.verdicts.append(verdict)

    def _sync(self, command: Installed) -> bool:
        return command.run("sync", "--once", "--json", codes=(0, RUNNING)).returncode == 0


class Work:
    """A process and whether there is something left for it to do."""

    def __init__(self, process: subprocess.Popen[bytes], database: str) -> None:
        self._process = process
        self._database = database
        self._next = time.monotonic() + 2.0

    def is_over(self) -> bool:
        """It ended, or (asked twice a second) every account is read to its end."""
        if self._process.poll() is not None:
            return True
        if time.monotonic() < self._next:
            return False
        self._next = time.monotonic() + 0.5
        try:
            with closing(connect(self._database)) as connection:
                states = [row[0] for row in connection.execute("SELECT state FROM account").fetchall()]
        except sqlite3.OperationalError:
            return False  # it has not rolled back yet what the last one left, and a reader must not
        return len(states) == len(REPS) and set(states) == {"ok"}


def _end_well(process: subprocess.Popen[bytes], verb: str) -> int:
    """Let a sync come to its end, and tell a daemon to; the exit code."""
    if verb == "run" and process.poll() is None:
        process.send_signal(signal.SIGTERM)
    process.communicate(timeout=120)
    return process.returncode


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # it ended between the two looks
        return False


def remark(text: str) -> None:
    """Progress, on stderr."""
    print(text, file=sys.stderr, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Print what was done and found; 1 if anything was lost, doubled or damaged."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--least", type=int, default=10, help="at least so many in each phase")
    parser.add_argument("--mails", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--postgres", action="store_true", help="on PostgreSQL")
    options = parser.parse_args(arguments)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="quietcrm-kills-") as folder, DovecotServer() as server:
        campaign = Campaign(Path(folder), server, options.mails, options.seed, say=remark)
        if options.postgres:
            with PostgresServer() as postgres:
                tally = campaign.run(options.kills, options.least, postgres=postgres)
        else:
            tally = campaign.run(options.kills, options.least)
    print(f"{'PostgreSQL' if options.postgres else 'SQLite ' + sqlite3.sqlite_version}, "
          f"{options.mails} mails in 3 mailboxes, {time.monotonic() - began:.0f} s")  # fmt: skip
    print(tally.text())
    return 0 if all(verdict.is_clean for verdict in tally.verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
