"""Remedies that a program can carry out: the help line of a problem says what to do, `mend` does exactly that.

Understood: `did you mean "x"?`, `rename to "x"`, `write: X`, `remove it`, `remove this line`, `remove lines 3 to 5`,
`indent with 2 spaces`, `add " at the end of line 3`, `add: key: value`, `add the line: text`.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from config.errors import Problem
from config.nodes import Scalar

Lines = list[str]


def mend(text: str, problem: Problem) -> str | None:
    """`text` with the remedy of `problem` carried out, or None if the help line is advice for a person."""
    for pattern, action in ACTIONS:
        match = pattern.match(problem.help)
        if match:
            lines = text.split("\n")
            return "\n".join(action(lines, problem, match)) if _inside(lines, problem) else None
    return None


def removal(lines: Lines, key: Scalar, last_line: int) -> str:
    """The help line for taking away the entry of `key`, which reaches to `last_line`."""
    line = lines[key.place.line - 1]
    alone = not line[: key.place.column - 1].strip()
    closed = line.count("{") == line.count("}") and line.count("[") == line.count("]")
    if alone and last_line > key.place.line:
        return f"remove lines {key.place.line} to {last_line}"
    if alone and closed and not line.rstrip().endswith(","):
        return "remove this line"
    return f'take "{key.text}" and its value away'


def _inside(lines: Lines, problem: Problem) -> bool:
    return problem.line <= len(lines) and problem.column <= len(lines[max(problem.line, 1) - 1]) + 1


def _replace(lines: Lines, problem: Problem, new: str) -> Lines:
    index, start = problem.line - 1, problem.column - 1
    line = lines[index]
    return [*lines[:index], line[:start] + new + line[start + problem.span :], *lines[index + 1 :]]


def _rename(lines: Lines, problem: Problem, match: re.Match[str]) -> Lines:
    old = lines[problem.line - 1][problem.column - 1 :][: problem.span]
    quote = old[:1] if old[:1] in ("'", '"') else ""
    colon = ":" if old.endswith(":") and not quote else ""
    return _replace(lines, problem, quote + match[1] + quote + colon)


def _write(lines: Lines, problem: Problem, match: re.Match[str]) -> Lines:
    return _replace(lines, problem, match[1])


def _remove(lines: Lines, problem: Problem, _match: re.Match[str]) -> Lines:
    return _replace(lines, problem, "")


def _remove_lines(lines: Lines, problem: Problem, match: re.Match[str]) -> Lines:
    first, last = (int(match[1]), int(match[2])) if match.lastindex == 2 else (problem.line, problem.line)
    return [*lines[: first - 1], *lines[last:]]


def _indent(lines: Lines, problem: Problem, match: re.Match[str]) -> Lines:
    index = problem.line - 1
    return [*lines[:index], " " * int(match[1]) + lines[index].lstrip(" \t\u00a0"), *lines[index + 1 :]]


def _append(lines: Lines, _problem: Problem, match: re.Match[str]) -> Lines:
    index = int(match[2]) - 1
    return [*lines[:index], lines[index].rstrip() + match[1], *lines[index + 1 :]]


def _add_key(lines: Lines, problem: Problem, match: re.Match[str]) -> Lines:
    index, start = problem.line - 1, problem.column - 1
    line = lines[index]
    if line[start : start + 1] == "{":
        rest = line[start + 1 :]
        comma = "" if rest.lstrip().startswith("}") else ", "
        return [*lines[:index], line[: start + 1] + match[1] + comma + rest, *lines[index + 1 :]]
    return [*lines[:index], line[:start] + match[1], " " * start + line[start:], *lines[index + 1 :]]


def _add_line(lines: Lines, _problem: Problem, match: re.Match[str]) -> Lines:
    return [match[1], *lines]


ACTIONS: tuple[tuple[re.Pattern[str], Callable[[Lines, Problem, re.Match[str]], Lines]], ...] = (
    (re.compile(r'did you mean "([^"]*)"\?'), _rename),
    (re.compile(r'rename to "([^"]*)"'), _rename),
    (re.compile(r"write: (.*)"), _write),
    (re.compile(r"remove it\b"), _remove),
    (re.compile(r"remove this line\b"), _remove_lines),
    (re.compile(r"remove lines (\d+) to (\d+)"), _remove_lines),
    (re.compile(r"indent with (\d+) spaces?"), _indent),
    (re.compile(r"add (\S) at the end of line (\d+)"), _append),
    (re.compile(r"add: (.*)"), _add_key),
    (re.compile(r"add the line: (.*)"), _add_line),
)
