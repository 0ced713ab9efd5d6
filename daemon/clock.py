"""The clock, passed in wherever time matters, so that a test can hold it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Wall time for decisions and records, monotonic seconds for waiting."""

    def now(self) -> datetime:
        """Aware UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never jump."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Aware UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds since some start."""
        return time.monotonic()


class HeldClock:
    """A clock that stands still until it is moved: for the demo, dry runs and tests."""

    def __init__(self, at: datetime) -> None:
        self._at = at.astimezone(UTC)
        self._elapsed = 0.0

    def now(self) -> datetime:
        """The time it was set to."""
        return self._at

    def monotonic(self) -> float:
        """Seconds it was moved in all."""
        return self._elapsed

    def move(self, by: timedelta) -> None:
        """Move it forward."""
        self._at += by
        self._elapsed += by.total_seconds()


STEP = timedelta(minutes=5)
"""A step of the clock by more than this is not the drift of a machine."""
SETTLE = 600.0
BELIEVED = 86_400.0


@dataclass(slots=True)
class ClockWatch:
    """Notices a clock that was set: back behind a time that was seen, or forward while we ran."""

    _last: tuple[datetime, float] | None = None
    _wait_until: float = 0.0
    _low_since: float | None = None

    def trouble(self, now: datetime, monotonic: float, highest: datetime) -> str:
        """What is wrong with the clock, "" if nothing is. `highest` = the latest time that was ever seen here.

        After a jump forward everything waits ten minutes: the step may be taken back, and much be due at once. A time
        that is lower than what was seen is believed after a steady day: then the higher one was the wrong one.
        """
        stepped = abs(self._drift(now, monotonic)) > STEP
        ahead = self._drift(now, monotonic) > STEP
        self._last = (now, monotonic)
        if now >= highest - STEP:
            self._low_since = None
        elif self._low_since is None or stepped:
            self._low_since = monotonic
        if self._low_since is not None and monotonic - self._low_since < BELIEVED:
            return f"the clock shows {now:%Y-%m-%d %H:%M} UTC, but it was {highest:%Y-%m-%d %H:%M} already"
        if ahead:
            self._wait_until = monotonic + SETTLE
        return "the clock jumped ahead a moment ago" if monotonic < self._wait_until else ""

    def has_stepped(self, now: datetime, monotonic: float) -> bool:
        """Whether the clock was set since `trouble` was asked, which will say what that means. Changes nothing."""
        return abs(self._drift(now, monotonic)) > STEP

    def _drift(self, now: datetime, monotonic: float) -> timedelta:
        """By how much the clock went on more than time did since the last look."""
        last = self._last
        return (now - last[0]) - timedelta(seconds=monotonic - last[1]) if last else timedelta()
