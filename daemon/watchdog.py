"""Who is at work, and until when they said they would be: what the watchdog of systemd is fed by.

A worker declares how long its present step may last; a step inside a step has a time of its own, and when it ends the
outer one starts anew, for there was progress. Waiting for another worker has no limit: that one has its own. A thread
that is hung can therefore not be covered up by the others, which is what keeps a broken daemon "running" for weeks.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

STEP = 900.0
"""Seconds that one step may last where nothing else is said: a batch of mail, one draft, one notice. A server may take
a minute for each of the dozen answers such a step asks for."""


@dataclass(slots=True)
class _Step:
    worker: str
    seconds: float | None
    until: float | None


@dataclass(frozen=True, slots=True)
class Hang:
    """A worker that passed its own deadline `seconds` ago."""

    worker: str
    seconds: float


class Watchdog:
    """The deadlines of all workers. Thread-safe. `monotonic` gives seconds that never jump; `longest` is for a
    step that names no time."""

    def __init__(self, monotonic: Callable[[], float], longest: float = STEP) -> None:
        self._monotonic = monotonic
        self._longest = longest
        self._lock = threading.Lock()
        self._steps: dict[int, list[_Step]] = {}
        self._beats: dict[str, float] = {}

    @contextmanager
    def step(self, worker: str, seconds: float | None = None) -> Iterator[None]:
        """The calling thread is at work as `worker`, and done or further within `seconds`."""
        with self._inside(_Step(worker, seconds or self._longest, None)):
            yield

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """The calling thread waits for another worker, who has a deadline of its own."""
        with self._inside(_Step("", None, None)):
            yield

    def progress(self) -> None:
        """The calling thread got further: its present step starts anew. Nothing outside a step."""
        with self._lock:
            self._renew(self._steps.get(threading.get_ident(), []))

    def beat(self, worker: str, seconds: float) -> None:
        """`worker` is alive, and will say so again within `seconds`: for what comes round by a clock."""
        with self._lock:
            self._beats[worker] = self._monotonic() + seconds

    def hung(self) -> list[Hang]:
        """Every worker that passed its own deadline, the longest first."""
        now = self._monotonic()
        with self._lock:
            steps = [stack[-1] for stack in self._steps.values()]
            ends = [(step.worker, step.until) for step in steps if step.until is not None]
            found = [Hang(worker, now - until) for worker, until in (*ends, *self._beats.items()) if now > until]
        return sorted(found, key=lambda hang: -hang.seconds)

    @contextmanager
    def _inside(self, step: _Step) -> Iterator[None]:
        thread = threading.get_ident()
        with self._lock:
            stack = self._steps.setdefault(thread, [])
            stack.append(step)
            self._renew(stack)
        try:
            yield
        finally:
            with self._lock:
                stack.pop()
                self._renew(stack)
                if not stack:
                    del self._steps[thread]

    def _renew(self, stack: list[_Step]) -> None:
        if stack and stack[-1].seconds is not None:
            stack[-1].until = self._monotonic() + stack[-1].seconds


def ping_every(longest: float) -> float:
    """Seconds between two pings: half of what systemd waits for (sd_watchdog_enabled(3)), at most `longest`."""
    told, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not told.isdecimal() or int(told) == 0 or (pid and pid != str(os.getpid())):
        return longest
    return min(longest, int(told) / 2_000_000)


def hang_words(hangs: list[Hang]) -> str:
    """One line for the log of systemd: who hangs and since when."""
    return "; ".join(f'the worker "{hang.worker}" hangs since {hang.seconds:.0f} s' for hang in hangs)
