"""200 slips of the hand on reload and 200 at a start: nothing ends, every fault has its place, nothing is let in.

The long form: `python -m campaigns.configs --count 2000`.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from campaigns.configs import play
from campaigns.mutations import offices

EACH = 50
NAMES = sorted(offices())


@pytest.mark.parametrize("name", NAMES)
def test_broken_files_end_nothing_and_let_nothing_in(name: str, tmp_path: Path) -> None:
    report = play(tmp_path, EACH, seed=NAMES.index(name), every=EACH // 2, only=name)
    assert report.faults == [], report.text()
    assert report.reloads == report.starts == EACH
    assert report.refused > report.harmless, "the slips are faults"
    assert report.processes >= 1
    assert report.mails >= 1


def test_there_are_200_of_each() -> None:
    assert EACH * len(NAMES) >= 200
