"""Recurrence rules (RFC 5545 3.3.10): parsed strictly, expanded from a window's begin on, within a budget of steps.

Why not dateutil: it walks from the first occurrence on and a rule without results walks to the year 9999; neither can
be bounded from outside (docs/adr/0010-calendars-read-in-the-child.md). Tests compare with it and with libical.
"""

from __future__ import annotations

import re
from calendar import isleap, monthrange
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import MAXYEAR, date, datetime, time, timedelta
from itertools import count, product

__all__ = ["BadRule", "Budget", "Rule", "expand", "parse_rule"]

_DAYS = {"MO": 0, "TU": 1, "WE": 2, "TH": 3, "FR": 4, "SA": 5, "SU": 6}
_DAY = re.compile(r"([+-]?\d{1,2})?(MO|TU|WE|TH|FR|SA|SU)")
_NUMBER = re.compile(r"[+-]?\d{1,9}", re.ASCII)
_FREQUENCIES = ("HOURLY", "DAILY", "WEEKLY", "MONTHLY", "YEARLY")
_RANGES: Mapping[str, tuple[int, int, bool]] = {  # smallest, largest, may count from the end
    "BYSECOND": (0, 60, False),
    "BYMINUTE": (0, 59, False),
    "BYHOUR": (0, 23, False),
    "BYMONTHDAY": (1, 31, True),
    "BYYEARDAY": (1, 366, True),
    "BYWEEKNO": (1, 53, True),
    "BYMONTH": (1, 12, False),
    "BYSETPOS": (1, 366, True),
}
_DAY_LENGTH = timedelta(days=1)


class BadRule(ValueError):
    """A rule that cannot be read, or is not worked out. The text says why."""


class Budget:
    """Steps that working out may take: a period looked at, a day in it, an occurrence. Bounds the time it takes.
    A budget may be part of a larger one."""

    def __init__(self, steps: int, of: Budget | None = None) -> None:
        self.steps = self.left = steps
        self.of = of

    def spend(self, steps: int) -> None:
        """Raises BadRule when it is used up."""
        self.left -= steps
        if self.of:
            self.of.spend(steps)
        if self.left < 0:
            raise BadRule(f"working out its repetitions takes more than {self.steps} steps")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """An RRULE. `until` is its text as written; `days` are (n, weekday), n 0 for every one, Monday 0."""

    frequency: str
    interval: int = 1
    count: int = 0
    until: str = ""
    week_start: int = 0
    months: tuple[int, ...] = ()
    weeks: tuple[int, ...] = ()
    year_days: tuple[int, ...] = ()
    month_days: tuple[int, ...] = ()
    days: tuple[tuple[int, int], ...] = ()
    hours: tuple[int, ...] = ()
    minutes: tuple[int, ...] = ()
    seconds: tuple[int, ...] = ()
    positions: tuple[int, ...] = ()


def parse_rule(text: str) -> Rule:
    """Read a rule. Raises BadRule; rules that repeat within the hour are refused, no meeting does."""
    parts: dict[str, str] = {}
    for piece in re.sub(r"\s", "", text.upper()).split(";"):
        name, _, value = piece.partition("=")
        if name and parts.setdefault(name, value) != value:
            raise BadRule(f"it states {name[:20]} twice")
    frequency = parts.get("FREQ", "")
    if frequency in ("SECONDLY", "MINUTELY"):
        raise BadRule(f"it repeats {frequency.lower()}")
    if frequency not in _FREQUENCIES:
        raise BadRule(f'it repeats by no known measure: "{frequency[:20]}"' if frequency else "it has no FREQ")
    if parts.get("RSCALE", "GREGORIAN") != "GREGORIAN":
        raise BadRule("it counts by another than the Gregorian calendar")
    if parts.get("WKST", "MO") not in _DAYS:
        raise BadRule("WKST is no day of the week")
    lists = {name: _numbers(name, parts.get(name, "")) for name in _RANGES}
    return Rule(
        frequency=frequency,
        interval=_positive("INTERVAL", parts.get("INTERVAL", "1")),
        count=_positive("COUNT", parts["COUNT"]) if "COUNT" in parts else 0,
        until=parts.get("UNTIL", ""),
        week_start=_DAYS[parts.get("WKST", "MO")],
        months=lists["BYMONTH"],
        weeks=lists["BYWEEKNO"],
        year_days=lists["BYYEARDAY"],
        month_days=lists["BYMONTHDAY"],
        days=_weekdays(parts.get("BYDAY", "")),
        hours=lists["BYHOUR"],
        minutes=lists["BYMINUTE"],
        seconds=lists["BYSECOND"],
        positions=lists["BYSETPOS"],
    )


def _positive(name: str, text: str) -> int:
    if not _NUMBER.fullmatch(text) or int(text) < 1:
        raise BadRule(f"{name} is not a number from 1 on")
    return int(text)


