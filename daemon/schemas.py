"""What editors need to complete and underline the office's files: JSON schemas with its own names in them."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

from config.errors import Problem
from config.load import read_settings
from config.settings_shape import settings_schema
from config.shapes import Names, Shape
from rules.file_schemas import blueprint_schema, rules_schema, sequence_schema, trial_schema
from rules.own_names import own_names

FOLDER = ".quietcrm"
"""Beside quietcrm.yaml. Files of the office name what lies there in their first line."""
PARTS: dict[str, Callable[[Names], Shape]] = {
    "config": settings_schema,
    "rules": rules_schema,
    "tests": trial_schema,
    "blueprint": blueprint_schema,
    "sequence": sequence_schema,
}


def schema_of(part: str, directory: Path) -> Shape:
    """The schema of one sort of files, with the names of the office below `directory` if there is one."""
    return PARTS[part](_names(directory) or Names())


def write_schemas(directory: Path) -> list[Path]:
    """Bring the schemas in FOLDER up to date; the files that changed. Nothing where the settings cannot be read, and
    nothing where we may not write: they are a help for whoever edits, and nobody else's concern."""
    names = _names(directory)
    if names is None:
        return []
    changed = []
    with suppress(OSError):
        for part, make in PARTS.items():
            path = directory / FOLDER / f"{part}.schema.json"
            if _replace(path, json.dumps(make(names), ensure_ascii=False, indent=1) + "\n"):
                changed.append(path)
    return changed


def _names(directory: Path) -> Names | None:
    problems: list[Problem] = []
    settings = read_settings(directory, problems)
    return own_names(directory, settings) if settings else None


def _replace(path: Path, text: str) -> bool:
    """Write a file in one step, if its contents are another; whether they were. Raises OSError."""
    content = text.encode("utf-8", "replace")
    if path.is_file() and path.read_bytes() == content:
        return False
    path.parent.mkdir(exist_ok=True)
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        file.write(content)
    written = Path(file.name)
    written.chmod(0o644)
    written.replace(path)
    return True
