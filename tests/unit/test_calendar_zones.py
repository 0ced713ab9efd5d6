"""Zone names of all kinds, and wall clocks at every change of the clocks: a meeting at nine stays at nine.

The clock to compare with is that of the C library (tzset), which reads the same database by other code.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest

from connectors.calendars import CalendarEvent, RawCalendar, Window
from connectors.ical.windows import WINDOWS_ZONES
from connectors.ical.zones import find_zone
from connectors.parsing import InlineParser

FIRST, LAST = datetime(2026, 1, 1, tzinfo=UTC), datetime(2031, 1, 1, tzinfo=UTC)
ZONES = sorted(name for name in available_timezones() if name not in ("localtime", "Factory"))


@pytest.fixture
def c_clock() -> Iterator[None]:
    before = os.environ.get("TZ")
    yield
    if before is None:
        os.environ.pop("TZ", None)
    else:
        os.environ["TZ"] = before
    time.tzset()


def changes(zone: str) -> list[datetime]:
    """The instants at which a zone's offset changes, by the clock of the C library, to the minute."""
    os.environ["TZ"] = zone
    time.tzset()
    found, step, at, end = [], 5 * 86_400, int(FIRST.timestamp()), int(LAST.timestamp())
    while at < end:
        if time.localtime(at).tm_gmtoff != time.localtime(at + step).tm_gmtoff:
            low, high = at, at + step
            while high - low > 60:
                middle = (low + high) // 120 * 60
                low, high = (low, middle) if _offset(middle) != _offset(low) else (middle, high)
            found.append(datetime.fromtimestamp(high, UTC))
        at += step
    return found


def _offset(at: int) -> int:
    return time.localtime(at).tm_gmtoff


def occurrences(zone: str, starts: list[datetime], window: Window) -> list[CalendarEvent]:
    events = (
        f"BEGIN:VEVENT\r\nUID:{number}\r\nDTSTAMP:20260101T000000Z\r\nDURATION:PT1H\r\n"
        f"DTSTART;TZID={zone}:{start:%Y%m%dT%H%M00}\r\nRRULE:FREQ=DAILY\r\nEND:VEVENT\r\n"
        for number, start in enumerate(starts)
    )
    data = f"BEGIN:VCALENDAR\r\n{''.join(events)}END:VCALENDAR\r\n".encode()
    raw = RawCalendar(account="a", calendar="c", ref="r", data=data, window=window)
    (reading,) = InlineParser().parse_calendars([raw])
    assert not reading.unreadable
    return list(reading.events)


def test_every_zone_at_every_change_of_its_clocks(c_clock: None) -> None:
    """A meeting each day at the wall-clock time of the change itself, half an hour before and after, and at nine: once
    a day, at that time by the zone's own clock; in a gap as much later as the gap is long."""
    seen = 0
    for zone in ZONES:
        for change in changes(zone):
            seen += 1
            wall = change.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0)
            around = (wall, wall - timedelta(minutes=30), wall + timedelta(minutes=30), wall.replace(hour=9, minute=0))
            starts = [begin - timedelta(days=2) for begin in around]
            window = Window(change - timedelta(days=1, hours=12), change + timedelta(days=1, hours=12))
            days = [_day(zone, starts[int(event.uid)], event) for event in occurrences(zone, starts, window)]
            assert len(days) == len(set(days)) >= 4 * 2, (zone, change)
    assert seen > 1_000


def _day(zone: str, start: datetime, event: CalendarEvent) -> tuple[str, datetime]:
    """Which day's occurrence this is, once the clocks agree on it."""
    assert isinstance(event.start, datetime)
    assert isinstance(event.original, datetime)
    assert event.zone == zone
    assert event.start.astimezone(UTC) == event.original  # in an overlap, times of two zones are never equal
    told, shown = time.localtime(event.start.timestamp()), event.start.replace(tzinfo=None)
    assert told[:5] == shown.timetuple()[:5], (zone, event)
    later = (shown - start) % timedelta(days=1)
    assert later == timedelta(0) or _was_skipped(shown - later), (zone, event)
    return event.uid, shown - later


