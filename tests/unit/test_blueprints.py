"""Blueprints: a use is the rule that it means, every fault names both places, and everybody knows such rules."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from rule_samples import SETTINGS, decide, fired, mail, sound_rules

from config.errors import Problem
from config.show import problem_json, render_problems
from daemon.office import load_office
from daemon.trials import run_tests
from rules.blueprints import KINDS
from rules.lint import lint
from rules.load import RuleSet, load_ruleset

EXAMPLE = Path(__file__).parents[2] / "config" / "examples" / "blueprint"
QUIET = """\
inputs:
  days: {default: 21}
  segment: {required: yes}
  words: {default: [caixas, pedido]}
rule:
  about: For {{ input.segment }}, {{ input.days }} days.
  when: mail arrives
  if:
    segment: "{{ input.segment }}"
    subject: [urgente, "{{ input.words }}"]
    last_in: {older: "{{ input.days }} days"}
  then:
    tag: "{{ input.segment }}-{{ mail.subject }}"
"""
USE = "rules:\n  - {name: gold-quiet, use: quiet, with: {segment: ouro}}\n"

Load = Callable[..., tuple[RuleSet, list[Problem]]]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Loads a file of rules and the blueprint "quiet"."""

    def made(rules: str = USE, blueprint: str = QUIET, name: str = "quiet.yaml") -> tuple[RuleSet, list[Problem]]:
        for folder, file, text in (("rules", "10.yaml", rules), ("blueprints", name, blueprint)):
            (tmp_path / folder).mkdir(exist_ok=True)
            (tmp_path / folder / file).write_text(text, encoding="utf-8")
        problems: list[Problem] = []
        return load_ruleset(tmp_path, SETTINGS, problems), problems

    return made


def test_a_use_is_the_rule_that_it_means(load: Load) -> None:
    ruleset, problems = load()
    assert problems == []
    (made,) = ruleset.rules
    (written,) = sound_rules(
        'rules:\n  - name: gold-quiet\n    when: mail arrives\n    if:\n      segment: "ouro"\n'
        '      subject: [urgente, caixas, pedido]\n      last_in: {older: "21 days"}\n'
        '    then: {tag: "ouro-{{ mail.subject }}"}\n'
    ).rules
    assert made.fingerprint == written.fingerprint
    assert (made.about, made.blueprint, made.place) == ("For ouro, 21 days.", "quiet", "rules/10.yaml:2")
    for subject in ("caixas", "urgente", "outra coisa"):
        one, two = (decide(ruleset, mail(subject=subject)), decide(sound_rules_of(written.name), mail(subject=subject)))
        assert [action.args for action in one.actions] == [action.args for action in two.actions]
        assert fired(one) == fired(two)


def sound_rules_of(name: str) -> RuleSet:
    return sound_rules(
        f"rules:\n  - name: {name}\n    when: mail arrives\n    if: {{segment: ouro, subject: [urgente, caixas, pedido]"
        ', last_in: {older: 21 days}}\n    then: {tag: "ouro-{{ mail.subject }}"}\n'
    )


def test_what_is_filled_in_changes_the_fingerprint_and_the_name_does_not(load: Load) -> None:
    def fingerprint(text: str) -> str:
        ruleset, problems = load(text)
        assert problems == []
        return ruleset.rules[0].fingerprint

    first = fingerprint(USE)
    assert fingerprint(USE.replace("gold-quiet", "silver").replace("use: quiet", "mode: watch, use: quiet")) == first
    assert fingerprint(USE.replace("ouro}", "ouro, days: 22}")) != first
    assert fingerprint(USE.replace("ouro}", "ouro, words: bolos}")) != first


def test_the_hash_of_the_rules_changes_with_a_blueprint(load: Load) -> None:
    assert load()[0].hash != load(blueprint=QUIET.replace("21", "20"))[0].hash


def test_a_use_says_its_own_name_about_mode_and_was(load: Load) -> None:
    text = "rules:\n  - {name: a, about: mine, mode: watch, was: b, use: quiet, with: {segment: ouro}}\n"
    (rule,) = load(text)[0].rules
    assert (rule.about, rule.mode, rule.was) == ("mine", "watch", "b")


