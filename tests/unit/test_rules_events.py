"""`when: delivery failed` and `when: contact unsubscribed`: the mail at hand is the report, or the wish."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from rule_samples import DIRECTORY, MARIA, NOW, SETTINGS, decide, fired, mail, moment, sound_rules

from connectors.model import Address, Bounce, Kind, Message
from rules.engine import evaluate
from rules.explain import explain

RULES = sound_rules("""
rules:
  - {name: failed, when: delivery failed, if: {known: yes}, then: {tag: "failed-{{ contact.email }}"}}
  - {name: gone, when: [contact unsubscribed, mail sent], then: {tag: gone}}
  - {name: arrived, when: mail arrives, then: {tag: arrived}}
""")


def report(hard: bool | None = True, **changes: Any) -> Message:
    return mail(
        sender=Address("mailer-daemon@mx.example"),
        subject="Undelivered mail",
        kind=Kind.BOUNCE,
        bounce=Bounce(recipients=("maria@sol.example",), hard=hard, reason="user_unknown", status="5.1.1"),
        **changes,
    )


def test_a_failure_for_good_is_seen_without_being_named() -> None:
    decision = decide(RULES, report())
    assert fired(decision) == ["failed"]
    assert [action.args["tag"] for action in decision.actions] == ["failed-maria@sol.example"]


@pytest.mark.parametrize("hard", [False, None])
def test_a_delay_is_no_failure(hard: bool | None) -> None:
    assert fired(decide(RULES, report(hard))) == []


def test_a_report_about_somebody_who_wrote_since_is_refuted() -> None:
    wrote = replace(MARIA, last_in_at=NOW + timedelta(hours=1))
    directory = replace(DIRECTORY, contacts={"maria@sol.example": (wrote,)})
    assert fired(decide(RULES, report(), directory)) == []


def test_a_report_about_a_stranger_does_nothing() -> None:
    bounce = Bounce(recipients=("who@else.example",), hard=True, reason="user_unknown")
    assert fired(decide(RULES, replace(report(), bounce=bounce))) == []


def test_a_wish_beside_the_mails_own_coming() -> None:
    decision = evaluate(RULES, mail(text="stop"), DIRECTORY, SETTINGS, moment(RULES), unsubscribed=True)
    assert fired(decision) == ["gone", "arrived"]
    assert fired(decide(RULES, mail(text="stop"))) == ["arrived"]


def test_the_trace_says_what_happened() -> None:
    decision = decide(RULES, report(), explain=True)
    lines = explain(decision, report(), RULES, {})
    assert "    ✓ when: delivery failed  saw: user_unknown 5.1.1" in lines
    assert "  gone  [rules/10.yaml:4]  not asked: its `when` is another" in lines
    assert RULES.events == {"delivery failed", "contact unsubscribed"}
    assert RULES.rules[1].whens == ("contact unsubscribed", "mail sent")
