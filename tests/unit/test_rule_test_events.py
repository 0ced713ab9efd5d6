"""Rule tests of what else happens: `event:`, and `after:` alone, when nothing but time passes."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from rule_samples import SETTINGS, TEMPLATES

from config.errors import Problem
from rules.load import load_ruleset
from rules.trials import Verdict, load_trials, problems_of, run_trials

RULES = """rules:
  - {name: no-show, when: meeting missed, if: {known: yes}, then: {tag: no-show}}
  - name: gone-quiet
    when: {customer silent: 21 days}
    if: {segment: gold, none: [{open: case}]}
    once: per customer every 30 days
    then: {remind: {who: owner, at: next business day 09:30, text: "Call {{ customer.name }}"}}
  - name: renewal
    when: [{date comes: 60 days before renewal_date}, {date comes: 30 days before renewal_date}]
    if: {stage: customer}
    then: {remind: {who: owner, in: 1 business day, text: "Renewal of {{ customer.name }}"}}
  - {name: birthday, when: {date comes: 0 days before contact.birthday}, then: {draft: birthday}}
  - {name: monday, when: {clock: mon 08:00}, then: {remind: {who: admin, text: Plan the week}}}
  - {name: leads, when: {clock: mon 08:00}, if: {stage: lead}, then: {tag: weekly}}
  - {name: won, when: {record changed: stage}, then: {tag: "{{ changed.before }}-{{ changed.after }}"}}
  - name: after
    when: {meeting held: 1 hour after}
    if: {known: yes, length: {min: 15 minutes}, title: demo, attendee: "@sol.example"}
    then: {draft: birthday, remind: {who: owner, in: 2 business days, text: "{{ meeting.title }}"}}
  - {name: briefing, when: {meeting soon: 1 business day before}, then: {remind: {text: "{{ meeting.title }}"}}}
"""
BIRTHDAY = "---\nname: birthday\nsubject: Parabéns!\n---\n{{ greeting }}, {{ contact.first_name }}!\n"
HEAD = """now: 2026-11-20 10:00
given:
  customers:
    - name: Padaria Sol
      stage: customer
      segment: gold
      owner: bruno
      field: {renewal_date: 15/01/2027}
      contacts: [{name: Maria Lima, mail: maria@sol.example, field: {birthday: 24 de dezembro}}]
    - {name: Mercado Lua, stage: lead, segment: gold, open: case, last_contact: 10 days}
    - {name: Oficina Rio, stage: lead, segment: gold, last_contact: never}
