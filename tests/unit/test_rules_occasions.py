"""Rules that run when something else than a mail happens: which triggers there are, and what is done about one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from rule_samples import LUA, MARIA, NOW, SETTINGS, SOL, rules_of, sound_rules

from connectors.model import Address
from rules.coming import between
from rules.decision import Decision, Outcome
from rules.engine import evaluate_occasion
from rules.explain import rule_lines
from rules.facts import Directory, Moment
from rules.occasion import Attendee, Change, MeetingFacts, Occasion, spokesman
from rules.office import office_of
from rules.ruleset import RuleSet

SENT = sound_rules("""
rules:
  - name: gold
    when: {customer silent: 3 weeks}
    if: {segment: ouro}
    once: per customer every 30 days
    then: {remind: {who: owner, at: next business day 09:30, text: "Call {{ customer.name }}"}}
  - {name: any, when: [mail arrives, {customer silent: 3 weeks}], then: {tag: quiet, stage: proposal}}
  - {name: second, when: {customer silent: 3 weeks}, then: {stage: customer}}
""")
EVERYBODY = Directory(
    contacts={"maria@sol.example": (MARIA,), "zoe@sol.example": (replace(MARIA, id=12, emails=("zoe@sol.example",)),)},
    customers={1: SOL, 2: LUA},
)


def happened(when: str, **changes: object) -> Occasion:
    given = {"when": when, "event": f"{when}|1", "at": NOW, "customer_id": 1, **changes}
    return Occasion(**given)  # type: ignore[arg-type]


def judged(ruleset: RuleSet, occasion: Occasion, directory: Directory = EVERYBODY, **changes: object) -> Decision:
    loaded = {rule.name: NOW - timedelta(days=365) for rule in ruleset.rules}
    given = {"now": occasion.at, "baseline": None, "loaded": loaded, **changes}
    return evaluate_occasion(ruleset, occasion, directory, SETTINGS, Moment(**given))  # type: ignore[arg-type]


def results(decision: Decision) -> dict[str, str]:
    return {trace.rule: trace.result for trace in decision.traces}


WORDS = [
    ("{customer silent: 21 days}", "customer silent: 21 days"),
    ("{customer silent: 1 day}", "customer silent: 1 day"),
    ("{date comes: 30 days before renewal_date}", "date comes: 30 days before renewal_date"),
    ("{date comes: 2 business days after customer.signed}", "date comes: 2 business days after signed"),
    ("{date comes: 0 days before contact.birthday}", "date comes: 0 days before contact.birthday"),
    ("{date comes: on contact.birthday}", "date comes: 0 days before contact.birthday"),
    ("{date comes: 1 month before audit every year}", "date comes: 1 month before audit every year"),
    ("{clock: mon-fri 08:00}", "clock: mon-fri 08:00"),
    ("{clock: monday 8:00}", "clock: mon 08:00"),
    ("{clock: 'sat, mon 18:30'}", "clock: mon, sat 18:30"),
    ("{clock: 08:00}", "clock: mon-sun 08:00"),
    ("{record changed: stage}", "record changed: stage"),
    ("{record changed: tags}", "record changed: tag"),
    ("{record changed: contact.role}", "record changed: contact.role"),
    ("meeting missed", "meeting missed"),
    ("{meeting soon: 1 business day before}", "meeting soon: 1 business day before"),
    ("{meeting held: 1 hour after}", "meeting held: 1 hour after"),
]


@pytest.mark.parametrize(("written", "words"), WORDS)
def test_what_means_the_same_has_the_same_words(written: str, words: str) -> None:
    rules = sound_rules(f"rules:\n  - {{name: probe, when: {written}, then: {{remind: {{text: x}}}}}}\n").rules
    assert rules[0].whens == (words,)
    assert rules[0].waits == {words}


def test_rules_that_wait_for_the_same_run_in_order() -> None:
    decision = judged(SENT, happened("customer silent: 3 weeks", seen="last contact 2026-10-28"))
    assert results(decision) == {"gold": "fired", "any": "fired", "second": "fired"}
    assert decision.outcome is Outcome.OCCASION
    assert [(one.verb, one.rule) for one in decision.actions] == [("remind", "gold"), ("tag", "any"), ("stage", "any")]
    assert decision.traces[2].shadowed == {"stage": "any"}
    remind = decision.actions[0].args
    assert remind["rep"] == "bruno"
    assert remind["text"] == "Call Padaria Sol"
    assert remind["due_at"] == datetime(2026, 11, 19, 12, 30, tzinfo=UTC)
    assert "    ✓ when: customer silent: 3 weeks  saw: last contact 2026-10-28" in list(rule_lines(decision.traces[0]))


def test_nobody_else_is_asked() -> None:
    assert judged(SENT, happened("customer silent: 4 weeks")).traces == ()


def test_a_rule_sees_only_what_comes_true_after_it_was_loaded() -> None:
    loaded = {"gold": NOW - timedelta(days=1), "any": NOW, "second": NOW + timedelta(minutes=1)}
    decision = judged(SENT, happened("customer silent: 3 weeks"), loaded=loaded)
    assert results(decision) == {"gold": "fired", "any": "fired", "second": "too_old"}


def test_once_holds_for_occasions_too() -> None:
    acted = replace(EVERYBODY, once={("gold", "customer 1"): NOW - timedelta(days=29)})
    assert results(judged(SENT, happened("customer silent: 3 weeks"), acted))["gold"] == "failed"
    acted = replace(EVERYBODY, once={("gold", "customer 1"): NOW - timedelta(days=30)})
    assert results(judged(SENT, happened("customer silent: 3 weeks"), acted))["gold"] == "fired"


def test_who_is_written_to() -> None:
    silent = replace(MARIA, id=5, emails=())
    late = replace(MARIA, id=13, last_in_at=NOW)
    assert spokesman([MARIA, replace(MARIA, id=12)]) == MARIA
    assert spokesman([MARIA, late]) == late
    assert spokesman([silent, replace(MARIA, id=12)]) == replace(MARIA, id=12)
    assert spokesman([silent]) is None


DRAFT = sound_rules(
    """
