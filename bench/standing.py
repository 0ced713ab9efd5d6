"""Rows 7, 8, 9 and 13: a mailbox in which nothing happens, a mail that comes, and memory."""

from __future__ import annotations

import os
import signal
import sqlite3
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from bench.clients import QuietCrm
from bench.corpus import Corpus
from bench.laboratory import Laboratory, scratch
from bench.processes import Peak, weigh_tree
from bench.reading import tell
from bench.rows import Figure, Row
from bench.wire import Wire
from daemon.app import App, opened
from daemon.poll import Poller
from store import accounts

POLLS = 200
NEW_MAILS = 20
IDLE_SECONDS = 65.0
"""After a minute without mail the parser child has gone."""
LETTER = """\
From: Somebody <user1@{domain}>
To: sales@ourfirm.example
Date: {date}
Subject: live {number}
Message-ID: <live{number}.{stamp}@bench.example>

hello
"""


def poll_unchanged(lab: Laboratory, corpora: list[Corpus]) -> list[Row]:
    """Rows 7 and 8, on the smallest and the biggest mailbox: the poller as the daemon runs it."""
    again: list[Row] = []
    anew: list[Row] = []
    for corpus in corpora:
        with _read_office(lab, corpus) as (app, wire, _):
            again.append(_row_7(app, wire, corpus))
            anew.append(_row_8(app.pollers["bench"], wire, corpus))
    return [again[-1], max(anew, key=lambda row: row.figures[1].value)]


@contextmanager
def _read_office(lab: Laboratory, corpus: Corpus) -> Iterator[tuple[App, Wire, Path]]:
    """An office that has read everything, on a counted line."""
    ours = QuietCrm()
    with lab.mailbox(corpus) as login, scratch() as folder, Wire(lab.port) as wire:
        ours.prepare(folder, corpus, login, wire.port)
        with opened(folder) as app:
            counts = app.pollers["bench"].poll()
            assert counts.seen == corpus.count, counts.as_dict()
            app.pollers["bench"].poll()
            yield app, wire, folder


def _row_7(app: App, wire: Wire, corpus: Corpus) -> Row:
    poller = app.pollers["bench"]
    with app.store.session() as session:
        cursor = accounts.load_cursor(session, "bench")
    cpu, traffic = measure_polls(lambda: poller.source.fetch(cursor, limit=500), wire, POLLS)
    whole, _ = measure_polls(poller.poll, wire, POLLS)
    figures = [
        Figure(traffic[0], 1, 1, word="turns"),
        Figure(traffic[1], 200, 60, " B"),
        Figure(cpu, 0.3, 0.1, " ms CPU"),
    ]
    note = f"{corpus.count:,} mails; asking the server; with the look into our own store {whole:.1f} ms"
    return Row(7, "poll of an unchanged mailbox, open connection", figures, note)


def _row_8(poller: Poller, wire: Wire, corpus: Corpus) -> Row:
    cpu, traffic = measure_polls(poller.poll, wire, 20, before=poller.source.close)
    figures = [
        Figure(traffic[0], 6, 4, word="turns"),
        Figure(traffic[1], 2000, 1000, " B"),
        Figure(cpu, 10, 3, " ms CPU"),
    ]
    return Row(8, "the same, new connection", figures, f"{corpus.count:,} mails, 5 folders")


def measure_polls(
    act: Callable[[], object], wire: Wire, times: int, *, before: Callable[[], object] = lambda: None
) -> tuple[float, tuple[float, float]]:
    """Milliseconds of CPU, and (turns, bytes down), each time. The CPU of the relay's thread is left out, and what
    `before` costs, done each time before."""
    act()
    cpu, turns, down = 0.0, 0, 0
    for _ in range(times):
        before()
        wire.reset()
        started, relayed = time.process_time(), wire.cpu()
        act()
        cpu += time.process_time() - started - (wire.cpu() - relayed)
        turns += wire.traffic.turns
        down += wire.traffic.down
    return cpu / times * 1000, (turns / times, down / times)


# --- a running daemon ------------------------------------------------------------------------------------------------


