"""check --fix: the sure remedies tried out on a copy, shown as a difference, and written if that is wanted."""

from __future__ import annotations

import difflib
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory

from config.errors import Problem
from config.fixes import carry_out
from config.load import config_files
from config.text import read_text, without_secrets
from daemon.errors import Refused
from daemon.office import read_office
from daemon.trials import read_tests

MOST_ROUNDS = 12
"""A remedy may bring to light what was hidden behind the fault."""
_BOM = "\ufeff"


@dataclass(frozen=True, slots=True)
class Change:
    """One file: its bytes as they are, and what they would be. `problems` are those that it mends."""

    path: Path
    before: bytes
    after: bytes
    problems: tuple[Problem, ...]


def plan_fixes(directory: Path, file: Path | None = None) -> list[Change]:
    """What the sure remedies would change in the office's files, or in one of them. Writes nothing there."""
    with TemporaryDirectory(prefix="quietcrm-fix-") as name:
        scratch = Path(name)
        originals = dict(_copies(directory, scratch, file))
        mended: dict[Path, list[Problem]] = {}
        for _ in range(MOST_ROUNDS):
            if not _round(directory, scratch, originals, mended):
                break
        return [
            Change(originals[copy].path, originals[copy].raw, originals[copy].encoded(_text(copy)), tuple(problems))
            for copy, problems in sorted(mended.items())
            if _text(copy) != originals[copy].text
        ]


@dataclass(frozen=True, slots=True)
class _Original:
    """A file as it is: line ends and a byte order mark stay what they are."""

    path: Path
    raw: bytes
    text: str

    def encoded(self, text: str) -> bytes:
        """Another text in the dress of this one."""
        mark = _BOM if self.raw.startswith(_BOM.encode()) else ""
        return (mark + (text.replace("\n", "\r\n") if b"\r\n" in self.raw else text)).encode()


def _copies(directory: Path, scratch: Path, only: Path | None) -> Iterator[tuple[Path, _Original]]:
    """Copies every file of the office; yields those that may be changed."""
    for path in config_files(directory):
        copy = scratch / path.relative_to(directory)
        copy.parent.mkdir(parents=True, exist_ok=True)
        with suppress(OSError):
            raw = path.read_bytes()
            copy.write_bytes(raw)
            text = read_text(path, [])
            one = _Original(path, raw, text or "")
            # A file with line ends of several kinds is not written anew: every line of it would change.
            if text is not None and one.encoded(text) == raw and (only is None or path.resolve() == only.resolve()):
                yield copy, one


def _round(directory: Path, scratch: Path, originals: dict[Path, _Original], mended: dict[Path, list[Problem]]) -> bool:
    """Carry out what is sure now; False if that was nothing."""
    before = _problems(directory, scratch)
    changed = False
    for copy in originals:
        text = _text(copy)
        fixed = carry_out(text, [one for one in before if one.path == copy])
        if not fixed.problems:
            continue
        copy.write_text(fixed.text, encoding="utf-8", newline="\n")
        left = {_mark(one) for one in _problems(directory, scratch)}
        if any(_mark(one) in left for one in fixed.problems):  # it did not help: then it was not sure
            copy.write_text(text, encoding="utf-8", newline="\n")
            continue
        mended.setdefault(copy, []).extend(fixed.problems)
        changed = True
    return changed


def _mark(problem: Problem) -> tuple[object, ...]:
    return problem.code, problem.path, problem.line, problem.message


def _text(copy: Path) -> str:
    return read_text(copy, []) or ""


def _problems(directory: Path, files: Path) -> list[Problem]:
    found: list[Problem] = []
    office = read_office(directory, found, files)
    read_tests(files, office, found)
    return found


def difference(change: Change, directory: Path) -> str:
    """The change for people, as `diff -u` shows it, passwords starred."""
    name = change.path.relative_to(directory) if change.path.is_relative_to(directory) else change.path
    before, after = (raw.decode("utf-8", "replace").splitlines() for raw in (change.before, change.after))
    lines = difflib.unified_diff(before, after, str(name), str(name), n=1, lineterm="")
    return "\n".join(without_secrets(line) for line in lines)


def write_fixes(changes: list[Change]) -> None:
    """Write all of them, each in one step. Raises Refused if a file is another by now; OSError."""
    for change in changes:
        if change.path.read_bytes() != change.before:
            raise Refused(f"{change.path} was changed meanwhile", hint="look again: quietcrm check --fix")
    drafts = [(_draft(change), change.path.resolve()) for change in changes]
    for draft, path in drafts:
        draft.replace(path)


def _draft(change: Change) -> Path:
    path = change.path.resolve()
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        file.write(change.after)
        file.flush()
        os.fsync(file.fileno())
    draft = Path(file.name)
    shutil.copymode(path, draft)
    with suppress(PermissionError):
        stat = path.stat()
        os.chown(draft, stat.st_uid, stat.st_gid)
    return draft
