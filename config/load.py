"""Loads a configuration directory: everything checked, every fault named with its place."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from config.errors import ConfigError, Problem
from config.explaining import explain_errors
from config.lists import read_lists as read_lists
from config.nodes import MapNode, plain
from config.reading import read_yaml
from config.references import check_references
from config.settings import Settings
from config.text import is_editors, read_text

SETTINGS_FILE = "quietcrm.yaml"
PARTS = ("rules", "templates", "lists", "sequences", "blueprints", "tests")


def read_settings(directory: Path, problems: list[Problem], *, base: Path | None = None) -> Settings | None:
    """Read quietcrm.yaml; faults are appended to `problems`. Never raises.

    Settings may come back together with problems (of other lines): use them for further checks only. Relative paths
    in them (mailboxes, password files) lie below `base`, without one below `directory`.
    """
    path = directory / SETTINGS_FILE
    text = read_text(path, problems)
    return None if text is None else parse_settings(path, text, problems, base=base)


def parse_settings(path: Path, text: str, problems: list[Problem], *, base: Path | None = None) -> Settings | None:
    """The settings in `text`, as if it were the file at `path`. As `read_settings` otherwise."""
    base = base or path.parent
    root = read_yaml(path, text, problems)
    if root is None:
        return None
    if not isinstance(root, MapNode):
        problems.append(_no_mapping(path))
        return None
    problems.extend(check_references(root, base))
    try:
        return Settings.model_validate(plain(root), context={"directory": base.resolve()})
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
        name = path.relative_to(directory).as_posix().encode("utf-8", "surrogateescape")
        try:
            content = path.read_bytes()
        except OSError:
            continue  # told as a problem by whoever needs it
        digest.update(b"%d:%b%d:" % (len(name), name, len(content)) + content)
    return digest.hexdigest()[:12]


def config_files(directory: Path) -> list[Path]:
    """quietcrm.yaml and every file of rules/, templates/, lists/, sequences/, blueprints/ and tests/, sorted; without
    hidden ones and the copies that editors make."""
    found = [Path(entry.path) for entry in config_entries(directory)]
    return sorted(found)


def config_entries(directory: Path) -> Iterator[os.DirEntry[str]]:
    """The same as entries of their folders, in no order: cheap enough to be asked every second."""
    yield from (entry for entry in _entries(directory) if entry.name == SETTINGS_FILE and entry.is_file())
    for part in PARTS:
        yield from _files_below(directory / part)


def _files_below(folder: Path | str) -> Iterator[os.DirEntry[str]]:
    """Files at any depth. Links to files count as files, links to folders are not followed."""
    for entry in _entries(folder):
        if entry.is_dir(follow_symlinks=False):
            yield from _files_below(entry.path)
        elif entry.is_file():
            yield entry


def _entries(folder: Path | str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not is_editors(entry.name)]
    except OSError:
        return []


def _no_mapping(path: Path) -> Problem:
    help = "write: company: {name: Vendas, zone: America/Sao_Paulo, language: pt}"
    return Problem(code="E105", message=f"{path.name} holds no settings", path=path, line=1, column=1, help=help)
