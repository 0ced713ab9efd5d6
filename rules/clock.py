"""Wall-clock words and their instants: "09:00-18:00", "mon-fri", and which instant a wall-clock minute is.

Pure. Minutes count from midnight (0 to 1440). A minute that a change of summer time skips becomes the next one that
exists; one that comes twice is the first of the two.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from itertools import pairwise
from zoneinfo import ZoneInfo

from config.errors import QuietcrmError

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_LONG_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_CLOCK = re.compile(r"([01]?[0-9]|2[0-4]):([0-5][0-9])", re.ASCII)
_MIDNIGHT = 24 * 60


class GrammarError(QuietcrmError):
    """Text that the closed grammar of times, lengths and sizes does not know. `hint` shows what may be written."""


def parse_clock(text: str, *, end: bool = False) -> int:
    """ "09:30" as minutes from midnight. 24:00 is allowed as an `end` only. Raises GrammarError."""
    found = _CLOCK.fullmatch(text.strip())
    minute = int(found[1]) * 60 + int(found[2]) if found else -1
    if not 0 <= minute <= _MIDNIGHT - (not end):
        raise GrammarError(f'"{text}" is not a time of day', hint='write hours and minutes, for example "09:30"')
    return minute


def parse_weekday(text: str) -> int | None:
    """0 for "mon" or "monday" up to 6; None if it is no weekday. Case is ignored."""
    word = text.strip().lower()
    for names in (WEEKDAYS, _LONG_WEEKDAYS):
        if word in names:
            return names.index(word)
    return None


def parse_weekdays(text: str) -> tuple[int, ...]:
    """ "mon-fri", "sat, sun", "fri-mon" as weekday numbers in rising order, Monday = 0. Raises GrammarError."""
    days: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        start, stop = parse_weekday(first), parse_weekday(last if dash else first)
        if start is None or stop is None:
            raise GrammarError(f'"{part.strip()}" is not a weekday', hint='write "mon-fri" or "sat, sun"')
        days.update((start + step) % 7 for step in range((stop - start) % 7 + 1))
    return tuple(sorted(days))


@dataclass(frozen=True, slots=True)
class ClockRange:
    """From `start` to before `end`, in minutes from midnight; over midnight if `end` is not after `start`."""

    start: int
    end: int

    def holds(self, at: datetime, zone: tzinfo) -> bool:
        """Whether the wall clock of `zone` is in the range at the instant `at` (aware)."""
        local = at.astimezone(zone)
        minute = local.hour * 60 + local.minute
        if self.start < self.end:
            return self.start <= minute < self.end
        return minute >= self.start or minute < self.end


def parse_clock_range(text: str) -> ClockRange:
    """ "18:00-23:00", also over midnight ("22:00-06:00"). Raises GrammarError."""
    first, dash, last = text.partition("-")
    if not dash:
        raise GrammarError(f'"{text}" is not a range of hours', hint='write "18:00-23:00"')
    found = ClockRange(parse_clock(first), parse_clock(last, end=True))
    if found.start == found.end:
        raise GrammarError(f'"{text}" is empty', hint="the second time must differ from the first")
    return found


def parse_spans(text: str) -> tuple[ClockRange, ...]:
    """The opening times of one day, "09:00-12:00, 13:00-18:00"; in order, none over midnight. Raises GrammarError."""
    spans = tuple(parse_clock_range(part) for part in text.split(","))
    for span in spans:
        if span.end <= span.start:
            hint = "split it at midnight: until 24:00 on the first day, from 00:00 on the second"
            raise GrammarError(f'"{text}" goes over midnight', hint=hint)
    if any(later.start < earlier.end for earlier, later in pairwise(spans)):
        raise GrammarError(f'"{text}" overlaps or is out of order', hint='write "09:00-12:00, 13:00-18:00"')
    return spans


def parse_zone(text: str) -> ZoneInfo:
    """An IANA zone such as "America/Sao_Paulo". Raises GrammarError with the nearest name that exists."""
    try:
        return ZoneInfo(text)
    except (ValueError, OSError, KeyError):
        from config.values import did_you_mean_zone  # only a mistake needs it

        hint = did_you_mean_zone(text, 'write a name like "America/Sao_Paulo" or "Europe/Lisbon"')
        raise GrammarError(f'unknown time zone "{text}"', hint=hint) from None


def instant(day: date, minute: int, zone: tzinfo) -> datetime:
    """The aware UTC instant at which the wall clock of `zone` shows `minute` of `day`; 1440 is the next midnight."""
    wall = datetime.combine(day, time()) + timedelta(minutes=minute)
    first = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if first.astimezone(zone).replace(tzinfo=None) == wall:
        return first
    return _end_of_gap(wall.replace(tzinfo=zone, fold=1).astimezone(UTC), first, zone)


def _end_of_gap(before: datetime, after: datetime, zone: tzinfo) -> datetime:
    """The instant between two at which the zone changes its offset, rounded up to the full minute (bisection)."""
    offset = after.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = (before + (after - before) / 2).replace(microsecond=0)
        if middle.astimezone(zone).utcoffset() == offset:
            after = middle
        else:
            before = middle
    return after + timedelta(seconds=-after.second % 60)


def same_clock(start: datetime, day: date, zone: tzinfo) -> datetime:
    """The instant on `day` at which the wall clock of `zone` shows what it shows at `start`, to the minute."""
    local = start.astimezone(zone)
    return instant(day, local.hour * 60 + local.minute, zone)
