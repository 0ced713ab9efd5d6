"""The shipped examples of greetings and service: they load, their tests pass, and they are alike in each language."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemon.office import load_office
from daemon.trials import run_tests
from rules.lint import lint
from rules.load import RuleSet

EXAMPLES = Path(__file__).parents[2] / "config" / "examples"
LANGUAGES = ("en", "pt", "ru")


def office(language: str) -> Path:
    return EXAMPLES / f"care-{language}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_rule_is_tested_and_every_test_passes(language: str) -> None:
    found = load_office(office(language))
    verdicts = run_tests(found)
    assert [one.trial.name for one in verdicts if not one.passed] == []
    text = (office(language) / "tests" / "10-care.yaml").read_text("utf-8")
    assert [rule.name for rule in found.rules.rules if f"rules: [{rule.name}]" not in text] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_in_them_is_idle(language: str) -> None:
    found = load_office(office(language))
    assert lint(found.directory, found.rules, found.settings) == []


def test_they_do_the_same_in_every_language() -> None:
    def shape(rules: RuleSet) -> list[object]:
        return [(rule.whens, rule.once is not None, [one.verb for one in rule.effects]) for rule in rules.rules]

    first, *others = [shape(load_office(office(language)).rules) for language in LANGUAGES]
    assert all(other == first for other in others)
    assert len(first) == 11
