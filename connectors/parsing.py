"""Parsing outside the process: a small pool of children with limits, and the same interface without children.

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
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Empty, SimpleQueue

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

    def close(self) -> None:
        """Nothing to end."""


class _ChildDied(Exception):
    """The child ended or was ended; the text says how."""


def child_command(limits: ParserLimits) -> list[str]:
    """The command line of a child: isolated, no site-packages, our package root as the only path added."""
    root = str(Path(__file__).resolve().parent.parent)
    start = f"from connectors.mail.child import serve;serve({limits.memory},{limits.cpu})"
    code = f"import sys;sys.path.insert(0,{root!r});{start}"
    return [sys.executable, "-I", "-S", "-B", "-c", code]


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

    def exchange(self, mails: Sequence[RawMail], wall: float) -> list[Reading]:
        """Readings of the mails, in order. Raises _ChildDied."""
        body = marshal.dumps([pack_mail(raw) for raw in mails])
        deadline = time.monotonic() + wall
        try:
            self.socket.settimeout(wall)
            self.socket.sendall(len(body).to_bytes(8, "little") + body)
            size = int.from_bytes(self._receive(8, deadline), "little")
            peak, readings = json.loads(self._receive(size, deadline))
            answer = [Reading(*reading) for reading in readings]
        except TimeoutError:
            self.end()
            raise _ChildDied(f"took longer than {wall:g} seconds") from None
        except (OSError, ValueError, TypeError):
            raise _ChildDied(self._tell_end()) from None
        if len(answer) != len(mails):
            raise _ChildDied("answered for another number of mails")
        self.served += len(mails)
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
                job.answer.set_result([result for chunk in self._cut(job.mails) for result in self._parse(chunk)])
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

    def _cut(self, mails: Sequence[RawMail]) -> Iterator[list[RawMail]]:
        chunk: list[RawMail] = []
        size = 0
        for raw in mails:
            weight = len(raw.whole) + len(raw.header) + sum(len(part.body) for part in raw.parts)
            if chunk and (len(chunk) >= self.limits.chunk or size + weight > self.limits.chunk_bytes):
                yield chunk
                chunk, size = [], 0
            chunk.append(raw)
            size += weight
        if chunk:
            yield chunk

    def _parse(self, mails: list[RawMail]) -> Parsed:
        fit = [_fit(raw, self.limits.mail) for raw in mails]
        try:
            readings = self._exchange(fit)
        except _ChildDied:
            if self.closing:
                raise
            return [self._parse_alone(raw) for raw in fit]
        return [build_message(raw, reading) for raw, reading in zip(fit, readings, strict=True)]

    def _parse_alone(self, raw: RawMail) -> Message | Unreadable:
        """Only here a death counts against a mail."""
        reason = ""
        for _ in range(self.limits.attempts):
            try:
                return build_message(raw, self._exchange([raw])[0])
            except _ChildDied as death:
                if self.closing:
                    raise
                reason = str(death)
        return _give_up(raw, f"The parser {reason} each of {self.limits.attempts} times it read this mail.")

    def _exchange(self, mails: list[RawMail]) -> list[Reading]:
        child = self.child
        if child and (child.served >= self.limits.lifetime or child.peak > self.limits.growth):
            self._end_child()
        if self.child is None:
            self.child = _Child(self.limits)
        try:
            return self.child.exchange(mails, self.limits.wall)
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
    mails: Sequence[RawMail]
    answer: Future[Parsed]


def _fit(raw: RawMail, limit: int) -> RawMail:
    """A mail beyond the limit is read by its header."""
    if len(raw.whole) <= limit:
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
        answer: Future[Parsed] = Future()
        with self._lock:
            if self._closed:
                raise RuntimeError("the parser pool is closed; make a new one")
            if not self._workers or (len(self._workers) < self._count and self._jobs.qsize() >= _LINE):
                worker = _Worker(self._jobs, self._limits)
                worker.warm = self._warm and not self._workers
                self._workers.append(worker)
                worker.start()
            self._jobs.put(_Job(tuple(mails), answer))
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
