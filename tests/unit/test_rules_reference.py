"""The page of rules is up to date, leaves nothing out, and its examples are rules."""

from __future__ import annotations

from pathlib import Path

import pytest
from rule_samples import office, rules_of

from rules import reference
from rules.actions import ACTIONS
from rules.blueprints import INPUT_KEYS
from rules.conditions import CONDITIONS, GROUPS
from rules.extract import PARTS
from rules.mail_conditions import FLAGS
from rules.meeting_conditions import MEETING
from rules.schema import KEYS
from rules.sequences import KEYS as SEQUENCE_KEYS
from rules.sequences import PACE
from rules.steps import STEP_KEYS
from rules.triggers import EXAMPLES, PLAIN

PAGE = Path(__file__).parents[2] / "docs" / "reference" / reference.PAGE
ACCOUNTS = {"ana": {"type": "maildir", "rep": "ana", "path": "mail/ana", "authserv": "mx.vendas.example"}}
CHANNELS = {"oncall": {"env": "ADDRESS"}}
SETTINGS = office(send={"auto_templates": ["quote", "received"]}, accounts=ACCOUNTS, channels=CHANNELS)
LISTS = {"never_log": "@x.example\n", "complaint": "broken\n"}


def test_page_is_up_to_date() -> None:
    assert PAGE.read_text("utf-8") == reference.rules_page(), "run: .venv/bin/python -m rules.reference docs/reference"


def test_nothing_is_left_out() -> None:
    assert set(reference.PARTS) == set(KEYS)
    assert set(reference.WHENS) == {*PLAIN, *EXAMPLES}
    assert set(reference.CONDITIONS) == {*CONDITIONS, *GROUPS}
    assert set(reference.VALUES) == set(PARTS)
    assert set(reference.INPUTS) == set(INPUT_KEYS)
    assert set(reference.ACTIONS) == set(ACTIONS)
    assert set(reference.SEQUENCE) == set(SEQUENCE_KEYS)
    assert set(reference.STEP) == set(STEP_KEYS)
    assert set(reference.PACE) == set(PACE)
    assert set(reference.CONDITIONS["is"][0].split(", ")) == set(FLAGS)


def faults(**parts: str) -> list[str]:
    """What is wrong with a rule of these lines; `template received` aside, which the sample office lacks."""
    given = {"name": "name: probe", "when": "when: mail arrives", "then": "then: {tag: x}", **parts}
    text = "rules:\n  - " + "\n    ".join(line for line in given.values() if line) + "\n"
    _, problems = rules_of(text, settings=SETTINGS, lists=LISTS)
    return [one.message for one in problems if "received" not in one.message]


@pytest.mark.parametrize("name", [name for name in reference.PARTS if name not in ("use", "with")])
def test_examples_of_parts(name: str) -> None:
    assert faults(**{name: reference.PARTS[name][1]}) == []


@pytest.mark.parametrize("name", reference.WHENS)
def test_examples_of_whens(name: str) -> None:
    assert faults(when=reference.WHENS[name][1], then="then: {remind: {text: x}}") == []


@pytest.mark.parametrize("name", reference.CONDITIONS)
def test_examples_of_conditions(name: str) -> None:
    when = "when: meeting missed" if name in MEETING else "when: mail arrives"
    assert faults(when=when, condition=f"if: {{{reference.CONDITIONS[name][1]}}}") == []


@pytest.mark.parametrize("name", reference.VALUES)
def test_examples_of_values(name: str) -> None:
    way = "" if name in ("jsonld", "regex", "attachment_name") else "regex: x, "
    assert faults(extract=f"extract: {{a: {{{way}{reference.VALUES[name][1]}}}}}") == []


@pytest.mark.parametrize("name", reference.ACTIONS)
def test_examples_of_actions(name: str) -> None:
    names = "extract: {buyer: {regex: x}, number: {regex: x}, total: {regex: x}}"
    assert faults(extract=names, then=f"then: {{{reference.ACTIONS[name][1]}}}", condition="if: {known: yes}") == []


def sequence_faults(text: str) -> list[str]:
    """What is wrong with a sequence of these lines."""
    _, problems = rules_of("rules: []\n", sequence=text)
    return [one.message for one in problems]


@pytest.mark.parametrize("name", reference.SEQUENCE)
def test_examples_of_parts_of_a_sequence(name: str) -> None:
    given = {"name": "name: probe", "steps": "steps: [{template: quote}]", name: reference.SEQUENCE[name][1]}
    assert sequence_faults("\n".join(given.values())) == []


@pytest.mark.parametrize("name", [one for one in reference.STEP if one != "attach"])
def test_examples_of_parts_of_a_step(name: str) -> None:
    given = {"template": "template: quote", name: reference.STEP[name][1]}
    assert sequence_faults(f"name: probe\nsteps: [{{{', '.join(given.values())}}}]") == []


@pytest.mark.parametrize("name", reference.PACE)
def test_examples_of_send(name: str) -> None:
    assert sequence_faults(f"name: probe\nsteps: [{{template: quote}}]\nsend: {{{reference.PACE[name][1]}}}") == []