def _numbers(name: str, text: str) -> tuple[int, ...]:
    smallest, largest, negative = _RANGES[name]
    found = set()
    for piece in text.split(",") if text else ():
        if not _NUMBER.fullmatch(piece):
            raise BadRule(f'{name} holds no number: "{piece[:20]}"')
        number = int(piece)
        if not smallest <= (abs(number) if negative else number) <= largest:
            raise BadRule(f"{name} holds {number}, which is out of its range")
        found.add(number)
    return tuple(sorted(found))


def _weekdays(text: str) -> tuple[tuple[int, int], ...]:
    found = []
    for piece in text.split(",") if text else ():
        day = _DAY.fullmatch(piece)
        number = int(day[1]) if day and day[1] else 0
        if day is None or abs(number) > 53 or (day[1] and not number):
            raise BadRule(f'BYDAY holds no day of the week: "{piece[:20]}"')
        found.append((number, _DAYS[day[2]]))
    return tuple(dict.fromkeys(found))


def expand(
    rule: Rule,
    start: datetime,
    *,
    low: datetime,
    high: datetime,
    until: datetime | None,
    budget: Budget,
    anchored: bool = True,
) -> Iterator[datetime]:
    """Wall-clock times of the occurrences in [low, high], ascending. `start` is the first whether the rule fits it or
    not, and counts (RFC 5545 3.8.5.3); not `anchored` (a rule of exceptions), only if it fits. All times naive.
    Raises BadRule when the budget is spent."""
    last = min(high, until) if until else high
    left = rule.count
    if anchored:
        if low <= start <= last:
            yield start
        left -= 1
    if rule.count and left <= 0:
        return
    periods = _Periods(rule, start)
    try:
        for index in count(0 if rule.count else periods.index_before(low)):
            if periods.begin(index) > last:
                return
            for at in periods.times(index, budget):
                if at < start or (anchored and at == start):
                    continue
                if at > last:
                    return
                if at >= low:
                    yield at
                left -= 1
                if rule.count and left <= 0:
                    return
    except OverflowError:  # beyond the year 9999
        return


