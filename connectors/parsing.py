"""Parsing outside the process: a small pool of children with limits, and the same interface without children.

Mails and calendars go the same way; `_Trade` says how each crosses.

A child is a fresh interpreter that imports `connectors.mail` and nothing else of ours (no ORM, no pydantic, no CLI), so
it is small and holds no secret. It is started when the first mail comes, ends when none came for a while, and is
replaced after so many mails or when it has grown. When one dies, its mails go one by one through new children; a mail
that kills three of them on its own becomes `Unreadable`.
"""

from __future__ import annotations

import ctypes
import json
import marshal
import os
import socket
import subprocess
import sys
import threading
import time
import zoneinfo
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from connectors.calendars import CalendarReading, RawCalendar
from connectors.ical.crossing import FlatReading, build_reading, pack_calendar
from connectors.mail.crossing import Reading, build_message, pack_mail
from connectors.mail.envelope import scan_envelope
from connectors.mail.headers import split_header, unify_lines
from connectors.model import Message, RawMail, Unreadable

__all__ = ["InlineParser", "ParserLimits", "ParserPool", "child_command"]

Parsed = list[Message | Unreadable]
QUARANTINE_LIMIT = 1_000_000
_MOST_CHILDREN = 2
_LINE = 2
"""Jobs that wait when another child is worth its start (a tenth of a second and 20 MB)."""
_ENVIRONMENT = ("LD_LIBRARY_PATH", "TZ")
"""All that a child gets of our environment, which may hold passwords."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParserLimits:
    """What a child may use.

    memory      bytes of address space (RLIMIT_AS)
    cpu         seconds of CPU for one chunk of mails (RLIMIT_CPU)
    wall        seconds until a chunk's answer; then the child is killed
    chunk       mails sent to a child at once; `chunk_bytes` likewise
    mail        bytes of a whole mail; of a bigger one only the header is read
    lifetime    mails after which a child is replaced
    growth      bytes of peak memory after which a child is replaced
    idle        seconds without work after which a child ends
    attempts    deaths that one mail may cause on its own
    """

    memory: int = 512_000_000
    cpu: int = 20
    wall: float = 60.0
    chunk: int = 64
    chunk_bytes: int = 8_000_000
    mail: int = 64_000_000
    lifetime: int = 20_000
    growth: int = 96_000_000
    idle: float = 60.0
    attempts: int = 3


class InlineParser:
    """Parses in this process. For trusted mail and tests."""

    def parse(self, mails: Sequence[RawMail]) -> Parsed:
        """Parse now."""
        from connectors.mail.mime import parse_mail  # only here: the daemon leaves parsing to its children

        return [parse_mail(raw) for raw in mails]

    def submit(self, mails: Sequence[RawMail]) -> Future[Parsed]:
        """Parse now; the answer is there already."""
        done: Future[Parsed] = Future()
        done.set_result(self.parse(mails))
        return done

    def parse_calendars(self, calendars: Sequence[RawCalendar]) -> list[CalendarReading]:
        """Parse now."""
        from connectors.ical.reading import parse_calendar

        return [parse_calendar(raw) for raw in calendars]

    def close(self) -> None:
        """Nothing to end."""


class _ChildDied(Exception):
    """The child ended or was ended; the text says how."""


def child_command(limits: ParserLimits) -> list[str]:
    """The command line of a child: isolated, no site-packages, our package root as the only path added."""
    root = str(Path(__file__).resolve().parent.parent)
    start = f"from connectors.mail.child import serve;serve({limits.memory},{limits.cpu},{_zone_folders()!r})"
    code = f"import sys;sys.path.insert(0,{root!r});{start}"
    return [sys.executable, "-I", "-S", "-B", "-c", code]


def _zone_folders() -> list[str]:
    """Where the time zones lie: a child, which sees no packages, is to know the same ones as we do."""
    package = find_spec("tzdata")
    packaged = (package.submodule_search_locations if package else None) or ()
    return [
        folder for folder in (*zoneinfo.TZPATH, *(f"{path}/zoneinfo" for path in packaged)) if Path(folder).is_dir()
    ]


@dataclass(frozen=True, slots=True)
class _Trade:
    """How one sort of thing goes to a child and comes back.

    fit       within the limits, before it goes
    weigh     its bytes
    pack      in shapes that marshal knows; `build` makes the result of the thing and of what came back
    give_up   the result for one that ends every child, and why
    """

    name: str
    fit: Callable[[Any, ParserLimits], Any]
    weigh: Callable[[Any], int]
    pack: Callable[[Any], tuple[Any, ...]]
    build: Callable[[Any, Any], Any]
    give_up: Callable[[Any, str], Any]


class _Child:
    """One running child and our end of its socket."""

    def __init__(self, limits: ParserLimits) -> None:
        self.served = 0
        self.peak = 0
        self.socket, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(  # noqa: S603 - our own interpreter, no shell, no outside words
                child_command(limits),
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
                start_new_session=True,  # Ctrl-C in a terminal is the parent's to answer
            )

    def exchange(self, trade: _Trade, items: Sequence[Any], wall: float) -> list[Any]:
        """Results of the items, in order. Raises _ChildDied."""
        body = marshal.dumps((trade.name, [trade.pack(raw) for raw in items]))
        deadline = time.monotonic() + wall
        try:
            self.socket.settimeout(wall)
            self.socket.sendall(len(body).to_bytes(8, "little") + body)
            size = int.from_bytes(self._receive(8, deadline), "little")
            peak, readings = json.loads(self._receive(size, deadline))
            answer = [trade.build(raw, reading) for raw, reading in zip(items, readings, strict=True)]
        except TimeoutError:
            self.end()
            raise _ChildDied(f"took longer than {wall:g} seconds") from None
        except (OSError, ValueError, TypeError):
            raise _ChildDied(self._tell_end()) from None
        self.served += len(items)
        self.peak = int(peak) * 1024
        return answer

    def _receive(self, size: int, deadline: float) -> bytes:
        data = bytearray(size)
        view = memoryview(data)
        while view:
            self.socket.settimeout(max(deadline - time.monotonic(), 0.001))
            count = self.socket.recv_into(view)
            if not count:
                raise OSError("the child closed its socket")
            view = view[count:]
        return bytes(data)

    def _tell_end(self) -> str:
        self.end()
        code = self.process.returncode
        return f"ended by signal {-code}" if code and code < 0 else f"ended with code {code}"

    def end(self) -> None:
        """Close, kill if need be, and wait. Safe to call twice."""
        self.socket.close()
        try:
            self.process.wait(0.2)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class _Worker(threading.Thread):
    """Takes jobs off the queue and keeps one child."""

    def __init__(self, jobs: SimpleQueue[_Job | None], limits: ParserLimits) -> None:
        super().__init__(name="parser", daemon=True)
        self.jobs, self.limits = jobs, limits
        self.child: _Child | None = None
        self.closing = False
        self.warm = False

    def start_child(self) -> None:
        """Have a child ready before the first mail comes."""
        if self.child is None and not self.closing:
            self.child = _Child(self.limits)

    def run(self) -> None:
        if self.warm:
            self.start_child()
        while job := self._take():
            if not job.answer.set_running_or_notify_cancel():
                continue
            try:
                chunks = self._cut(job.trade, job.items)
                job.answer.set_result([result for chunk in chunks for result in self._parse(job.trade, chunk)])
            except BaseException as error:
                job.answer.set_exception(error)
        self._end_child()

    def _take(self) -> _Job | None:
        try:
            return self.jobs.get(timeout=self.limits.idle)
        except Empty:
            self._end_child()
            _give_back_memory()
            if self.warm:
                self.start_child()
            return self.jobs.get()

    def _cut(self, trade: _Trade, items: Sequence[Any]) -> Iterator[list[Any]]:
        chunk: list[Any] = []
        size = 0
        for raw in items:
            weight = trade.weigh(raw)
            if chunk and (len(chunk) >= self.limits.chunk or size + weight > self.limits.chunk_bytes):
                yield chunk
                chunk, size = [], 0
            chunk.append(raw)
            size += weight
        if chunk:
            yield chunk

    def _parse(self, trade: _Trade, items: list[Any]) -> list[Any]:
        fit = [trade.fit(raw, self.limits) for raw in items]
        try:
            return self._exchange(trade, fit)
        except _ChildDied:
            if self.closing:
                raise
            return [self._parse_alone(trade, raw) for raw in fit]

    def _parse_alone(self, trade: _Trade, raw: Any) -> Any:
        """Only here a death counts against an item."""
        reason = ""
        for _ in range(self.limits.attempts):
            try:
                return self._exchange(trade, [raw])[0]
            except _ChildDied as death:
                if self.closing:
                    raise
                reason = str(death)
        return trade.give_up(
            raw, f"The parser {reason} each of {self.limits.attempts} times it read this {trade.name}."
        )

    def _exchange(self, trade: _Trade, items: list[Any]) -> list[Any]:
        child = self.child
        if child and (child.served >= self.limits.lifetime or child.peak > self.limits.growth):
            self._end_child()
        if self.child is None:
            self.child = _Child(self.limits)
        try:
            return self.child.exchange(trade, items, self.limits.wall)
        except _ChildDied:
            self._end_child()
            raise

    def _end_child(self) -> None:
        child, self.child = self.child, None
        if child:
            child.end()

    def stop(self) -> None:
        """Called from another thread: let a running exchange fail at once."""
        self.closing = True
        child = self.child
        if child:
            with suppress(OSError):
                child.process.kill()


def _give_back_memory() -> None:
    """After a first reading glibc keeps 15 MB and more of freed heap in our process; other C libraries do not."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


