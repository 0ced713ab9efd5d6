"""The last look: what stands in the way of a mail, what is done then, and what a person may lift."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.last_look import (
    BRAKE_COUNT,
    GO,
    Evidence,
    InSequence,
    Obstacle,
    Request,
    Step,
    Unread,
    look,
)
from rules.hours import default_hours
from rules.pacing import Pace, parse_gap

HOURS = default_hours(ZoneInfo("America/Sao_Paulo"))
MONDAY_TEN = datetime(2026, 11, 16, 13, 0, tzinfo=UTC)
FREE = Evidence(now=MONDAY_TEN, hours=HOURS)
MAIL = Request(late_after=MONDAY_TEN + timedelta(days=1), reactive=False)
ANSWER = replace(MAIL, reactive=True)
EARLIER = MONDAY_TEN - timedelta(hours=30)
CLOSE = InSequence(pace=Pace(gap=parse_gap("2-6 minutes")), left=(MONDAY_TEN - timedelta(minutes=1),), key="1 step 1")
FULL = InSequence(pace=Pace(per_day=2), left=(MONDAY_TEN - timedelta(minutes=9), MONDAY_TEN - timedelta(minutes=5)))

CASES: list[tuple[str, Request, Evidence, Step, Obstacle]] = [
    ("own", MAIL, replace(FREE, own=True), Step.CANCEL, Obstacle.OWN),
    ("unwanted", MAIL, replace(FREE, unwanted="unsubscribed"), Step.CANCEL, Obstacle.UNWANTED),
    ("bounced", MAIL, replace(FREE, bounced="user unknown"), Step.CANCEL, Obstacle.BOUNCED),
    ("answered", MAIL, replace(FREE, answered="the customer wrote"), Step.CANCEL, Obstacle.ANSWERED),
    ("junk", MAIL, replace(FREE, junk="ana"), Step.CANCEL, Obstacle.JUNK),
    ("another's address", MAIL, replace(FREE, theirs=False), Step.HOLD, Obstacle.NOT_THEIRS),
    ("away", MAIL, replace(FREE, away_until=date(2026, 11, 20)), Step.WAIT, Obstacle.AWAY),
    ("late", replace(MAIL, late_after=EARLIER), FREE, Step.DRAFT, Obstacle.LATE),
    ("unread", MAIL, replace(FREE, unread=(Unread(account="ana"),)), Step.WAIT, Obstacle.UNREAD),
    (
        "unreachable",
        MAIL,
        replace(FREE, unread=(Unread(account="bruno", reason="no"),)),
        Step.HOLD,
        Obstacle.UNREACHABLE,
    ),
    ("colleague", MAIL, replace(FREE, colleague=("bruno", EARLIER)), Step.HOLD, Obstacle.COLLEAGUE),
    ("answered by us", ANSWER, replace(FREE, answered_by_us=EARLIER), Step.CANCEL, Obstacle.PEER),
    ("loop", ANSWER, replace(FREE, reactive=BRAKE_COUNT), Step.HOLD, Obstacle.BRAKE),
    ("burst", MAIL, replace(FREE, burst=201), Step.HOLD, Obstacle.BREAKER),
    ("today", MAIL, replace(FREE, to_contact=MONDAY_TEN - timedelta(hours=1)), Step.WAIT, Obstacle.ONE_A_DAY),
    ("cap", MAIL, replace(FREE, today=80), Step.HOLD, Obstacle.CAP),
    ("its sequence is over", MAIL, replace(FREE, sequence=InSequence(ended="x")), Step.CANCEL, Obstacle.SEQUENCE),
    ("its sequence stands", MAIL, replace(FREE, sequence=InSequence(trouble="x")), Step.HOLD, Obstacle.SEQUENCE),
    ("its sequence asks", MAIL, replace(FREE, sequence=InSequence(mode="ask")), Step.HOLD, Obstacle.ASK),
    ("its sequence drafts", MAIL, replace(FREE, sequence=InSequence(mode="draft")), Step.DRAFT, Obstacle.MODE),
    ("too close", MAIL, replace(FREE, sequence=CLOSE), Step.WAIT, Obstacle.PACE),
    ("too many", MAIL, replace(FREE, sequence=FULL), Step.WAIT, Obstacle.PACE),
    ("paused", MAIL, replace(FREE, paused=True), Step.WAIT, Obstacle.PAUSED),
    ("breaker", MAIL, replace(FREE, breaker="a burst"), Step.HOLD, Obstacle.BREAKER),
    ("night", MAIL, replace(FREE, now=MONDAY_TEN + timedelta(hours=10)), Step.WAIT, Obstacle.HOURS),
]


@pytest.mark.parametrize(("mail", "seen", "step", "obstacle"), [case[1:] for case in CASES], ids=[c[0] for c in CASES])
def test_each_obstacle_by_itself(mail: Request, seen: Evidence, step: Step, obstacle: Obstacle) -> None:
    verdict = look(mail, seen)
    assert (verdict.step, verdict.obstacle) == (step, obstacle)
    assert verdict.reason
    if step is Step.WAIT:
        assert verdict.until is not None
        assert verdict.until > seen.now


def test_nothing_in_the_way() -> None:
    assert look(MAIL, FREE) == GO
    assert look(ANSWER, FREE) == GO


@pytest.mark.parametrize("case", [case for case in CASES if case[3] is Step.HOLD], ids=lambda case: case[0])
def test_a_person_lifts_what_held_it_and_nothing_else(
    case: tuple[str, Request, Evidence, Step, Obstacle],
) -> None:
    _, mail, seen, _, obstacle = case
    lifted = replace(mail, released=frozenset({obstacle.value}))
    assert look(lifted, seen) == GO
    assert look(lifted, replace(seen, unwanted="unsubscribed")).step is Step.CANCEL
    assert look(lifted, replace(seen, answered="the customer wrote")).step is Step.CANCEL


def test_who_does_without_a_broken_mailbox_does_not_do_without_the_others() -> None:
    seen = replace(FREE, unread=(Unread(account="ana"), Unread(account="bruno", reason="no")))
    assert look(MAIL, seen).obstacle == Obstacle.UNREACHABLE
    assert look(replace(MAIL, released=frozenset({"unreachable"})), seen).obstacle == Obstacle.UNREAD


def test_the_office_sleeps_by_the_clock_of_the_contact() -> None:
    tokyo = replace(FREE, hours=HOURS.in_zone(ZoneInfo("Asia/Tokyo")))  # 22:00 there
    verdict = look(MAIL, tokyo)
    assert verdict.until == datetime(2026, 11, 17, 0, 0, tzinfo=UTC)
    assert verdict.shift == timedelta(hours=11)


def test_a_return_on_a_weekend_means_monday() -> None:
    verdict = look(MAIL, replace(FREE, away_until=date(2026, 11, 21)))
    assert verdict.until == datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


ENDS = ("own", "unwanted", "bounced", "answered", "junk")


@given(
    st.builds(
        Evidence,
        now=st.integers(-200_000, 200_000).map(lambda minutes: MONDAY_TEN + timedelta(minutes=minutes)),
        hours=st.just(HOURS),
        own=st.booleans(),
        answered=st.sampled_from(["", "the customer wrote"]),
        junk=st.sampled_from(["", "ana"]),
        unwanted=st.sampled_from(["", "unsubscribed"]),
        bounced=st.sampled_from(["", "x"]),
        theirs=st.booleans(),
        away_until=st.none() | st.dates(date(2026, 1, 1), date(2027, 1, 1)),
        colleague=st.none() | st.just(("bruno", EARLIER)),
        unread=st.sampled_from([(), (Unread(account="a"),), (Unread(account="a", reason="x"),)]),
        today=st.integers(0, 200),
        reactive=st.integers(0, 40),
        burst=st.integers(0, 400),
        paused=st.booleans(),
        breaker=st.sampled_from(["", "a burst"]),
        sequence=st.sampled_from([None, InSequence(), InSequence(ended="x"), InSequence(mode="ask"), CLOSE, FULL]),
    ),
    st.booleans(),
    st.sets(st.sampled_from([one.value for one in Obstacle])),
)
def test_it_goes_only_where_nothing_protects_the_customer(seen: Evidence, reactive: bool, released: set[str]) -> None:
    lifted = frozenset(released)
    verdict = look(Request(late_after=None, reactive=reactive, released=lifted), seen)
    if any(getattr(seen, name) for name in ENDS):
        assert verdict.step is Step.CANCEL
    if verdict.step is Step.GO:
        assert not any(getattr(seen, name) for name in ENDS)
        assert seen.sequence is None or not seen.sequence.ended
        assert not seen.paused or "paused" in lifted
        assert seen.theirs or "not_theirs" in lifted
        assert seen.hours.is_open(seen.now) or "hours" in lifted
    if verdict.until is not None:
        assert verdict.until > seen.now


def test_every_piece_of_evidence_can_stop_a_mail() -> None:
    """A field that no case above uses would be gathered for nothing."""
    used = {one.name for _, _, seen, _, _ in CASES for one in fields(seen) if getattr(seen, one.name) != one.default}
    assert used == {one.name for one in fields(Evidence)}
