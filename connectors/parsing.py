"""Parsing outside the process: a small pool of children with limits, and the same interface without children.

Mails and calendars go the same way; `Trade` says how each crosses.

A child is started when the first mail comes, ends when none came for a while, and is replaced after so many mails or
when it has grown. When one dies, its mails go one by one through new children; a mail that kills three of them on its
own becomes `Unreadable`.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from typing import Any

from connectors.calendars import CalendarReading, RawCalendar
from connectors.ical.crossing import FlatReading, build_reading, pack_calendar
from connectors.mail.crossing import Reading, build_message, pack_mail
from connectors.mail.envelope import scan_envelope
from connectors.mail.headers import split_header, unify_lines
from connectors.model import Message, RawMail, Unreadable
from connectors.parser_child import Child, ChildDied, ParserLimits, Trade

__all__ = ["InlineParser", "ParserPool"]

Parsed = list[Message | Unreadable]
QUARANTINE_LIMIT = 1_000_000
_MOST_CHILDREN = 2
_LINE = 2
"""Jobs that wait when another child is worth its start (a tenth of a second and 20 MB)."""


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


class _Worker(threading.Thread):
    """Takes jobs off the queue and keeps one child."""

    def __init__(self, jobs: SimpleQueue[_Job | None], limits: ParserLimits) -> None:
        super().__init__(name="parser", daemon=True)
        self.jobs, self.limits = jobs, limits
        self.child: Child | None = None
        self.closing = False
        self.warm = False

    def start_child(self) -> None:
        """Have a child ready before the first mail comes."""
        if self.child is None and not self.closing:
            self.child = Child(self.limits)

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

    def _cut(self, trade: Trade, items: Sequence[Any]) -> Iterator[list[Any]]:
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

    def _parse(self, trade: Trade, items: list[Any]) -> list[Any]:
        fit = [trade.fit(raw, self.limits) for raw in items]
        try:
            return self._exchange(trade, fit)
        except ChildDied:
            if self.closing:
                raise
            return [self._parse_alone(trade, raw) for raw in fit]

    def _parse_alone(self, trade: Trade, raw: Any) -> Any:
        """Only here a death counts against an item."""
        reason = ""
        for _ in range(self.limits.attempts):
            try:
                return self._exchange(trade, [raw])[0]
            except ChildDied as death:
                if self.closing:
                    raise
                reason = str(death)
        return trade.give_up(
            raw, f"The parser {reason} each of {self.limits.attempts} times it read this {trade.name}."
        )

    def _exchange(self, trade: Trade, items: list[Any]) -> list[Any]:
        child = self.child
        if child and (child.served >= self.limits.lifetime or child.peak > self.limits.growth):
            self._end_child()
        if self.child is None:
            self.child = Child(self.limits)
        try:
            return self.child.exchange(trade, items, self.limits.wall)
        except ChildDied:
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
    trade: Trade
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


_MAILS = Trade(
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


_CALENDARS = Trade(
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

    def _submit(self, trade: Trade, items: Sequence[Any]) -> Future[Any]:
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
