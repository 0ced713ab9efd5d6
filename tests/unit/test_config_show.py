"""The caret text stands under the fault, whatever the line holds."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from config.errors import Problem
from config.show import cells, in_order, problem_json, render_problem, render_problems


def problem(line: int, column: int, span: int, **more: object) -> Problem:
    values: dict[str, object] = {"code": "E101", "message": "m", "path": Path("rules/40-new.yaml"), "help": "h", **more}
    return Problem(line=line, column=column, span=span, **values)  # type: ignore[arg-type]


def test_the_documented_form() -> None:
    source = "rules:\n  - name: x\n    when: y\n    if:\n      subjet: {has: $preco}\n"
    fault = problem(5, 7, 6, message='unknown condition "subjet"', help='did you mean "subject"?')
    assert render_problem(fault, source=source) == (
        'error[E101]: unknown condition "subjet"\n'
        "  --> rules/40-new.yaml:5:7\n"
        "5 |       subjet: {has: $preco}\n"
        "  |       ^^^^^^\n"
        '  = help: did you mean "subject"?'
    )


def test_warning_without_source_or_place() -> None:
    assert render_problem(problem(0, 0, 1, warning=True), source="x") == (
        "warning[E101]: m\n  --> rules/40-new.yaml\n  = help: h"
    )
    assert "3 |" not in render_problem(problem(3, 1, 1), source=None)


def caret_line(source: str, column: int, span: int) -> tuple[str, str]:
    lines = render_problem(problem(1, column, span), source=source).split("\n")
    return lines[2], lines[3]


def test_tabs_wide_and_combining_characters_keep_the_caret_in_place() -> None:
    assert caret_line("\tab: x", 2, 2) == ("1 |     ab: x", "  |     ^^")
    assert caret_line("名前: x", 5, 1) == ("1 | 名前: x", "  |       ^")
    assert caret_line("名前: x", 1, 2) == ("1 | 名前: x", "  | ^^^^")
    assert caret_line("e\u0301: x", 5, 1)[1] == "  |    ^"
    assert caret_line("ab", 3, 1)[1] == "  |   ^"


def test_a_long_line_is_shown_around_the_fault() -> None:
    line, carets = caret_line("a" * 500 + "BCD" + "e" * 500, 501, 3)
    assert len(line) < 180
    assert line[carets.index("^") : carets.rindex("^") + 1] == "BCD"


def test_nothing_in_a_file_steers_the_terminal() -> None:
    shown = render_problem(problem(1, 1, 1, message="a\x1b[2J", help="\u202eb"), source="\x1b]0;x\x07\u2066y")
    assert not any(char in shown for char in "\x1b\x07\u202e\u2066")


def test_order_and_repeats() -> None:
    a, b, c = problem(2, 1, 1), problem(1, 9, 1), problem(1, 1, 1, path=Path("a.yaml"))
    assert in_order([a, b, a, c]) == [c, b, a]


def test_render_all_reads_the_files_and_shortens_paths(tmp_path: Path) -> None:
    file = tmp_path / "lists" / "x.txt"
    file.parent.mkdir()
    file.write_text("one\ntwo\n")
    shown = render_problems([problem(2, 1, 3, path=file), problem(1, 1, 1, path=file)], base=tmp_path)
    assert shown.split("\n\n")[1].split("\n")[1:3] == ["  --> lists/x.txt:2:1", "2 | two"]


def test_json() -> None:
    assert problem_json(problem(0, 0, 1))["line"] is None
    assert problem_json(problem(5, 7, 6)) == {
        "code": "E101",
        "severity": "error",
        "message": "m",
        "file": "rules/40-new.yaml",
        "line": 5,
        "column": 7,
        "span": 6,
        "help": "h",
        "also": None,
    }


@settings(deadline=None)
@given(st.text(max_size=20), st.integers(0, 30), st.integers(1, 30))
def test_any_line_can_be_shown(source: str, column: int, span: int) -> None:
    lines = render_problem(problem(1, column, span), source=source).split("\n")
    assert all("\r" not in line for line in lines)
    assert cells(lines[3]) >= len("  | ^")
