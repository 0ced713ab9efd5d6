"""The closed grammar of `in:` and `at:`, of ages, dates and sizes. Read once at load, evaluated with a clock later.

There is no general date guesser on purpose: what is not in the lists below is refused with an example.
All instants are aware; results are UTC.
"""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from rules.clock import GrammarError, instant, parse_clock, parse_weekday, same_clock
from rules.hours import OfficeHours

_LENGTH = re.compile(r"([0-9]{1,6})\s+(business\s+)?(minute|hour|day|week|month|year)s?", re.ASCII | re.IGNORECASE)
_SIZE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)\s*(B|KB|MB|GB)", re.ASCII | re.IGNORECASE)
_CLOCK_AT_END = re.compile(r"(?:(.*\S)\s+)?([0-9]{1,2}:[0-9]{2})", re.ASCII)
_SIZE_UNITS = {"b": 1, "kb": 1024, "mb": 1024**2, "gb": 1024**3}
_MOST = {"minute": 5_300_000, "hour": 88_000, "day": 3_650, "week": 520, "month": 120, "year": 10}
_DELAY_HELP = 'write for example "30 minutes", "4 business hours", "10 days", "1 business day", "2 weeks" or "1 month"'
_AT_HELP = (
    'write for example "09:30", "tomorrow 09:00", "friday 14:00", "next business day 09:30" or "2026-12-24 10:00"'
)


@dataclass(frozen=True, slots=True)
class Delay:
    """A length of time: `count` of `unit` (minute, hour, day, week, month, year), in `business` days or hours."""

    count: int
    unit: str
    business: bool = False

    def after(self, start: datetime, hours: OfficeHours) -> datetime:
        """The instant this long after `start`; days and longer keep the clock time of the office's zone."""
        if self.business and self.unit == "hour":
            return hours.add_business_hours(start, self.count)
        if self.business:
            return hours.add_business_days(start, self.count)
        if self.unit in ("minute", "hour"):
            return start.astimezone(UTC) + timedelta(**{f"{self.unit}s": self.count})
        return same_clock(start, shifted(start.astimezone(hours.zone).date(), self.count, self.unit), hours.zone)


@dataclass(frozen=True, slots=True)
class At:
    """A point of the calendar. `day` is "", "today", "tomorrow", "weekday", "business" or "date"; `minute` from
    midnight, None = when the office opens that day.
    """

    day: str
    minute: int | None
    weekday: int = 0
    fixed: date | None = None

    def after(self, start: datetime, hours: OfficeHours) -> datetime:
        """The first such point later than `start`, by the office's clock.

        A fixed date may be past; it is given as it is, and the caller's rule for late things (`late_after`) applies.
        "today 17:00" after five o'clock is tomorrow 17:00. A business day's time is moved into the hours.
        """
        today = start.astimezone(hours.zone).date()
        if self.fixed is not None:
            return self._on(self.fixed, hours)
        if self.day == "business":
            return hours.next_open(self._on(hours.next_business_day(today), hours))
        first, step = self._first_day(today)
        found = self._on(first, hours)
        return found if found > start else self._on(first + timedelta(days=step), hours)

    def _first_day(self, today: date) -> tuple[date, int]:
        """The first day to look at, and how far the next one is."""
        if self.day == "tomorrow":
            return today + timedelta(days=1), 1
        if self.day == "weekday":
            return today + timedelta(days=(self.weekday - today.weekday()) % 7), 7
        return today, 1

    def _on(self, day: date, hours: OfficeHours) -> datetime:
        return instant(day, hours.opening_minute(day) if self.minute is None else self.minute, hours.zone)


@dataclass(frozen=True, slots=True)
class DateRange:
    """From `first` to `last`, both included."""

    first: date
    last: date

    def holds(self, day: date) -> bool:
        """Whether `day` is in the range."""
        return self.first <= day <= self.last


