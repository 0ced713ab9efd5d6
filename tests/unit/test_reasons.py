"""Every reason that is kept while a mail waits, is held or cancelled can be said in every language."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from connectors.model import Bounce
from daemon.last_look import BRAKE_COUNT, Evidence, InSequence, Obstacle, Request, Unread, look
from daemon.phrases import LANGUAGES
from daemon.reasons import is_known, reason_words
from rules.hours import default_hours
from rules.pacing import Pace

NOW = datetime(2026, 11, 18, 12, tzinfo=UTC)
"""Wednesday 09:00 in São Paulo."""

HOURS = default_hours(ZoneInfo("America/Sao_Paulo"))
REQUEST = Request(late_after=NOW + timedelta(days=1), reactive=True)
WAYS: dict[Obstacle, dict[str, Any]] = {
    Obstacle.OWN: {"own": True},
    Obstacle.UNWANTED: {"unwanted": "unsubscribed"},
    Obstacle.BOUNCED: {"bounced": "no such user"},
    Obstacle.ANSWERED: {"answered": "the customer wrote"},
    Obstacle.JUNK: {"junk": "ana"},
    Obstacle.NOT_THEIRS: {"theirs": False},
    Obstacle.AWAY: {"away_until": date(2026, 11, 30)},
    Obstacle.LATE: {"now": NOW + timedelta(days=2)},
    Obstacle.UNREAD: {"unread": (Unread(account="ana"),)},
    Obstacle.UNREACHABLE: {"unread": (Unread(account="ana", reason="login refused: 535"),)},
    Obstacle.COLLEAGUE: {"colleague": ("bruno", NOW - timedelta(days=1))},
    Obstacle.PEER: {"answered_by_us": NOW - timedelta(days=1)},
    Obstacle.ONE_A_DAY: {"to_contact": NOW - timedelta(minutes=1)},
    Obstacle.BRAKE: {"reactive": BRAKE_COUNT},
    Obstacle.CAP: {"today": 80},
    Obstacle.BREAKER: {"burst": 201},
    Obstacle.SEQUENCE: {"sequence": InSequence(trouble='the sequence "x" is not in the files any more')},
    Obstacle.ASK: {"sequence": InSequence(mode="ask")},
    Obstacle.MODE: {"sequence": InSequence(mode="draft")},
    Obstacle.PACE: {"sequence": InSequence(pace=Pace(per_day=1), left=(NOW - timedelta(minutes=5),))},
    Obstacle.PAUSED: {"paused": True},
    Obstacle.HOURS: {"now": NOW + timedelta(hours=12)},
}
"""What the last look sees -> the obstacle it finds."""
BY_SENDING = {Obstacle.NO_SENDER, Obstacle.UNFILLED, Obstacle.SERVER}
"""Obstacles that only show when the mail is made or handed over; their reasons are below, or a server's own words."""


def test_each_obstacle_is_tried() -> None:
    assert set(WAYS) | BY_SENDING == set(Obstacle)


@pytest.mark.parametrize("obstacle", WAYS, ids=str)
def test_what_the_last_look_says_is_said_in_every_language(obstacle: Obstacle) -> None:
    verdict = look(REQUEST, replace(Evidence(now=NOW, hours=HOURS), **WAYS[obstacle]))
    assert verdict.obstacle is obstacle
    assert is_known(verdict.reason)
    said = {language: reason_words(verdict.reason, language) for language in LANGUAGES}
    assert len(set(said.values())) == len(LANGUAGES), said
    assert "{" not in "".join(said.values())


@pytest.mark.parametrize(
    "reason",
    [
        "ana has no sender in quietcrm.yaml",
        "unexpected ValueError: see the log and report it",
        "quietcrm ended while the mail was on its way",
        "quietcrm could not record what became of it",
        "mail.example:587 was given the whole mail and its answer did not come: timed out",
        "no value for contact.first_name: fill it in and then: quietcrm outbox release 9",
        'the template "thanks" is gone; write it again or: quietcrm outbox cancel 3',
        "the customer wrote",
        "the team wrote",
        "it lies in Sent",
        "its copy lies in Sent",
        "it was answered",
        "its recipient complained of it",
        "keeps its distance to the mail before",
        "rules did 201 things within an hour (limit 200), most of them welcome",
        "a meeting was booked",
        "the stage is cliente now",
        "the customer has the tag vip",
        "bruno wrote to the customer",
        "the rep deleted the draft",
        "the contact is gone",
        "the customer is gone",
        "the sequence is over",
        "its mail is gone",
        "its mail was cancelled",
        "its mail was not delivered: 550 no",
        'what "x" was when they entered cannot be done any more: unknown template "y"',
        "stands still",
        "rule chega ended it",
        "admin ended it",
        "nobody answered",
        "the last step is over",
        "cancelled by the admin",
    ],
)
def test_what_sending_says_is_said_in_every_language(reason: str) -> None:
    assert len({reason_words(reason, language) for language in LANGUAGES}) == len(LANGUAGES)


def test_a_reason_within_a_reason_and_a_day_are_said_too() -> None:
    assert (
        reason_words("the address gets no mail: unsubscribed", "pt")
        == "este endereço não recebe e-mails: pediu para sair"
    )
    assert reason_words("bruno wrote to the customer on 2026-11-17", "ru") == "bruno: письмо клиенту, вторник, 17.11"
    assert reason_words("the mailbox ana cannot be read: 535 no", "en") == "the mailbox ana cannot be read: 535 no"


def test_braces_of_others_are_text() -> None:
    assert reason_words("the mailbox a{0} cannot be read: {x}", "pt") == "não dá para ler a caixa a{0}: {x}"


BOUNCES = re.search(r"own list:\s+(.*?)\.\n", Bounce.__doc__ or "", re.DOTALL)
"""The words that a report's reason is one of, as the model lists them."""


def test_each_reason_of_a_report_is_said_in_every_language() -> None:
    assert BOUNCES is not None
    words = [one.strip() for one in BOUNCES[1].split(",")]
    assert len(words) >= 12
    for word in words:
        for sentence in ("came back: {0}", "not delivered yet: {0}", "mail to the address came back: {0}"):
            said = [reason_words(sentence.format(word), language) for language in LANGUAGES]
            assert len({one.partition(": ")[2] for one in said}) == len(LANGUAGES), (word, said)


@pytest.mark.parametrize("why", ["unsubscribed", "bounced", "complained", "erased", "admin"])
def test_each_reason_for_no_mail_is_said_in_every_language(why: str) -> None:
    said = [reason_words(f"the address gets no mail: {why}", language) for language in LANGUAGES]
    assert len({one.partition(": ")[2] for one in said}) == len(LANGUAGES)
