"""Slips of eight kinds on reload and at a start, and some others, in every shipped office: nothing ends, each fault is
named with its line, nothing is let in.

The long form: `python -m campaigns.configs`, 300 of the eight kinds each way.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from campaigns.configs import play
from campaigns.mutations import offices
from campaigns.slips import EIGHT

NAMES = sorted(offices())
EACH, OTHERS = 2 * len(EIGHT), 4


@pytest.mark.parametrize("name", NAMES)
def test_broken_files_end_nothing_and_let_nothing_in(name: str, tmp_path: Path) -> None:
    report = play(tmp_path, EACH, seed=NAMES.index(name), others=OTHERS, every=EACH, only=name)
    assert report.faults == [], report.text()
    assert report.reloads == report.starts == EACH + OTHERS
    assert report.refused > report.harmless, "the slips are faults"
    assert report.processes >= 1
    assert report.mails >= 1


def test_there_are_100_of_the_eight_kinds_each_way() -> None:
    assert EACH * len(NAMES) >= 100
