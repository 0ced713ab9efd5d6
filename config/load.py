"""Loads a configuration directory: everything checked, every fault named with its place."""

from __future__ import annotations

from pathlib import Path

from config.errors import ConfigError, Problem
from config.settings import Settings

SETTINGS_FILE = "quietcrm.yaml"


def read_settings(directory: Path, problems: list[Problem]) -> Settings | None:
    """Read quietcrm.yaml; faults are appended to `problems`. None if it cannot be used. Never raises."""
    raise NotImplementedError(directory, problems)


def load_settings(directory: Path) -> Settings:
    """Read quietcrm.yaml. Raises ConfigError with every fault."""
    problems: list[Problem] = []
    settings = read_settings(directory, problems)
    errors = [problem for problem in problems if not problem.warning]
    if settings is None or errors:
        raise ConfigError(errors)
    return settings


def config_hash(directory: Path) -> str:
    """Twelve hex digits that change when any configuration file does."""
    raise NotImplementedError(directory)


def read_lists(directory: Path, problems: list[Problem]) -> dict[str, tuple[str, ...]]:
    """Word lists: lists/NAME.txt, one entry a line, `#` starts a comment. Faults are appended to `problems`."""
    raise NotImplementedError(directory, problems)
