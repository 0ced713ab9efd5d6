"""Prints problems for people and for programs."""

from __future__ import annotations

from config.errors import Problem


def render_problem(problem: Problem, *, source: str | None) -> str:
    """The problem as text with its source line and a caret line."""
    raise NotImplementedError(problem, source)


def problem_json(problem: Problem) -> dict[str, object]:
    """The problem as a JSON object."""
    raise NotImplementedError(problem)
