"""When steps of sequences come: windows, holidays, caps, distances, and every change of summer time until 2030."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_moments import transitions

from rules.clock import GrammarError
from rules.hours import build_hours
from rules.moments import Delay, parse_delay
from rules.pacing import Gap, Pace, back_on, free_slot, parse_gap, step_due

SAO_PAULO = ZoneInfo("America/Sao_Paulo")
OFFICE = build_hours({"mon-fri": "09:00-18:00"}, zone="America/Sao_Paulo", holidays=["BR-SP"])
MONDAY = datetime(2026, 11, 16, 12, 30, tzinfo=UTC)
"""09:30 in São Paulo."""


def at(text: str, zone: ZoneInfo = SAO_PAULO) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone)


# --- windows


def test_the_window_is_the_offices_by_the_clock_where_they_live() -> None:
    moscow = ZoneInfo("Europe/Moscow")
    window = Pace().window(OFFICE, moscow)
    assert step_due(None, MONDAY, window) == at("2026-11-16T15:30", moscow)
    assert step_due(parse_delay("1 day"), at("2026-11-16T17:30"), window) == at("2026-11-18T09:00", moscow)
    assert step_due(parse_delay("1 day"), at("2026-11-16T17:30"), Pace(hours="office").window(OFFICE, moscow)) == at(
        "2026-11-17T17:30"
    )


def test_days_and_holidays_of_their_own() -> None:
    saturdays = Pace(days=(5,), holidays=()).window(OFFICE, SAO_PAULO)
    assert step_due(None, MONDAY, saturdays) == at("2026-11-21T09:00")  # closed then: the hours of the first open day
    assert step_due(parse_delay("1 business day"), MONDAY, saturdays) == at("2026-11-21T09:30")
    kept = Pace(days=(4,)).window(OFFICE, SAO_PAULO)
    assert step_due(None, MONDAY, kept) == at("2026-11-27T09:00")  # the 20th is a holiday in São Paulo
    open_then = Pace(days=(4,), holidays=()).window(OFFICE, SAO_PAULO)
    assert step_due(None, MONDAY, open_then) == at("2026-11-20T09:00")


def test_outside_the_window_a_step_waits_and_the_rest_counts_from_when_it_happened() -> None:
    window = Pace().window(OFFICE, SAO_PAULO)
    first = step_due(parse_delay("4 days"), MONDAY, window)
    assert first == at("2026-11-23T09:00")  # Friday the 20th is a holiday
    assert step_due(parse_delay("2 business days"), first, window) == at("2026-11-25T09:00")


@pytest.mark.parametrize(
    ("day", "expected"),
    [("2026-11-18", "2026-11-18T09:00"), ("2026-11-20", "2026-11-23T09:00"), ("2026-11-21", "2026-11-23T09:00")],
)
def test_back_on_the_day_they_return_in_their_hours(day: str, expected: str) -> None:
    assert back_on(date.fromisoformat(day), Pace().window(OFFICE, SAO_PAULO)) == at(expected)


# --- every change of summer time


def test_every_step_falls_due_once_across_every_change_of_summer_time() -> None:
    """A tick every half an hour from a day before each change on: each step is taken once, in the window, at the first
    tick behind the one before and its wait."""
    waits = (None, Delay(90, "minute"), Delay(1, "day"), Delay(1, "day", business=True))
    tick = timedelta(minutes=30)
    for name, change in transitions():
        zone = ZoneInfo(name)
        window = Pace().window(build_hours({"mon-sun": "00:00-24:00"}, zone=name), zone)
        since = change - timedelta(days=1, hours=2, minutes=7)
        for wait in waits:
            due = step_due(wait, since, window)
            assert window.is_open(due), (name, change, wait)
            assert since <= due <= since + timedelta(days=1, hours=4), (name, change, wait)
            assert step_due(wait, since, window) == due
            first = since + -((since - due) // tick) * tick  # the first tick that finds it due; no later one does again
            assert first - tick < due <= first, (name, change, wait)
            since = first


def test_a_window_in_the_night_of_the_change_opens_once() -> None:
    """Steps due in the hour that is skipped, or comes twice."""
    for name, change in transitions():
        zone = ZoneInfo(name)
        office = build_hours({"mon-sun": "00:00-06:00"}, zone=name)
        window = Pace().window(office, zone)
        due = step_due(Delay(1, "day"), change - timedelta(days=1), window)
        assert window.is_open(due), (name, change)
        assert abs(due - change) <= timedelta(hours=24), (name, change)
        assert step_due(None, due, window) == due


# --- caps and distances


def test_gaps_are_read() -> None:
    assert parse_gap("2-6 minutes") == Gap(timedelta(minutes=2), timedelta(minutes=6))
    assert parse_gap("90 seconds") == Gap(timedelta(seconds=90), timedelta(seconds=90))
    for text in ("", "6-2 minutes", "0 minutes", "2-6 days", "2–6 minutes", "13 hours", "2 - x minutes"):
        with pytest.raises(GrammarError):
            parse_gap(text)


def test_a_gap_looks_random_and_is_the_same_at_every_look() -> None:
    gap = parse_gap("2-6 minutes")
    drawn = [gap.after(f"{number} step 1") for number in range(400)]
    assert drawn == [gap.after(f"{number} step 1") for number in range(400)]
    assert min(drawn) < timedelta(minutes=2, seconds=30)
    assert max(drawn) > timedelta(minutes=5, seconds=30)
    assert len(set(drawn)) > 150


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(0, 5000), max_size=40),
    st.integers(1, 8),
    st.integers(0, 5000),
    st.sampled_from(["America/Sao_Paulo", "Asia/Tokyo", "America/New_York"]),
)
def test_slots_keep_the_cap_the_distance_and_the_window(
    wanted: list[int], per_day: int, start: int, where: str
) -> None:
    pace = Pace(per_day=per_day, gap=parse_gap("2-6 minutes"))
    window = pace.window(OFFICE, ZoneInfo(where))
    taken: list[datetime] = []
    for number, minutes in enumerate(wanted):
        asked = MONDAY + timedelta(minutes=start + minutes)
        key = f"{number} step 1"
        slot = free_slot(asked, taken, pace, window, office_zone=SAO_PAULO, key=key)
        assert slot >= asked
        assert window.is_open(slot)
        assert all(abs(slot - other) >= pace.gap.after(key) for other in taken)  # type: ignore[union-attr]
        day = slot.astimezone(SAO_PAULO).date()
        assert sum(one.astimezone(SAO_PAULO).date() == day for one in taken) < per_day
        assert slot == free_slot(asked, taken, pace, window, office_zone=SAO_PAULO, key=key)
        taken.append(slot)


def test_without_cap_and_gap_a_mail_leaves_when_it_is_due() -> None:
    window = Pace().window(OFFICE, SAO_PAULO)
    slot = free_slot(MONDAY, [MONDAY] * 50, Pace(), window, office_zone=SAO_PAULO, key="x")
    assert slot == MONDAY
