"""In which phase is a running quietcrm? Seen from outside, with the process stopped so that it stays there.

fetch    the proxy holds back the rest of a FETCH answer
parse    the parser child runs, and is not waiting for mails (it was, before: its start does not count)
write    the store's transaction has written: rows are on their way into it
commit   the journal on disk is complete (its header carries the magic number): the database file is being written, and
         whoever opens it next has to roll back. The moment between "all of it" and "nothing of it".

A phase counts only if it is still seen after SIGSTOP has taken effect.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Protocol

import psycopg
from servers.imap_proxy import ImapProxy

JOURNAL_MAGIC = bytes.fromhex("d9d505f920a163d7")
_PARSER = b"connectors.mail.child"
_WAITS_FOR_MAILS = {"x86_64": "0 0x0 ", "aarch64": "63 0x0 "}[os.uname().machine]
"""/proc/PID/syscall of a process in read(0, ...)."""
_RUNS = ("running", "-1 ")


_HAS_WRITTEN = """
SELECT count(*) FROM pg_stat_activity WHERE application_name = 'quietcrm' AND backend_xid IS NOT NULL
"""


class Moment(Protocol):
    """Something that is true of a process for a short time. `look` is asked often, and once more when it is stopped."""

    def look(self) -> bool:
        """Whether it is so now."""
        ...


class Fetching:
    """A FETCH answer has begun and not ended."""

    def __init__(self, proxy: ImapProxy, rng: Random) -> None:
        self._proxy = proxy
        proxy.hold(rng.randrange(2_000, 300_000))

    def look(self) -> bool:
        """The proxy says so."""
        return self._proxy.is_held()


class Parsing:
    """The parser child is busy with mails."""

    def __init__(self, pid: int, rng: Random) -> None:
        self._pid = pid
        self._child = 0
        self._waited = False
        self._skip = rng.randrange(0, 12)
        self._busy = False

    def look(self) -> bool:
        """Running, after it had been waiting; the first few times are let go."""
        if not self._child:
            self._child = parser_of(self._pid)
        state = _syscall(self._child) if self._child else ""
        if not state:
            self._child, self._waited = 0, False
            return False
        if state.startswith(_WAITS_FOR_MAILS):
            self._waited = True
            if self._busy:
                self._busy, self._skip = False, self._skip - 1
            return False
        self._busy = self._waited and state.startswith(_RUNS)
        return self._busy and self._skip <= 0


class Journal:
    """An SQLite transaction is under way. `whole`: its journal is complete, the commit has begun."""

    def __init__(self, database: Path, rng: Random, *, whole: bool) -> None:
        self._path = database.with_name(database.name + "-journal")
        self._whole = whole
        self._skip = rng.randrange(0, 5)
        self._was = False

    def look(self) -> bool:
        """A journal of some pages with (or without) its magic number; small ones and the first few are let go."""
        is_now = self._is_so()
        if self._was and not is_now:
            self._skip -= 1
        self._was = is_now
        return is_now and self._skip <= 0

    def _is_so(self) -> bool:
        try:
            with self._path.open("rb") as journal:
                size = os.fstat(journal.fileno()).st_size
                return size > 8 * 4096 and (os.pread(journal.fileno(), 8, 0) == JOURNAL_MAGIC) == self._whole
        except FileNotFoundError:
            return False


class Transaction:
    """A PostgreSQL transaction of the process has written (it has a transaction id)."""

    def __init__(self, url: str, rng: Random) -> None:
        self._connection = psycopg.connect(url.replace("+psycopg", ""), autocommit=True)
        self._skip = rng.randrange(3, 10)
        self._was = False

    def look(self) -> bool:
        """One of its sessions holds a transaction id; the first few are let go."""
        row = self._connection.execute(_HAS_WRITTEN).fetchone()
        is_now = row is not None and row[0] > 0
        if self._was and not is_now:
            self._skip -= 1
        self._was = is_now
        return is_now and self._skip <= 0

    def close(self) -> None:
        """Let go of the session."""
        self._connection.close()


def catch(pid: int, is_over: Callable[[], bool], moment: Moment, *, seconds: float) -> bool:
    """Stop the process in this moment and leave it stopped. False if it ended or `seconds` passed before."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if is_over():
            return False
        if not moment.look():
            time.sleep(0.0002)
            continue
        child = parser_of(pid)
        for each in (child, pid):
            if each:
                os.kill(each, signal.SIGSTOP)
        await_stopped(pid)
        caught = moment.look()
        if child:
            os.kill(child, signal.SIGCONT)  # it ends by itself when its parent does
        if caught:
            return True
        os.kill(pid, signal.SIGCONT)
    return False


def parser_of(pid: int) -> int:
    """The parser child of a process; 0 if it has none."""
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in _read(task).split():
            if _PARSER in Path(f"/proc/{child}/cmdline").read_bytes():
                return int(child)
    return 0


def await_stopped(pid: int) -> None:
    """Wait until SIGSTOP has taken effect on every thread."""
    while True:
        states = [_read(path).rpartition(")")[2].split()[:1] for path in Path(f"/proc/{pid}/task").glob("*/stat")]
        if all(state in (["T"], ["Z"], ["X"], []) for state in states):
            return
        time.sleep(0.0002)


def _syscall(pid: int) -> str:
    return _read(Path(f"/proc/{pid}/syscall"))


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
