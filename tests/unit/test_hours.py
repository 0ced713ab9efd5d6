"""Office hours: opening, business days and hours, holidays, and every change of summer time."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from rules.clock import ClockRange, GrammarError, instant, parse_clock_range, parse_weekdays
from rules.hours import (
    OfficeHours,
    build_hours,
    check_holiday_code,
    default_hours,
    holiday_dates,
    zone_for,
    zone_of_country,
)

SAO_PAULO = ZoneInfo("America/Sao_Paulo")
OFFICE = build_hours(
    {"mon-fri": "09:00-12:00, 13:00-18:00"}, zone="America/Sao_Paulo", holidays=["BR-SP"], extra=[date(2026, 12, 24)]
)


def at(text: str, zone: ZoneInfo = SAO_PAULO) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone)


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026-11-23T09:00", True),
        ("2026-11-23T08:59", False),
        ("2026-11-23T11:59:59", True),
        ("2026-11-23T12:00", False),
        ("2026-11-23T13:00", True),
        ("2026-11-23T18:00", False),
        ("2026-11-22T10:00", False),
        ("2026-11-20T10:00", False),
        ("2026-12-24T10:00", False),
    ],
)
def test_open_at(moment: str, expected: bool) -> None:
    assert OFFICE.is_open(at(moment)) is expected


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026-11-23T10:00", "2026-11-23T10:00"),
        ("2026-11-23T12:30", "2026-11-23T13:00"),
        ("2026-11-19T18:00", "2026-11-23T09:00"),
        ("2026-12-23T20:00", "2026-12-28T09:00"),
    ],
)
def test_next_open(moment: str, expected: str) -> None:
    assert OFFICE.next_open(at(moment)) == at(expected)


@pytest.mark.parametrize(
    ("moment", "days", "expected"),
    [
        ("2026-11-23T10:15", 1, "2026-11-24T10:15"),
        ("2026-11-19T10:15", 1, "2026-11-23T10:15"),
        ("2026-11-21T10:15", 1, "2026-11-23T10:15"),
        ("2026-11-23T20:00", 1, "2026-11-25T09:00"),
        ("2026-11-23T07:00", 2, "2026-11-25T09:00"),
        ("2026-11-23T12:30", 3, "2026-11-26T13:00"),
    ],
)
def test_business_days_keep_the_clock_and_are_moved_into_hours(moment: str, days: int, expected: str) -> None:
    assert OFFICE.add_business_days(at(moment), days) == at(expected)


@pytest.mark.parametrize(
    ("moment", "hours", "expected"),
    [
        ("2026-11-23T10:00", 1, "2026-11-23T11:00"),
        ("2026-11-23T10:00", 4, "2026-11-23T15:00"),
        ("2026-11-23T17:00", 4, "2026-11-24T13:00"),
        ("2026-11-23T14:00", 4, "2026-11-24T09:00"),
        ("2026-11-22T14:00", 0.5, "2026-11-23T09:30"),
    ],
)
def test_business_hours_end_inside_hours(moment: str, hours: float, expected: str) -> None:
    assert OFFICE.add_business_hours(at(moment), hours) == at(expected)


def test_carnival_counts_although_the_package_calls_it_optional() -> None:
    assert {date(2027, 2, 8), date(2027, 2, 9)} <= holiday_dates("BR-SP", 2027)
    assert date(2027, 2, 9) in holiday_dates("PT", 2027)
    assert date(2027, 10, 28) not in holiday_dates("BR-SP", 2027)
    assert date(2027, 10, 28) in holiday_dates("BR-SP+optional", 2027)


@pytest.mark.parametrize(
    ("code", "day"),
    [
        ("BR-SP", date(2026, 7, 9)),
        ("RU", date(2027, 1, 5)),
        ("GB-ENG", date(2027, 8, 30)),
        ("US", date(2026, 11, 26)),
        ("PT", date(2026, 4, 25)),
    ],
)
def test_holidays_of_the_usual_calendars(code: str, day: date) -> None:
    check_holiday_code(code)
    assert day in holiday_dates(code, day.year)


def test_a_region_s_day_is_not_the_country_s() -> None:
    assert date(2026, 7, 9) not in holiday_dates("BR-RJ", 2026)


@pytest.mark.parametrize(
    ("days", "zone", "holidays", "said"),
    [
        ({"mon-fry": "09:00-18:00"}, "UTC", [], "mon-fri"),
        ({"mon-fri": "09:00-25:00"}, "UTC", [], "09:30"),
        ({"mon-fri": "22:00-06:00"}, "UTC", [], "midnight"),
        ({"mon-fri": "13:00-18:00, 09:00-12:00"}, "UTC", [], "09:00-12:00"),
        ({"mon-fri": "09:00-09:00"}, "UTC", [], "differ"),
        ({"mon-fri": "09:00-18:00", "fri": "09:00-12:00"}, "UTC", [], "once"),
        ({}, "UTC", [], "mon-fri"),
        ({"mon": "09:00-18:00"}, "America/Sao_Paul", [], "America/Sao_Paulo"),
        ({"mon": "09:00-18:00"}, "../etc/passwd", [], "America/"),
        ({"mon": "09:00-18:00"}, "America", [], "America"),
        ({"mon": "09:00-18:00"}, "UTC", ["BR-XX"], "SP"),
        ({"mon": "09:00-18:00"}, "UTC", ["br"], "BR"),
    ],
)
def test_what_cannot_be_is_refused_with_the_remedy(
    days: dict[str, str], zone: str, holidays: list[str], said: str
) -> None:
    with pytest.raises(GrammarError) as refusal:
        build_hours(days, zone=zone, holidays=holidays)
    assert said in refusal.value.hint


def test_weekday_lists_wrap_around_the_week() -> None:
    assert parse_weekdays("fri-mon") == (0, 4, 5, 6)
    assert parse_weekdays("Sat, sunday") == (5, 6)


def test_clock_ranges_over_midnight() -> None:
    night = parse_clock_range("22:00-06:00")
    shown = {hour: night.holds(at(f"2026-11-23T{hour:02}:00"), SAO_PAULO) for hour in (5, 6, 21, 22, 23)}
    assert shown == {5: True, 6: False, 21: False, 22: True, 23: True}


def test_zone_of_a_contact() -> None:
    office = ZoneInfo("America/Sao_Paulo")
    assert zone_of_country("DE") == "Europe/Berlin"
    assert zone_of_country("RU") == ""
    assert zone_for("Asia/Yekaterinburg", "RU", office).key == "Asia/Yekaterinburg"
    assert zone_for("", "fr", office).key == "Europe/Paris"
    assert zone_for("", "BR", office) is office
    assert zone_for("Nonsense/Zone", "", office) is office


def test_a_gap_becomes_the_next_minute_and_an_overlap_its_first() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    assert instant(date(2027, 3, 28), 150, berlin) == datetime(2027, 3, 28, 1, 0, tzinfo=UTC)
    assert instant(date(2026, 10, 25), 150, berlin) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


def test_hours_in_a_gap_or_an_overlap() -> None:
    night = build_hours({"mon-sun": "02:15-02:45"}, zone="Europe/Berlin")
    gone = datetime(2027, 3, 28, 0, 30, tzinfo=UTC)
    assert night.next_open(gone) == datetime(2027, 3, 29, 0, 15, tzinfo=UTC)
    twice = datetime(2026, 10, 25, 0, 20, tzinfo=UTC)
    assert night.is_open(twice)
    assert not night.is_open(twice + timedelta(hours=1))


def test_hours_by_the_clock_of_the_contact() -> None:
    there = default_hours(SAO_PAULO).in_zone(ZoneInfo("Europe/Moscow"))
    assert there.is_open(datetime(2026, 11, 23, 6, 0, tzinfo=UTC))
    assert not there.is_open(datetime(2026, 11, 23, 15, 0, tzinfo=UTC))


def test_hours_that_overlap_count_once() -> None:
    week = ((ClockRange(540, 720), ClockRange(660, 780)), (), (), (), (), (), ())
    hours = OfficeHours(week=week, zone=SAO_PAULO)
    assert hours.add_business_hours(at("2026-11-23T09:00"), 3.5) == at("2026-11-23T12:30")
    assert hours.add_business_hours(at("2026-11-23T09:00"), 4) == at("2026-11-30T09:00")
