"""The short form of the races of reminders; and that they see what they are there to see."""

from __future__ import annotations

from pathlib import Path

import pytest
from campaigns import reminders

from daemon.freshness import Freshness


@pytest.mark.timeout(600)
def test_the_right_reminder_or_none(tmp_path: Path) -> None:
    score = reminders.race(tmp_path, 24, seed=5)
    assert score.faults == []
    assert set(score.kinds) == set(reminders.KINDS)


@pytest.mark.timeout(600)
def test_what_was_read_minutes_ago_is_seen_by_the_race(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Freshness, "look_at", lambda *_: None)
    assert any("wrong since more than a minute" in one for one in reminders.race(tmp_path, 16, seed=5).faults)