tests:
"""
SOUND = [
    ("event: {when: meeting missed, customer: padaria sol}", "{tag: no-show, rules: [no-show]}"),
    ("event: {when: meeting missed, contact: maria@sol.example}", "{tag: no-show, customer: Padaria Sol}"),
    ("event: {when: {customer silent: 21 days}, customer: Padaria Sol}", "{remind: {who: bruno}}"),
    ("event: {when: {customer silent: 21 days}, customer: Mercado Lua}", "nothing"),
    ("event: {when: {record changed: stage}, customer: Padaria Sol, from: lead}", "{tag: lead-customer}"),
    ("event: {when: {record changed: stage}, customer: Padaria Sol, from: a, to: b}", "{tag: a-b, not: [remind]}"),
    ("event: {when: {clock: mon 08:00}}", "{rules: [monday], remind: ana}"),
    ("event: {when: {clock: mon 08:00}, customer: Oficina Rio}", "{rules: [leads], tag: weekly}"),
    (
        "event: {when: {meeting held: 1 hour after}, contact: Maria Lima, title: Demo em Lisboa, length: 30 minutes}",
        "{draft: {template: birthday, to: maria@sol.example}, remind: {in: 2 business days, text: Demo em Lisboa}}",
    ),
    (
        "event: {when: {meeting held: 1 hour after}, contact: Maria Lima, title: Demo, length: 10 minutes}",
        "{rules: []}",
    ),
    (
        "event: {when: {meeting soon: 1 business day before}, customer: Padaria Sol, title: Preços}",
        "{remind: {who: owner, text: Preços, unless: never}}",
    ),
    ("after: 20 days", "{rules: [monday, leads], not: [remind bruno]}"),
    ("after: 22 days", '{rules: [monday, leads, gone-quiet], remind: {who: owner, at: "next business day 09:30"}}'),
    ("at: 2026-11-21 18:00", "nothing"),
    ("at: 2026-11-23 08:00", "{rules: [monday, leads], remind: {who: ana, text: Plan the week}}"),
    (
        "at: 2026-12-24 09:00",
        "{rules: [monday, leads, gone-quiet, renewal, birthday], draft: {template: birthday, to: maria@sol.example}}",
    ),
    ("at: 2026-12-24 08:59", "{not: [draft]}"),
    ("after: 80 days", "{remind: {who: owner, in: 1 business day, text: Renewal of Padaria Sol}}"),
]
BAD = [
    ("event: {customer: Padaria Sol}", "E102", "does not say what happens"),
    ("event: {when: meeting missed}", "E102", "does not say whose it is"),
    ("event: {when: meeting missed, customer: Padaria}", "E206", 'unknown customer "Padaria"'),
    ("event: {when: meeting missed, contact: Mario}", "E206", 'unknown contact "Mario"'),
    ("event: {when: meeting moved, customer: Padaria Sol}", "E421", 'no rule waits for "meeting moved"'),
    ("event: {when: {customer silent: 20 days}, customer: Padaria Sol}", "E421", "no rule waits for"),
    ("event: {when: mail arrives, customer: Padaria Sol}", "E421", "is no event"),
    ("event: {when: meeting missd, customer: Padaria Sol}", "E104", "meeting missd"),
    ("event: {when: {clock: mon 08:00}, title: x}", "E421", "has no meeting"),
    ("event: {when: meeting missed, customer: Padaria Sol, from: x}", "E421", "no change of a record"),
    ("event: {when: meeting missed, customer: Padaria Sol, attendee: x}", "E205", "not a mail address"),
    ("event: {when: meeting missed, customer: Padaria Sol, lenght: x}", "E101", "part of an event"),
    ("event: x", "E105", "`event` needs a mapping"),
    ("event: {when: meeting missed, customer: Padaria Sol}\n    mail: {from: a@b.example}", "E413", "beside `mail`"),
    ("about: nothing happens", "E102", "nothing else happens"),
]


def judge(test: str, expect: str) -> tuple[list[Verdict], list[Problem]]:
    text = f"{HEAD}  - name: probe\n    {test}\n    expect: {expect}\n"
    with TemporaryDirectory() as name:
        folder = Path(name)
        for file, content in {
            "rules/1.yaml": RULES,
            "tests/1.yaml": text,
            "templates/birthday.md": BIRTHDAY,
            **{f"templates/{name}": one for name, one in TEMPLATES.items()},
        }.items():
            (folder / file).parent.mkdir(exist_ok=True)
            (folder / file).write_text(content, "utf-8")
        problems: list[Problem] = []
        ruleset = load_ruleset(folder, SETTINGS, problems)
        assert problems == []
        trials = load_trials(folder, SETTINGS, ruleset, problems, lambda _: "no file")
        return run_trials(trials, ruleset, SETTINGS), problems


@pytest.mark.parametrize(("test", "expect"), SOUND)
def test_what_comes_as_expected_passes(test: str, expect: str) -> None:
    verdicts, problems = judge(test, expect)
    assert problems == []
    assert len(verdicts) == 1
    assert problems_of(verdicts) == []


@pytest.mark.parametrize(("test", "code", "message"), BAD)
def test_what_cannot_be_is_told(test: str, code: str, message: str) -> None:
    verdicts, problems = judge(test, "nothing")
    assert verdicts == []
    assert [one.code for one in problems] == [code]
    assert message in problems[0].message
    assert problems[0].help


def test_a_failure_says_what_came_and_why() -> None:
    verdicts, _ = judge("event: {when: {customer silent: 21 days}, customer: Mercado Lua}", "{remind: yes}")
    (problem,) = problems_of(verdicts)
    assert "expected yes, came none" in problem.message
    assert "gone-quiet did not fire, none: open case, saw open case" in problem.help


def test_a_rule_that_may_act_once_a_month_acts_once_while_time_passes() -> None:
    (verdict,), _ = judge("after: 200 days", "{rules: [monday]}")
    reminded = [one for one in verdict.decision.actions if one.rule == "gone-quiet"]
    assert len(reminded) == 1
    assert len([one for one in verdict.decision.actions if one.rule == "renewal"]) == 1