@contextmanager
def _running(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    ours = QuietCrm()
    command = [*map(str, ours.command(folder)[:3]), "run"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, cwd=folder, env=os.environ | dict(ours.environment(folder))
        )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def _wait_for(condition: Callable[[], bool], seconds: float, pause: float = 0.1) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True


def _is_read(folder: Path) -> bool:
    with closing(sqlite3.connect(f"file:{folder}/state/crm.db?mode=ro", uri=True, timeout=30)) as connection:
        row = connection.execute("SELECT backfill_done, backfill_total, state FROM account").fetchone()
    return bool(row) and row[1] > 0 and row[0] >= row[1] and row[2] == "ok"


def hear_new_mail(lab: Laboratory, corpus: Corpus) -> list[Row]:
    """Row 9: from the server's line on our socket to a row that another connection sees."""
    ours, waits = QuietCrm(), []
    with lab.mailbox(corpus) as login, scratch() as folder, Wire(lab.port) as wire:
        ours.prepare(folder, corpus, login, wire.port)
        with _running(folder):
            if not _wait_for(lambda: _is_read(folder), 300):
                return [Row(9, "IDLE event to committed row", note="the daemon did not come to the end of the mailbox")]
            time.sleep(2)  # the idle connection stands
            for number in range(NEW_MAILS):
                wire.reset()
                lab.deliver(login, _letter(corpus, number))
                waits.append(_seen_after(folder, wire, f"live {number}"))
                time.sleep(0.3)
    found = sorted(wait for wait in waits if wait is not None)
    if len(found) < NEW_MAILS:
        return [Row(9, "IDLE event to committed row", note=f"{NEW_MAILS - len(found)} mails were not told by IDLE")]
    worst = found[int(len(found) * 0.95) - 1] * 1000
    middle = statistics.median(found) * 1000
    note = f"median {middle:.0f} ms of {NEW_MAILS}; the server's delay before it tells is not in it"
    return [Row(9, "IDLE event to committed row, p95", [Figure(worst, 50, 15, " ms")], note)]


def _letter(corpus: Corpus, number: int) -> bytes:
    with corpus.customers.open(encoding="utf-8") as file:
        address = next(word for line in file for word in line.split(",") if "@" in word)
    date = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime())
    text = LETTER.format(domain=address.partition("@")[2], date=date, number=number, stamp=time.time_ns())
    return text.replace("user1@" + address.partition("@")[2], address).encode("utf-8")


def _seen_after(folder: Path, wire: Wire, subject: str) -> float | None:
    """Seconds from the server's line to the row; None if the row came without it."""
    deadline = time.monotonic() + 15
    with closing(sqlite3.connect(f"file:{folder}/state/crm.db?mode=ro", uri=True, timeout=30)) as connection:
        while time.monotonic() < deadline:
            newest = connection.execute("SELECT subject FROM interaction ORDER BY id DESC LIMIT 1").fetchone()
            now = time.monotonic()
            if newest and newest[0] == subject:
                told = wire.traffic.told_at
                return now - told[0] if told else None
            time.sleep(0.002)
    return None


def weigh(lab: Laboratory, corpora: list[Corpus], *, rest: float = IDLE_SECONDS) -> list[Row]:
    """Row 13: the daemon at work and at rest, each mailbox; the worst counts."""
    idle, reading = [], []
    for corpus in corpora:
        with lab.mailbox(corpus) as login, scratch() as folder:
            QuietCrm().prepare(folder, corpus, login, lab.port)
            with _running(folder) as process:
                peak = Peak(process.pid)
                _wait_for(lambda: _is_read(folder), 900, 1.0)
                reading.append(peak.end())
                time.sleep(rest)
                idle.append(weigh_tree(process.pid))
        tell(f"  memory with {corpus.count}: reading {reading[-1]:.0f} MB, afterwards {idle[-1]:.0f} MB")
    figures = [Figure(max(idle), 140, 100, " MB", word="idle"), Figure(max(reading), 240, 180, " MB", word="reading")]
    parts = (
        f"{one.count:,}: {at_rest:.0f} / {busy:.0f}" for one, at_rest, busy in zip(corpora, idle, reading, strict=True)
    )
    return [Row(13, "memory (PSS of all processes)", figures, "; ".join(parts))]