def _was_skipped(wall: datetime) -> bool:
    """Whether the clocks never show this time: what mktime makes of it reads otherwise."""
    at = time.mktime((*wall.timetuple()[:8], -1))
    return time.localtime(at)[:5] != wall.timetuple()[:5]


def test_the_table_of_windows_names_is_that_of_cldr() -> None:
    """icalendar keeps one of its own, made from the same source."""
    from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

    assert WINDOWS_ZONES == WINDOWS_TO_OLSON
    assert set(WINDOWS_ZONES.values()) <= available_timezones()


@pytest.mark.parametrize(
    ("name", "zone"),
    [
        ("Europe/Berlin", "Europe/Berlin"),
        ("W. Europe Standard Time", "Europe/Berlin"),
        ("w. europe standard time", "Europe/Berlin"),
        ('"Europe/Lisbon"', "Europe/Lisbon"),
        ("/freeassociation.sourceforge.net/Tzfile/America/Argentina/Buenos_Aires", "America/Argentina/Buenos_Aires"),
        ("/softwarestudio.org/Olson_20011030_5/Europe/Lisbon", "Europe/Lisbon"),
        ("/citadel.org/20211207_1/America/Sao_Paulo", "America/Sao_Paulo"),
        ("tzone://Microsoft/Utc", ""),
        ("UTC", ""),
        ("GMT+0300", ""),
    ],
)
def test_names_that_mean_a_zone(name: str, zone: str) -> None:
    found = find_zone(name)
    assert found is not None
    assert (found.name, found.unclear) == (zone, False)


NOBODY_KNOWS = [
    "",
    "Customized Time Zone",
    "tzone://Microsoft/Custom",
    "Eastern",
    "../../etc/passwd",
    "/" * 300,
    "x\0y",
]


@pytest.mark.parametrize("name", NOBODY_KNOWS)
def test_names_that_mean_none(name: str) -> None:
    assert find_zone(name) is None


def read_one(tzid: str, *before: str) -> CalendarEvent:
    event = ["BEGIN:VEVENT", "UID:1", f"DTSTART;TZID={tzid}:20260701T090000", "END:VEVENT"]
    data = "\r\n".join(["BEGIN:VCALENDAR", *before, *event, "END:VCALENDAR"])
    raw = RawCalendar(account="a", calendar="c", ref="r", data=data.encode(), zone="America/Sao_Paulo")
    (reading,) = InlineParser().parse_calendars([raw])
    (found,) = reading.events
    return found


CUSTOM = """BEGIN:VTIMEZONE
TZID:Customized Time Zone
BEGIN:STANDARD
DTSTART:16010101T030000
TZOFFSETFROM:+0300
TZOFFSETTO:+0200
RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10
END:STANDARD
BEGIN:DAYLIGHT
DTSTART:16010101T020000
TZOFFSETFROM:+0200
TZOFFSETTO:+0300
RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3
END:DAYLIGHT
END:VTIMEZONE""".splitlines()


def test_a_zone_that_only_its_calendar_knows() -> None:
    event = read_one("Customized Time Zone", *CUSTOM)
    assert str(event.start) == "2026-07-01 09:00:00+03:00"
    assert (event.zone, event.zone_unclear) == ("", False)


def test_a_zone_that_nobody_knows_is_unclear_and_the_owners_is_assumed() -> None:
    event = read_one("Customized Time Zone")
    assert str(event.start) == "2026-07-01 09:00:00-03:00"
    assert (event.zone, event.zone_unclear) == ("America/Sao_Paulo", True)
    assert event.degraded


def test_the_rules_of_one_calendar_are_not_those_of_the_next() -> None:
    assert str(read_one("Customized Time Zone", *CUSTOM).start).endswith("+03:00")
    assert read_one("Customized Time Zone").zone_unclear


@pytest.mark.parametrize("broken", ["RRULE:FREQ=SECONDLY", "DTSTART:never", "TZOFFSETTO:+9900", "TZOFFSETFROM:"])
def test_broken_rules_of_a_zone_cost_the_zone_alone(broken: str) -> None:
    name = broken.partition(":")[0]
    lines = [broken if line.startswith(name) else line for line in CUSTOM]
    event = read_one("Customized Time Zone", *lines)
    assert event.zone_unclear
