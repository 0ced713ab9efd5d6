"""`once:`: whom a rule may act for again, and what the trace says."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rule_samples import DIRECTORY, NOW, SOL, decide, fired, mail, sound_rules

from rules.explain import explain
from rules.facts import Directory
from rules.load import RuleSet
from rules.once import Once, once_key

THREAD = mail(references=("first@sol.example",), message_id="x@sol.example")


def once(text: str, more: str = "") -> RuleSet:
    return sound_rules(
        f"rules:\n  - name: probe\n    when: mail arrives\n    once: {text}\n{more}    then: {{tag: hit}}\n"
    )


def done(key: str, ago: timedelta, rule: str = "probe") -> Directory:
    return replace(DIRECTORY, once={(rule, key): NOW - ago})


@pytest.mark.parametrize(
    ("scope", "key"),
    [
        ("contact", "contact 11"),
        ("customer", "customer 1"),
        ("deal", "deal 1"),
        ("thread", once_key("thread", THREAD, None, None, "")),
    ],
)
def test_not_twice_for_the_same(scope: str, key: str) -> None:
    ruleset = once(f"per {scope}")
    assert fired(decide(ruleset, THREAD)) == ["probe"]
    assert fired(decide(ruleset, THREAD, done(key, timedelta(days=900)))) == []
    assert fired(decide(ruleset, THREAD, done(key + "0", timedelta(days=1)))) == ["probe"]
    assert fired(decide(ruleset, THREAD, done(key, timedelta(days=1), rule="other"))) == ["probe"]


def test_a_deal_is_the_open_lead_or_order() -> None:
    with_lead = replace(done("deal lead 7", timedelta(days=1)), customers={1: replace(SOL, deal="lead 7")})
    assert fired(decide(once("per deal"), mail(), with_lead)) == []
    another = replace(with_lead, customers={1: replace(SOL, deal="lead 8")})
    assert fired(decide(once("per deal"), mail(), another)) == ["probe"]


@pytest.mark.parametrize(
    ("ago", "again"), [(timedelta(days=29, hours=23), False), (timedelta(days=30), True), (timedelta(days=-3), False)]
)
def test_again_after_so_much_time(ago: timedelta, again: bool) -> None:
    decision = decide(once("per customer every 30 days"), mail(), done("customer 1", ago))
    assert (fired(decision) == ["probe"]) is again


def test_a_new_name_does_not_make_it_happen_again() -> None:
    ruleset = once("per customer", "    was: old\n")
    assert fired(decide(ruleset, mail(), done("customer 1", timedelta(days=1), rule="old"))) == []


def test_where_nobody_is_known_yet_it_happens() -> None:
    assert once_key("customer", mail(), None, None, "") == ""
    assert once_key("contact", mail(), None, 1, "") == ""


def test_the_trace_says_when_it_was_done() -> None:
    ruleset = once("per Customer  every 30 days")
    before = decide(ruleset, mail(), done("customer 1", timedelta(days=2)), explain=True)
    lines = explain(before, mail(), ruleset, {})
    assert "    ✗ once: per customer every 30 days  saw: 2026-11-16 13:00 UTC" in lines
    lines = explain(decide(ruleset, mail(), explain=True), mail(), ruleset, {})
    assert "    ✓ once: per customer every 30 days  saw: not yet" in lines


def test_per_mail_is_what_every_rule_does() -> None:
    assert once("per mail").rules[0].once is None


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=4000)), st.datetimes())
def test_never_within_the_time(gap: timedelta, last: datetime) -> None:
    every = Once("customer", timedelta(days=30))
    if last.year < 9900:
        assert every.allows(last, last + gap) is (gap >= timedelta(days=30))
        assert not Once("customer").allows(last, last + gap)
    assert every.allows(None, last)
