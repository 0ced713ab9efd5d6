"""Word lists of the office: lists/NAME.txt, one entry a line, `#` starts a comment. Used in rules as `$NAME`."""

from __future__ import annotations

import re
from pathlib import Path

from config.errors import Problem
from config.text import is_editors, read_text, strange_characters
from config.values import NAME

LONGEST_ENTRY = 300
COMMENT = re.compile(r"(?:^|(?<=\s))#.*$")
YAML_HABIT = re.compile(
    r"""-\s+(?P<item>.*)|"(?P<double>[^"]*)",?|'(?P<single>[^']*)',?|[“„](?P<curly>[^“”„]*)[“”],?"""
)


def read_lists(directory: Path, problems: list[Problem]) -> dict[str, tuple[str, ...]]:
    """Every list by name, entries as written (accents kept), each once. Faults are appended to `problems`.

    Never raises; a list with a fault comes back with its sound entries.
    """
    folder = directory / "lists"
    try:
        files = sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []
    except OSError as error:
        message = f"lists/ cannot be read: {error.strerror}"
        problems.append(Problem(code="E022", message=message, path=folder, help="make the folder readable"))
        return {}
    named = [path for path in files if _is_list(path, problems)]
    return {path.stem: read_list(path, problems) for path in named}


def read_list(path: Path, problems: list[Problem]) -> tuple[str, ...]:
    """The entries of one list file."""
    text = read_text(path, problems)
    if text is None:
        return ()
    problems.extend(strange_characters(path, text))
    entries = [_entry(path, number, line, problems) for number, line in enumerate(text.split("\n"), 1)]
    return tuple(dict.fromkeys(entry for entry in entries if entry))


def _is_list(path: Path, problems: list[Problem]) -> bool:
    if is_editors(path.name):
        return False
    if path.suffix == ".txt" and NAME.fullmatch(path.stem):
        return True
    stem = re.sub(r"[^\w.+-]+", "-", path.stem).strip("-_.+") or "words"
    help = f'rename the file to "{stem}.txt"'
    problems.append(Problem(code="E215", message=f"{path.name} is not the name of a list", path=path, help=help))
    return False


def _entry(path: Path, number: int, line: str, problems: list[Problem]) -> str:
    entry = COMMENT.sub("", line).strip()
    habit = YAML_HABIT.fullmatch(entry)
    column = len(line) - len(line.lstrip()) + 1
    if habit:
        plainer = next(group for group in habit.groups() if group is not None).strip().strip("\"'“”„‟‘’")
        message = "an entry of a list is written without dash or quotes"
        problems.append(_fault(path, number, column, len(entry), message, f"write: {plainer}"))
        return plainer
    if len(entry) > LONGEST_ENTRY:
        message = f"an entry longer than {LONGEST_ENTRY} characters"
        problems.append(_fault(path, number, column, len(entry), message, "remove this line"))
        return ""
    return entry


def _fault(path: Path, line: int, column: int, span: int, message: str, help: str) -> Problem:
    return Problem(code="E215", message=message, path=path, line=line, column=column, span=span, help=help)
