"""Prints problems for people and for programs."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path

from config.errors import Problem
from config.text import read_text, without_secrets

TAB_WIDTH = 4
LONGEST_LINE = 160
SECRET_CODES = ("E302",)


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """Problems by file, line and column, each once."""
    return sorted(dict.fromkeys(problems), key=lambda one: (str(one.path), one.line, one.column, one.code))


def render_problem(
    problem: Problem, *, source: str | None, base: Path | None = None, also_source: str | None = None
) -> str:
    """The problem as text: headline, place, the source line with a caret line, remedy.

    `source` is the text of the file, None if it cannot be shown, `also_source` that of the second place. Paths below
    `base` are shown relative to it. The caret line counts terminal cells. Passwords in the source line are starred.
    """
    word = "warning" if problem.warning else "error"
    where = _where(problem.path, problem.line, problem.column, base)
    parts = [f"{word}[{problem.code}]: {visible(problem.message)}", f"  --> {visible(where)}"]
    parts.extend(_underlined(problem, source))
    if problem.also is not None:
        place = problem.also
        parts.append(f"  ::: {visible(_where(place.path, place.line, place.column, base))}")
        there = replace(problem, line=place.line, column=place.column, span=place.span)
        parts.extend(_underlined(there, also_source))
    if problem.help:
        parts.append(f"  = help: {visible(problem.help)}")
    return "\n".join(parts)


def render_problems(problems: Iterable[Problem], *, base: Path | None = None) -> str:
    """All problems in order, a blank line between them; source lines are read from the files."""
    source = cache(lambda path: read_text(path, []))
    parts = []
    for problem in in_order(problems):
        also = source(problem.also.path) if problem.also else None
        parts.append(render_problem(problem, source=source(problem.path), base=base, also_source=also))
    return "\n\n".join(parts)


def problem_json(problem: Problem) -> dict[str, object]:
    """The problem as a JSON object; `line` and `column` are null for the file as a whole."""
    return {
        "code": problem.code,
        "severity": "warning" if problem.warning else "error",
        "message": problem.message,
        "file": str(problem.path),
        "line": problem.line or None,
        "column": problem.column or None,
        "span": problem.span,
        "help": problem.help,
        "also": _also(problem),
    }


def _also(problem: Problem) -> dict[str, object] | None:
    place = problem.also
    return {"file": str(place.path), "line": place.line, "column": place.column} if place else None


def cells(text: str) -> int:
    """How many terminal cells `text` takes: combining marks none, wide characters two."""
    return sum(_cell(char) for char in text)


def _cell(char: str) -> int:
    if unicodedata.combining(char) or unicodedata.category(char) in ("Cf", "Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _where(path: Path, line: int, column: int, base: Path | None) -> str:
    if base is not None and path.is_relative_to(base):
        path = path.relative_to(base)
    return f"{path}:{line}:{column}" if line else str(path)


def _source_line(problem: Problem, source: str | None) -> str | None:
    if source is None or not problem.line:
        return None
    lines = source.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return lines[problem.line - 1] if problem.line <= len(lines) else None


def _underlined(problem: Problem, source: str | None) -> list[str]:
    line = _source_line(problem, source)
    if line is None:
        return []
    number = str(problem.line)
    start = max(problem.column - 1, 0)
    line = without_secrets(line)
    if problem.code in SECRET_CODES:
        line = line[:start] + "*" * len(line[start : start + problem.span]) + line[start + problem.span :]
    line, start = _window(line, start)
    before, under = _printable(line[:start]), _printable(line[start : start + problem.span])
    carets = "^" * max(cells(under), 1)
    return [
        f"{number} | {_printable(line)}".rstrip(),
        f"{' ' * len(number)} | {' ' * cells(before)}{carets}",
    ]


def _window(line: str, start: int) -> tuple[str, int]:
    """The part of a long line around `start`, and where `start` lies in it."""
    if len(line) <= LONGEST_LINE:
        return line, start
    first = max(min(start - LONGEST_LINE // 3, len(line) - LONGEST_LINE), 0)
    last = first + LONGEST_LINE
    head, tail = "…" if first else "", "…" if last < len(line) else ""
    return head + line[first:last] + tail, start - first + len(head)


def _printable(text: str) -> str:
    """Tabs as spaces, controls as a visible sign, so that a broken file cannot steer the terminal."""
    return visible(text.replace("\t", " " * TAB_WIDTH))


def visible(text: str) -> str:
    """`text` with control characters and bidirectional overrides replaced."""
    return "".join("\ufffd" if _unseen(char) else char for char in text)


def _unseen(char: str) -> bool:
    return (
        unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp")
        or char in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    )
