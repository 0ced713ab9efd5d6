"""The grammar of `in:` and `at:`: what it reads, what it refuses, and that results are sound in every zone."""

from __future__ import annotations

import random
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.clock import GrammarError, instant
from rules.hours import OfficeHours, build_hours, default_hours
from rules.moments import (
    At,
    DateRange,
    Delay,
    parse_age,
    parse_at,
    parse_date_range,
    parse_delay,
    parse_size,
)

BOUNDS = (datetime.fromisoformat("2026-01-01"), datetime.fromisoformat("2030-12-31"))
SAO_PAULO = ZoneInfo("America/Sao_Paulo")
OFFICE = build_hours({"mon-fri": "09:00-18:00"}, zone="America/Sao_Paulo", holidays=["BR-SP"])
DELAYS = ["3 business days", "1 business day", "4 business hours", "2 hours", "30 minutes", "10 days", "2 weeks"]
DELAYS += ["1 month", "13 months", "1 year"]
POINTS = ["next business day 09:30", "next business day", "tomorrow 09:00", "tomorrow", "today 17:00", "monday 10:00"]
POINTS += ["friday", "sun 02:30", "09:30", "02:30", "00:00", "23:59"]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=SAO_PAULO)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30 minutes", "2026-11-19T17:10"),
        ("2 hours", "2026-11-19T18:40"),
        ("10 days", "2026-11-29T16:40"),
        ("2 weeks", "2026-12-03T16:40"),
        ("1 month", "2026-12-19T16:40"),
        ("1 Business Day", "2026-11-23T16:40"),
        ("3 business days", "2026-11-25T16:40"),
        ("4 business hours", "2026-11-23T11:40"),
    ],
)
def test_delays(text: str, expected: str) -> None:
    """From Thursday 19 November 2026, 16:40; the 20th is a holiday."""
    assert parse_delay(text).after(at("2026-11-19T16:40"), OFFICE) == at(expected)


def test_a_month_from_the_31st_ends_on_the_last_day() -> None:
    assert parse_delay("1 month").after(at("2027-01-31T10:00"), OFFICE) == at("2027-02-28T10:00")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("next business day 09:30", "2026-11-23T09:30"),
        ("next business day 07:00", "2026-11-23T09:00"),
        ("next business day", "2026-11-23T09:00"),
        ("tomorrow 09:00", "2026-11-20T09:00"),
        ("today 17:00", "2026-11-19T17:00"),
        ("today 16:00", "2026-11-20T16:00"),
        ("monday 10:00", "2026-11-23T10:00"),
        ("thursday 16:40", "2026-11-26T16:40"),
        ("thu 16:41", "2026-11-19T16:41"),
        ("friday", "2026-11-20T09:00"),
        ("2026-12-24 10:00", "2026-12-24T10:00"),
        ("2026-12-24", "2026-12-24T09:00"),
        ("2020-01-01 10:00", "2020-01-01T10:00"),
        ("09:30", "2026-11-20T09:30"),
        ("18:30", "2026-11-19T18:30"),
    ],
)
def test_points(text: str, expected: str) -> None:
    assert parse_at(text).after(at("2026-11-19T16:40"), OFFICE) == at(expected)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "3",
        "3 day s",
        "-1 days",
        "0 days",
        "1.5 hours",
        "2 business weeks",
        "99999 days",
        "३ days",
        "1 hour x",
    ],
)
def test_refused_delays(text: str) -> None:
    with pytest.raises(GrammarError) as refusal:
        parse_delay(text)
    assert refusal.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "",
        "today",
        "someday 10:00",
        "31/02",
        "2026-02-31",
        "14",
        "25:00",
        "24:00",
        "tomorrow 9",
        "10:00 tomorrow",
        "9999-01-01",
    ],
)
def test_refused_points(text: str) -> None:
    with pytest.raises(GrammarError) as refusal:
        parse_at(text)
    assert refusal.value.hint


def test_ages_dates_and_sizes() -> None:
    assert parse_age("30 days") == timedelta(days=30)
    assert parse_age("10 minutes") == timedelta(minutes=10)
    assert parse_age("2 months") == timedelta(days=60)
    assert parse_size("5 MB") == 5 * 1024 * 1024
    assert parse_size("1.5KB") == 1536
    summer = parse_date_range("2026-12-20..2027-01-06")
    assert summer == DateRange(date(2026, 12, 20), date(2027, 1, 6))
    assert [summer.holds(date(2026, 12, day)) for day in (19, 20)] == [False, True]
    assert parse_date_range("2026-12-24").holds(date(2026, 12, 24))


