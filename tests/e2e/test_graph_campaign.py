"""A Microsoft 365 that fails in every twentieth call, the short form of `python -m campaigns.graph`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from campaigns.graph import Reading, Sending
from campaigns.graph_app import be_quiet
from campaigns.graph_calendars import race


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    be_quiet()
    yield
    structlog.reset_defaults()


@pytest.mark.timeout(300)
def test_nothing_is_lost_or_read_twice_and_nothing_of_the_reps_is_touched(tmp_path: Path) -> None:
    readings = Reading(tmp_path / "office", 120, seed=3).run()
    assert readings.is_clean, readings.text()
    assert readings.mails == 120
    assert readings.faults > 5


@pytest.mark.timeout(300)
def test_what_left_without_a_word_is_found_and_never_sent_again(tmp_path: Path) -> None:
    sendings = Sending(tmp_path / "office", 8, seed=3).run()
    assert sendings.is_clean, sendings.text()
    assert sendings.rounds == sendings.unsaid == 8


def test_calendars_are_followed_and_reminders_laid_once() -> None:
    score = race(4, seed=11)
    assert not score.wrong, score.text()
    assert (score.rounds, score.faults > 50, score.laid > 5) == (4, True, True)
