"""Which remedies may be carried out without asking what was meant, and carrying them out. Pure.

Sure is what leaves one reading only: quotes around a text that YAML stumbles over, spaces for a Tab, characters nobody
sees, and a name with exactly one known name near it. A choice (`did you mean "a" or "b"?`), a value, a line that would
go: those stay with a person.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from config.errors import Problem
from config.remedy import mend

QUOTES = ("E002", "E004", "E005", "E006", "E028")
SPACES = ("E001", "E021")
NAMES = ("E101", "E104", "E206", "E402", "E403", "E424", "E430", "E431")


@dataclass(frozen=True, slots=True)
class Fixed:
    """A text with some remedies carried out, and the problems that they were for."""

    text: str
    problems: tuple[Problem, ...]


def is_sure(problem: Problem, text: str) -> bool:
    """Whether the remedy of a problem in `text` leaves one reading only."""
    if problem.warning or not problem.line:
        return False
    lines = text.split("\n")
    line = lines[problem.line - 1] if problem.line <= len(lines) else ""
    touched = line[problem.column - 1 :][: problem.span]
    if problem.code in QUOTES:  # a colon in the text may mean that a comma is missing before it
        return problem.help.startswith("write: ") and ": " not in touched
    if problem.code in SPACES:
        return problem.help.startswith(("indent with ", "remove it"))
    # In a blueprint the text at hand may stand for many: a name inside {{ input.x }} is told at its use.
    return problem.code in NAMES and problem.help.startswith('did you mean "') and "{{" not in touched


def carry_out(text: str, problems: Iterable[Problem]) -> Fixed:
    """Carry out every sure remedy, one a line, from the end to the beginning; the lines keep their numbers."""
    done: list[Problem] = []
    lines: set[int] = set()
    for problem in sorted(problems, key=lambda one: (one.line, one.column), reverse=True):
        if problem.line in lines or not is_sure(problem, text):
            continue
        mended = mend(text, problem)
        if mended is not None and mended != text and mended.count("\n") == text.count("\n"):
            text = mended
            done.append(problem)
            lines.add(problem.line)
    return Fixed(text, tuple(reversed(done)))