@pytest.mark.parametrize("text", ["2027-01-06..2026-12-20", "2026-12-20..", "..", "soon"])
def test_refused_date_ranges(text: str) -> None:
    with pytest.raises(GrammarError):
        parse_date_range(text)


def test_business_time_is_no_age() -> None:
    with pytest.raises(GrammarError, match="business time"):
        parse_age("3 business days")


@given(st.text(max_size=30))
def test_no_text_makes_the_parsers_fail_otherwise(text: str) -> None:
    for parse in (parse_delay, parse_at, parse_age, parse_size, parse_date_range):
        with suppress(GrammarError):
            assert parse(text) is not None


@lru_cache(maxsize=1)
def transitions() -> tuple[tuple[str, datetime], ...]:
    """Every change of offset of every zone from 2026 to 2030, found by halving the steps between two days."""
    found = []
    for name in sorted(available_timezones() - {"localtime", "posixrules"}):
        zone = ZoneInfo(name)
        day = datetime(2026, 1, 1, tzinfo=UTC)
        for before, after in pairwise(day + timedelta(days=7 * step) for step in range(262)):
            if before.astimezone(zone).utcoffset() != after.astimezone(zone).utcoffset():
                found.append((name, _change(before, after, zone)))
    return tuple(found)


def _change(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    offset = before.astimezone(zone).utcoffset()
    while after - before > timedelta(minutes=1):
        middle = before + (after - before) / 2
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after.replace(second=0, microsecond=0)


def _check(moment: Delay | At, text: str, start: datetime, hours: OfficeHours) -> None:
    result = moment.after(start, hours)
    assert result.utcoffset() == timedelta(0)
    assert result > start, (text, start, hours.zone.key)
    if "business" in text:
        assert hours.is_open(result), (text, start, hours.zone.key)


def test_results_around_every_change_of_summer_time() -> None:
    chosen = random.Random(20261122)
    changes = transitions()
    assert len(changes) > 1500
    moments = [(text, parse_delay(text)) for text in DELAYS] + [(text, parse_at(text)) for text in POINTS]
    for name, change in changes:
        zone = ZoneInfo(name)
        hours = build_hours({"mon-fri": "09:00-18:00", "sat-sun": "01:30-02:30, 23:00-24:00"}, zone=name)
        office = chosen.choice([default_hours(zone), hours])
        start = change + timedelta(minutes=chosen.randrange(-8 * 24 * 60, 4 * 60))
        for text, moment in chosen.sample(moments, 4):
            _check(moment, text, start, office)


def test_wall_clock_minutes_around_changes_exist_and_rise() -> None:
    """Each minute of three hours around a change: the wall clock shows it, or the first minute after the gap."""
    chosen = random.Random(7)
    for name, change in chosen.sample(transitions(), 60):
        zone = ZoneInfo(name)
        local = change.astimezone(zone)
        last = None
        for minute in range(24 * 60):
            found = instant(local.date(), minute, zone)
            shown = found.astimezone(zone)
            wall = (shown.date() - local.date()).days * 1440 + shown.hour * 60 + shown.minute
            before = (found - timedelta(minutes=1)).astimezone(zone)
            assert wall == minute or (wall > minute and before.utcoffset() != shown.utcoffset()), (name, minute)
            assert last is None or found >= last
            last = found


@settings(max_examples=200)
@given(
    start=st.datetimes(*BOUNDS, timezones=st.just(UTC)),
    zone=st.sampled_from(
        ["America/Sao_Paulo", "Europe/Lisbon", "Australia/Lord_Howe", "Asia/Kathmandu", "Asia/Beirut"]
    ),
    text=st.sampled_from(DELAYS + POINTS),
    first=st.integers(0, 1380),
    length=st.integers(1, 600),
)
def test_results_are_later_and_inside_hours(start: datetime, zone: str, text: str, first: int, length: int) -> None:
    end = min(first + length, 1440)
    span = f"{first // 60:02}:{first % 60:02}-{end // 60:02}:{end % 60:02}"
    hours = build_hours({"mon-thu": span}, zone=zone)
    moment = parse_delay(text) if text in DELAYS else parse_at(text)
    _check(moment, text, start, hours)
