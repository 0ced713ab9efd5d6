"""Broken configurations: each fault is named with code and place, and the printed remedy mends it."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.errors import Problem
from config.load import parse_settings, read_lists, read_settings
from config.remedy import mend
from config.show import in_order, problem_json, render_problem
from config.text import read_text
from config.traps import curly_quoted

BROKEN = Path(__file__).parents[1] / "config" / "broken"
SOUND = """company: {name: Vendas, zone: America/Sao_Paulo, language: pt}
internal: ["@vendas.example"]
team: {ana: {mail: ana@vendas.example}}
"""


def samples() -> list[tuple[str, str, int, int]]:
    found = []
    for line in (BROKEN / "expected.txt").read_text().splitlines():
        if not line.startswith("#"):
            name, code, place = line.split()
            row, column = place.split(":")
            found.append((name, code, int(row), int(column)))
    return found


SAMPLES = samples()


def errors_of(directory: Path) -> list[Problem]:
    problems: list[Problem] = []
    read_settings(directory, problems)
    read_lists(directory, problems)
    return [problem for problem in in_order(problems) if not problem.warning]


@pytest.fixture
def office(tmp_path: Path, request: pytest.FixtureRequest) -> tuple[Path, Path]:
    """A directory with the broken sample in its place: (directory, file)."""
    sample = BROKEN / request.param
    if sample.suffix == ".txt":
        (tmp_path / "quietcrm.yaml").write_text(SOUND)
        (tmp_path / "lists").mkdir()
        file = tmp_path / "lists" / "words.txt"
    else:
        file = tmp_path / "quietcrm.yaml"
    file.write_bytes(sample.read_bytes())
    return tmp_path, file


def test_every_sample_is_listed() -> None:
    assert {name for name, *_ in SAMPLES} == {path.name for path in BROKEN.iterdir()} - {"expected.txt"}
    assert len(SAMPLES) >= 40


@pytest.mark.parametrize(
    ("office", "code", "line", "column"), SAMPLES, indirect=["office"], ids=[s[0] for s in SAMPLES]
)
def test_fault_is_named_and_its_remedy_mends_it(office: tuple[Path, Path], code: str, line: int, column: int) -> None:
    directory, file = office
    first = errors_of(directory)[0]
    assert (first.code, first.line, first.column) == (code, line, column)
    assert f"{file.name}:{line}:{column}" in render_problem(first, source=file.read_bytes().decode("cp1252", "replace"))
    assert problem_json(first)["line"] == line

    apply_remedy(file, first)
    assert errors_of(directory) == []


def apply_remedy(file: Path, problem: Problem) -> None:
    """Does what the help line says, nothing else."""
    if problem.help == "save the file as UTF-8":
        file.write_bytes(file.read_bytes().decode("cp1252").encode("utf-8"))
        return
    text = read_text(file, [])
    assert text is not None
    mended = mend(text, problem)
    assert mended is not None, f"no remedy to carry out: {problem.help}"
    file.write_text(mended, encoding="utf-8")


def test_all_faults_are_named_at_once_across_kinds(tmp_path: Path) -> None:
    text = (
        SOUND.replace("Vendas", "`Vendas`").replace("America/Sao_Paulo", "Sao_Paulo") + "unknwon: ask\nstore: crm.db\n"
    )
    problems: list[Problem] = []
    assert parse_settings(tmp_path / "quietcrm.yaml", text, problems) is None
    assert [one.code for one in in_order(problems)] == ["E006", "E204", "E101", "E207"]


def test_a_misspelt_required_setting_is_told_once(tmp_path: Path) -> None:
    problems: list[Problem] = []
    parse_settings(tmp_path / "quietcrm.yaml", SOUND.replace("name:", "nmae:"), problems)
    assert [(one.code, one.help) for one in problems] == [("E101", 'did you mean "name"?')]


@pytest.mark.parametrize("written", ["hunter2", '"hunter2"', "[hunter2]", "\n      hunter2", "@hunter2", "a: hunter2"])
def test_a_literal_password_is_never_printed(tmp_path: Path, written: str) -> None:
    text = SOUND + f"accounts:\n  ana:\n    typ: imap\n    password: {written}\n"
    problems: list[Problem] = []
    parse_settings(tmp_path / "quietcrm.yaml", text, problems)
    assert problems
    for problem in problems:
        assert "hunter2" not in render_problem(problem, source=text)
        assert "hunter2" not in str(problem_json(problem))


@pytest.mark.parametrize(
    "text",
    ["Responder “sim” hoje", "“Sim” é a resposta", "“um” e “dois”", "João’s", "’90s", "«Вектор»", "11” de altura"],
)
def test_curly_quotes_inside_a_text_are_its_own(text: str) -> None:
    assert curly_quoted(text) is None


@pytest.mark.parametrize("text", ["“*.pdf”", "“*.pdf“", "„*.pdf“", "‘*.pdf’", "“*.pdf", "*.pdf”"])
def test_curly_quotes_around_a_text_were_meant_as_quotes(text: str) -> None:
    assert curly_quoted(text) == "*.pdf"
