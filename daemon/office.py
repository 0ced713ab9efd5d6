"""The office as configured: settings and rules, loaded together, all or nothing."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from config.errors import ConfigError, Problem
from config.load import config_hash, read_settings
from config.settings import Settings
from config.state import state_directory as state_directory
from config.values import Length
from rules.hours import OfficeHours
from rules.load import load_ruleset
from rules.office import office_of
from rules.ruleset import RuleSet


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """One good configuration. `warnings` are worth showing but stop nothing.

    directory   the office's own folder: relative paths of the settings lie below it
    files       where settings, rules and templates were read: the same, or the last good set in the state folder
    """

    directory: Path
    files: Path
    settings: Settings
    rules: RuleSet
    hash: str
    warnings: tuple[Problem, ...] = ()

    @property
    def hours(self) -> OfficeHours:
        """When the office is open."""
        return office_of(self.settings).hours

    @property
    def state(self) -> Path:
        """Where quietcrm keeps its own files: see config.state."""
        return state_directory(self.directory)


def load_office(directory: Path, files: Path | None = None) -> Office:
    """Load and check everything. Raises ConfigError that names every fault of settings, rules and templates."""
    problems: list[Problem] = []
    office = read_office(directory, problems, files)
    if office is None:
        raise ConfigError([problem for problem in problems if not problem.warning])
    return office


def read_office(directory: Path, problems: list[Problem], files: Path | None = None) -> Office | None:
    """Load and check everything; faults and warnings are appended to `problems`. None if there is any fault."""
    files = files or directory
    own = None if files == directory else directory
    with _uncollected():
        settings = read_settings(files, problems, base=directory)
        rules = load_ruleset(files, settings, problems, office=own) if settings else None
    if settings is None or rules is None or any(not problem.warning for problem in problems):
        return None
    return Office(
        directory=directory,
        files=files,
        settings=settings,
        rules=rules,
        hash=config_hash(files),
        warnings=tuple(problems),
    )


@contextmanager
def _uncollected() -> Iterator[None]:
    """Thousands of rules are made of a million small values, and all of them stay: the collector would go through them
    again and again, for half of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def later(start: datetime, length: Length, office: Office) -> datetime:
    """`start` plus a length of the settings; business days are counted in office hours."""
    if length.unit == "business day":
        return office.hours.add_business_days(start, length.count)
    return start + length.delta()
