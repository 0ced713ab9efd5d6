"""check --fix mends what leaves one reading only, keeps everything else of a file, and asks before it writes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_config_broken import SOUND
from typer.testing import CliRunner

from config.errors import Problem
from config.fixes import carry_out
from config.traps import quoted
from daemon.cli.main import app
from daemon.errors import Refused
from daemon.fixing import difference, plan_fixes, write_fixes
from daemon.office import load_office

RULES = """# the rules of the office
words:
  price: [price*, quote]   # what they ask for
rules:
  - name: ask              # the only one
    when: mail arrives

    if: {known: yes, text: $price}
    then:
      tag: asked
      remind: {who: ana, text: "Answer {{ contact.name }}"}
"""


def made(folder: Path, rules: str = RULES, settings: str = SOUND) -> Path:
    (folder / "rules").mkdir(parents=True, exist_ok=True)
    (folder / "quietcrm.yaml").write_text(settings, encoding="utf-8", newline="")
    (folder / "rules" / "10.yaml").write_text(rules, encoding="utf-8", newline="")
    return folder


def mended(folder: Path) -> str:
    """The rules after the fix; the office as it was if there is none."""
    write_fixes(plan_fixes(folder))
    return (folder / "rules" / "10.yaml").read_bytes().decode()


# Eight traps of YAML and what else people slip on: what is written, its code, its own sentence, what `--fix` makes.
TRAPS = [
    ("      tag: asked", "\t    tag: asked", "E001", "a Tab in the indentation; YAML wants spaces", "      tag: asked"),
    ("tag: asked", "tag: {{ mail.subject }}", "E002", "{{ ... }} outside quotes", 'tag: "{{ mail.subject }}"'),
    ("tag: asked", "tag: Re: asked", "E003", '": " inside text needs quotes around the text', None),
    ("{known: yes", "{from: @sol.example", "E004", "text that starts with @ needs", '{from: "@sol.example"'),
    ("{known: yes", "{attachment: *.pdf", "E005", "text that starts with * needs", '{attachment: "*.pdf"'),
    ("tag: asked", "tag: `asked`", "E006", "text that starts with ` needs quotes", 'tag: "`asked`"'),
    ("tag: asked", "tag: %asked", "E006", "text that starts with % needs quotes", 'tag: "%asked"'),
    ("tag: asked", "tag: asked\n      tag: twice", "E007", '"tag" stands here twice, first on line 10', None),
    ("tag: asked", "tag: order #12", "E008", 'the text is cut off by " #"', None),
    ("tag: asked", "tag: “asked”", "E028", "curly quotes are part of the text here", 'tag: "asked"'),
    ("tag: asked", "tag: as\u200b\x07ked", "E021", "an invisible character", "tag: as\u200bked"),
    ("tag: asked", "tagg: asked", "E101", 'unknown action "tagg"', "tag: asked"),
    ("{known:", "{knwon:", "E101", 'unknown condition "knwon"', "{known:"),
    ("when: mail arrives", "wehn: mail arrives", "E101", 'unknown part of a rule "wehn"', "when: mail arrives"),
    ("when: mail arrives", "when: mail arives", "E104", '`when` cannot be "mail arives"', "when: mail arrives"),
    ("text: $price", "text: $prise", "E402", 'unknown word list "$prise"', "text: $price"),
    ("who: ana", "who: anna", "E206", 'unknown person "anna"', "who: ana"),
    ("tag: asked", "draft: nothing-like-it", "E403", 'unknown template "nothing-like-it"', None),
    ("{{ contact.name }}", "{{ contact.nmae }}", "E509", 'unknown name "contact.nmae"', None),
    ("text: $price", "last_in: {older: 3 dyas}", "E202", '"3 dyas" is not a length of time', None),
]


@pytest.mark.parametrize(("sound", "slip", "code", "sentence", "fixed"), TRAPS, ids=[row[1] for row in TRAPS])
def test_each_trap_has_its_sentence_and_the_sure_ones_are_mended(
    tmp_path: Path, sound: str, slip: str, code: str, sentence: str, fixed: str | None
) -> None:
    broken = RULES.replace(sound, slip, 1)
    folder = made(tmp_path, broken)
    answer = CliRunner().invoke(app, ["check", str(folder)])
    assert answer.exit_code == 1
    assert f"error[{code}]: {sentence}" in answer.output
    changes = plan_fixes(folder)
    assert [one.path.name for one in changes] == ([] if fixed is None else ["10.yaml"])
    assert mended(folder) == (broken if fixed is None else RULES.replace(sound, fixed, 1))
    if fixed is not None:
        load_office(folder)


@pytest.mark.parametrize(
    ("rules", "code", "help"),
    [
        ("  - name: a\n\twhen: mail arrives\n    then: {tag: x}\n", "E001", "indent with 4 spaces"),
        ("  - name: a\n    when: mail arrives\n\tthen: {tag: x}\n", "E001", "indent with 4 spaces"),
        ('  - name: a\n    when: mail arrives\n    then: {tag: "x}\n', "E009", 'write: "x"'),
        ('  - name: a\n    when: mail arrives\n    if: {subject: ["x]}\n    then: {tag: x}\n', "E009", 'write: "x"'),
    ],
)
def test_a_slip_at_the_edge_of_a_rule_is_one_fault_with_the_right_remedy(
    tmp_path: Path, rules: str, code: str, help: str
) -> None:
    answer = CliRunner().invoke(app, ["check", str(made(tmp_path, f"rules:\n{rules}"))])
    assert f"error[{code}]" in answer.output
    assert help in answer.output
    assert "\n1 error\n" in answer.output


def test_the_sentences_of_the_eight_traps_differ() -> None:
    assert len({sentence.partition(" in ")[0] for _, _, code, sentence, _ in TRAPS if code <= "E008"}) == 9


def test_all_of_them_at_once_with_comments_line_ends_and_mark_kept(tmp_path: Path) -> None:
    broken = RULES.replace("$price", "$prise").replace("tag: asked", "tag: {{ mail.subject }}").replace("ana,", "anna,")
    wanted = RULES.replace("tag: asked", 'tag: "{{ mail.subject }}"')
    for ends, mark in (("\n", ""), ("\r\n", ""), ("\r\n", "\ufeff")):
        folder = made(tmp_path / f"{len(ends)}{len(mark)}", mark + broken.replace("\n", ends))
        (change,) = plan_fixes(folder)
        assert [one.code for one in change.problems] == ["E002", "E402", "E206"] or len(change.problems) == 3
        assert mended(folder) == mark + wanted.replace("\n", ends)


def test_a_file_with_two_sorts_of_line_ends_is_left_alone(tmp_path: Path) -> None:
    folder = made(tmp_path, RULES.replace("tag: asked", "tagg: asked").replace("\n", "\r\n", 3))
    assert plan_fixes(folder) == []


@pytest.mark.parametrize(
    ("settings", "slip"),
    [
        (
            SOUND.replace("{ana: {mail: ana@vendas.example}}", "{ana: {mail: a@v.example}, ani: {mail: i@v.example}}"),
            "anx",
        ),
        (SOUND, "zoltan"),
    ],
)
def test_two_names_as_near_or_none_stay_with_a_person(tmp_path: Path, settings: str, slip: str) -> None:
    folder = made(tmp_path, RULES.replace("who: ana", f"who: {slip}"), settings)
    assert plan_fixes(folder) == []
    shown = CliRunner().invoke(app, ["check", str(folder)]).output
    assert ('did you mean "ani" or "ana"?' in shown) is (slip == "anx")


def test_a_missing_comma_is_not_taken_for_missing_quotes(tmp_path: Path) -> None:
    folder = made(tmp_path, RULES.replace("{known: yes, text: $price}", "{from: @sol.example text: hello}"))
    assert plan_fixes(folder) == []


def test_a_name_in_a_blueprint_is_mended_there_and_a_blank_never(tmp_path: Path) -> None:
    folder = made(tmp_path, "rules:\n  - {name: a, use: two, with: {word: leed, days: 3}}\n")
    (folder / "blueprints").mkdir()
    blueprint = (
        "inputs: {word: {as: stage}, days: {default: 2}}\nrule:\n  when: mail arrives\n"
        '  if: {stage: "{{ input.word }}", last_in: {oldr: "{{ input.days }} dyas"}}\n  then: {tagg: x}\n'
    )
    (folder / "blueprints" / "two.yaml").write_text(blueprint)
    write_fixes(plan_fixes(folder))
    assert "word: lead" in (folder / "rules" / "10.yaml").read_text()
    wanted = blueprint.replace("tagg", "tag").replace("oldr", "older")
    assert (folder / "blueprints" / "two.yaml").read_text() == wanted


def test_the_settings_and_the_rule_tests_are_mended_too(tmp_path: Path) -> None:
    folder = made(tmp_path, settings=SOUND.replace("internal:", "internl:"))
    (folder / "tests").mkdir()
    trial = "now: 2026-11-20 10:00\ntests:\n  - {name: a, mail: {from: a@b.example}, expect: {rules: []}}\n"
    (folder / "tests" / "1.yaml").write_text(trial.replace("expect", "expct"))
    write_fixes(plan_fixes(folder))
    assert (folder / "quietcrm.yaml").read_text() == SOUND
    assert (folder / "tests" / "1.yaml").read_text() == trial


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(alphabet="ab \"\\#:@*{}'$é-", min_size=1, max_size=12))
def test_whatever_the_text_only_the_told_lines_change(text: str) -> None:
    line = f"      tag: {text}"
    source = RULES.replace("      tag: asked", line)
    problem = Problem(
        code="E004", message="m", path=Path("x"), line=10, column=12, span=len(text), help=f"write: {quoted(text)}"
    )
    fixed = carry_out(source, [problem])
    changed = [new for old, new in zip(source.split("\n"), fixed.text.split("\n"), strict=True) if old != new]
    assert changed in ([], [f"      tag: {quoted(text)}"])


# --- asking and writing

BROKEN = RULES.replace("tag: asked", "tagg: asked")


def test_nothing_is_written_unless_somebody_says_so(tmp_path: Path) -> None:
    folder = made(tmp_path, BROKEN)
    answer = CliRunner().invoke(app, ["check", str(folder), "--fix"])
    assert isinstance(answer.exception, Refused)
    assert answer.exception.hint == "write it: quietcrm check --fix --yes"
    assert "-      tagg: asked\n+      tag: asked" in answer.output
    assert (folder / "rules" / "10.yaml").read_text() == BROKEN


def test_with_yes_it_is_written_and_checked_again(tmp_path: Path) -> None:
    folder = made(tmp_path, BROKEN)
    answer = CliRunner().invoke(app, ["check", str(folder), "--fix", "--yes"])
    assert answer.exit_code == 0
    assert "mended: 1 fault in 1 file" in answer.stderr
    assert answer.stdout.startswith("fine: ")
    assert (folder / "rules" / "10.yaml").read_text() == RULES
    assert "nothing to mend by itself" in CliRunner().invoke(app, ["check", str(folder), "--fix"]).stderr


def test_one_file_alone(tmp_path: Path) -> None:
    folder = made(tmp_path, BROKEN)
    (folder / "rules" / "20.yaml").write_text(BROKEN.replace("ask ", "ask2 ").replace("price:", "cost:", 1))
    CliRunner().invoke(app, ["check", str(folder / "rules" / "20.yaml"), "--fix", "--yes"])
    assert (folder / "rules" / "10.yaml").read_text() == BROKEN
    assert "tagg" not in (folder / "rules" / "20.yaml").read_text()


def test_mode_and_link_stay_and_a_file_that_changed_meanwhile_is_left(tmp_path: Path) -> None:
    folder = made(tmp_path / "office", BROKEN)
    elsewhere = tmp_path / "elsewhere.yaml"
    link = folder / "rules" / "10.yaml"
    link.replace(elsewhere)
    elsewhere.chmod(0o640)
    link.symlink_to(elsewhere)
    changes = plan_fixes(folder)
    write_fixes(changes)
    assert link.is_symlink()
    assert elsewhere.read_text() == RULES
    assert elsewhere.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    with pytest.raises(Refused):
        write_fixes(changes)


def test_a_password_is_not_shown(tmp_path: Path) -> None:
    account = "accounts: {ana: {type: imap, host: a.example, login: ana, password: hunter2, evry: 60 seconds}}\n"
    folder = made(tmp_path, settings=SOUND + account)
    (change,) = plan_fixes(folder)
    assert "evry" in difference(change, folder)
    assert "hunter2" not in difference(change, folder)