@dataclass(frozen=True, slots=True)
class _Job:
    trade: _Trade
    items: Sequence[Any]
    answer: Future[Any]


def _fit(raw: RawMail, limits: ParserLimits) -> RawMail:
    """A mail beyond the limit is read by its header."""
    if len(raw.whole) <= limits.mail:
        return raw
    head = split_header(unify_lines(raw.whole[:1_000_000]))[0]
    note = f"header only: the mail has {len(raw.whole) // 1_000_000} MB"
    size = raw.size if raw.size >= 0 else len(raw.whole)
    return replace(raw, whole=b"", header=head, size=size, notes=(*raw.notes, note))


def _give_up(raw: RawMail, reason: str) -> Unreadable:
    data = raw.whole or raw.header + b"".join(part.body for part in raw.parts)
    people, message_id = scan_envelope(raw.whole[:100_000] or raw.header)
    return Unreadable(
        account=raw.account,
        folder=raw.folder,
        ref=raw.ref,
        stage="parse",
        reason=reason,
        raw=data[:QUARANTINE_LIMIT],
        people=people,
        message_id=message_id,
        received_at=raw.received_at,
        size=raw.size if raw.size >= 0 else len(data),
    )


_MAILS = _Trade(
    "mail",
    fit=_fit,
    weigh=lambda raw: len(raw.whole) + len(raw.header) + sum(len(part.body) for part in raw.parts),
    pack=pack_mail,
    build=lambda raw, reading: build_message(raw, Reading(*reading)),
    give_up=_give_up,
)