def parse_delay(text: str) -> Delay:
    """ "3 business days", "4 business hours", "30 minutes", "1 month". Raises GrammarError."""
    found = _LENGTH.fullmatch(text.strip())
    if not found:
        raise GrammarError(f'"{text}" is not a length of time', hint=_DELAY_HELP)
    count, business, unit = int(found[1]), bool(found[2]), found[3].lower()
    if business and unit not in ("day", "hour"):
        raise GrammarError(f'"{text}": only days and hours can be business ones', hint=_DELAY_HELP)
    most = 400 if business else _MOST[unit]
    if not 0 < count <= most:
        raise GrammarError(f'"{text}" is out of range', hint=f"write a number from 1 to {most}")
    return Delay(count, unit, business)


def parse_at(text: str) -> At:
    """ "next business day 09:30", "tomorrow 09:00", "monday 10:00", "friday", "2026-12-24 10:00", "09:30".

    Raises GrammarError. "today" needs a time.
    """
    found = _CLOCK_AT_END.fullmatch(text.strip())
    day, minute = (found[1] or "", parse_clock(found[2])) if found else (text.strip(), None)
    word = " ".join(day.lower().split())
    if word == "next business day":
        return At("business", minute)
    if word == "tomorrow" or (word in ("", "today") and minute is not None):
        return At(word, minute)
    weekday = parse_weekday(word)
    if weekday is not None:
        return At("weekday", minute, weekday=weekday)
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", word, re.ASCII):
        return At("date", minute, fixed=parse_date(word))
    hint = 'write "today 17:00"' if word == "today" else _AT_HELP
    raise GrammarError(f'"{text}" is not a point in time', hint=hint)


def parse_age(text: str) -> timedelta:
    """A plain length for `older:`, `late_after:`, `hold:`: "30 days", "10 minutes"; a month is 30 days, a year 365.

    Raises GrammarError, also for business days: an age is counted on the calendar.
    """
    delay = parse_delay(text)
    if delay.business:
        raise GrammarError(f'"{text}": business time cannot be used here', hint='write for example "30 days"')
    days = {"day": 1, "week": 7, "month": 30, "year": 365}
    if delay.unit in days:
        return timedelta(days=delay.count * days[delay.unit])
    return timedelta(**{f"{delay.unit}s": delay.count})


def parse_date(text: str) -> date:
    """ "2026-12-24". Raises GrammarError."""
    try:
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text.strip(), re.ASCII) and 1970 <= int(text.strip()[:4]) < 2200:
            return date.fromisoformat(text.strip())
    except ValueError:
        pass
    raise GrammarError(f'"{text}" is not a date', hint='write year-month-day, for example "2026-12-24"')


def parse_date_range(text: str) -> DateRange:
    """ "2026-12-20..2027-01-06", or one date. Raises GrammarError."""
    first, dots, last = text.partition("..")
    start = parse_date(first)
    stop = parse_date(last) if dots else start
    if stop < start:
        raise GrammarError(f'"{text}" ends before it starts', hint=f'write "{stop}..{start}"')
    return DateRange(start, stop)


def parse_size(text: str) -> int:
    """ "5 MB" in bytes; 1 KB = 1024 bytes, as mail programs count. Raises GrammarError."""
    found = _SIZE.fullmatch(text.strip())
    if not found:
        raise GrammarError(f'"{text}" is not a size', hint='write for example "5 MB" or "300 KB"')
    return round(float(found[1]) * _SIZE_UNITS[found[2].lower()])


def shifted(day: date, count: int, unit: str) -> date:
    """`day` moved by days, weeks, months or years, back by a negative count; the 31st becomes the last of a shorter
    month."""
    if unit in ("day", "week"):
        return day + timedelta(days=count * (7 if unit == "week" else 1))
    months = day.year * 12 + day.month - 1 + count * (12 if unit == "year" else 1)
    year, month = months // 12, months % 12 + 1
    return date(year, month, min(day.day, calendar.monthrange(year, month)[1]))
