"""A small office with rules of every sort, and helpers that run rule tests on it through the real files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import schema_oracle
from rule_samples import LISTS, TEMPLATES
from rule_samples import office as office_of

from config.errors import Problem
from connectors.model import Message
from rules.file_schemas import trial_schema
from rules.load import load_ruleset
from rules.own_names import own_names
from rules.ruleset import RuleSet
from rules.trials import Verdict, load_trials, run_trials

BOX = {"type": "maildir", "rep": "ana", "path": "mail/ana"}
SETTINGS = office_of(accounts={"ana": {**BOX, "authserv": "MX.vendas.example"}, "other": {**BOX, "path": "mail/other"}})
RULES = r"""rules:
  - name: never
    when: [mail arrives, mail sent]
    if: {any: [{anyone: $rivals}, {folder: Private}]}
    then: {ignore: private}
  - name: machines
    when: mail arrives
    if: {any: [{is: newsletter}, {is: [automated, not bounce, not out_of_office]}], none: [{from: "@shop.example"}]}
    then: {ignore: automated}
  - name: price
    mode: watch
    when: mail arrives
    if: {text: {has: [orçamento*, price]}, is: [first_contact, not reply]}
    then:
      create: {lead: {title: "{{ mail.subject }}"}}
      draft: {template: quote, reply: yes}
      remind: {who: owner, in: 1 business day, unless: replied, text: "Answer {{ contact.name }}"}
  - name: complaint
    when: mail arrives
    if: {known: yes, text: {has: $complaint}, none: [{open: case}]}
    then:
      create: {case: {title: "{{ mail.subject }}", due: 4 business hours}}
      tag: [complaint, hot]
      owner: {round_robin: [ana, bruno]}
  - name: on-duty
    when: mail arrives
    if: {known: yes, text: {has: $complaint}, time: outside_hours, segment: [gold]}
    then: {remind: {who: bruno, at: "next business day 09:30", text: Call}}
  - name: sent
    when: mail sent
    if: {known: yes, attachment: ["*quote*.pdf"]}
    then:
      stage: proposal
      draft: {template: thanks, in: 3 business days}
      set: {last_quote: "{{ mail.subject }}"}
  - name: bounced
    when: mail arrives
    if: {known: yes, is: bounce}
    then: {tag: check-address}
  - name: sure
    when: mail arrives
    if: {auth: pass, subject: sure}
    then: {tag: sure, log: yes}
  - name: dead
    when: delivery failed
    if: {known: yes}
    then: {tag: dead}
  - name: farewell
    when: contact unsubscribed
    then: {tag: farewell}
  - name: silent
    when: mail arrives
    if: {last_contact: {older: 30 days}}
    then: {tag: back-again}
  - name: order
    when: mail arrives
    if: {is: automated, from: "@shop.example", header: {X-Shop: main}}
    extract: {total: {jsonld: Order.price, regex: 'total:?\s*R\$\s*([\d.]+,\d{2})', as: money}}
    then: {create: {order: {number: "{{ mail.subject }}"}}, file_under: "Padaria Sol", log: headers}
  - name: off
    mode: off
    when: mail arrives
    then: {tag: never-there}
"""
HEAD = """\
now: 2026-11-20 10:00
given:
  customers:
    - {name: Padaria Sol, domain: padariasol.example, stage: customer, segment: gold, owner: ana, token: 4F2K}
    - name: ООО Ромашка
      domain: [romashka.example]
      stage: lead
      open: case
      last_contact: 60 days
      contacts: [{name: Olga Smirnova, mail: olga@romashka.example, alias: o.s@personal.example}]
    - {name: Shop, mail: no-reply@shop.example, stage: customer}
tests:
"""
STATE = HEAD.count("\n")
"""Lines before the first test."""


@contextmanager
def office_folder(rules: str = RULES) -> Iterator[tuple[Path, RuleSet]]:
    """A folder with the rules, lists and templates, and an empty one for tests."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "rules").mkdir()
        (folder / "rules" / "10.yaml").write_text(rules, "utf-8")
        for part, files, suffix in (("templates", TEMPLATES, ""), ("lists", LISTS, ".txt")):
            (folder / part).mkdir()
            for file, content in files.items():
                (folder / part / f"{file}{suffix}").write_text(content, "utf-8")
        (folder / "tests").mkdir()
        problems: list[Problem] = []
        ruleset = load_ruleset(folder, SETTINGS, problems)
        assert problems == []
        yield folder, ruleset


def judge(
    text: str, *, mails: dict[str, Message] | None = None, rules: str = RULES
) -> tuple[list[Verdict], list[Problem]]:
    """Run one file of tests. `mails`: name of a file below tests/ -> what is in it."""
    with office_folder(rules) as (folder, ruleset):
        (folder / "tests" / "10.yaml").write_text(text, "utf-8")
        for file in mails or {}:
            (folder / "tests" / file).touch()
        problems: list[Problem] = []
        trials = load_trials(
            folder, SETTINGS, ruleset, problems, lambda path: (mails or {}).get(path.name, "it is no mail")
        )
        if not problems:  # then it fits the schema that editors get
            against = schema_oracle.refusals(trial_schema(own_names(folder, SETTINGS)), text)
            assert against == [], f"the schema for editors (rules/shapes.py) refuses what loads: {against}"
        return run_trials(trials, ruleset, SETTINGS), problems


def outcome(mail: str, expect: str, *, more: str = "", rules: str = RULES) -> Verdict:
    """The verdict of one test that has no fault."""
    text = f"{HEAD}  - name: probe\n    mail: {mail}\n    expect: {expect}\n{more}"
    verdicts, problems = judge(text, rules=rules)
    assert problems == []
    assert len(verdicts) == 1
    return verdicts[0]
