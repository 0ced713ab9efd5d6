"""A clock that was set: noticed, waited for, and at last believed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from daemon.clock import BELIEVED, SETTLE, ClockWatch

NOON = datetime(2026, 11, 16, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def test_a_steady_clock_is_no_trouble() -> None:
    watch = ClockWatch()
    for minute in range(100):
        at = NOON + timedelta(minutes=minute)
        assert watch.trouble(at, minute * 60.0, max(NOON, at - timedelta(minutes=1))) == ""


def test_a_jump_ahead_waits_ten_minutes() -> None:
    watch = ClockWatch()
    watch.trouble(NOON, 0.0, NOON)
    assert watch.has_stepped(NOON + DAY, 10.0)
    assert watch.trouble(NOON + DAY, 10.0, NOON)
    assert watch.trouble(NOON + DAY + timedelta(seconds=590), 600.0, NOON)
    assert not watch.trouble(NOON + DAY + timedelta(seconds=SETTLE), 10.0 + SETTLE, NOON)


def test_a_lower_clock_holds_and_is_believed_after_a_steady_day() -> None:
    watch = ClockWatch()
    assert watch.trouble(NOON - DAY, 0.0, NOON)
    assert watch.trouble(NOON - timedelta(seconds=1000), BELIEVED - 1000.0, NOON)
    far = NOON + timedelta(days=4000)
    other = ClockWatch()
    assert other.trouble(NOON, 0.0, far)
    assert other.trouble(NOON + timedelta(seconds=BELIEVED - 10), BELIEVED - 10, far)
    assert not other.trouble(NOON + timedelta(seconds=BELIEVED + 10), BELIEVED + 10, far)


def test_another_step_back_starts_the_day_anew() -> None:
    watch = ClockWatch()
    far = NOON + timedelta(days=4000)
    watch.trouble(NOON, 0.0, far)
    assert watch.trouble(NOON - DAY, BELIEVED / 2, far)
    assert watch.trouble(NOON - DAY + timedelta(seconds=BELIEVED * 0.6), BELIEVED * 1.1, far)
