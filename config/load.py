"""Loads a configuration directory: everything checked, every fault named with its place."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pydantic import ValidationError

from config.errors import ConfigError, Problem
from config.explaining import explain_errors
from config.lists import read_lists as read_lists
from config.nodes import MapNode, plain
from config.reading import read_yaml
from config.references import check_references
from config.settings import Settings
from config.text import read_text

SETTINGS_FILE = "quietcrm.yaml"
PARTS = ("rules", "templates", "lists", "sequences", "blueprints")


def read_settings(directory: Path, problems: list[Problem]) -> Settings | None:
    """Read quietcrm.yaml; faults are appended to `problems`. Never raises.

    Settings may come back together with problems (of other lines): use them for further checks only.
    """
    path = directory / SETTINGS_FILE
    text = read_text(path, problems)
    return None if text is None else parse_settings(path, text, problems)


def parse_settings(path: Path, text: str, problems: list[Problem]) -> Settings | None:
    """The settings in `text`, as if it were the file at `path`. As `read_settings` otherwise."""
    root = read_yaml(path, text, problems)
    if root is None:
        return None
    if not isinstance(root, MapNode):
        problems.append(_no_mapping(path))
        return None
    problems.extend(check_references(root, path.parent))
    try:
        return Settings.model_validate(plain(root), context={"directory": path.parent.resolve()})
    except ValidationError as error:
        problems.extend(explain_errors(error, root, text.split("\n")))
        return None


def load_settings(directory: Path) -> Settings:
    """Read quietcrm.yaml. Raises ConfigError with every fault."""
    problems: list[Problem] = []
    settings = read_settings(directory, problems)
    errors = [problem for problem in problems if not problem.warning]
    if settings is None or errors:
        raise ConfigError(errors)
    return settings


def config_hash(directory: Path) -> str:
    """Twelve hex digits that change when the name or content of any configuration file does."""
    digest = hashlib.sha256()
    for path in config_files(directory):
        name, content = path.relative_to(directory).as_posix().encode(), path.read_bytes()
        digest.update(b"%d:%b%d:" % (len(name), name, len(content)) + content)
    return digest.hexdigest()[:12]


def config_files(directory: Path) -> list[Path]:
    """quietcrm.yaml and every visible file of rules/, templates/, lists/, sequences/ and blueprints/, sorted."""
    found = [path for part in PARTS for path in (directory / part).rglob("*")]
    found.append(directory / SETTINGS_FILE)
    return sorted(path for path in found if path.is_file() and not path.name.startswith(".") and path.name[-1] != "~")


def _no_mapping(path: Path) -> Problem:
    help = "write: company: {name: Vendas, zone: America/Sao_Paulo, language: pt}"
    return Problem(code="E105", message=f"{path.name} holds no settings", path=path, line=1, column=1, help=help)
