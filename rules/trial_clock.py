"""The clock of rule tests: `now`, `at`, `after` and `time`. A test never reads the real one."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from rules.clock import GrammarError, instant, parse_clock, parse_zone
from rules.hours import OfficeHours
from rules.moments import parse_age, parse_at, parse_date

_NOW = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})[ T]([0-9]{1,2}:[0-9]{2})(?:\s+(\S+))?", re.ASCII)
_HELP = 'write date, time and, if it is not the office\'s, the zone, for example "2026-11-20 10:00"'
_MINUTE = timedelta(minutes=1)
_STEP = timedelta(minutes=15)
_SEARCHED = 8 * 24 * 4
"""Quarters of an hour in which a closed one is looked for: a week and a day."""


def parse_now(text: str, zone: ZoneInfo) -> datetime:
    """ "2026-11-20 10:00" by the clock of `zone`, or with a zone of its own behind it. Raises GrammarError."""
    found = _NOW.fullmatch(" ".join(text.split()))
    if not found:
        raise GrammarError(f'"{text}" is not a date with a time', hint=_HELP)
    named = parse_zone(found[3]) if found[3] else zone
    return instant(parse_date(found[1]), parse_clock(found[2]), named)


def parse_moment(text: str, now: datetime, hours: OfficeHours) -> datetime:
    """A date with a time, or what `at:` of a rule takes ("friday 14:00"), counted from `now`. Raises GrammarError."""
    if _NOW.fullmatch(" ".join(text.split())):
        return parse_now(text, hours.zone)
    return parse_at(text).after(now - _MINUTE, hours)  # so that "10:00" is today's when it is ten


def parse_past(text: str, now: datetime, zone: ZoneInfo) -> datetime | None:
    """ "30 days" (ago), "2026-10-01 10:00", or "never". Raises GrammarError."""
    words = " ".join(text.lower().split())
    if words == "never":
        return None
    if re.match(r"\d{4}-", words):
        return parse_now(words if ":" in words else f"{words} 12:00", zone)
    return now - parse_age(words.removesuffix(" ago"))


def parse_time(text: str, now: datetime, hours: OfficeHours) -> datetime:
    """`outside_hours`, `business_hours` or a clock time: the first such moment from `now` on. Raises GrammarError."""
    word = text.strip().lower()
    if word == "business_hours":
        if not any(hours.week):
            raise GrammarError("the office never opens", hint="set `hours:` in quietcrm.yaml, or write a time: 10:00")
        return hours.next_open(now)
    if word != "outside_hours":
        return parse_at(_clock_only(word)).after(now - _MINUTE, hours)
    for step in range(_SEARCHED):
        if not hours.is_open(now + step * _STEP):
            return now + step * _STEP
    raise GrammarError("the office never closes", hint="set `hours:` in quietcrm.yaml, or write a time such as 22:00")


def _clock_only(word: str) -> str:
    if ":" not in word or " " in word:
        hint = "write outside_hours, business_hours, or a time such as 22:00"
        raise GrammarError(f'"{word}" is not a time of day', hint=hint)
    parse_clock(word)
    return word


EVER = datetime(1970, 1, 1, tzinfo=UTC)
"""The baseline of every test: no mail of a test is history."""
