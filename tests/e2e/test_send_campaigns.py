"""The short forms of the sending campaigns; and that each of them sees what it is there to see."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from campaigns import clocks, dead_mailbox, look_alikes, replies, responders, sequences
from servers.smtp_sink import SmtpSink

import daemon.sequences
from daemon import citizen, evidence, last_look, lookout, sends, signs
from daemon.clock import ClockWatch
from daemon.lookout import Lookout


@pytest.mark.timeout(600)
def test_an_answer_wins_against_a_follow_up(tmp_path: Path) -> None:
    score = replies.race(tmp_path, 40, 6, seed=11)
    assert score.faults == []
    assert sum(not one.harmless for one in score.rounds) >= 20


@pytest.mark.timeout(600)
def test_a_stale_look_is_seen_by_the_race(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookout, "FRESH", 600.0)
    monkeypatch.setattr(sends, "FRESH", 600.0)
    monkeypatch.setattr(Lookout, "junk", lambda *_: {})
    faults = replies.race(tmp_path, 40, 0, seed=11).faults
    assert any("after an answer" in one for one in faults)
    assert any("junk" in one for one in faults)


@pytest.mark.timeout(600)
def test_what_ends_a_sequence_wins_against_the_mail_of_its_step(tmp_path: Path) -> None:
    score = sequences.race(tmp_path, 30, 2, seed=3)
    assert score.faults == []
    assert sum(bool(one.end) for one in score.rounds) >= 15
    assert {one.language for one in score.rounds} >= {"pt", "ru", "en"}


@pytest.mark.timeout(600)
def test_signs_that_are_not_read_again_are_seen_by_the_race(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signs, "why_ended", lambda *_: "")
    monkeypatch.setattr(evidence, "why_ended", lambda *_: "")
    monkeypatch.setattr(daemon.sequences, "why_ended", lambda *_: "")
    faults = sequences.race(tmp_path, 20, 0, seed=6).faults
    assert any("(meeting)" in one and "after the end" in one for one in faults)


@pytest.mark.timeout(600)
def test_machines_that_answer_everything(tmp_path: Path) -> None:
    with SmtpSink() as sink:
        score = responders.Siege(tmp_path, sink, 3, rounds=2).run()
    assert score.faults == []
    assert score.mails > 2 * len(responders.STYLES)
    assert len(responders.STYLES) >= 30


@pytest.mark.timeout(600)
def test_a_missing_brake_is_seen_by_the_siege(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(last_look, "PEER_PAUSE", last_look.SOON)
    monkeypatch.setattr(citizen, "_why_header", lambda *_: "")
    with SmtpSink() as sink:
        score = responders.Siege(tmp_path, sink, 3, rounds=2).run()
    assert any("no sign at all" in one for one in score.faults)
    assert score.spam_sent


@pytest.mark.timeout(600)
def test_contacts_that_look_alike(tmp_path: Path) -> None:
    score = look_alikes.race(tmp_path, 300, seed=4)
    assert score.faults == []
    assert score.arrived >= 100
    assert sum(score.edits.values()) >= 100


@pytest.mark.timeout(600)
def test_another_persons_address_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sends, "look", lambda mail, seen: last_look.look(mail, replace(seen, theirs=True)))
    assert any("not the contact's address" in one for one in look_alikes.race(tmp_path, 300, seed=4).faults)


@pytest.mark.timeout(600)
def test_standstill_and_wrong_clocks(tmp_path: Path) -> None:
    score = clocks.race(tmp_path, 1, first=5)
    assert score.faults == []
    assert len(score.cases) == len(clocks.CASES)


@pytest.mark.timeout(600)
def test_an_unwatched_clock_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ClockWatch, "has_stepped", lambda *_: False)
    assert any(
        "while the clock was wrong" in one for one in clocks.race(tmp_path, 3, cases=[clocks.ahead_for_good]).faults
    )


@pytest.mark.timeout(600)
def test_one_dead_mailbox_of_three(tmp_path: Path) -> None:
    score = dead_mailbox.race(tmp_path, 1, 1, first=2)
    assert score.faults == []
    assert min(score.went_on, score.held, score.went_later, score.answered) > 0
