"""When the next step of a sequence comes: its wait, the window it may fall into, the distance between mails.

Pure. A step falls into the window or waits for it, and whatever comes behind it counts from when it really happened.
All instants are aware; results are UTC.
"""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from rules.clock import GrammarError, instant
from rules.hours import OfficeHours
from rules.moments import Delay

HOURS = ("customer", "office")
_GAP = re.compile(r"([0-9]{1,4})(?:\s*-\s*([0-9]{1,4}))?\s+(second|minute|hour)s?", re.ASCII | re.IGNORECASE)
_LONGEST_GAP = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class Gap:
    """How far apart two mails of a sequence leave, at least and at most."""

    low: timedelta
    high: timedelta

    def after(self, key: str) -> timedelta:
        """The distance that the mail `key` keeps to the one before it: random to look at, the same at every look."""
        share = int.from_bytes(hashlib.sha256(key.encode("utf-8", "replace")).digest()[:4], "big") / 2**32
        return self.low + timedelta(seconds=round((self.high - self.low).total_seconds() * share))


def parse_gap(text: str) -> Gap:
    """ "2-6 minutes", "90 seconds". Raises GrammarError."""
    found = _GAP.fullmatch(text.strip())
    if not found:
        raise GrammarError(f'"{text}" is not a distance between two mails', hint="write: 2-6 minutes")
    low, high = (timedelta(**{f"{found[3].lower()}s": int(one)}) for one in (found[1], found[2] or found[1]))
    if not timedelta(0) < low <= high <= _LONGEST_GAP:
        raise GrammarError(f'"{text}" is out of range', hint="write: 2-6 minutes")
    return Gap(low, high)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """`send:` of a sequence: when its steps may fall due, and how densely its mails leave.

    hours     "customer": by the clock where they live; "office": by ours
    days      weekdays, Monday = 0; empty = those on which the office works
    holidays  calendars that are kept; None = the office's
    per_day   mails of this sequence in one day of the office, 0 = no limit
    """

    hours: str = "customer"
    days: tuple[int, ...] = ()
    holidays: tuple[str, ...] | None = None
    per_day: int = 0
    gap: Gap | None = None

    def window(self, office: OfficeHours, zone: ZoneInfo) -> OfficeHours:
        """The office's hours as they count for a person who lives in `zone`. A weekday on which the office is closed,
        and that `days` names, has the hours of its first working day."""
        usual = next(spans for spans in office.week if spans)
        week = office.week
        if self.days:
            week = tuple((office.week[day] or usual) if day in self.days else () for day in range(7))
        holidays = office.holidays if self.holidays is None else self.holidays
        place = zone if self.hours == "customer" else office.zone
        return replace(office, week=week, holidays=holidays, zone=place)


def step_due(wait: Delay | None, since: datetime, window: OfficeHours) -> datetime:
    """When a step is due that waits so long since the one before it really happened: in the window, else when it opens.

    Business days and hours of the wait are counted in the window itself.
    """
    return window.next_open(wait.after(since, window) if wait else since.astimezone(UTC))


def back_on(day: date, window: OfficeHours) -> datetime:
    """When somebody who is away until `day` can be written to again: in the window of the day they are back."""
    return window.next_open(instant(day, 0, window.zone))


def free_slot(
    wanted: datetime, taken: Iterable[datetime], pace: Pace, window: OfficeHours, *, office_zone: ZoneInfo, key: str
) -> datetime:
    """The first moment from `wanted` on at which a mail may leave: in the window, on a day that has room, and far
    enough from every other mail of the sequence. `taken`: when those leave or left."""
    others = sorted(taken)
    days = Counter(one.astimezone(office_zone).date() for one in others)
    gap = pace.gap.after(key) if pace.gap else timedelta(0)
    at = window.next_open(wanted)
    while True:
        today = at.astimezone(office_zone).date()
        if pace.per_day and days[today] >= pace.per_day:
            at = window.next_open(instant(today + timedelta(days=1), 0, office_zone))
            continue
        near = _near(others, at, gap) if gap else None
        if near is None:
            return at
        at = window.next_open(near + gap)


def _near(others: list[datetime], at: datetime, gap: timedelta) -> datetime | None:
    """The last of the sorted moments that lies closer to `at` than the gap."""
    last = bisect_left(others, at + gap) - 1
    return others[last] if last >= 0 and others[last] > at - gap else None


def take(taken: list[datetime], at: datetime) -> None:
    """Note one more moment in a sorted list."""
    insort(taken, at)
