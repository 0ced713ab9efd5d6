"""When a customer orders again, by how often they did before."""

from __future__ import annotations

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from rules.rhythm import next_order

START = date(2026, 1, 5)


def after(*gaps: int) -> list[date]:
    days = [START]
    for gap in gaps:
        days.append(days[-1] + timedelta(days=gap))
    return days


def test_two_orders_are_no_rhythm() -> None:
    assert next_order(after(30)) is None
    assert next_order([START, START, START]) is None


def test_the_middle_gap_counts_from_the_last_order() -> None:
    assert next_order(after(30, 28, 32)) == after(30, 28, 32)[-1] + timedelta(days=30)


def test_one_odd_gap_changes_nothing() -> None:
    assert next_order(after(30, 30, 200, 30)) == after(30, 30, 200, 30)[-1] + timedelta(days=30)


def test_what_was_years_ago_is_forgotten() -> None:
    assert next_order(after(*[300] * 9, *[30] * 6)) == after(*[300] * 9, *[30] * 6)[-1] + timedelta(days=30)


@given(st.lists(st.dates(date(2000, 1, 1), date(2090, 1, 1)), max_size=30))
def test_it_lies_ahead_of_the_last_order_whatever_the_order_they_are_told_in(days: list[date]) -> None:
    found = next_order(days)
    assert found == next_order(sorted(days, reverse=True))
    assert (found is None) == (len(set(days)) < 3)
    if found:
        assert max(days) < found
