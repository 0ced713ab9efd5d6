"""Reads the files that go with a mail, and reads them again where a mail that was made once has to stay the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from config.errors import QuietcrmError
from connectors.model import Enclosure
from rules.enclosures import FOLDERS, LARGEST, MOST, content_type, file_name, find_file

Reference = Mapping[str, Any]
"""{name, type, sha256} of a file as it went into a mail."""


class FileTrouble(QuietcrmError):
    """A file that a mail needs is not there, is too large, or is another one by now."""


def read_files(base: Path, names: Iterable[str], language: str) -> tuple[Enclosure, ...]:
    """The files of these names in one language, each once. Raises FileTrouble."""
    several = dict.fromkeys(file_name(name, language) for name in names)
    files = tuple(_read(base, name, content_type(name)) for name in several)
    if sum(len(one.content) for one in files) > MOST:
        raise FileTrouble(f"the files of the mail are larger than {MOST >> 20} MB together", hint="make them smaller")
    return files


def read_again(base: Path, kept: Iterable[Reference]) -> tuple[Enclosure, ...]:
    """The files of a mail that was made before. Raises FileTrouble if one of them is another one by now."""
    files = []
    for one in kept:
        file = _read(base, str(one["name"]), str(one["type"]))
        if _digest(file) != one["sha256"]:
            message = f'the file "{file.name}" was changed since the mail was made'
            raise FileTrouble(message, hint="put the earlier file back, or drop the mail: quietcrm outbox cancel")
        files.append(file)
    return tuple(files)


def references(files: Iterable[Enclosure]) -> list[dict[str, Any]]:
    """What is kept of the files of a mail."""
    return [{"name": one.name, "type": one.content_type, "sha256": _digest(one)} for one in files]


def told(base: Path, kept: Iterable[Reference]) -> list[dict[str, Any]]:
    """The files of a mail as people read of them. changed: it is another one by now, or gone."""
    return [{"name": one["name"], "changed": not _is_same(base, one)} for one in kept]


def _is_same(base: Path, reference: Reference) -> bool:
    try:
        return bool(read_again(base, [reference]))
    except FileTrouble:
        return False


def _read(base: Path, name: str, kind: str) -> Enclosure:
    path = find_file(base, name)
    if path is None:
        raise FileTrouble(f'there is no file "{name}" to attach', hint=f"put it into {FOLDERS[0]}/")
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        message = f'the file "{name}" cannot be read: {error.strerror}'
        raise FileTrouble(message, hint="check its permissions") from error
    if len(content) > LARGEST:
        raise FileTrouble(f'the file "{name}" is larger than {LARGEST >> 20} MB', hint="make it smaller")
    return Enclosure(name=name, content_type=kind, content=content)


def _digest(file: Enclosure) -> str:
    return hashlib.sha256(file.content).hexdigest()