rules:
  - {name: probe, when: [{date comes: 0 days before contact.birthday}, meeting missed, {clock: mon 08:00}, mail sent],
     if: {known: yes}, then: {draft: thanks, remind: {who: owner}}}
"""
)


def test_a_draft_goes_to_the_contact_of_the_occasion() -> None:
    decision = judged(DRAFT, happened("date comes: 0 days before contact.birthday", contact_id=12))
    assert [one.args["to"] for one in decision.actions if one.verb == "draft"] == ["zoe@sol.example"]
    decision = judged(DRAFT, happened("meeting missed"))
    assert [one.args["to"] for one in decision.actions if one.verb == "draft"] == ["maria@sol.example"]
    nobody = replace(EVERYBODY, contacts={})
    assert [one.verb for one in judged(DRAFT, happened("meeting missed"), nobody).actions] == ["remind"]


def test_a_greeting_is_of_its_day() -> None:
    birthday = happened("date comes: 0 days before contact.birthday", contact_id=11, expires=NOW + timedelta(hours=9))
    today = judged(DRAFT, birthday, now=NOW + timedelta(hours=8))
    assert [(one.verb, one.args["late_after"]) for one in today.actions] == [
        ("draft", birthday.expires),
        ("remind", NOW + timedelta(days=5)),
    ]
    late = judged(DRAFT, birthday, now=NOW + timedelta(hours=9))
    assert [one.verb for one in late.actions] == ["remind"]
    assert "    - draft: the day of the greeting is over" in list(rule_lines(late.traces[0]))


def test_what_a_reminder_without_a_text_says() -> None:
    meeting = MeetingFacts(uid="u", title="Demo", start=NOW, end=NOW + timedelta(hours=1))
    texts = [
        judged(DRAFT, one).actions[-1].args["text"]
        for one in (happened("meeting missed", meeting=meeting), happened("date comes: 0 days before contact.birthday"))
    ]
    assert texts == ["Demo", "date comes: 0 days before contact.birthday"]


def test_what_ends_a_reminder_by_itself() -> None:
    silent = judged(SENT, happened("customer silent: 3 weeks")).actions[0]
    assert silent.args["unless"] == "replied"
    assert judged(DRAFT, happened("meeting missed")).actions[-1].args["unless"] == ""


CLOCK = sound_rules("""
rules:
  - {name: office, when: {clock: mon-fri 08:00}, then: {remind: {who: admin, text: x}}}
  - {name: each, when: {clock: mon-fri 08:00}, if: {stage: lead}, then: {tag: seen}}
