"""The schemas that editors get: every shipped file fits them, slips do not, no table of the checker is forgotten."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import test_rules_broken as broken
from rule_samples import LISTS, SETTINGS
from schema_oracle import of_rules, refusals
from typer.testing import CliRunner

from config.settings_shape import settings_schema
from config.shapes import Names
from config.starter import LANGUAGES, StarterAnswers, write_starter
from daemon.cli.main import app
from daemon.schemas import FOLDER, PARTS, schema_of, write_schemas
from rules import actions, conditions, reference, shapes
from rules.expectations import EXPECT
from rules.file_schemas import blueprint_schema, trial_schema
from rules.trial_mail import KEYS as MAIL_KEYS
from rules.trial_world import CONTACT_KEYS, CUSTOMER_KEYS

EXAMPLES = Path(__file__).parents[2] / "config" / "examples"
FILES = {
    "config": "quietcrm.yaml",
    "rules": "rules/*.yaml",
    "tests": "tests/*.yaml",
    "blueprint": "blueprints/*.yaml",
    "sequence": "sequences/*.yaml",
}


OFFICES = [
    *sorted(path.parent.name for path in EXAMPLES.glob("*/quietcrm.yaml")),
    *(f"start-{language}" for language in LANGUAGES),
]


@pytest.fixture
def office(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A shipped example, or what `init` writes."""
    kind, _, language = request.param.partition("start-")
    if kind:
        return EXAMPLES / str(request.param)
    answers = StarterAnswers(
        company="Vendas", zone="Europe/Lisbon", language=language, rep="ana", mail="ana@vendas.example", path="mail"
    )
    write_starter(tmp_path, answers)
    return tmp_path


@pytest.mark.parametrize("office", OFFICES, indirect=True)
def test_every_shipped_file_fits_its_schema_and_names_it(office: Path) -> None:
    seen = 0
    for part, pattern in FILES.items():
        schema = schema_of(part, office)
        for path in sorted(office.glob(pattern)):
            text = path.read_text("utf-8")
            assert refusals(schema, text) == [], path
            up = "" if part == "config" else "../"
            named = f"# yaml-language-server: $schema={up}{FOLDER}/{part}.schema.json\n"
            assert text.startswith((named, "# file: ")), path
            seen += 1
    assert seen >= 3


@pytest.mark.parametrize("part", PARTS)
def test_each_schema_is_one_with_an_office_and_without(part: str) -> None:
    for folder in (EXAMPLES / "blueprint", EXAMPLES):
        jsonschema.Draft7Validator.check_schema(schema_of(part, folder))


# --- the tables


def test_the_tables_of_shapes_are_those_of_the_checker() -> None:
    asked = {*conditions.CONDITIONS, *conditions.GROUPS}
    assert asked <= set(shapes.CONDITIONS), "add the new condition to rules/shapes.py"
    assert set(shapes.CONDITIONS) <= asked
    assert set(actions.ACTIONS) <= set(shapes.ACTIONS), "add the new action to rules/shapes.py"
    assert set(shapes.ACTIONS) <= set(actions.ACTIONS)
    longer = {name for name, (_, example) in reference.WHENS.items() if "{" in example}
    assert longer <= set(shapes.WHENS), "add the new `when` to rules/shapes.py"
    assert set(MAIL_KEYS) <= set(shapes.MAIL), "add the new part of a test's mail to rules/shapes.py"
    properties = shapes.CUSTOMER["properties"], shapes.CONTACT["properties"]
    assert [set(one) for one in properties] == [set(CUSTOMER_KEYS), set(CONTACT_KEYS)]
    assert all(one != {} for one in properties[0].values()), "add the new part of a customer to rules/shapes.py"
    expected = trial_schema(Names())["properties"]["tests"]["items"]["properties"]["expect"]["anyOf"][1]
    assert set(expected["properties"]) >= {"rules", *EXPECT, *actions.ACTIONS}


# --- slips