U = "rules:\n  - {name: gold-quiet, use: quiet, with: {segment: ouro%s}}\n"
FAULTS = [
    # rules, blueprint: code, file:line:column, the other place, help
    (USE.replace("use: quiet", "use: quite"), QUIET, "E430", "10.yaml:2:29", None, 'did you mean "quiet"?'),
    (U % ", dyas: 3", QUIET, "E101", "10.yaml:2:58", "quiet.yaml:2:3", 'did you mean "days"?'),
    (U % ", days: soon", QUIET, "E103", "10.yaml:2:64", "quiet.yaml:2:3", "write digits"),
    (U % ", words: {a: b}", QUIET, "E105", "10.yaml:2:65", "quiet.yaml:4:3", "without { }"),
    (USE.replace("ouro}", "[a, b]}"), QUIET, "E105", "10.yaml:2:52", "quiet.yaml:3:3", "write one value"),
    (USE.replace("{segment: ouro}", "{}"), QUIET, "E102", "10.yaml:2:42", "quiet.yaml:3:3", "add to `with`: segment"),
    (USE.replace(", with: {segment: ouro}", ""), QUIET, "E102", "10.yaml:2:29", "quiet.yaml:3:3", "add with: {seg"),
    (USE.replace("with:", "stop: yes, with:"), QUIET, "E432", "10.yaml:2:36", None, "write the rule out"),
    (USE.replace("with:", "wiht: {a: b}, with:"), QUIET, "E101", "10.yaml:2:36", None, 'did you mean "with"?'),
    (USE.replace("use: quiet, ", "when: mail arrives, "), QUIET, "E102", "10.yaml:2:44", None, "add `use`"),
    (USE, QUIET.replace("subject:", "subjet:"), "E101", "quiet.yaml:10:5", "10.yaml:2:29", 'did you mean "subject"?'),
    (USE, QUIET.replace("} days", "} dayz"), "E202", "quiet.yaml:11:22", "10.yaml:2:29", "write: 21 days"),
    (USE, QUIET.replace("  when: mail arrives\n", ""), "E102", "quiet.yaml:6:3", "10.yaml:2:29", "add: when"),
    (USE, QUIET.replace("input.days }} days.", "input.dys }} days."), "E431", "quiet.yaml:6:44", None, '"days"?'),
    (USE, QUIET.replace("input.days }} days.", "input.days + 1 }}."), "E431", "quiet.yaml:6:35", None, "nothing else"),
    (USE, QUIET.replace("default: 21", "defualt: 21"), "E101", "quiet.yaml:2:10", None, 'did you mean "default"?'),
    (USE, QUIET.replace("default: 21", "default: 21, as: nmber"), "E104", "quiet.yaml:2:27", None, '"number"?'),
    (USE, QUIET.replace("default: 21", "default: x, as: number"), "E103", "quiet.yaml:2:19", None, "write digits"),
    (USE, QUIET.replace("default: 21", "default: 21, required: yes"), "E433", "quiet.yaml:2:23", None, "keep one"),
    (USE, QUIET.replace("default: 21", "required: no"), "E102", "quiet.yaml:2:3", None, "give it a default"),
    (USE, QUIET.replace("  when:", "  name: x\n  when:"), "E432", "quiet.yaml:7:3", None, "away"),
    (USE, QUIET.replace("rule:", "ruel:"), "E101", "quiet.yaml:5:1", None, 'did you mean "rule"?'),
    (USE, QUIET.replace("rule:", "about: [x]\nrule:", 1), "E105", "quiet.yaml:5:8", None, "one value"),
    (USE, QUIET.replace("default: 21", "default: 21, about: [x]"), "E105", "quiet.yaml:2:30", None, "one value"),
    (USE, "inputs: {}\n", "E102", "quiet.yaml:1:1", None, "add the line: rule:"),
    (USE, "- a\n", "E105", "quiet.yaml:1:1", None, "add the line: rule:"),
]


@pytest.mark.parametrize(("rules", "blueprint", "code", "place", "other", "help"), FAULTS)
def test_a_fault_names_both_places(
    load: Load, rules: str, blueprint: str, code: str, place: str, other: str | None, help: str
) -> None:
    _, problems = load(rules, blueprint)
    first = next(one for one in problems if one.code == code and help in one.help)
    assert f"{first.path.name}:{first.line}:{first.column}" == place, problems
    also = f"{first.also.path.name}:{first.also.line}:{first.also.column}" if first.also else None
    assert also == other
    shown = render_problems(problems)
    assert f"{place}\n" in shown
    if other:
        assert f"{other}\n" in shown.partition("  ::: ")[2]
        assert problem_json(first)["also"]


