"""From the instants of EWS to days and original starts, in every zone that Windows knows."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.calendars import original_key, plain_uid, series_key
from connectors.exchange.calendars.times import Clock, clock_of
from connectors.exchange.words import T
from connectors.ical.windows import WINDOWS_ZONES
from connectors.ical.zones import Zone, find_zone

LISBON = find_zone("Europe/Lisbon")
zones = st.sampled_from(sorted(WINDOWS_ZONES)).map(find_zone)
days = st.dates(date(2020, 1, 1), date(2035, 12, 31))


def midnight(zone: Zone, day: date) -> datetime:
    return zone.at(datetime.combine(day, time())).astimezone(UTC)


@given(zone=zones, day=days, length=st.integers(1, 30))
def test_days_are_those_of_the_zone(zone: Zone, day: date, length: int) -> None:
    assert LISBON
    end = day + timedelta(days=length)
    assert Clock(zone, LISBON).days(midnight(zone, day), midnight(zone, end))[:2] == (day, end)


@given(zone=zones, day=days, begun=days, wall=st.times().map(lambda one: one.replace(microsecond=0)))
@pytest.mark.parametrize("off", [-1, 0, 1])
def test_an_original_start_has_the_time_of_day_of_its_series(
    zone: Zone, day: date, begun: date, wall: time, off: int
) -> None:
    """The same as where the series is worked out by us, though EWS is an hour off."""
    assert LISBON
    right, start = zone.at(datetime.combine(day, wall)), zone.at(datetime.combine(begun, wall))
    if start.time() != wall:  # the series cannot begin at a time that is not there
        return
    told = right.astimezone(UTC) + timedelta(hours=off)
    found = Clock(zone, LISBON).original(told, start.astimezone(UTC), all_day=False)
    assert original_key(found) == original_key(right)


def test_a_day_that_begins_at_no_midnight_is_the_next_one() -> None:
    zone = find_zone("W. Europe Standard Time")
    assert zone
    assert LISBON
    start = datetime(2026, 6, 1, 20, 17, tzinfo=UTC)
    first, last, note = Clock(zone, LISBON).days(start, start + timedelta(days=1))
    assert (first, last) == (date(2026, 6, 2), date(2026, 6, 3))
    assert "guessed" in note


def test_a_day_is_never_empty() -> None:
    assert LISBON
    start = midnight(LISBON, date(2026, 6, 1))
    assert Clock(LISBON, LISBON).days(start, start)[:2] == (date(2026, 6, 1), date(2026, 6, 2))


@pytest.mark.parametrize("name", ["UTC", "tzone://Microsoft/Utc", "Europe/Berlin", "W. Europe Standard Time"])
def test_zones_that_are_known(name: str) -> None:
    assert LISBON
    clock = clock_of(T.CalendarItem(T.StartTimeZone(Id=name)), LISBON)
    assert (clock.note, clock.zone.name) == ("", "Europe/Berlin" if "Europe" in name else "")


# -- UIDs as Exchange wraps them


@given(uid=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=60))
def test_a_wrapped_uid_is_the_uid(uid: str) -> None:
    data = b"vCal-Uid\1\0\0\0" + uid.encode() + b"\0"
    head = bytes.fromhex("040000008200E00074C5B7101A82E008") + b"\x07\xea\x0c\x01" + bytes(16)
    told = (head + len(data).to_bytes(4, "little") + data).hex()
    for one in (told, told.upper()):
        assert plain_uid(one) == uid
        assert series_key(one) == series_key(uid)


@given(st.text(max_size=200), st.sampled_from(["", "040000008200E00074C5B7101A82E008", "7643616C2D55696401000000"]))
def test_any_other_uid_stays_one(text: str, start: str) -> None:
    for one, other in pairwise([start + text, text, start + text + start]):
        assert isinstance(series_key(one), str)
        assert plain_uid(other) or not other