UNDERLINED = ("E101", "E102", "E103", "E104", "E105", "E106", "E202", "E206", "E213", "E402", "E403", "E414")
"""Faults of names and shapes. What needs more than the shape of one file is left to the checker."""
_FREE_FIELD = "case: {titel"  # a record may have fields of any name


@pytest.mark.parametrize("row", [*broken.MENDED, *broken.ADVICE], ids=lambda row: f"{row[1]}")
def test_what_the_checker_refuses_is_underlined(row: tuple[Any, ...]) -> None:
    text, code = row[:2]
    found = of_rules(text, broken.SENDING, ("quote", "thanks"), tuple(LISTS))
    assert found or code not in UNDERLINED or _FREE_FIELD in text or "$nothing" in text


def test_most_faults_are_underlined() -> None:
    assert sum(row[1] in UNDERLINED for row in (*broken.MENDED, *broken.ADVICE)) > 50


OFFICE = """company: {name: Vendas, zone: America/Sao_Paulo, language: pt}
team: {ana: {mail: ana@vendas.example, digest: 08:00, admin: yes}}
accounts: {ana: {type: imap, rep: ana, host: mail.example, login: ana, password: {env: X}, every: 60 seconds}}
hours: {mon-fri: 09:00-18:00, sat: [09:00-12:00, 14:00-16:00], sun: closed, holidays: BR-SP, extra: [2027-02-09]}
"""
CONFIG_SLIPS = [
    ("name: Vendas", "nmae: Vendas"),
    ("America/Sao_Paulo", "America/Sao Paulo"),
    ("language: pt", "language: português"),
    ("mail: ana@vendas.example", "mail: ana"),
    ("digest: 08:00", "digest: eight"),
    ("admin: yes", "admin: perhaps"),
    ("type: imap", "type: imapp"),
    ("rep: ana", "rep: anna"),
    ("host: mail.example, ", ""),
    ("login: ana", "path: mail"),
    ("{env: X}", "hunter2"),
    ("every: 60 seconds", "every: now and then"),
    ("mon-fri:", "mon-fry:"),
    ("09:00-18:00", "nine to five"),
    ("2027-02-09", "09.02.2027"),
    ("hours:", "huors:"),
]


def test_the_settings_fit() -> None:
    assert refusals(settings_schema(Names(people=("ana",))), OFFICE) == []


@pytest.mark.parametrize(("before", "after"), CONFIG_SLIPS, ids=[after for _, after in CONFIG_SLIPS])
def test_slips_in_the_settings_are_underlined(before: str, after: str) -> None:
    assert OFFICE.replace(before, after) != OFFICE
    assert refusals(settings_schema(Names(people=("ana",))), OFFICE.replace(before, after)) != []


TEST = """now: 2026-11-20 10:00 America/Sao_Paulo
given: {customers: [{name: Sol, domain: sol.example, stage: lead, owner: ana, last_in: 3 days ago, open: case}]}
tests:
  - name: 0351
    mail: {from: Maria <maria@sol.example>, subject: 0351, is: [first_contact, not reply], time: outside_hours}
    expect: {rules: [probe], draft: quote, not: [send, move]}
"""
TEST_SLIPS = [
    ("now:", "noww:"),
    ("2026-11-20 10:00", "20.11.2026"),
    ("domain:", "domian:"),
    ("stage: lead", "stage: leed"),
    ("owner: ana", "owner: anna"),
    ("open: case", "open: cas"),
    ("subject:", "subjet:"),
    ("not reply", "not replly"),
    ("outside_hours", "outside"),
    ("[probe]", "[prob]"),
    ("draft: quote", "drafft: quote"),
    ("name: 0351", "nam: 0351"),
]
NAMES = Names(people=("ana",), stages=("lead", "lost"), rules=("probe",), templates=("quote",))


def test_a_rule_test_fits() -> None:
    assert refusals(trial_schema(NAMES), TEST) == []


@pytest.mark.parametrize(("before", "after"), TEST_SLIPS, ids=[after for _, after in TEST_SLIPS])
def test_slips_in_a_rule_test_are_underlined(before: str, after: str) -> None:
    assert refusals(trial_schema(NAMES), TEST.replace(before, after)) != []


