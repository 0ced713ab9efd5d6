"""The office of the rule language's own page: its eight examples, sequence, template and rule tests, word for word.

The page lies beside the project where it is developed; elsewhere the comparison is left out, and the office still has
to load, pass and leave nothing to lint.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from config.nodes import MapNode, plain
from config.reading import read_yaml
from daemon.cli.main import app
from daemon.office import load_office
from daemon.trials import run_tests
from rules.lint import lint

OFFICE = Path(__file__).parents[2] / "config" / "examples" / "escritorio"
PAGE = Path(__file__).parents[3] / "shared" / "design" / "rules.md"
BLOCK = re.compile(r"```(yaml|markdown)\n(.*?)```", re.DOTALL)
NAMES = (
    "never-log machines pedido-de-orcamento pedido-da-loja reclamacao reclamacao-plantao proposta-enviada "
    "gold-gone-quiet depois-da-reuniao briefing nao-apareceu renewal den-rozhdeniya schet"
)


def blocks() -> dict[str, str]:
    """File -> its text on the page."""
    found = {}
    for kind, text in BLOCK.findall(PAGE.read_text("utf-8")):
        named = re.match(r"# file: (\S+)", text)
        found[named[1] if named else "templates/orcamento.md"] = text
        assert named or kind == "markdown"
    return found


@pytest.mark.skipif(not PAGE.exists(), reason="the page of the rule language is not beside this tree")
def test_every_file_is_word_for_word_that_of_the_page() -> None:
    page = blocks()
    assert len(page) == 7
    for name, text in page.items():
        written = (OFFICE / name).read_text("utf-8")
        assert written.endswith(text) if name == "quietcrm.yaml" else written == text, name


@pytest.mark.skipif(not PAGE.exists(), reason="the page of the rule language is not beside this tree")
def test_the_settings_add_what_the_page_leaves_out_and_change_nothing() -> None:
    said, whole = read_yaml(PAGE, blocks()["quietcrm.yaml"], []), read_yaml(OFFICE / "quietcrm.yaml", None, [])
    assert isinstance(said, MapNode)
    assert isinstance(whole, MapNode)
    for key, value in said.entries:
        there = whole.get(key.text)
        assert there is not None
        assert plain(there) == plain(value)


def test_all_of_it_loads_every_rule_test_passes_and_nothing_is_odd() -> None:
    office = load_office(OFFICE)
    assert [rule.name for rule in office.rules.rules] == NAMES.split()
    assert all(rule.mode == "on" for rule in office.rules.rules)
    assert set(office.rules.sequences) == {"apos-proposta", "remarcar"}
    verdicts = run_tests(office)
    assert [one.trial.name for one in verdicts if not one.passed] == []
    assert len(verdicts) == 7
    assert lint(OFFICE, office.rules, office.settings) == []


def test_the_command_says_so() -> None:
    answer = CliRunner().invoke(app, ["--config", str(OFFICE), "rules", "test"])
    assert answer.exit_code == 0
    assert "7 tests, all pass" in answer.output