def test_a_list_inside_a_text_is_told_where_it_is_given(load: Load) -> None:
    blueprint = QUIET.replace('tag: "', 'tag: "{{ input.words }} ')
    _, problems = load(USE.replace("ouro}", "ouro, words: [a, b]}"), blueprint)
    assert [(one.code, one.path.name, one.line) for one in problems] == [("E105", "10.yaml", 2)]


def test_a_fault_of_a_blueprint_is_told_once_for_all_its_uses(load: Load) -> None:
    uses = "rules:\n" + "".join(f"  - {{name: r{n}, use: quiet, with: {{segment: s{n}}}}}\n" for n in range(5))
    _, problems = load(uses, QUIET.replace("subject:", "subjet:"))
    assert [(one.code, one.also and one.also.line) for one in problems] == [("E101", 2)]


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("text", "x", "[x]"),
        ("words", "[x, y]", "{x: y}"),
        ("number", "3", "three"),
        ("yes_no", "yes", "perhaps"),
        ("length", "2 business hours", "2 busines hours"),
        ("date", "2026-11-18", "18.11.2026"),
        ("address", '"@sol.example"', "sol"),
        ("stage", "lead", "leed"),
        ("person", "owner", "anna"),
        ("template", "quote", "qoute"),
    ],
)
def test_each_kind_of_input(tmp_path: Path, kind: str, good: str, bad: str) -> None:
    rule = '{when: mail arrives, if: {subject: "{{ input.a }}"}, then: {tag: x}}'
    blueprint = f"inputs: {{a: {{as: {kind}}}}}\nrule: {rule}\n"
    for folder in ("rules", "blueprints", "templates"):
        (tmp_path / folder).mkdir()
    (tmp_path / "templates" / "quote.md").write_text("---\nname: quote\nsubject: x\n---\n--- pt ---\nx\n")
    (tmp_path / "blueprints" / "one.yaml").write_text(blueprint)
    for value, sound in ((good, True), (bad, False)):
        (tmp_path / "rules" / "1.yaml").write_text(f"rules:\n  - {{name: r, use: one, with: {{a: {value}}}}}\n")
        problems: list[Problem] = []
        load_ruleset(tmp_path, SETTINGS, problems)
        told = [(one.path.name, one.line, one.also and one.also.path.name) for one in problems]
        assert told == ([] if sound else [("1.yaml", 2, "one.yaml")])


def test_every_kind_is_tried() -> None:
    marks = test_each_kind_of_input.pytestmark  # type: ignore[attr-defined]
    assert {row[0] for row in marks[0].args[1]} == set(KINDS)


def test_lint_names_what_nothing_uses(tmp_path: Path, load: Load) -> None:
    (tmp_path / "blueprints").mkdir()
    (tmp_path / "blueprints" / "other.yaml").write_text(
        "inputs: {a: {default: 1}}\nrule: {when: mail arrives, then: {tag: x}}\n"
    )
    ruleset, problems = load()
    assert problems == []
    found = [(one.code, one.path.name, one.line) for one in lint(tmp_path, ruleset, SETTINGS)]
    assert found == [("W410", "other.yaml", 1), ("W411", "other.yaml", 1)]


def test_lint_sees_into_a_rule_that_a_blueprint_makes(tmp_path: Path, load: Load) -> None:
    before = "rules:\n  - {name: all, when: mail arrives, if: {segment: ouro}, then: {ignore: x}}\n"
    ruleset, problems = load(before + USE.partition("\n")[2])
    assert problems == []
    (found,) = lint(tmp_path, ruleset, SETTINGS)
    assert (found.code, found.line) == ("W402", 3)


def test_explain_says_which_blueprint_a_rule_fills_in(load: Load) -> None:
    ruleset, _ = load()
    (trace,) = decide(ruleset, mail(subject="caixas"), explain=True).traces
    assert trace.place == "rules/10.yaml:2, blueprint quiet"


def test_the_example_passes_its_tests_and_has_nothing_to_lint() -> None:
    office = load_office(EXAMPLE)
    verdicts = run_tests(office)
    assert len(verdicts) >= 4
    assert all(one.passed for one in verdicts)
    assert lint(EXAMPLE, office.rules, office.settings) == []
