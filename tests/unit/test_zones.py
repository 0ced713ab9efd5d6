"""Clock and date rules around changes of summer time; all of them: `python -m campaigns.zones --step 15`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from campaigns import zones

from rules import coming


def some(count: int) -> list[tuple[str, datetime]]:
    """Changes of zones picked at random, and of those whose clocks are peculiar."""
    names = ["Australia/Lord_Howe", "Africa/Casablanca", "America/Nuuk", "Asia/Gaza", "Pacific/Chatham"]
    every = sorted(zones.available_timezones() - {"localtime", "posixrules"})
    own = [(name, next(zones.changes_of(name))) for name in names]
    others = [(name, change) for name in Random(5).sample(every, 40) for change in list(zones.changes_of(name))[-1:]]
    return [*own, *others][:count]


def test_each_moment_comes_once_at_the_right_time() -> None:
    score = zones.run(some(14), 97)
    assert score.faults == []
    assert score.changes == 14


def test_the_checker_sees_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour off behind a gap, as a scheduler does that counts in local time."""

    def wrong(day: Any, minute: int, zone: Any) -> datetime:
        wall = datetime(day.year, day.month, day.day) + timedelta(minutes=minute)  # noqa: DTZ001
        return wall.replace(tzinfo=zone, fold=1).astimezone(UTC)

    change = next(zones.changes_of("America/New_York"))
    at_the_gap = [(change.astimezone(zones.ZoneInfo("America/New_York")).hour - 1) * 60 + 30]
    assert list(zones.check("America/New_York", change, at_the_gap, Random(1))) == []
    monkeypatch.setattr(coming, "instant", wrong)
    assert list(zones.check("America/New_York", change, at_the_gap, Random(1)))
