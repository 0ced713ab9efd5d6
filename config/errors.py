"""The root of every error quietcrm raises on purpose, and the errors of configuration files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from config.nodes import Place


class QuietcrmError(Exception):
    """An error with a remedy: `hint` says what to do next, in one sentence."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One fault in a configuration file. `line` and `column` count from 1; 0 means the file as a whole.

    `code` is stable ("E101"), `span` the number of characters the caret line underlines, `help` the remedy.
    `warning` problems are shown but do not make the configuration invalid. `also` is a second place that it is about.
    """

    code: str
    message: str
    path: Path
    line: int = 0
    column: int = 0
    span: int = 1
    help: str = ""
    warning: bool = False
    also: Place | None = None


class ConfigError(QuietcrmError):
    """The configuration cannot be used; `problems` names every fault found, not only the first."""

    def __init__(self, problems: list[Problem]) -> None:
        count = len(problems)
        super().__init__(f"{count} problem{'s' if count != 1 else ''} in the configuration", hint="run: quietcrm check")
        self.problems = problems
