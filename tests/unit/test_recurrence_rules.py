"""Recurrence rules: what is refused, what a far window costs, and the same answers as libical and dateutil."""
# ruff: noqa: DTZ001 - rules are worked out by the wall clock

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from campaigns.recurrences import Trial, compare_with_dateutil, make_trial, run
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.ical.rule import BadRule, Budget, Rule, expand, parse_rule

START = datetime(2026, 1, 5, 9, 0)


def some(rule: str, start: datetime = START, count: int = 5, **options: object) -> list[str]:
    known: dict[str, object] = {"low": start, "high": datetime(2050, 1, 1), "until": None, "budget": Budget(100_000)}
    found = expand(parse_rule(rule), start, **(known | options))  # type: ignore[arg-type]
    return [f"{at:%Y-%m-%d %H:%M}" for at, _ in zip(found, range(count), strict=False)]


def test_a_thousand_random_rules_as_libical_reads_them() -> None:
    assert list(run(1_000)) == []


def test_random_rules_that_libical_reads_otherwise_as_dateutil_reads_them() -> None:
    """Days from the end, sets of times, numbered weeks, days of the year: 200 of them."""
    done = 0
    for seed in range(3_000):
        trial = make_trial(seed)
        if trial.is_beyond_libical() and not _reads_otherwise(trial) and len(trial.ours(2)) > 1:
            assert compare_with_dateutil(trial) is None, trial
            done += 1
        if done == 200:
            return
    raise AssertionError("too few rules")


def _reads_otherwise(trial: Trial) -> bool:
    parts = trial.parts
    if len({len(day) > 2 for day in parts.get("BYDAY", "MO").split(",")}) > 1:
        return True  # FR,4TU: it wants a day to be both
    if parts["FREQ"] != "YEARLY":
        return False
    days = parts.keys() & {"BYDAY", "BYMONTHDAY", "BYYEARDAY"}
    across_years = "BYWEEKNO" in parts and ("INTERVAL" in parts or "BYSETPOS" in parts)
    return across_years or ("BYWEEKNO" in parts and not days) or ("BYMONTHDAY" in parts and "BYMONTH" not in parts)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("FREQ=DAILY;COUNT=3", ["2026-01-05 09:00", "2026-01-06 09:00", "2026-01-07 09:00"]),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,TH;COUNT=3", ["2026-01-05 09:00", "2026-01-06 09:00", "2026-01-08 09:00"]),
        ("FREQ=MONTHLY;BYDAY=-1FR;COUNT=3", ["2026-01-05 09:00", "2026-01-30 09:00", "2026-02-27 09:00"]),
        ("FREQ=YEARLY;BYMONTH=1;COUNT=2", ["2026-01-05 09:00", "2027-01-05 09:00"]),
        (" freq = daily ; byday = sa, su ; count = 3", ["2026-01-05 09:00", "2026-01-10 09:00", "2026-01-11 09:00"]),
        (
            "FREQ=YEARLY;BYDAY=FR;BYMONTHDAY=13;BYMONTH=2;COUNT=3",
            ["2026-01-05 09:00", "2026-02-13 09:00", "2032-02-13 09:00"],
        ),
    ],
)
def test_what_rules_mean(rule: str, expected: list[str]) -> None:
    assert some(rule) == expected


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ("FREQ=SECONDLY", "repeats secondly"),
        ("FREQ=MINUTELY;INTERVAL=1440", "repeats minutely"),
        ("FREQ=DAILY;INTERVAL=0", "INTERVAL"),
        ("FREQ=DAILY;COUNT=0", "COUNT"),
        ("INTERVAL=2", "no FREQ"),
        ("FREQ=DAILY;FREQ=WEEKLY", "twice"),
        ("FREQ=WEEKLY;BYDAY=0MO", "BYDAY"),
        ("FREQ=YEARLY;BYMONTH=13", "BYMONTH"),
        ("FREQ=YEARLY;BYMONTH=January", "BYMONTH"),
        ("RSCALE=HEBREW;FREQ=YEARLY", "Gregorian"),
        ("FREQ=WEEKLY;WKST=XX", "WKST"),
        ("", "no FREQ"),
    ],
)
def test_what_is_refused(rule: str, reason: str) -> None:
    with pytest.raises(BadRule, match=reason):
        parse_rule(rule)


@pytest.mark.parametrize(
    "rule", ["FREQ=HOURLY", "FREQ=DAILY", "FREQ=WEEKLY;BYDAY=MO,WE", "FREQ=MONTHLY", "FREQ=YEARLY"]
)
def test_a_window_far_from_the_start_costs_no_more_than_a_near_one(rule: str) -> None:
    """A month's window of a rule that began in 1900."""
    budget = Budget(2_000)
    start, low = datetime(1900, 1, 1, 9), datetime(2026, 1, 1)
    found = list(expand(parse_rule(rule), start, low=low, high=low + timedelta(days=31), until=None, budget=budget))
    assert found
    assert budget.steps - budget.left < 2_000


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=31",
        "FREQ=HOURLY;BYYEARDAY=366;BYMONTH=1",
    ],
)
def test_a_rule_without_results_ends(rule: str) -> None:
    budget = Budget(5_000)
    with pytest.raises(BadRule, match="more than 5000 steps"):
        some(rule, high=datetime(9999, 1, 1), budget=budget, anchored=False)
    parent = Budget(100)
    with pytest.raises(BadRule, match="more than 100 steps"):
        Budget(5_000, parent).spend(101)


WINDOWS = st.tuples(st.integers(0, 3_000), st.integers(1, 200))


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 100_000), WINDOWS)
def test_a_window_holds_what_the_whole_holds_there(seed: int, window: tuple[int, int]) -> None:
    """Skipping ahead changes nothing: the occurrences of a window are those of the whole that lie in it."""
    trial = make_trial(seed)
    rule: Rule = parse_rule(trial.rule)
    low = trial.start + timedelta(days=window[0] if rule.frequency != "HOURLY" else window[0] // 20)
    high = low + timedelta(days=window[1] if rule.frequency != "HOURLY" else window[1] // 20)
    big = Budget(10_000_000)
    whole = list(expand(rule, trial.start, low=trial.start, high=high, until=None, budget=big))
    part = list(expand(rule, trial.start, low=low, high=high, until=None, budget=big))
    assert part == [at for at in whole if low <= at]