""")


def test_the_clock_strikes_for_the_office_or_for_each_customer_that_is_chosen() -> None:
    nobody = judged(CLOCK, happened("clock: mon-fri 08:00", customer_id=None))
    assert results(nobody) == {"office": "fired", "each": "not_for"}
    assert nobody.actions[0].args["rep"] == "ana"
    one = judged(CLOCK, happened("clock: mon-fri 08:00"))
    assert results(one) == {"office": "not_for", "each": "fired"}
    other = judged(CLOCK, happened("clock: mon-fri 08:00", customer_id=2))
    assert results(other)["each"] == "failed"


LOOP = sound_rules("""
rules:
  - {name: forth, was: old, when: {record changed: stage}, then: {tag: "{{ changed.before }}-{{ changed.after }}"}}
""")


def test_a_change_names_what_it_was_and_became() -> None:
    change = Change(field="stage", before="lead", after="proposal")
    decision = judged(LOOP, happened("record changed: stage", changed=change))
    assert [one.args["tag"] for one in decision.actions] == ["lead-proposal"]


@pytest.mark.parametrize(
    ("by", "chain", "seen"),
    [
        ("forth", 1, "the rule's own change"),
        ("old", 1, "the rule's own change"),
        ("x", 4, "4 rules set each other off"),
    ],
)
def test_rules_do_not_set_each_other_off_for_ever(by: str, chain: int, seen: str) -> None:
    decision = judged(LOOP, happened("record changed: stage", by=by, chain=chain))
    assert results(decision) == {"forth": "looping"}
    assert decision.traces[0].checks[0].seen == seen
    assert results(judged(LOOP, happened("record changed: stage", by="x", chain=3))) == {"forth": "fired"}


DEMO = MeetingFacts(
    uid="u@sol.example",
    title="Demonstração do forno",
    start=NOW,
    end=NOW + timedelta(minutes=45),
    place="Rua das Flores 12",
    attendees=(Attendee(address=Address("maria@sol.example"), answer="declined"),),
)
MEETINGS = [
    ("{title: demonstracao}", True),
    ("{title: [preço, not forno]}", False),
    ("{title: {regex: 'do\\s+forno'}}", True),
    ('{attendee: "@sol.example"}', True),
    ('{attendee: ["@lua.example"]}', False),
    ('{attendee: ["not maria@sol.example"]}', False),
    ("{answered: declined}", True),
    ("{answered: [accepted, tentative]}", False),
    ("{answered: not nothing}", True),
    ("{length: {min: 15 minutes}}", True),
    ("{length: {min: 15 minutes, max: 30 minutes}}", False),
    ("{place: flores}", True),
    ("{place: Teams}", False),
]


@pytest.mark.parametrize(("condition", "held"), MEETINGS)
def test_conditions_on_the_meeting(condition: str, held: bool) -> None:
    text = f"rules:\n  - {{name: probe, when: meeting missed, if: {condition}, then: {{tag: x}}}}\n"
    rules, problems = rules_of(text)
    assert problems == []
    assert results(judged(rules, happened("meeting missed", meeting=DEMO))) == {"probe": "fired" if held else "failed"}
    assert results(judged(rules, happened("meeting missed"))) == {"probe": "failed"}


def test_a_mail_condition_is_false_where_another_trigger_brings_no_mail() -> None:
    rules = sound_rules(
        "rules:\n  - {name: probe, when: [mail arrives, meeting missed], if: {from: '@sol.example'}, then: {tag: x}}\n"
    )
    assert results(judged(rules, happened("meeting missed"))) == {"probe": "failed"}


# --- what comes true in a span of time


def coming(rule: str, since: datetime, until: datetime, **fields: str) -> Iterator[tuple[str, str, int | None]]:
    rules = sound_rules(f"rules:\n  - {{name: probe, when: {rule}, if: {{known: yes}}, then: {{tag: x}}}}\n")
    customer, contact = replace(SOL, fields=fields), replace(MARIA, fields=fields)
    for one in between(rules.triggers, [customer, LUA], [contact], office_of(SETTINGS), since, until):
        yield f"{one.at:%Y-%m-%d %H:%M}", one.event.rpartition("|")[2], one.contact_id


DATES = [
    ("30 days before renewal", "renewal", "2026-12-31", ["2026-12-01 12:00"]),
    ("30 days before renewal", "renewal", "31/12/2026", ["2026-12-01 12:00"]),
    ("30 days before renewal", "renewal", "31 de dezembro de 2026", ["2026-12-01 12:00"]),
    ("30 days before renewal", "renewal", "31 декабря 2026 г.", ["2026-12-01 12:00"]),
    ("30 days before renewal", "renewal", "2026-12-31 00:00:00", ["2026-12-01 12:00"]),
    ("1 month before renewal", "renewal", "2027-03-31", ["2027-02-28 12:00"]),
    ("1 business day before renewal", "renewal", "2026-12-07", ["2026-12-04 12:00"]),
    ("2 business days after renewal", "renewal", "2026-12-04", ["2026-12-08 12:00"]),
    ("0 days before contact.birthday", "birthday", "1980-12-24", ["2026-12-24 12:00"]),
    ("0 days before contact.birthday", "birthday", "--12-24", ["2026-12-24 12:00"]),
    ("0 days before contact.birthday", "birthday", "12-24", ["2026-12-24 12:00"]),
    ("0 days before contact.birthday", "birthday", "24 de dezembro", ["2026-12-24 12:00"]),
    ("0 days before contact.birthday", "birthday", "24/12", ["2026-12-24 12:00"]),
    ("0 days before contact.birthday", "birthday", "29.02.1980", ["2027-02-28 12:00"]),
    ("on aniversario", "aniversario", "24 декабря", ["2026-12-24 12:00"]),
    ("0 days before signed", "signed", "2020-12-24", []),
    ("0 days before signed every year", "signed", "2020-12-24", ["2026-12-24 12:00"]),
    ("0 days before signed", "signed", "12-24", ["2026-12-24 12:00"]),
    ("30 days after signed every year", "signed", "2020-12-01", ["2026-12-31 12:00"]),
    ("0 days before contact.birthday", "birthday", "12/24/1980", []),
    ("0 days before contact.birthday", "birthday", "31/02", []),
    ("0 days before contact.birthday", "birthday", "soon", []),
    ("0 days before contact.birthday", "birthday", "05-06", []),
    ("30 days after renewal", "renewal", "9999-12-31", []),
    ("30 days before renewal", "renewal", "0001-01-01", []),
    ("2 business days after renewal", "renewal", "31/12/9999", []),
]


@pytest.mark.parametrize(("trigger", "field", "value", "moments"), DATES)
def test_dates_come_when_the_office_opens(trigger: str, field: str, value: str, moments: list[str]) -> None:
    found = coming(f"{{date comes: {trigger}}}", NOW, NOW + timedelta(days=150), **{field: value})
    assert [at for at, _, _ in found] == moments


def test_each_date_is_one_event_however_the_span_is_cut() -> None:
    rule, start = "{date comes: 0 days before contact.birthday}", NOW
    whole = list(coming(rule, start, start + timedelta(days=500), birthday="24/12"))
    cut = [
        one
        for day in range(500)
        for one in coming(rule, start + timedelta(days=day), start + timedelta(days=day + 1), birthday="24/12")
    ]
    assert whole == cut == [("2026-12-24 12:00", "2026-12-24", 11), ("2027-12-24 12:00", "2027-12-24", 11)]


def test_a_silence_comes_once_and_never_for_the_unknown() -> None:
    last = SOL.last_out_at
    assert last is not None
    rule = "{customer silent: 21 days}"
    assert list(coming(rule, last, last + timedelta(days=21))) == [("2026-11-29 13:00", last.isoformat(), None)]
    assert list(coming(rule, last + timedelta(days=21), last + timedelta(days=400))) == []


def test_the_clock_strikes_on_its_days() -> None:
    found = list(coming("{clock: mon-fri 08:00}", NOW, NOW + timedelta(days=6)))
    assert [at for at, _, _ in found] == sorted(
        f"2026-11-{day} 11:00" for day in (19, 20, 23, 24) for _ in ("office", "Sol", "Lua")
    )