def _give_up_calendar(raw: RawCalendar, reason: str) -> CalendarReading:
    bad = Unreadable(
        account=raw.account,
        folder=raw.calendar,
        ref=raw.ref,
        stage="parse",
        reason=reason,
        raw=raw.data[:QUARANTINE_LIMIT],
        size=len(raw.data),
    )
    return CalendarReading(unreadable=(bad,))


_CALENDARS = _Trade(
    "calendar",
    fit=lambda raw, _: raw,
    weigh=lambda raw: len(raw.data),
    pack=pack_calendar,
    build=lambda raw, reading: build_reading(raw, FlatReading(*reading)),
    give_up=_give_up_calendar,
)


class ParserPool:
    """Children that parse, one thread each. Thread-safe; the first starts with the first mail, another one (two at the
    most, unless `workers` says otherwise) only while mail waits in line: in a first reading, hardly ever afterwards.

    Kept warm, after a while without mail a fresh child takes the old one's place, so that the next mail need not wait
    for one to start (about a tenth of a second), and what the old one had grown to is given back.
    """

    def __init__(self, workers: int = 0, limits: ParserLimits | None = None) -> None:
        self._limits = limits or ParserLimits()
        self._count = workers or min(_MOST_CHILDREN, os.cpu_count() or 1)
        self._warm = False
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._workers: list[_Worker] = []
        self._lock = threading.Lock()
        self._closed = False

    def keep_warm(self) -> None:
        """Have a child ready from now on."""
        self._warm = True
        self.submit(())

    def parse(self, mails: Sequence[RawMail]) -> Parsed:
        """Parse and wait. One answer a mail, in order."""
        return self.submit(mails).result()

    def submit(self, mails: Sequence[RawMail]) -> Future[Parsed]:
        """Start parsing. The future fails only if the pool is closed meanwhile."""
        return self._submit(_MAILS, mails)

    def parse_calendars(self, calendars: Sequence[RawCalendar]) -> list[CalendarReading]:
        """Parse and wait. One answer a calendar, in order."""
        found: list[CalendarReading] = self._submit(_CALENDARS, calendars).result()
        return found

    def _submit(self, trade: _Trade, items: Sequence[Any]) -> Future[Any]:
        answer: Future[Any] = Future()
        with self._lock:
            if self._closed:
                raise RuntimeError("the parser pool is closed; make a new one")
            if not self._workers or (len(self._workers) < self._count and self._jobs.qsize() >= _LINE):
                worker = _Worker(self._jobs, self._limits)
                worker.warm = self._warm and not self._workers
                self._workers.append(worker)
                worker.start()
            self._jobs.put(_Job(trade, tuple(items), answer))
        return answer

    def close(self) -> None:
        """End the children and give up what is waiting. Safe to call twice."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            while not self._jobs.empty():
                job = self._jobs.get()
                if job:
                    job.answer.cancel()
            for worker in self._workers:
                self._jobs.put(None)
                worker.stop()
        for worker in self._workers:
            worker.join(5)