class _Periods:
    """The years, months, weeks, days or hours of a rule, numbered from the one of `start` on."""

    def __init__(self, rule: Rule, start: datetime) -> None:
        self.rule, self.start = rule, start
        self.week = start.date() - timedelta(days=(start.weekday() - rule.week_start) % 7)
        self.days = _day_filter(rule, start)
        hours = () if rule.frequency == "HOURLY" else rule.hours or (start.hour,)
        self.minutes, self.seconds = rule.minutes or (start.minute,), rule.seconds or (start.second,)
        self.clock = [time(*parts) for parts in product(hours, self.minutes, _real(self.seconds))]

    def begin(self, index: int) -> datetime:
        """When a period begins. Raises OverflowError beyond the year 9999."""
        step, start = index * self.rule.interval, self.start
        match self.rule.frequency:
            case "YEARLY":
                return datetime.combine(_first(start.year + step, 1), time()) - self._spill()
            case "MONTHLY":
                return datetime.combine(_first(*_month(start, step)), time())
            case "WEEKLY":
                return datetime.combine(self.week + timedelta(weeks=step), time())
            case "DAILY":
                return datetime.combine(start.date() + timedelta(days=step), time())
        return start.replace(minute=0, second=0) + timedelta(hours=step)

    def _spill(self) -> timedelta:
        """The first week of a year may begin in the one before."""
        return timedelta(days=6 if self.rule.weeks else 0)

    def index_before(self, low: datetime) -> int:
        """The number of a period that begins no later than `low`, 0 at the least."""
        start, interval = self.start, self.rule.interval
        match self.rule.frequency:
            case "YEARLY":
                passed = low.year - start.year - 1
            case "MONTHLY":
                passed = (low.year - start.year) * 12 + low.month - start.month
            case "WEEKLY":
                passed = (low.date() - self.week).days // 7
            case "DAILY":
                passed = (low.date() - start.date()).days
            case _:
                passed = int((low - start).total_seconds() // 3600)
        return max(passed // interval - 1, 0)

    def times(self, index: int, budget: Budget) -> list[datetime]:
        """The occurrences of a period, ascending."""
        found = self._in_hour(index) if self.rule.frequency == "HOURLY" else self._in_days(index, budget)
        budget.spend(1 + len(found))
        if not self.rule.positions:
            return found
        size = len(found)
        chosen = {at - 1 if at > 0 else size + at for at in self.rule.positions}
        return [found[at] for at in sorted(chosen) if 0 <= at < size]

    def _in_hour(self, index: int) -> list[datetime]:
        hour = self.begin(index)
        if (self.rule.hours and hour.hour not in self.rule.hours) or not self.days.keeps(hour.date()):
            return []
        return [hour.replace(minute=minute, second=second) for minute in self.minutes for second in _real(self.seconds)]

    def _in_days(self, index: int, budget: Budget) -> list[datetime]:
        days = [day for day in self._candidates(index, budget) if self.days.keeps(day)]
        return [datetime.combine(day, clock) for day in days for clock in self.clock]

    def _candidates(self, index: int, budget: Budget) -> list[date]:
        """The days of a period that are worth a look."""
        rule, step = self.rule, index * self.rule.interval
        match rule.frequency:
            case "DAILY":
                return [self.begin(index).date()]
            case "WEEKLY":
                first = self.begin(index).date()
                days = [first + timedelta(days=offset) for offset in range(7)]
            case "MONTHLY":
                days = _days_of_month(*_month(self.start, step), self.days.month_days)
            case _:
                days = self._candidates_of_year(self.start.year + step)
        budget.spend(len(days))
        return days

    def _candidates_of_year(self, year: int) -> list[date]:
        rule = self.rule
        if rule.weeks:
            return _days_of_weeks(year, rule.weeks, rule.week_start)
        first = _first(year, 1)
        if rule.year_days or (rule.days and not rule.months and not rule.month_days):
            return [first + timedelta(days=day) for day in range(366 if isleap(year) else 365)]
        months = self.days.months or range(1, 13)
        return [day for month in months for day in _days_of_month(year, month, self.days.month_days)]


@dataclass(frozen=True, slots=True)
class _DayFilter:
    """What a day has to be. The defaults of a rule that names no days are in it."""

    months: tuple[int, ...]
    month_days: tuple[int, ...]
    year_days: tuple[int, ...]
    weekdays: frozenset[int]
    nth: frozenset[tuple[int, int]]
    nth_in_year: bool

    def keeps(self, day: date) -> bool:
        """True for a day that fits all of it."""
        if self.months and day.month not in self.months:
            return False
        if self.month_days:
            length = monthrange(day.year, day.month)[1]
            if day.day not in self.month_days and day.day - length - 1 not in self.month_days:
                return False
        if self.year_days:
            length = 366 if isleap(day.year) else 365
            number = day.timetuple().tm_yday
            if number not in self.year_days and number - length - 1 not in self.year_days:
                return False
        return not (self.weekdays or self.nth) or day.weekday() in self.weekdays or self._is_nth(day)

    def _is_nth(self, day: date) -> bool:
        if not self.nth:
            return False
        if self.nth_in_year:
            number, length = day.timetuple().tm_yday, 366 if isleap(day.year) else 365
        else:
            number, length = day.day, monthrange(day.year, day.month)[1]
        weekday = day.weekday()
        return ((number - 1) // 7 + 1, weekday) in self.nth or (-((length - number) // 7 + 1), weekday) in self.nth


def _day_filter(rule: Rule, start: datetime) -> _DayFilter:
    counted = rule.frequency in ("MONTHLY", "YEARLY") and not rule.weeks
    weekdays = {weekday for number, weekday in rule.days if not number or not counted}
    months, month_days = rule.months, rule.month_days
    named = rule.days or rule.month_days or rule.year_days
    if (not named and rule.weeks) or (not named and rule.frequency == "WEEKLY"):
        weekdays = {start.weekday()}
    elif not named and rule.frequency in ("MONTHLY", "YEARLY"):
        month_days = (start.day,)
    if rule.frequency == "YEARLY" and not (rule.weeks or rule.year_days) and (month_days or not rule.days):
        months = months or (start.month,)  # a day of the month without a month: libical and ical.js read it so too
    return _DayFilter(
        months,
        month_days,
        rule.year_days,
        frozenset(weekdays),
        frozenset(day for day in rule.days if day[0] and counted),
        rule.frequency == "YEARLY" and not rule.months,
    )


def _real(seconds: tuple[int, ...]) -> list[int]:
    """Without the leap second, which no clock here has."""
    return sorted({min(second, 59) for second in seconds})


def _first(year: int, month: int) -> date:
    if year > MAXYEAR:
        raise OverflowError("beyond the year 9999")
    return date(year, month, 1)


def _month(start: datetime, step: int) -> tuple[int, int]:
    years, month = divmod(start.month - 1 + step, 12)
    return start.year + years, month + 1


def _days_of_month(year: int, month: int, wanted: tuple[int, ...]) -> list[date]:
    """The days of a month, of which `wanted` only these numbers (negative: from its end), ascending."""
    first, length = _first(year, month), monthrange(year, month)[1]
    numbers = sorted({day if day > 0 else length + 1 + day for day in wanted}) if wanted else range(1, length + 1)
    return [first.replace(day=day) for day in numbers if 1 <= day <= length]


def _days_of_weeks(year: int, weeks: tuple[int, ...], week_start: int) -> list[date]:
    """The days of the numbered weeks of a year: the first is the one with at least four of its days (ISO 8601, with
    another first day of the week where WKST says so). They may lie outside of the calendar year."""
    first, after = _first_week(year, week_start), _first_week(year + 1, week_start)
    total = (after - first).days // 7
    numbers = sorted({week if week > 0 else total + 1 + week for week in weeks})
    return [
        first + timedelta(days=(number - 1) * 7 + day) for number in numbers if 1 <= number <= total for day in range(7)
    ]


def _first_week(year: int, week_start: int) -> date:
    fourth = _first(year, 1) + 3 * _DAY_LENGTH
    return fourth - timedelta(days=(fourth.weekday() - week_start) % 7)
