"""The short forms of the campaigns on Exchange; and that they see what they are there to see."""

from __future__ import annotations

from pathlib import Path

import pytest
from campaigns import exchange

from connectors.exchange.getting import Getter
from connectors.exchange.trouble import Unanswered


def test_mail_is_read_once_however_often_calls_go_wrong(tmp_path: Path) -> None:
    score = exchange.read_here(tmp_path, 300, rate=0.1)
    assert score.faults == []
    assert score.struck > 5


def test_a_lost_chunk_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    get = Getter.get

    def forget(self: Getter, shape: object, refs: list[str]) -> list[object]:
        try:
            return get(self, shape, refs)  # type: ignore[return-value]
        except Unanswered:
            return []

    monkeypatch.setattr(Getter, "get", forget)
    score = exchange.read_here(tmp_path, 100, rate=0.25)
    assert any(one.startswith("lost") for one in score.faults)


def test_a_lost_answer_to_sending_sends_nothing_twice(tmp_path: Path) -> None:
    score = exchange.send(tmp_path, 20)
    assert score.faults == []
    assert (score.left, score.uncertain) == (16, 4)
    assert score.found == 16