BLUEPRINT = """inputs: {days: {default: 21}, stage: {as: stage, required: yes}}
rule:
  when: mail arrives
  if: {stage: "{{ input.stage }}", last_in: {older: "{{ input.days }} days"}, known: "{{ input.known }}"}
  then: {draft: {template: "{{ input.template }}", in: "{{ input.in }}"}}
"""


def test_a_blank_may_stand_wherever_a_value_may_and_nowhere_else() -> None:
    assert refusals(blueprint_schema(NAMES), BLUEPRINT) == []
    for before, after in (('"{{ input.stage }}"', "leed"), ("as: stage", "as: stag"), ("older", "oldr")):
        assert refusals(blueprint_schema(NAMES), BLUEPRINT.replace(before, after)) != []


USES = "rules:\n  - {name: a, use: quiet, with: {segment: gold, days: 3}}\n"


def test_a_use_is_completed_with_the_inputs_of_its_blueprint() -> None:
    from rules.file_schemas import rules_schema

    schema = rules_schema(Names(people=("ana",), inputs={"quiet": {"segment": True, "days": False}, "b": {"x": True}}))
    assert refusals(schema, USES) == []
    for before, after in (("quiet", "quite"), ("days", "dyas"), ("segment: gold, ", ""), ("name", "nam")):
        assert refusals(schema, USES.replace(before, after)) != []


TEXTS = ["0351", "no", "12:30", "on", "2026-11-20", "1e3", "3.14", "'0351'", "ação", "yes"]


@pytest.mark.parametrize("text", TEXTS)
def test_text_may_look_like_a_number_or_an_answer(text: str) -> None:
    rule = f"rules:\n  - name: 0351\n    about: {text}\n    when: mail arrives\n    if: {{subject: [{text}, x]}}\n"
    assert of_rules(f"{rule}    then: {{tag: {text}, set: {{a: {text}}}}}\n", SETTINGS, (), ()) == []


# --- written


def copied(folder: Path) -> Path:
    for path in (EXAMPLES / "blueprint").rglob("*.yaml"):
        target = folder / path.relative_to(EXAMPLES / "blueprint")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    return folder


def test_check_keeps_the_schemas_up_to_date_with_the_names_of_the_office(tmp_path: Path) -> None:
    folder = copied(tmp_path / "office")
    assert CliRunner().invoke(app, ["check", str(folder)]).exit_code == 0
    written = folder / FOLDER / "rules.schema.json"
    text = written.read_text("utf-8")
    assert all(f'"{name}"' in text for name in ("bruno", "customer", "gold", "silver", "answer-in-time", "within"))
    stamp = written.stat().st_mtime_ns
    assert write_schemas(folder) == []
    assert written.stat().st_mtime_ns == stamp
    (folder / "lists").mkdir()
    (folder / "lists" / "rivals.txt").write_text("@rival.example\n")
    (folder / "rules" / "20.yaml").write_text("rules:\n  - {nam: x}\n")  # a fault elsewhere changes nothing of it
    assert CliRunner().invoke(app, ["check", str(folder)]).exit_code == 1
    assert '"$rivals"' in written.read_text("utf-8")


def test_no_schemas_where_the_settings_cannot_be_read_or_nothing_be_written(tmp_path: Path) -> None:
    folder = copied(tmp_path / "office")
    (folder / FOLDER).write_text("a file where a folder should be")
    assert write_schemas(folder) == []
    (folder / "quietcrm.yaml").write_text("company: {")
    assert write_schemas(folder) == []


def test_the_command_prints_one_schema() -> None:
    here = ["--config", str(EXAMPLES / "blueprint")]
    for part in PARTS:
        result = CliRunner().invoke(app, [*here, "schema", part, "--json"])
        assert json.loads(result.stdout) == schema_of(part, EXAMPLES / "blueprint")
    wrong = CliRunner().invoke(app, [*here, "schema", "rule"])
    assert wrong.exit_code == 2
    assert 'did you mean "rules"?' in " ".join(wrong.output.replace("│", "").split())
