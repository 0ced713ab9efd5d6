"""What the doctor found: how bad it is, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from config.errors import QuietcrmError
from connectors.errors import ConnectorError


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing looked at.

    about         "python", "store", "account ana" ...
    error         what made it fail, if an error did
    lines, mail   a longer answer (one mail, explained) for people and for programs
    """

    about: str
    level: Level
    message: str
    remedy: str = ""
    error: QuietcrmError | None = None
    lines: tuple[str, ...] = ()
    mail: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """As plain JSON data."""
        plain = {"about": self.about, "level": self.level.value, "message": self.message, "remedy": self.remedy}
        return plain | ({"mail": self.mail} if self.mail else {})


def good(about: str, message: str) -> Finding:
    """All is well."""
    return Finding(about=about, level=Level.OK, message=message)


def warn(about: str, message: str, remedy: str) -> Finding:
    """It works, and something is to be known or done."""
    return Finding(about=about, level=Level.WARN, message=message, remedy=remedy)


def failed(about: str, error: QuietcrmError) -> Finding:
    """It does not work."""
    return Finding(about=about, level=Level.FAIL, message=error.message, remedy=error.hint, error=error)


def worst(findings: Iterable[Finding]) -> list[QuietcrmError]:
    """The errors among the findings, those of a login or a setting before those that may pass by themselves."""
    errors = [finding.error for finding in findings if finding.error]
    return sorted(errors, key=lambda error: isinstance(error, ConnectorError))
