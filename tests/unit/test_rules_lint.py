"""What lint finds in rules: each finding on its line, and nothing in rules that are sound."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest
from rule_samples import SETTINGS

from config.errors import Problem
from daemon.office import load_office
from rules.lint import lint
from rules.load import load_ruleset

TEMPLATE = '---\nname: quote\nsubject: {pt: "Re: {{ mail.subject }}"}\n---\n--- pt ---\nOlá!\n'


def findings(
    folder: Path, rules: str, lists: dict[str, str] | None = None, template: str = ""
) -> list[tuple[str, int]]:
    """(code, line) of everything found."""
    for name in ("rules", "lists", "templates"):
        (folder / name).mkdir(exist_ok=True)
    (folder / "rules" / "10.yaml").write_text(dedent(rules), encoding="utf-8")
    for name, text in (lists or {}).items():
        (folder / "lists" / f"{name}.txt").write_text(text, encoding="utf-8")
    if template:
        (folder / "templates" / "quote.md").write_text(template, encoding="utf-8")
    problems: list[Problem] = []
    ruleset = load_ruleset(folder, SETTINGS, problems)
    assert problems == []
    return [(one.code, one.line) for one in lint(folder, ruleset, SETTINGS)]


SOUND = """\
words:
  price: [orçamento*, cotação]
rules:
  - {name: machines, when: mail arrives, if: {is: newsletter}, then: {ignore: newsletter}}
  - {name: price, when: mail arrives, if: {subject: $price, none: [{from: "@b.example"}]}, then: {tag: p}, stop: yes}
  - {name: other, when: mail arrives, if: {subject: proposta}, then: {draft: quote}}
  - {name: news, when: mail arrives, if: {is: bounce, from: "@acme.example"}, then: {tag: check}}
"""


def test_sound_rules_have_nothing(tmp_path: Path) -> None:
    assert findings(tmp_path, SOUND, template=TEMPLATE) == []


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("when: mail arrives, then: {tag: a}, stop: yes", "if: {subject: x}, then: {tag: b}"),
        ("when: mail arrives, if: {subject: [x, y]}, then: {tag: a}, stop: yes", "if: {subject: x}, then: {tag: b}"),
        ("when: mail arrives, if: {subject: {has: $w}}, then: {tag: a}, stop: yes",
         "if: {subject: {has: x}}, then: {tag: b}"),
        ("when: [mail arrives, mail sent], if: {from: '@a.example'}, then: {ignore: a}",
         "if: {from: '@a.example', subject: x}, then: {tag: b}"),
    ],
)  # fmt: skip
def test_a_rule_behind_one_that_ends_is_never_asked(tmp_path: Path, earlier: str, later: str) -> None:
    text = f"words: {{w: [x, y]}}\nrules:\n  - {{name: a, {earlier}}}\n  - {{name: b, when: mail arrives, {later}}}\n"
    found = [one for one in findings(tmp_path, text) if one[0] != "W404"]
    assert found == [("W402", 4)]


@pytest.mark.parametrize(
    "earlier",
    [
        "if: {subject: x}, then: {tag: a}, stop: yes",
        "if: {subject: [y, not x]}, then: {tag: a}, stop: yes",
        "mode: watch, then: {tag: a}, stop: yes",
        "then: {tag: a}, once: per customer, stop: yes",
        "if: {any: [{subject: y}, {subject: z}]}, then: {tag: a}, stop: yes",
    ],
)
def test_what_cannot_be_proved_is_not_said(tmp_path: Path, earlier: str) -> None:
    text = f"rules:\n  - {{name: a, when: mail arrives, {earlier}}}\n"
    text += "  - {name: b, when: mail arrives, if: {subject: y}, then: {tag: b}}\n"
    assert findings(tmp_path, text) == []


def test_a_stop_does_not_hide_automatic_mail_that_it_never_sees(tmp_path: Path) -> None:
    text = "rules:\n  - {name: a, when: mail arrives, then: {tag: a}, stop: yes}\n"
    text += "  - {name: b, when: mail arrives, if: {is: bounce}, then: {tag: b}}\n"
    assert findings(tmp_path, text) == []


def test_a_claim_that_is_always_taken(tmp_path: Path) -> None:
    text = "rules:\n  - {name: a, when: mail arrives, if: {known: yes}, then: {stage: lead}}\n"
    text += "  - {name: b, when: mail arrives, if: {known: yes, subject: x}, then: {stage: proposal, tag: x}}\n"
    text += "  - {name: c, when: mail sent, if: {known: yes}, then: {stage: proposal}}\n"
    assert findings(tmp_path, text) == [("W403", 3)]


def test_what_nothing_uses(tmp_path: Path) -> None:
    text = "words: {used: [x], spare: [y]}\nrules:\n"
    text += "  - {name: a, when: mail arrives, if: {subject: $used, none: [{from: $them}]}, then: {tag: a}}\n"
    lists = {"them": "@a.example\n", "idle": "@b.example\n"}
    assert sorted(findings(tmp_path, text, lists, TEMPLATE)) == [("W404", 1), ("W404", 1), ("W405", 1)]


@pytest.mark.parametrize(
    "asked",
    [
        "subject: [x, not x]",
        "is: [reply, not reply]",
        "direction: out",
        "known: no, stage: lead",
        "is: internal",
        "is: first_contact, last_in: {older: 3 days}",
        "from: '@a.example', none: [{from: '@a.example'}]",
    ],
)
def test_conditions_that_no_mail_fulfils(tmp_path: Path, asked: str) -> None:
    text = f"rules:\n  - {{name: a, when: mail arrives, if: {{{asked}}}, then: {{tag: a}}}}\n"
    assert findings(tmp_path, text) == [("W406", 2)]


@pytest.mark.parametrize(
    ("pattern", "code"),
    [(".*", "W407"), ("(abc)?", "W407"), ("a|", "W407"), (".*abc", "W408"), ("a{51}", "W408"), (r"\d{4,}", "")],
)
def test_patterns(tmp_path: Path, pattern: str, code: str) -> None:
    asked = f"{{subject: {{regex: '{pattern}'}}}}"
    text = f"rules:\n  - name: a\n    when: mail arrives\n    if: {asked}\n    then: {{tag: a}}\n"
    assert findings(tmp_path, text) == ([(code, 4)] if code else [])


def test_the_demonstration_has_nothing() -> None:
    demo = Path(__file__).parents[2] / "config" / "examples" / "demo"
    office = load_office(demo)
    assert lint(demo, office.rules, office.settings) == []
